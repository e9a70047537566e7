/* Training sessions of several ranks, threads of one process over a loop, with a real exchange. What joins session and
 * exchange here is what every program that trains writes for itself (apps/train_tinyimagenet_flock.c). */
#ifndef SL_TESTS_FLOCK_SESSION_H
#define SL_TESTS_FLOCK_SESSION_H

#include "tests/data_fixture.h"

#include "comm/agree.h"
#include "comm/exchange.h"
#include "runtime/prepare/invent.h"
#include "runtime/store/model_weights.h"
#include "runtime/train/session.h"
#include "tests/flock.h"

enum { FLOCK_CLASSES = 4, FLOCK_IMAGES = 24, FLOCK_TENSORS = 8 };

struct flock_member;

/* A run, as all ranks are told of it, and what each makes of it. */
struct flock_run {
    const char *data, *exchange; /* exchange NULL: one process alone, without a group */
    enum sl_combine combine;
    struct sl_threshold_options threshold;
    double clip_multiple;
    int64_t clip_every;
    struct sl_updater_options updater;
    const char *rate;
    int32_t batch;
    bool norm;                /* the network has batch norm */
    uint64_t steps;           /* of all, those before a resume included */
    uint64_t hash_every;      /* 0: at the end only */
    int threads[RANKS_MOST];  /* 0: 1 */
    uint32_t isa[RANKS_MOST]; /* what its device is held to; 0: all */
    int strict;               /* the rank whose device the host cannot read, rank 0 excepted; 0: none */
    /* NULL: no rank joins. Else the ranks of a host do, on devices with memory of their own: says who is where. */
    int (*hosts)(void *self, int *numbers);
    char folder[PATH_ROOM]; /* of checkpoints */
    uint64_t save_at;       /* after this step; 0: never */
    bool resume;
    bool flush; /* after the last step */
    /* What a test does in each rank; NULL: nothing. */
    void (*before)(struct flock_member *member);                     /* a step */
    void (*refused)(struct flock_member *member, int rc);            /* a step that is not finite; then it is skipped */
    void (*vote)(struct flock_member *member, struct sl_vote *vote); /* before it is given */
    void (*voted)(struct flock_member *member, const struct sl_vote *vote);
    void *self;
    /* What came of it. `state` is all that lasts: the parameters, the exchange's arrays (the residual is the first),
     * moments, running statistics. */
    int rc[RANKS_MOST];
    char text[RANKS_MOST][1024];
    struct sl_position position[RANKS_MOST];
    uint64_t hash[RANKS_MOST]; /* of the parameters */
    char *state[RANKS_MOST];
    size_t parameters, bytes; /* of `state` */
};

struct flock_member {
    struct flock_run *run;
    struct flock_rank *rank;
    struct sl_session session;
    const struct sl_exchange_row *row;
    void *exchange;
    struct sl_weights_image names;
    struct sl_exchange_tensor tensors[FLOCK_TENSORS];
    struct sl_agree_tensor agreed[FLOCK_TENSORS];
    size_t tensor_count;
    struct sl_session_array arrays[SL_EXCHANGE_ARRAYS];
    bool stop;
};

/* ---- Data and network ---- */

/* ROOT/data: 24 images to train on, 4 to validate with. */
static inline const char *flock_data(void)
{
    static char data[PATH_ROOM * 2];
    struct sl_dataset *dataset;
    const struct sl_invent_options sample = {FLOCK_CLASSES, FLOCK_IMAGES / FLOCK_CLASSES, 1, 16, 1};
    snprintf(data, sizeof data, "%s", at("data"));
    assert_int_equal(mkdir(at("images"), 0700), 0);
    assert_ok(sl_invent_write(at("images"), &sample));
    const struct sl_prepare_options options = prepare_options(at("images"), data);
    assert_ok(sl_prepare(&options, &dataset));
    sl_dataset_close(dataset);
    return data;
}

