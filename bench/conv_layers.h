// What bench_conv measures: the layers of a network, and rows of kernels.def made ready for them.
#ifndef SL_BENCH_CONV_LAYERS_H
#define SL_BENCH_CONV_LAYERS_H

#include <string>
#include <vector>

#include "kernels/conv/conv.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/kernels.h"
#include "kernels/launch.h"
#include "tests/check.h"

struct ConvLayer {
    std::string name;
    sl_conv2d shape;
    std::vector<sl_op> passes; // that the network needs
};

// The layers of a file (bench/shapes), or the one named `only`, with activations of that element.
std::vector<ConvLayer> read_conv_layers(const std::string &path, const std::string &only, int batch,
                                        sl_element element);

// The rows named "a,b", "all" but the reference, or for "" the one that a plan would take, as SL_KERNEL has it: those
// of them that take the shape.
std::vector<const sl_kernel_row *> find_conv_rows(const sl_device &device, sl_op op, const sl_conv2d &shape,
                                                  const std::string &names);

// The first of the names that is no row of a convolution; "" if all are.
std::string find_unknown_row(const std::string &names);

// A row with its operands. A run packs the weights as well, for a training step does so after each update, and adds up
// the parts of a gradient.
class OurConv
{
  public:
    OurConv(const sl_device &device, const sl_kernel_row &row, const sl_conv2d &shape);
    ~OurConv();
    OurConv(const OurConv &) = delete;
    OurConv &operator=(const OurConv &) = delete;

    void run();
    double flops() const; // that it executes

  private:
    sl_device device_;
    const sl_conv2d shape_;
    sl_choice choice_, sum_ = {};
    sl_weighted_sum_shape parts_ = {}; // parts 0: the row makes the gradient itself
    check_case case_ = {};
    const float *weights_ = nullptr;
    void *packed_ = nullptr; // null: it reads them as they are
};
#endif
