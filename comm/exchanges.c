#include <string.h>

#include "comm/exchange.h"

#define SL_EXCHANGE(name) &sl_exchange_##name,
static const struct sl_exchange_row *const rows[] = {
#include "comm/exchanges.def"
};
#undef SL_EXCHANGE

const struct sl_exchange_row *sl_exchange_at(size_t index)
{
    return index < sizeof rows / sizeof *rows ? rows[index] : NULL;
}

const struct sl_exchange_row *sl_exchange_find(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i]->name, name))
            return rows[i];
    return NULL;
}
