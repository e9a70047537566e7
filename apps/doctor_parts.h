/* The parts of starling-doctor that choose: backends, nodes, wires and kernels. */
#ifndef SL_APPS_DOCTOR_PARTS_H
#define SL_APPS_DOCTOR_PARTS_H

#include "kernels/base.h"

/* What each backend would compute on, or why it cannot; and which would be used. */
void sl_doctor_print_backends(void);

/* By what the GPUs of a host would sum among themselves, or why they could not. */
void sl_doctor_print_nodes(void);

/* Which wires are there, why one is not, and which the launcher of this process wants. The errors of sl_wire_choose. */
int sl_doctor_print_wires(void);

/* Plans the default network for training and for inference, without the memory to run it, and prints for each operation
 * which row each layer gets on this machine with --kernels `policy` at that precision, and why rows before it in the
 * table were not taken. */
int sl_doctor_print_kernels(const char *policy, enum sl_element precision);

/* The forward convolution that this machine would use against the reference, on two small images. SL_INTERNAL. */
int sl_doctor_self_test(void);
#endif
