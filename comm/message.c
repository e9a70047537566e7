#include "comm/message_internal.h"

_Static_assert(sizeof(struct sl_message_header) == SL_MESSAGE_HEADER, "the header has no holes");

const char *sl_message_form_name(enum sl_message_form form)
{
    static const char *const names[SL_MESSAGE_FORMS] = {"index", "rice", "bitmap", "signs"};
    return names[form];
}

/* A bitmap always can, and what is longer is not taken. */
size_t sl_message_most_bytes(int64_t n)
{
    return SL_MESSAGE_HEADER + sl_message_bitmap_bytes((uint64_t)n) + SL_MESSAGE_SEAL;
}
