// oneDNN's convolutions through its C API (version 2).
#include "bench/onednn_conv.h"

#ifdef SL_BENCH_ONEDNN
#include <oneapi/dnnl/dnnl.h>
#include <vector>

namespace
{
class Conv : public OnednnConv
{
  public:
    ~Conv() override
    {
        for (auto &argument : arguments_)
            dnnl_memory_destroy(argument.memory);
        dnnl_primitive_destroy(primitive_);
        dnnl_stream_destroy(stream_);
        dnnl_engine_destroy(engine_);
    }

    void run() override
    {
        dnnl_primitive_execute(primitive_, stream_, static_cast<int>(arguments_.size()), arguments_.data());
        dnnl_stream_wait(stream_);
    }

    bool create(sl_op op, const sl_conv2d &s)
    {
        if (dnnl_engine_create(&engine_, dnnl_cpu, 0) ||
            dnnl_stream_create(&stream_, engine_, dnnl_stream_default_flags))
            return false;
        dnnl_primitive_desc_t forward = nullptr, chosen = nullptr;
        if (describe(SL_OP_conv2d_fwd, s, nullptr, &forward))
            return false;
        const bool failed = op != SL_OP_conv2d_fwd && describe(op, s, forward, &chosen);
        const dnnl_primitive_desc_t used = chosen ? chosen : forward;
        const bool good = !failed && !dnnl_primitive_create(&primitive_, used) && attach(op, used);
        dnnl_primitive_desc_destroy(forward);
        if (chosen)
            dnnl_primitive_desc_destroy(chosen);
        return good;
    }

  private:
    dnnl_status_t describe(sl_op op, const sl_conv2d &s, const_dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *out)
    {
        const dnnl_dims_t x = {s.n, s.c, s.h, s.w}, w = {s.k, s.c, s.kh, s.kw}, y = {s.n, s.k, s.oh, s.ow};
        const dnnl_dims_t stride = {s.stride_h, s.stride_w}, before = {s.pad_top, s.pad_left};
        const dnnl_dims_t after = {(s.oh - 1) * s.stride_h + s.kh - s.pad_top - s.h,
                                   (s.ow - 1) * s.stride_w + s.kw - s.pad_left - s.w};
        dnnl_memory_desc_t mx, mw, my;
        dnnl_memory_desc_init_by_tag(&mx, 4, x, dnnl_f32, dnnl_format_tag_any);
        dnnl_memory_desc_init_by_tag(&mw, 4, w, dnnl_f32, dnnl_format_tag_any);
        dnnl_memory_desc_init_by_tag(&my, 4, y, dnnl_f32, dnnl_format_tag_any);
        dnnl_convolution_desc_t d;
        dnnl_status_t status;
        if (op == SL_OP_conv2d_fwd)
            status = dnnl_convolution_forward_desc_init(&d, dnnl_forward_training, dnnl_convolution_direct, &mx, &mw,
                                                        nullptr, &my, stride, before, after);
        else if (op == SL_OP_conv2d_bwd_data)
            status = dnnl_convolution_backward_data_desc_init(&d, dnnl_convolution_direct, &mx, &mw, &my, stride,
                                                              before, after);
        else
            status = dnnl_convolution_backward_weights_desc_init(&d, dnnl_convolution_direct, &mx, &mw, nullptr, &my,
                                                                 stride, before, after);
        return status ? status : dnnl_primitive_desc_create(out, &d, nullptr, engine_, hint);
    }

    bool attach(sl_op op, const_dnnl_primitive_desc_t pd)
    {
        struct Use {
            dnnl_query_t query;
            int argument;
        };
        const bool forward = op == SL_OP_conv2d_fwd, data = op == SL_OP_conv2d_bwd_data;
        const Use uses[] = {
            data ? Use{dnnl_query_diff_src_md, DNNL_ARG_DIFF_SRC} : Use{dnnl_query_src_md, DNNL_ARG_SRC},
            forward || data ? Use{dnnl_query_weights_md, DNNL_ARG_WEIGHTS}
                            : Use{dnnl_query_diff_weights_md, DNNL_ARG_DIFF_WEIGHTS},
            forward ? Use{dnnl_query_dst_md, DNNL_ARG_DST} : Use{dnnl_query_diff_dst_md, DNNL_ARG_DIFF_DST},
        };
        for (const Use &use : uses) {
            const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(pd, use.query, 0);
            dnnl_memory_t memory;
            if (!md || dnnl_memory_create(&memory, md, engine_, DNNL_MEMORY_ALLOCATE))
                return false;
            arguments_.push_back({use.argument, memory});
            void *at = nullptr;
            dnnl_memory_get_data_handle(memory, &at);
            const size_t n = dnnl_memory_desc_get_size(md) / sizeof(float);
            for (size_t i = 0; i < n; i++)
                static_cast<float *>(at)[i] = static_cast<float>(i % 13) * 0.1f - 0.6f;
        }
        return true;
    }

    dnnl_engine_t engine_ = nullptr;
    dnnl_stream_t stream_ = nullptr;
    dnnl_primitive_t primitive_ = nullptr;
    std::vector<dnnl_exec_arg_t> arguments_;
};
} // namespace

std::unique_ptr<OnednnConv> OnednnConv::open(sl_op op, const sl_conv2d &shape)
{
    auto conv = std::make_unique<Conv>();
    if (!conv->create(op, shape))
        return nullptr;
    return conv;
}
#else
std::unique_ptr<OnednnConv> OnednnConv::open(sl_op, const sl_conv2d &)
{
    return nullptr;
}
#endif
