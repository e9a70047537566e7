/* Every kernel against its reference. */
#include "tests/check.h"

int main(int argc, char **argv)
{
    const struct check_area *const areas[] = {&check_conv,       &check_norm,    &check_pool,
                                              &check_activation, &check_softmax, &check_elementwise,
                                              &check_optimizer,  &check_step,    &check_image};
    return check_main(argc, argv, areas, sizeof areas / sizeof *areas);
}
