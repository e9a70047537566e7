// A convolution pass of oneDNN, in the ways a program may ask for it; re-ordering into its formats is not part of
// run().
#ifndef SL_BENCH_ONEDNN_CONV_H
#define SL_BENCH_ONEDNN_CONV_H

#include <memory>
#include <string>
#include <vector>

#include "kernels/conv/conv.h"
#include "kernels/kernels.h"

class OnednnConv
{
  public:
    // Every way that this oneDNN does not refuse; none if this build has no oneDNN.
    static std::vector<std::unique_ptr<OnednnConv>> open_all(sl_op op, const sl_conv2d &shape);
    virtual ~OnednnConv() = default;
    virtual void run() = 0;
    virtual std::string way() const = 0;            // "blocked", "nhwc", "winograd"
    virtual std::string implementation() const = 0; // as oneDNN names it: "brg_conv_fwd:avx512_core"
    virtual double work() const = 0;                // multiplications over those of the formula; 1: a direct method
};

// "oneDNN 3.13.2"; empty if this build has none.
std::string onednn_version();
#endif