static inline int flock_build(void *self, int32_t image_size, int32_t classes, struct sl_graph **graph)
{
    int rc = SL_OK;
    const struct flock_run *run = self;
    SL_TRY(sl_graph_new("small", graph));
    int32_t x = sl_graph_input(*graph, image_size, image_size, 3);
    x = sl_graph_add(*graph, "conv", x, SL_CONV2D(.filters = 8, .bias = !run->norm));
    if (run->norm)
        x = sl_graph_add(*graph, "norm", x, SL_BATCH_NORM());
    x = sl_graph_add(*graph, "act", x, SL_LEAKY_RELU());
    x = sl_graph_add(*graph, "pool", x, SL_MAX_POOL(.kernel = {2, 2}));
    x = sl_graph_add(*graph, "classes", x, SL_CONV2D(.filters = classes, .bias = true));
    x = sl_graph_add(*graph, "gap", x, SL_AVERAGE_POOL(.global = true));
    sl_graph_add(*graph, "loss", x, SL_SOFTMAX_NLL());
out:
    return rc;
}

static inline struct flock_run flock_run_of(const char *data, const char *exchange, uint64_t steps)
{
    return (struct flock_run){
        .data = data,
        .exchange = exchange,
        .threshold = sl_threshold_defaults(),
        .clip_multiple = 5,
        .clip_every = 5,
        .updater = sl_updater_defaults(),
        .rate = "0.005",
        .batch = 2,
        .norm = true,
        .steps = steps,
    };
}

/* ---- Hooks ---- */

static inline int member_gradient(void *self, struct sl_span part, int32_t samples, bool last)
{
    const struct flock_member *m = self;
    return m->row->gradient(m->exchange, part, samples, last);
}

static inline int member_agree(void *self, struct sl_vote *vote)
{
    struct flock_member *m = self;
    if (m->run->vote)
        m->run->vote(m, vote);
    const int rc = sl_group_vote(m->session.options.group, vote);
    m->stop |= vote->stop;
    if (m->run->voted)
        m->run->voted(m, vote);
    return rc;
}

static inline int member_update(void *self, struct sl_span update, uint64_t step)
{
    const struct flock_member *m = self;
    return m->row->update(m->exchange, update, step);
}

static inline int member_flush(void *self, struct sl_span update)
{
    const struct flock_member *m = self;
    return m->row->flush(m->exchange, update);
}

/* ---- Opening ---- */

static inline int member_list_tensors(struct flock_member *m)
{
    const struct sl_weights *w = m->session.weights;
    const int rc = sl_weights_image_open(w, &m->names);
    if (rc != SL_OK)
        return rc;
    for (int32_t i = 0, at = 0; i < w->graph->layer_count; i++)
        for (int32_t k = 0; k < w->graph->layers[i].parameter_count; k++, at++) {
            const struct sl_parameter *p = &w->graph->layers[i].parameters[k];
            const char *name = m->names.tensors[at].name;
            if (p->role == SL_ROLE_STATE)
                continue;
            m->tensors[m->tensor_count] = (struct sl_exchange_tensor){name, w->offsets[i][k], sl_parameter_floats(p)};
            m->agreed[m->tensor_count++] =
                (struct sl_agree_tensor){name, sl_weights_at(w, i, k), sl_parameter_floats(p)};
        }
    return SL_OK;
}

static inline void member_hand_over_arrays(struct flock_member *m)
{
    static const enum sl_dtype types[] = {
        [SL_EXCHANGE_F32] = SL_F32, [SL_EXCHANGE_F64] = SL_F64, [SL_EXCHANGE_U64] = SL_U64};
    static const enum sl_session_join joins[] = {
        [SL_JOIN_OWN] = SL_SESSION_OWN, [SL_JOIN_SUM] = SL_SESSION_SUM, [SL_JOIN_MEAN] = SL_SESSION_MEAN};
    struct sl_exchange_array arrays[SL_EXCHANGE_ARRAYS];
    const size_t count = m->row->state ? m->row->state(m->exchange, arrays) : 0;
    for (size_t i = 0; i < count; i++)
        m->arrays[i] = (struct sl_session_array){
            arrays[i].name,       types[arrays[i].type], arrays[i].n, arrays[i].at, arrays[i].type == SL_EXCHANGE_F32,
            joins[arrays[i].join]};
    m->session.arrays = m->arrays;
    m->session.array_count = count;
}

