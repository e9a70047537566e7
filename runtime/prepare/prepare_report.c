#include "runtime/prepare/prepare_report.h"

void sl_prepare_advance(struct sl_prepare_pass *pass, size_t images)
{
    pass->done += images;
    if (pass->options->progress)
        pass->options->progress(pass->options->self, pass->what, pass->done, pass->total);
}
