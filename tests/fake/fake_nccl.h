/* How the fake NCCL behaves, and what it has seen: the object `fake_nccl` in it. */
#ifndef SL_TESTS_FAKE_FAKE_NCCL_H
#define SL_TESTS_FAKE_FAKE_NCCL_H

enum fake_nccl_fault {
    FAKE_GOOD,
    FAKE_OLD,        /* a version that is too old */
    FAKE_NO_KEY,     /* no key can be made */
    FAKE_NO_START,   /* rank 1 cannot begin to join */
    FAKE_NO_JOIN,    /* joining fails for all, later */
    FAKE_ONE_JOIN,   /* joining fails for rank 1 alone, later; the others notice when it aborts */
    FAKE_REMOTE,     /* the third sum or broadcast fails for all, later */
    FAKE_HANG,       /* the third sum or broadcast never ends */
    FAKE_HANG_START, /* joining never ends */
    FAKE_HANG_LEAVE, /* leaving never ends */
};

struct fake_nccl {
    enum fake_nccl_fault fault;
    int destroyed, aborted; /* communicators */
    int wrong;              /* calls that real NCCL would not take */
};

#endif
