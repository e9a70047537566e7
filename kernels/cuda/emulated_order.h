/* In which order the threads of an emulated block run: of the warps and of the lanes in each; and whether a thread runs
 * as far as it can while the others wait, or they take turns. */
#ifndef SL_KERNELS_CUDA_EMULATED_ORDER_H
#define SL_KERNELS_CUDA_EMULATED_ORDER_H

#ifdef __cplusplus
extern "C" {
#endif

enum { SL_EMULATED_ORDERS = 6 };

/* Of all launches from here on; 0 at first. */
void sl_emulated_set_order(unsigned order);

/* "descending, in turns" */
const char *sl_emulated_order_name(unsigned order);

#ifdef __cplusplus
}
#endif
#endif
