/* cuDNN 9: what the graphs of its backend API are made of, and its softmax, which no graph has; as functions that are
 * looked up when the plug-in is loaded. Neither its headers nor its library are needed to build. */
#ifndef SL_KERNELS_CUDA_CUDNN_H
#define SL_KERNELS_CUDA_CUDNN_H

#include "kernels/exec.h"

#ifdef __cplusplus
extern "C" {
#endif

/* cuDNN's own values; tests/cuda/cudnn_values.c compares them with its headers. */
enum sl_cudnn_value {
    /* types of attributes */
    SL_CUDNN_TYPE_HANDLE = 0,
    SL_CUDNN_TYPE_DATA_TYPE = 1,
    SL_CUDNN_TYPE_BOOLEAN = 2,
    SL_CUDNN_TYPE_INT64 = 3,
    SL_CUDNN_TYPE_FLOAT = 4,
    SL_CUDNN_TYPE_VOID_PTR = 6,
    SL_CUDNN_TYPE_CONVOLUTION_MODE = 7,
    SL_CUDNN_TYPE_HEUR_MODE = 8,
    SL_CUDNN_TYPE_NUMERICAL_NOTE = 11,
    SL_CUDNN_TYPE_BACKEND_DESCRIPTOR = 15,
    SL_CUDNN_TYPE_RESAMPLE_MODE = 21,
    SL_CUDNN_TYPE_PADDING_MODE = 22,
    SL_CUDNN_TYPE_FRACTION = 26,
    SL_CUDNN_TYPE_NORM_MODE = 27,
    SL_CUDNN_TYPE_NORM_FWD_PHASE = 28,

    /* descriptors */
    SL_CUDNN_CONVOLUTION = 1,
    SL_CUDNN_ENGINE = 2,
    SL_CUDNN_ENGINECFG = 3,
    SL_CUDNN_ENGINEHEUR = 4,
    SL_CUDNN_EXECUTION_PLAN = 5,
    SL_CUDNN_OPERATION_CONVOLUTION_FORWARD = 10,
    SL_CUDNN_OPERATION_CONVOLUTION_BACKWARD_FILTER = 11,
    SL_CUDNN_OPERATION_CONVOLUTION_BACKWARD_DATA = 12,
    SL_CUDNN_OPERATIONGRAPH = 15,
    SL_CUDNN_VARIANT_PACK = 16,
    SL_CUDNN_TENSOR = 17,
    SL_CUDNN_RESAMPLE = 24,
    SL_CUDNN_OPERATION_RESAMPLE_FWD = 25,
    SL_CUDNN_OPERATION_RESAMPLE_BWD = 26,
    SL_CUDNN_OPERATION_NORM_FORWARD = 29,
    SL_CUDNN_OPERATION_NORM_BACKWARD = 30,

    /* attributes */
    SL_CUDNN_CONVOLUTION_COMP_TYPE = 100,
    SL_CUDNN_CONVOLUTION_CONV_MODE = 101,
    SL_CUDNN_CONVOLUTION_DILATIONS = 102,
    SL_CUDNN_CONVOLUTION_FILTER_STRIDES = 103,
    SL_CUDNN_CONVOLUTION_POST_PADDINGS = 104,
    SL_CUDNN_CONVOLUTION_PRE_PADDINGS = 105,
    SL_CUDNN_CONVOLUTION_SPATIAL_DIMS = 106,
    SL_CUDNN_ENGINEHEUR_MODE = 200,
    SL_CUDNN_ENGINEHEUR_OPERATION_GRAPH = 201,
    SL_CUDNN_ENGINEHEUR_RESULTS = 202,
    SL_CUDNN_ENGINECFG_ENGINE = 300,
    SL_CUDNN_EXECUTION_PLAN_HANDLE = 400,
    SL_CUDNN_EXECUTION_PLAN_ENGINE_CONFIG = 401,
    SL_CUDNN_EXECUTION_PLAN_WORKSPACE_SIZE = 402,
    SL_CUDNN_FORWARD_ALPHA = 700,
    SL_CUDNN_FORWARD_BETA = 701,
    SL_CUDNN_FORWARD_CONV_DESC = 702,
    SL_CUDNN_FORWARD_W = 703,
    SL_CUDNN_FORWARD_X = 704,
    SL_CUDNN_FORWARD_Y = 705,
    SL_CUDNN_BWD_DATA_ALPHA = 706,
    SL_CUDNN_BWD_DATA_BETA = 707,
    SL_CUDNN_BWD_DATA_CONV_DESC = 708,
    SL_CUDNN_BWD_DATA_W = 709,
    SL_CUDNN_BWD_DATA_DX = 710,
    SL_CUDNN_BWD_DATA_DY = 711,
    SL_CUDNN_BWD_FILTER_ALPHA = 712,
    SL_CUDNN_BWD_FILTER_BETA = 713,
    SL_CUDNN_BWD_FILTER_CONV_DESC = 714,
    SL_CUDNN_BWD_FILTER_DW = 715,
    SL_CUDNN_BWD_FILTER_X = 716,
    SL_CUDNN_BWD_FILTER_DY = 717,
    SL_CUDNN_OPERATIONGRAPH_HANDLE = 800,
    SL_CUDNN_OPERATIONGRAPH_OPS = 801,
    SL_CUDNN_TENSOR_BYTE_ALIGNMENT = 900,
    SL_CUDNN_TENSOR_DATA_TYPE = 901,
    SL_CUDNN_TENSOR_DIMENSIONS = 902,
    SL_CUDNN_TENSOR_STRIDES = 903,
    SL_CUDNN_TENSOR_UNIQUE_ID = 906,
    SL_CUDNN_TENSOR_IS_BY_VALUE = 908,
    SL_CUDNN_VARIANT_PACK_UNIQUE_IDS = 1000,
    SL_CUDNN_VARIANT_PACK_DATA_POINTERS = 1001,
    SL_CUDNN_VARIANT_PACK_WORKSPACE = 1003,
    SL_CUDNN_ENGINE_GLOBAL_INDEX = 1301,
    SL_CUDNN_ENGINE_NUMERICAL_NOTE = 1303,
    SL_CUDNN_RESAMPLE_MODE = 1700,
    SL_CUDNN_RESAMPLE_COMP_TYPE = 1701,
    SL_CUDNN_RESAMPLE_SPATIAL_DIMS = 1702,
    SL_CUDNN_RESAMPLE_POST_PADDINGS = 1703,
    SL_CUDNN_RESAMPLE_PRE_PADDINGS = 1704,
    SL_CUDNN_RESAMPLE_STRIDES = 1705,
    SL_CUDNN_RESAMPLE_WINDOW_DIMS = 1706,
    SL_CUDNN_RESAMPLE_PADDING_MODE = 1708,
    SL_CUDNN_RESAMPLE_FWD_XDESC = 1710,
    SL_CUDNN_RESAMPLE_FWD_YDESC = 1711,
    SL_CUDNN_RESAMPLE_FWD_IDXDESC = 1712,
    SL_CUDNN_RESAMPLE_FWD_DESC = 1716,
    SL_CUDNN_RESAMPLE_BWD_DXDESC = 1720,
    SL_CUDNN_RESAMPLE_BWD_DYDESC = 1721,
    SL_CUDNN_RESAMPLE_BWD_IDXDESC = 1722,
    SL_CUDNN_RESAMPLE_BWD_DESC = 1725,
    SL_CUDNN_NORM_FWD_MODE = 2000,
    SL_CUDNN_NORM_FWD_PHASE = 2001,
    SL_CUDNN_NORM_FWD_XDESC = 2002,
    SL_CUDNN_NORM_FWD_MEAN_DESC = 2003,
    SL_CUDNN_NORM_FWD_INV_VARIANCE_DESC = 2004,
    SL_CUDNN_NORM_FWD_SCALE_DESC = 2005,
    SL_CUDNN_NORM_FWD_BIAS_DESC = 2006,
    SL_CUDNN_NORM_FWD_EPSILON_DESC = 2007,
    SL_CUDNN_NORM_FWD_YDESC = 2013,
    SL_CUDNN_NORM_BWD_MODE = 2100,
    SL_CUDNN_NORM_BWD_XDESC = 2101,
    SL_CUDNN_NORM_BWD_MEAN_DESC = 2102,
    SL_CUDNN_NORM_BWD_INV_VARIANCE_DESC = 2103,
    SL_CUDNN_NORM_BWD_DYDESC = 2104,
    SL_CUDNN_NORM_BWD_SCALE_DESC = 2105,
    SL_CUDNN_NORM_BWD_DSCALE_DESC = 2107,
    SL_CUDNN_NORM_BWD_DBIAS_DESC = 2108,
    SL_CUDNN_NORM_BWD_DXDESC = 2109,

    /* what attributes say */
    SL_CUDNN_DATA_FLOAT = 0,
    SL_CUDNN_DATA_INT8 = 3,
    SL_CUDNN_DATA_BFLOAT16 = 9,
    SL_CUDNN_CROSS_CORRELATION = 1,
    SL_CUDNN_HEUR_MODE_B = 1,
    SL_CUDNN_HEUR_MODE_FALLBACK = 2,
    SL_CUDNN_HEUR_MODE_A = 3,
    SL_CUDNN_RESAMPLE_MAXPOOL = 3,
    SL_CUDNN_RESAMPLE_AVGPOOL_EXCLUDE_PADDING = 4,
    SL_CUDNN_ZERO_PAD = 0,
    SL_CUDNN_NEG_INF_PAD = 1,
    SL_CUDNN_BATCH_NORM = 2,
    SL_CUDNN_NORM_FWD_TRAINING = 1,
    SL_CUDNN_SOFTMAX_ACCURATE = 1,
    SL_CUDNN_SOFTMAX_MODE_CHANNEL = 1,
    SL_CUDNN_NOTE_TENSOR_CORE = 0,
    SL_CUDNN_NOTE_DOWN_CONVERT_INPUTS = 1,
    SL_CUDNN_NOTE_REDUCED_PRECISION_REDUCTION = 2,
    SL_CUDNN_NOTE_FFT = 3,
    SL_CUDNN_NOTE_NONDETERMINISTIC = 4,
    SL_CUDNN_NOTE_WINOGRAD = 5,
    SL_CUDNN_NOTE_WINOGRAD_TILE_4x4 = 6,
    SL_CUDNN_NOTE_WINOGRAD_TILE_6x6 = 7,
    SL_CUDNN_NOTE_WINOGRAD_TILE_13x13 = 8,
};

/* Its functions, under our names. All that return an int return a status, 0 for success. */
struct sl_cudnn {
    size_t (*version)(void);
    const char *(*error_text)(int status);
    int (*create)(void **handle);
    int (*destroy)(void *handle);
    int (*set_stream)(void *handle, void *stream);
    int (*create_descriptor)(int type, void **descriptor);
    int (*destroy_descriptor)(void *descriptor);
    int (*set_attribute)(void *descriptor, int name, int type, int64_t count, const void *values);
    int (*get_attribute)(void *descriptor, int name, int type, int64_t room, int64_t *count, void *values);
    int (*finalize)(void *descriptor);
    int (*execute)(void *handle, void *plan, void *pack);
    /* Of tensors outside graphs: n, c, h, w, and the strides of each. */
    int (*create_tensor)(void **tensor);
    int (*destroy_tensor)(void *tensor);
    int (*set_tensor)(void *tensor, int type, int n, int c, int h, int w, int by_n, int by_c, int by_h, int by_w);
    int (*softmax)(void *handle, int algorithm, int mode, const void *alpha, void *x_tensor, const void *x,
                   const void *beta, void *y_tensor, void *y);
};

/* The library, once it was loaded. */
extern struct sl_cudnn sl_cudnn;

/* sl_fail: remembers what went wrong. */
typedef int sl_cudnn_fail_fn(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Loads the library once: the file that SL_CUDNN_PATH names, or libcudnn.so.9 or libcudnn.so, where the system finds
 * them. False: it is not there, and rows that need SL_CUDNN are not for this process. */
bool sl_cudnn_load(sl_cudnn_fail_fn *fail);

/* For a report: its version, or why it cannot be used. */
const char *sl_cudnn_text(void);

/* SL_OK, or SL_UNAVAILABLE with what cuDNN says of its status. */
int sl_cudnn_check(int status, const char *what);

/* SL_UNAVAILABLE with this message. */
#define SL_CUDNN_CANNOT(...) sl_cudnn_fail(SL_UNAVAILABLE, __VA_ARGS__)
extern sl_cudnn_fail_fn *sl_cudnn_fail;

/* The device's handle, made for the first who holds it and destroyed behind the last. NULL is held by nobody. */
int sl_cudnn_hold(const struct sl_device *device, void **handle);
void sl_cudnn_release(void *handle);

/* A row's run cannot fail: it leaves the status here, and the device asks for it. */
void sl_cudnn_note(int status);
int sl_cudnn_noted(void);

#ifdef __cplusplus
}
#endif
#endif
