/* What could compute. */
#include <stdio.h>

#include "apps/doctor_parts.h"
#include "runtime/device/backend.h"

/* Enough of a GPU's memory for its self-test. */
enum { DEVICE_MEMORY = 16 << 20 };

static void print_line(void *self, const char *line)
{
    printf("  %-19s%s\n", (const char *)self, line);
}

/* What nobody had to pass over is no reason: a line for each backend stands above. */
static void print_chosen(void)
{
    struct sl_device device = {0};
    const struct sl_backend_options options = {.device_memory = DEVICE_MEMORY, .threads = 1};
    if (sl_backend_open(&options, &device) != SL_OK) {
        print_line("auto", sl_last_error());
        return;
    }
    print_line("auto", device.name);
    device.close(device.self);
}

void sl_doctor_print_backends(void)
{
    const char *name;
    puts("backends");
    for (size_t i = 0; (name = sl_backend_name(i)) != NULL; i++) {
        struct sl_device device = {0};
        const struct sl_backend_options options = {.name = name, .device_memory = DEVICE_MEMORY, .threads = 1};
        if (sl_backend_describe(name, print_line, (void *)(uintptr_t)name) != SL_OK ||
            sl_backend_open(&options, &device) != SL_OK)
            printf("  %-19snone: %s\n", name, sl_last_error());
        else
            device.close(device.self);
    }
    print_chosen();
}
