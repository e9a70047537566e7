/* A way to share what was learned between ranks. The rows are exchanges.def; the training step calls them through hooks
 * that speak of plain spans of floats. */
#ifndef SL_COMM_EXCHANGE_H
#define SL_COMM_EXCHANGE_H

#include "comm/algorithm.h"
#include "comm/team.h"
#include "kernels/exec.h"

#ifdef __cplusplus
extern "C" {
#endif

enum sl_combine { SL_COMBINE_MEAN, SL_COMBINE_SUM };

/* A parameter by name, where it lies in the flat buffer: for statistics by layer. They stay where they are until the
 * exchange is closed. */
struct sl_exchange_tensor {
    const char *name;
    int64_t at, n;
};

struct sl_exchange_options {
    struct sl_comm *comm;
    const struct sl_team *team; /* of comm, which says what nodes mean; NULL: every rank is one. It lives longer */
    const struct sl_device *device;
    int64_t n; /* parameters */
    const struct sl_exchange_tensor *tensors;
    size_t tensor_count;
    /* Of `threshold`. */
    enum sl_combine combine;
    struct sl_threshold_options threshold;
    double clip_multiple; /* the residual is held to +-clip_multiple * tau; 0: never */
    int64_t clip_every;   /* steps */
};

/* What the last step was; what does not apply is 0. */
struct sl_exchange_report {
    /* Bytes that this rank put on the wire, and those of a dense ring of P nodes: 2 (P-1)/P 4n. A rank that does not
     * speak for its node sends and keeps nothing, and knows neither form nor counts. */
    uint64_t sent, dense;
    double seconds;        /* that this rank waited for the others */
    double tau, density;   /* count / n */
    double residual_norm;  /* after the step */
    double clipped;        /* sum of |change| by the clip of this step */
    const char *form;      /* of the message; NULL: none */
    const int64_t *counts; /* [tensor_count] quanta sent of each tensor; NULL: not known */
};

enum sl_exchange_join {
    SL_JOIN_OWN,  /* on another world size: rank i goes on with what rank i mod P' of the old world had */
    SL_JOIN_SUM,  /* the sum over the old ranks is conserved */
    SL_JOIN_MEAN, /* the mean over the ranks is conserved: the sum times P_new / P_old */
};

/* Something that a resumed run needs, in this rank's file. */
struct sl_exchange_array {
    const char *name;
    enum { SL_EXCHANGE_F32, SL_EXCHANGE_F64, SL_EXCHANGE_U64 } type;
    int64_t n;
    void *at; /* F32: in the memory of the device; the others: the host's */
    enum sl_exchange_join join;
};

enum { SL_EXCHANGE_ARRAYS = 8 };

/* A row of exchanges.def. What a row lacks is NULL. */
struct sl_exchange_row {
    const char *name;
    bool own_moments; /* the updaters of the ranks go different ways, and each rank saves its own */
    /* Bytes that an exchange with these options takes, counted before it is opened; of `threshold` as long as the ranks
     * send no more than the density cap. */
    uint64_t (*memory)(const struct sl_exchange_options *options);
    int (*open)(const struct sl_exchange_options *options, void **self);
    void (*close)(void *self);
    /* The hooks of a step (runtime/train/train_step.h): collective. `samples` is this rank's share of the step. The
     * parts are the same on all ranks and come in the same order; until the last has come nobody else uses comm. */
    int (*gradient)(void *self, struct sl_span part, int32_t samples, bool last);
    int (*update)(void *self, struct sl_span update, uint64_t step);
    /* Adds what is still kept back, exactly: `update` becomes what to subtract from the parameters. Collective. */
    int (*flush)(void *self, struct sl_span update);
    size_t (*state)(void *self, struct sl_exchange_array arrays[SL_EXCHANGE_ARRAYS]);
    /* Of `threshold` it takes a pass over the residual. */
    void (*report)(void *self, struct sl_exchange_report *report);
};

/* The rows in order; NULL past the end. */
const struct sl_exchange_row *sl_exchange_at(size_t index);
/* NULL: there is no such row. */
const struct sl_exchange_row *sl_exchange_find(const char *name);

#define SL_EXCHANGE(name) extern const struct sl_exchange_row sl_exchange_##name;
#include "comm/exchanges.def"
#undef SL_EXCHANGE

#ifdef __cplusplus
}
#endif
#endif
