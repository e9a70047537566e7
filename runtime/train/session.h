/* A training session: data, model, weights, plans and position, opened together, saved and resumed together. The loop
 * itself stays in the program, so that an exchange can plug in there. */
#ifndef SL_RUNTIME_TRAIN_SESSION_H
#define SL_RUNTIME_TRAIN_SESSION_H

#include "kernels/group.h"
#include "runtime/data/loader.h"
#include "runtime/train/metrics.h"
#include "runtime/store/model.h"
#include "runtime/train/schedule.h"
#include "runtime/store/store.h"
#include "runtime/train/train_step.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_session_options {
    const char *data;   /* prepared data set */
    int32_t batch_size; /* of each rank */
    uint64_t seed;
    /* The ranks that train together, NULL: this process is alone. session.hooks then has to agree, and what is said to
     * be collective is called by all of them in the same order. */
    const struct sl_group *group;
    const struct sl_device *device;   /* where to compute, closed by the caller after this; NULL: the processor */
    int threads;                      /* of the processor, if device is NULL; 0: all this process may use */
    int loader_threads;               /* 0: 1 */
    enum sl_element precision;        /* of activations (plan/plan.h) */
    enum sl_policy kernels;           /* how their rows are chosen (plan/choose.h) */
    const struct sl_checkpoint *from; /* whose rows to take again, while the session is opened; NULL: it is new */
    sl_tell_fn *say;                  /* told what choosing rows has to say; may be NULL */
    void *say_self;
    struct sl_schedule schedule;
    struct sl_updater_options updater;
    enum sl_pixel_range range;
    bool fast_decode; /* of images, here and wherever the model is used */
    bool flip;
    int32_t crop_padding;
    bool skip_bad_images;
    /* Bytes for everything but the program itself and the files it maps (plain shards, checkpoints: the system keeps
     * those as long as it likes). 0: four fifths of what is available; no limit where that is unknown. A device with
     * memory of its own has its own limit (sl_device.memory), which what is computed with counts against. */
    uint64_t memory_limit;
    /* Bytes that the hooks are going to take for a model of so many parameters, the session's `update` included; they
     * count as well, where there are two memories in both. NULL: none. */
    uint64_t (*hooks_memory)(void *self, const struct sl_device *device, int64_t parameters);
    void *hooks_self;
};

/* Where training stands: all that resuming needs besides the arrays. The same on all ranks, and it means the same for
 * any number of them: `index` counts batches of batch_size, of which a step takes one for each rank. After an epoch's
 * last batch it is the number of batches, until sl_session_next_epoch. So a run that is stopped while it validates
 * resumes with the validation. */
struct sl_position {
    uint64_t epoch, index; /* next batch */
    uint64_t iteration;    /* steps done */
    uint64_t samples;      /* of this epoch, on all ranks */
    double loss_sum;       /* over those samples */
};

/* The best checkpoint so far, by the validation's accuracy. */
struct sl_best {
    uint64_t step; /* 0: none yet */
    double accuracy;
};

/* What becomes of the arrays of P ranks when P' go on. */
enum sl_session_join {
    SL_SESSION_OWN,  /* rank i goes on with that of rank i mod P */
    SL_SESSION_SUM,  /* their sum stays: rank i gets that of all ranks j with j mod P' = i, and zeros from P on */
    SL_SESSION_MEAN, /* their mean over the ranks stays: the same, times P'/P */
};

/* Something that this rank has of its own, and that a resumed run needs: in the rank's file. */
struct sl_session_array {
    const char *name;    /* up to 31 bytes */
    enum sl_dtype dtype; /* SL_F32, SL_F64 or SL_U64; no SL_SESSION_MEAN of the last */
    int64_t n;
    void *at;
    bool on_device; /* in its memory, else the host's */
    enum sl_session_join join;
};

/* What a session takes, in bytes. */
struct sl_session_memory {
    uint64_t weights;             /* with gradients and updater state */
    uint64_t training, inference; /* the arenas of the two plans; 0: within that of training */
    uint64_t scratch;             /* of the kernels */
    uint64_t loading;             /* buffers and indexes of the loaders */
    uint64_t shards;              /* what compressed shards unpack to */
    uint64_t hooks;               /* of the exchange with other ranks */
    uint64_t images;              /* decoded images that are kept */
    uint64_t held;                /* the same, in the memory of the device */
};

/* What one step was. */
struct sl_session_result {
    uint64_t epoch, index, iteration; /* of this step */
    uint64_t samples;                 /* of all ranks; 0: no image could be read, and such images are skipped */
    int32_t local;                    /* of this rank */
    double rate, loss, score;         /* of all ranks */
    double waited;                    /* seconds, for data */
    double seconds;                   /* of the whole step, waiting included */
};

