// A convolution pass of oneDNN in the formats it prefers; re-ordering into them is not part of run().
#ifndef SL_BENCH_ONEDNN_CONV_H
#define SL_BENCH_ONEDNN_CONV_H

#include <memory>

#include "kernels/conv/conv.h"
#include "kernels/kernels.h"

class OnednnConv
{
  public:
    // Null if this build has no oneDNN, or oneDNN refuses.
    static std::unique_ptr<OnednnConv> open(sl_op op, const sl_conv2d &shape);
    virtual ~OnednnConv() = default;
    virtual void run() = 0;
};
#endif
