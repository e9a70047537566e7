/* One operation on the processor, by the first row of these instruction sets that takes it. */
#ifndef SL_TESTS_RUN_OP_H
#define SL_TESTS_RUN_OP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kernels/launch.h"
#include "runtime/device/parallel.h"

static inline void run_op(enum sl_op op, uint32_t isa, const void *shape, const void *args)
{
    struct sl_device device;
    struct sl_choice choice;
    assert_int_equal(sl_device_cpu_open(1, &device), SL_OK);
    device.isa &= isa;
    assert_int_equal(sl_choose(&device, op, shape, &choice), SL_OK);
    assert_int_equal(sl_launch(&choice, op, shape, args), SL_OK);
    sl_choice_close(&choice);
    device.close(device.self);
}
#endif
