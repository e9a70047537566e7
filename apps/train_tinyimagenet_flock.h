/* Training as a flock: how ranks share what they learn, between the session's hooks and an exchange (comm/exchange.h).
 */
#ifndef SL_APPS_TRAIN_TINYIMAGENET_FLOCK_H
#define SL_APPS_TRAIN_TINYIMAGENET_FLOCK_H

#include <signal.h>

#include "apps/cli.h"
#include "apps/cli_ranks.h"
#include "comm/agree.h"
#include "comm/exchange.h"
#include "runtime/report/log.h"
#include "runtime/store/model_weights.h"
#include "runtime/train/session.h"

/* The options of the command line that are about other ranks. */
struct flock_options {
    const char *exchange, *combine, *algorithm;
    struct sl_threshold_options threshold;
    double clip_multiple, start_limit, step_limit;
    int64_t clip_every, hash_every;
    bool flush_residual, scale_rate;
};

enum { FLOCK_OPTION_ROWS = 18, FLOCK_NUMBERS = 96, FLOCK_NOTE = 96 };

extern const struct flock_options flock_defaults;

/* Appends the rows to a table that has room, before its closing row. */
size_t flock_option_rows(struct flock_options *options, struct cli_option *rows);

/* From words to values. SL_BAD_CONFIG, SL_USAGE. */
int flock_settle(struct flock_options *options);

struct flock {
    const struct flock_options *options;
    struct sl_session *session;
    struct sl_team team;               /* the ranks by nodes */
    const struct sl_exchange_row *row; /* NULL: nothing is shared */
    void *exchange;
    char name[32];                   /* "threshold, mean" */
    struct sl_weights_image weights; /* names and places of the parameters */
    struct sl_exchange_tensor *tensors;
    char (*keys)[2 * SL_MAX_NAME + 8]; /* "sent.LAYER.PARAMETER" */
    struct sl_agree_tensor *agreed;
    size_t tensor_count;
    struct sl_session_array arrays[SL_EXCHANGE_ARRAYS];
    struct sl_exchange_report report; /* of the last step */
    uint64_t sent, dense;             /* bytes since this process began */
    const volatile sig_atomic_t *stop_signal;
    bool stop; /* the ranks agreed to stop */
};

/* *row: how `world` ranks share; NULL: they do not. SL_BAD_CONFIG: that many cannot train with this exchange. */
int flock_choose(const struct flock_options *options, int world, const struct sl_exchange_row **row);

/* Bytes that flock_open and the steps after it take, for a model of that many parameters. */
uint64_t flock_memory(const struct flock_options *options, const struct cli_ranks *ranks,
                      const struct sl_device *device, int64_t parameters);

/* Opens the exchange of an open session, and hooks it in: GPUs of a host sum among themselves where NCCL is there.
 * Collective. Whatever the result, flock_close follows. */
int flock_open(const struct flock_options *options, const struct cli_ranks *ranks, struct sl_session *session,
               struct flock *flock);
/* With the status that the run ends with; its own is that of leaving the other GPUs. */
int flock_close(struct flock *flock, int rc);

/* Do all ranks run the same? `run`: what the program adds to the session's own. SL_DISAGREE names what differs.
 * Collective; before the first step. */
int flock_agree(const struct flock *flock, const struct sl_agree_pair *run, size_t count);

/* After a step: every --hash-every steps compares the parameters, and takes the exchange's report. Collective. */
int flock_after_step(struct flock *flock);

/* What the last step's record says of the exchange; the count of numbers. With `by_layer` the quanta of each tensor, as
 * far as there is room. */
size_t flock_numbers(const struct flock *flock, bool by_layer, struct sl_log_number numbers[FLOCK_NUMBERS]);

/* The same for the progress line; NULL: nothing is shared. */
const char *flock_note(const struct flock *flock, char note[FLOCK_NOTE]);

/* After the last step: what the ranks still keep back is applied, if that was asked for. Collective. */
int flock_flush(struct flock *flock);

/* "4 ranks on 2 hosts, ..." at the beginning, and why GPUs do not sum among themselves; bytes beside those of a dense
 * exchange at the end. */
void flock_say_hello(const struct flock *flock, struct sl_log *log);
void flock_say_bytes(const struct flock *flock, struct sl_log *log);

#endif