/* A step at work. */
struct sl_session_started {
    bool there;
    struct sl_session_result what; /* as far as it is known beforehand */
    struct sl_train_ticket ticket;
};

struct sl_session {
    struct sl_session_options options;
    struct sl_device device; /* the caller's, if he named one */
    struct sl_dataset *dataset;
    struct sl_model model;
    struct sl_pixels pixels; /* what it wants of an image */
    struct sl_weights *weights;
    struct sl_updater *updater;
    struct sl_selection rows; /* of the plans; its policy is the one that counts */
    struct sl_plan *training, *inference;
    struct sl_loader *train, *val;   /* val: NULL if the data set has none */
    struct sl_session_memory memory; /* counted before it was taken */
    struct sl_train_hooks hooks;
    float *update; /* for hooks.update */
    /* What a checkpoint has to know of the hooks; theirs who set them, before saving and resuming. */
    const char *exchange; /* how ranks share what they learn: "threshold, mean"; NULL: they do not */
    bool own_moments;     /* the updaters of the ranks go different ways */
    const struct sl_session_array *arrays;
    size_t array_count;
    struct sl_position position;
    struct sl_best best;
    const struct sl_batch *batch; /* the loader's, of `position`, not yet trained on; or NULL */
    /* The caller's, before a step: another one follows whatever comes of it, so that may be started meanwhile. */
    bool goes_on;
    struct sl_session_started ahead; /* the step after, already started */
    const struct sl_batch *next;     /* its batch; or NULL */
    uint64_t unread;                 /* steps in a row for which no rank could read an image */
};

typedef int sl_build_fn(void *self, int32_t image_size, int32_t classes, struct sl_graph **graph);

/* Opens everything and initialises the weights from the seed. `build` makes the network. The memory is counted first,
 * when only dataset.json has been read and rows are chosen: SL_UNAVAILABLE lists who wants how much. On failure the
 * session is closed. Collective, but each rank has a status of its own. */
int sl_session_open(const struct sl_session_options *options, sl_build_fn *build, void *self,
                    struct sl_session *session);
void sl_session_close(struct sl_session *session);

/* Trains on the next batch of each rank; collective. Where nobody has a readable image (skip_bad_images), it is a step
 * of no samples that changes nothing but the position; a whole epoch of these is SL_BAD_DATA. SL_NUMERICS, on all ranks
 * at once, leaves weights, statistics and position as they were.
 *
 * With goes_on, a process alone may have started the step after on its device when this returns: then that is taken by
 * another call before anything else is done with the session (sl_session_settled), after SL_NUMERICS behind a skip. All
 * that comes of it is what comes without. */
int sl_session_step(struct sl_session *session, struct sl_session_result *step);

/* SL_INTERNAL: a step was started that has not been taken. */
int sl_session_settled(const struct sl_session *session);

/* Leaves out the step that was refused with SL_NUMERICS: the position moves on as if nobody had had images. */
void sl_session_skip(struct sl_session *session);

/* Outside a step: asks for an update (weights->trained floats on the device) and subtracts it from the weights. */
int sl_session_apply(struct sl_session *session, int (*give)(void *self, struct sl_span update), void *self);

/* Has every batch of the epoch been trained on? Then validate if wanted, and sl_session_next_epoch. */
bool sl_session_epoch_trained(const struct sl_session *session);
void sl_session_next_epoch(struct sl_session *session);

/* Validates with the present weights and the mean of the ranks' running statistics; `metrics` is reset first, and
 * becomes that of all ranks on each. Collective. When *stop of any rank becomes true, all end with SL_PREEMPTED. */
int sl_session_validate(struct sl_session *session, struct sl_metrics *metrics, const volatile int *stop);

/* Writes a checkpoint of the present position, and `best` with it. Collective: rank 0 has the store, the others NULL.
 */
int sl_session_save(const struct sl_session *session, struct sl_store *store);

/* Continues from a checkpoint, which sl_store_load_together opened for this rank. SL_BAD_CONFIG: it is of another
 * network, data set (its dataset.json, or the order of the classes), seed, batch size, updater, augmentation,
 * precision or exchange; every difference is named, with both values. What an older version did not write down is not
 * compared; `report`, which may be NULL, is told, and on rank 0 that another number of ranks saved it. SL_BAD_DATA: its
 * parts contradict each other. Either leaves the session as it was. Collective. */
int sl_session_resume(struct sl_session *session, const struct sl_checkpoint *checkpoint, sl_tell_fn *report,
                      void *self);

#ifdef __cplusplus
}
#endif
#endif
