// oneDNN's convolutions through its C++ API, version 2 or 3.
#include "bench/onednn_conv.h"

#ifdef SL_BENCH_ONEDNN
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>

#include "kernels/bf16.h"

using dnnl::memory;

namespace
{
// The images are in the format that the library prefers, which is blocked by channels, or in NHWC, as PyTorch and
// TensorFlow keep them: which is faster depends on version, pass and processor. Weights are always in its own.
struct Way {
    const char *name;
    memory::format_tag images;
    dnnl::algorithm algorithm;
    double work;
};

constexpr Way kWays[] = {
    {"blocked", memory::format_tag::any, dnnl::algorithm::convolution_direct, 1.0},
    {"nhwc", memory::format_tag::nhwc, dnnl::algorithm::convolution_direct, 1.0},
    // F(4x4,3x3), which version 2 has for some shapes.
    {"winograd", memory::format_tag::any, dnnl::algorithm::convolution_winograd, 36.0 / 144.0},
};

memory::data_type type_of(const memory::desc &description)
{
#if DNNL_VERSION_MAJOR >= 3
    return description.get_data_type();
#else
    return description.data_type();
#endif
}

// Backward passes take the description of the forward one as a hint, last.
template <class Pass, class... Arguments>
typename Pass::primitive_desc describe(const dnnl::engine &engine, const Arguments &...arguments)
{
#if DNNL_VERSION_MAJOR >= 3
    return {engine, arguments...};
#else
    return {typename Pass::desc(arguments...), engine};
#endif
}

template <class Pass, class... Arguments>
typename Pass::primitive_desc describe_backward(const dnnl::convolution_forward::primitive_desc &hint,
                                                const dnnl::engine &engine, const Arguments &...arguments)
{
#if DNNL_VERSION_MAJOR >= 3
    return {engine, arguments..., hint};
#else
    return {typename Pass::desc(arguments...), engine, hint};
#endif
}

class Conv : public OnednnConv
{
  public:
    Conv(sl_op op, const sl_conv2d &s, const Way &way) : way_(way), engine_(dnnl::engine::kind::cpu, 0)
    {
        const auto f32 = memory::data_type::f32;
        const auto element = s.element == SL_ELEMENT_BF16 ? memory::data_type::bf16 : f32;
        const memory::desc x({s.n, s.c, s.h, s.w}, element, way.images), y({s.n, s.k, s.oh, s.ow}, element, way.images);
        const memory::desc w({s.k, s.c, s.kh, s.kw}, element, memory::format_tag::any);
        const memory::desc dw({s.k, s.c, s.kh, s.kw}, f32, memory::format_tag::any); // as ours
        const memory::dims stride = {s.stride_h, s.stride_w}, before = {s.pad_top, s.pad_left};
        const memory::dims after = {(s.oh - 1) * s.stride_h + s.kh - s.pad_top - s.h,
                                    (s.ow - 1) * s.stride_w + s.kw - s.pad_left - s.w};
        const auto forward = describe<dnnl::convolution_forward>(engine_, dnnl::prop_kind::forward_training,
                                                                 way.algorithm, x, w, y, stride, before, after);
        if (op == SL_OP_conv2d_fwd) {
            attach(DNNL_ARG_SRC, forward.src_desc(), DNNL_ARG_WEIGHTS, forward.weights_desc(), DNNL_ARG_DST,
                   forward.dst_desc());
            make<dnnl::convolution_forward>(forward);
        } else if (op == SL_OP_conv2d_bwd_data) {
            const auto data = describe_backward<dnnl::convolution_backward_data>(forward, engine_, way.algorithm, x, w,
                                                                                 y, stride, before, after);
            attach(DNNL_ARG_DIFF_SRC, data.diff_src_desc(), DNNL_ARG_WEIGHTS, data.weights_desc(), DNNL_ARG_DIFF_DST,
                   data.diff_dst_desc());
            make<dnnl::convolution_backward_data>(data);
        } else {
            const auto weights = describe_backward<dnnl::convolution_backward_weights>(forward, engine_, way.algorithm,
                                                                                       x, dw, y, stride, before, after);
            attach(DNNL_ARG_SRC, weights.src_desc(), DNNL_ARG_DIFF_WEIGHTS, weights.diff_weights_desc(),
                   DNNL_ARG_DIFF_DST, weights.diff_dst_desc());
            make<dnnl::convolution_backward_weights>(weights);
        }
    }

    void run() override
    {
        primitive_.execute(stream_, arguments_);
        stream_.wait();
    }

    std::string way() const override
    {
        return way_.name;
    }

    std::string implementation() const override
    {
        return implementation_;
    }

    double work() const override
    {
        return way_.work;
    }

  private:
    template <class Pass> void make(const typename Pass::primitive_desc &description)
    {
        implementation_ = description.impl_info_str();
        primitive_ = Pass(description);
        stream_ = dnnl::stream(engine_);
    }

    void attach(int a, const memory::desc &of_a, int b, const memory::desc &of_b, int c, const memory::desc &of_c)
    {
        arguments_ = {{a, filled(of_a)}, {b, filled(of_b)}, {c, filled(of_c)}};
    }

    template <class Number, class Convert> static void fill(Number *at, size_t bytes, Convert convert)
    {
        for (size_t i = 0; i < bytes / sizeof *at; i++)
            at[i] = convert(static_cast<float>(i % 13) * 0.1f - 0.6f);
    }

    memory filled(const memory::desc &description)
    {
        memory made(description, engine_);
        void *at = made.map_data<void>();
        if (type_of(description) == memory::data_type::bf16)
            fill(static_cast<sl_bf16 *>(at), description.get_size(), sl_bf16_from_float);
        else
            fill(static_cast<float *>(at), description.get_size(), [](float value) { return value; });
        made.unmap_data(at);
        return made;
    }

    const Way way_;
    std::string implementation_;
    dnnl::engine engine_;
    dnnl::stream stream_;
    dnnl::primitive primitive_;
    std::unordered_map<int, memory> arguments_;
};
} // namespace

std::vector<std::unique_ptr<OnednnConv>> OnednnConv::open_all(sl_op op, const sl_conv2d &shape)
{
    std::vector<std::unique_ptr<OnednnConv>> all;
    for (const Way &way : kWays) {
        try {
            all.push_back(std::make_unique<Conv>(op, shape, way));
        } catch (const dnnl::error &refusal) {
            if (refusal.status != dnnl_unimplemented)
                throw;
        }
    }
    return all;
}

std::string onednn_version()
{
    const dnnl_version_t *v = dnnl::version();
    return "oneDNN " + std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
}
#else
std::vector<std::unique_ptr<OnednnConv>> OnednnConv::open_all(sl_op, const sl_conv2d &)
{
    return {};
}

std::string onednn_version()
{
    return "";
}
#endif
