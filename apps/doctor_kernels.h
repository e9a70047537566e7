/* The part of starling-doctor that asks the kernel table. */
#ifndef SL_APPS_DOCTOR_KERNELS_H
#define SL_APPS_DOCTOR_KERNELS_H

enum { SL_DOCTOR_BATCH = 32 };

/* Prints for each operation and each layer of the default network which row would be chosen on this machine, and why
 * the better rows were not. */
void sl_doctor_print_kernels(void);
#endif
