/* What could sum within a host. */
#include <limits.h>
#include <stdio.h>

#include "apps/doctor_parts.h"
#include "comm/node.h"

void sl_doctor_print_nodes(void)
{
    char text[PATH_MAX + 64];
    puts("nodes");
    if (sl_node_look(text, sizeof text) == SL_OK)
        printf("  nccl               %s\n", text);
    else
        printf("  nccl               none: %s\n", sl_last_error());
}
