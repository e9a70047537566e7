/* Messages that a wire damages, repeats or invents: all ranks refuse them, and name who sent them. */
#include "comm/message.h"
#include "tests/bad_wire.h"
#include "tests/exchange_fixture.h"

enum { BAD_RANK = 1, BAD_STEP = 2, SHORT_BYTES = 10 };

/* What becomes of the message of BAD_RANK at BAD_STEP. */
enum kind { FLIPPED, STALE, ANOTHERS, SHORT, EMPTY, LONG, HUGE_LENGTH, KINDS };

struct damage {
    struct flight *flight;
    enum kind kind;
    double place; /* FLIPPED: where, from 0 to 1 */
    struct bad_wire wires[RANKS_MOST];
    /* Of BAD_RANK. */
    int messages; /* that have gone out */
    char last[1 << 16], next[1 << 10];
    size_t last_bytes, next_bytes;
};

/* Nothing of an empty message, as rank 0 would send it. */
static void invent(struct damage *damage)
{
    const uint32_t entry = 0;
    const int64_t count = 0;
    struct sl_message message = {.step = BAD_STEP, .rank = 0, .n = damage->flight->n, .tau = 1e-3f};
    sl_message_write(&message, &entry, &count, damage->next, &damage->next_bytes);
}

/* The length that is announced instead. */
static uint64_t announce(struct damage *damage, uint64_t bytes)
{
    invent(damage);
    const uint64_t lengths[KINDS] = {[FLIPPED] = bytes,
                                     [STALE] = damage->last_bytes,
                                     [ANOTHERS] = damage->next_bytes,
                                     [SHORT] = SHORT_BYTES,
                                     [EMPTY] = 0,
                                     [LONG] = sl_message_most_bytes(damage->flight->n) + 1,
                                     [HUGE_LENGTH] = UINT64_MAX - 7};
    return lengths[damage->kind];
}

static void change(struct bad_wire *wire, char *sent, int parts, size_t bytes)
{
    struct damage *damage = wire->self;
    uint64_t length;
    (void)parts;
    if (wire->inner.rank != BAD_RANK)
        return;
    if (bytes == sizeof length && damage->messages == BAD_STEP) {
        memcpy(&length, sent, sizeof length);
        length = announce(damage, length);
        memcpy(sent, &length, sizeof length);
    } else if (bytes > 4 && memcmp(sent, "SLTQ", 4) == 0) {
        if (damage->messages++ < BAD_STEP) {
            memcpy(damage->last, sent, bytes);
            damage->last_bytes = bytes;
        } else if (damage->kind == FLIPPED) {
            sent[(size_t)(damage->place * (double)(bytes - 1))] ^= 0x10;
        } else if (damage->kind == STALE) {
            memcpy(sent, damage->last, bytes);
        } else if (damage->kind == ANOTHERS) {
            memcpy(sent, damage->next, bytes);
        }
    }
}

static void damage_wire(struct sl_wire *wire, void *self)
{
    struct damage *damage = self;
    bad_wire_open(&damage->wires[wire->rank], wire, change, damage);
}

static void fly_damaged(struct flock_rank *rank, void *self)
{
    flight_body(rank, ((struct damage *)self)->flight);
}

/* The copy of what is sent is as long as what was announced, so a wire reads what is there. */
static void assert_refused(enum kind kind, double place, const char *part)
{
    struct damage *damage = calloc(1, sizeof *damage);
    assert_non_null(damage);
    damage->flight = flight_new("threshold", 6001, 5);
    damage->flight->threshold.cap = 0.02;
    damage->kind = kind;
    damage->place = place;
    flock_fly(3, (struct flock){.body = fly_damaged, .self = damage, .wire = damage_wire});
    for (int r = 0; r < 3; r++) {
        assert_int_equal(damage->flight->rc[r], SL_IO);
        if (!strstr(damage->flight->text[r], part) || !strstr(damage->flight->text[r], "rank 1"))
            fail_msg("\"%s\" does not say \"%s\" of rank 1", damage->flight->text[r], part);
        assert_true(damage->flight->hashes[r][BAD_STEP - 1] != 0);
        assert_true(damage->flight->hashes[r][BAD_STEP] == 0);
    }
    flight_free(damage->flight);
    free(damage);
}

static void every_damaged_place_is_found(void **state)
{
    (void)state;
    for (int i = 0; i <= 60; i++)
        assert_refused(FLIPPED, i / 60.0, "");
}

static void an_old_message_is_refused(void **state)
{
    (void)state;
    assert_refused(STALE, 0, "step");
}

static void the_message_of_another_rank_is_refused(void **state)
{
    (void)state;
    assert_refused(ANOTHERS, 0, "rank 0");
}

static void a_wrong_length_is_refused(void **state)
{
    (void)state;
    assert_refused(SHORT, 0, "");
    assert_refused(EMPTY, 0, "");
    assert_refused(LONG, 0, "announces a message of ");
    assert_refused(HUGE_LENGTH, 0, "announces a message of 18446744073709551608 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_damaged_place_is_found),
        cmocka_unit_test(an_old_message_is_refused),
        cmocka_unit_test(the_message_of_another_rank_is_refused),
        cmocka_unit_test(a_wrong_length_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