static inline int member_open_exchange(struct flock_member *m)
{
    int rc = SL_OK;
    const struct flock_run *run = m->run;
    const struct sl_exchange_options options = {
        .comm = m->rank->comm,
        .team = m->rank->team,
        .device = &m->session.device,
        .n = m->session.weights->trained,
        .tensors = m->tensors,
        .tensor_count = m->tensor_count,
        .combine = run->combine,
        .threshold = run->threshold,
        .clip_multiple = run->clip_multiple,
        .clip_every = run->clip_every,
    };
    m->row = sl_exchange_find(run->exchange);
    SL_TRY(m->row->open(&options, &m->exchange));
    m->session.own_moments = m->row->own_moments;
    m->session.exchange = run->exchange;
    member_hand_over_arrays(m);
    m->session.hooks = (struct sl_train_hooks){
        .gradient = m->row->gradient ? member_gradient : NULL,
        .agree = member_agree,
        .update = m->row->update ? member_update : NULL,
        .self = m,
    };
out:
    return rc;
}

static inline int member_open(struct flock_member *m)
{
    int rc = SL_OK;
    struct flock_run *run = m->run;
    struct sl_session_options options = {
        .data = run->data,
        .batch_size = run->batch,
        .seed = 1,
        .group = run->exchange ? sl_comm_group(m->rank->comm) : NULL,
        .device = &m->rank->device,
        .updater = run->updater,
        .flip = true,
        .crop_padding = 2,
        .memory_limit = 1 << 30,
    };
    SL_TRY(sl_schedule_parse(run->rate, &options.schedule));
    SL_TRY(sl_session_open(&options, flock_build, run, &m->session));
    SL_TRY(member_list_tensors(m));
    if (run->exchange)
        SL_TRY(member_open_exchange(m));
out:
    return rc;
}

static inline void member_close(struct flock_member *m)
{
    if (m->exchange)
        m->row->close(m->exchange);
    sl_weights_image_close(&m->names);
    sl_session_close(&m->session);
}

/* ---- State ---- */

static inline void member_add_state(const struct flock_member *m, char *to, size_t *at, const void *from, size_t bytes)
{
    const struct sl_device *device = &m->session.device;
    if (to && device->copy(device->self, to + *at, from, bytes) != SL_OK)
        abort();
    *at += bytes;
}

/* Copies all that lasts; returns its bytes. `to` NULL: only these. */
static inline size_t member_state(const struct flock_member *m, char *to)
{
    size_t at = 0;
    const struct sl_session *s = &m->session;
    const size_t floats = (size_t)s->weights->trained * sizeof(float);
    if (s->device.sync(s->device.self) != SL_OK)
        abort();
    member_add_state(m, to, &at, s->weights->values, floats);
    for (size_t i = 0; i < s->array_count; i++)
        member_add_state(m, to, &at, s->arrays[i].at, (size_t)s->arrays[i].n * sl_dtype_bytes(s->arrays[i].dtype));
    for (int32_t i = 0; i < s->updater->slots; i++)
        member_add_state(m, to, &at, s->updater->state[i], floats);
    member_add_state(m, to, &at, s->weights->statistics, (size_t)s->weights->state * sizeof(float));
    return at;
}

static inline char *member_new_state(const struct flock_member *m, size_t *bytes)
{
    *bytes = member_state(m, NULL);
    char *state = malloc(*bytes);
    if (!state)
        abort();
    member_state(m, state);
    return state;
}
#endif
