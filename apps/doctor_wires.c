/* What could carry training over several machines. */
#include <limits.h>
#include <stdio.h>

#include "apps/doctor_parts.h"
#include "comm/wire_find.h"

int sl_doctor_print_wires(void)
{
    const char *chosen = NULL, *name;
    char path[PATH_MAX];
    puts("wires");
    for (size_t i = 0; (name = sl_wire_name(i)) != NULL; i++)
        if (sl_wire_look(name, path, sizeof path) == SL_OK)
            printf("  %-19s%s\n", name, path);
        else
            printf("  %-19snone: %s\n", name, sl_last_error());
    const int rc = sl_wire_choose(&chosen);
    if (rc == SL_OK)
        printf("  launcher           %s\n", chosen ? chosen : "none: this process is alone");
    return rc;
}
