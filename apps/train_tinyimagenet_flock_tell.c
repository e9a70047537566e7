/* What a flock says of itself: in the log, on the progress line, at the beginning and at the end. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "apps/train_tinyimagenet_flock.h"

size_t flock_numbers(const struct flock *f, bool by_layer, struct sl_log_number numbers[FLOCK_NUMBERS])
{
    const struct sl_exchange_report *r = &f->report;
    const struct sl_log_number all[] = {
        {"tau", r->tau},
        {"density", r->density},
        {"residual_norm", r->residual_norm},
        {"clipped", r->clipped},
        {"bytes_sent", (double)r->sent},
        {"bytes_dense", (double)r->dense},
        {"exchange_seconds", r->seconds},
    };
    size_t count = 0;
    if (!f->row)
        return 0;
    for (size_t i = r->tau > 0 ? 0 : 4; i < sizeof all / sizeof *all; i++)
        numbers[count++] = all[i];
    for (size_t i = 0; by_layer && r->counts && i < f->tensor_count && count < FLOCK_NUMBERS; i++)
        numbers[count++] = (struct sl_log_number){f->keys[i], (double)r->counts[i]};
    return count;
}

const char *flock_note(const struct flock *f, char note[FLOCK_NOTE])
{
    if (!f->row)
        return NULL;
    if (f->report.form)
        snprintf(note, FLOCK_NOTE, "tau %.2e  sent %.1f kB of %.0f", f->report.tau, (double)f->report.sent / 1e3,
                 (double)f->report.dense / 1e3);
    else
        snprintf(note, FLOCK_NOTE, "sent %.0f kB", (double)f->report.sent / 1e3);
    return note;
}

static int count_hosts(const struct sl_group *group)
{
    int hosts = 0;
    for (int i = 0; i < group->size; i++) {
        int before = 0;
        while (before < i && strcmp(group->hosts[before], group->hosts[i]))
            before++;
        hosts += before == i;
    }
    return hosts;
}

static void say_nodes(const struct flock *f, struct sl_log *log)
{
    if (f->team.why[0])
        sl_log_message(log, "warning: the GPUs of a host do not sum among themselves, each shares by itself: %s",
                       f->team.why);
    else if (sl_team_joins(&f->team))
        sl_log_message(log, "the GPUs of a host sum among themselves by NCCL; %d nodes share what that comes to",
                       f->team.nodes);
}

void flock_say_hello(const struct flock *f, struct sl_log *log)
{
    const struct sl_group *group = f->session->options.group;
    const int32_t batch = f->session->options.batch_size;
    const uint64_t batches = sl_loader_batches(f->session->train);
    if (!f->row)
        return;
    sl_log_message(log,
                   "ranks: %d, hosts: %d, wire: %s; global batch %" PRId64 ", %" PRId32
                   " each; exchange: %s; learning rate %s",
                   group->size, count_hosts(group), sl_comm_wire(f->team.comm)->name, (int64_t)batch * group->size,
                   batch, f->name, f->options->scale_rate ? "times the number of ranks" : "as given");
    say_nodes(f, log);
    if ((uint64_t)group->size > batches)
        sl_log_message(log,
                       "warning: an epoch has %" PRIu64 " batches of %" PRId32 ": %" PRIu64
                       " ranks never see an image; lower --batch-size",
                       batches, batch, (uint64_t)group->size - batches);
}

void flock_say_bytes(const struct flock *f, struct sl_log *log)
{
    if (!f->row || !f->sent)
        return;
    sl_log_message(log, "each %s sent %.1f MB where a dense exchange sends %.1f MB: %.1f times fewer bytes",
                   sl_team_joins(&f->team) ? "node" : "rank", (double)f->sent / 1e6, (double)f->dense / 1e6,
                   (double)f->dense / (double)f->sent);
}
