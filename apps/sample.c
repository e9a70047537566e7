/* starling-sample: an invented, learnable image set in TinyImageNet's layout. */
#include <inttypes.h>
#include <stdio.h>

#include "apps/cli.h"
#include "runtime/prepare/invent.h"

struct settings {
    const char *output;
    int64_t classes, per_class, val_per_class, size, seed;
};

static int run(const struct settings *s)
{
    int rc = SL_OK;
    const struct sl_invent_options options = {
        .classes = (int32_t)s->classes,
        .per_class = (int32_t)s->per_class,
        .val_per_class = (int32_t)s->val_per_class,
        .size = (int32_t)s->size,
        .seed = (uint64_t)s->seed,
    };
    SL_TRY(sl_invent_write(s->output, &options));
    printf("%s: %" PRId64 " classes, %" PRId64 " training and %" PRId64 " validation images of %" PRId64 " x %" PRId64
           " pixels\n",
           s->output, s->classes, s->classes * s->per_class, s->classes * s->val_per_class, s->size, s->size);
out:
    return rc;
}

int main(int argc, char **argv)
{
    struct settings s = {.classes = 10, .per_class = 100, .val_per_class = 20, .size = 64, .seed = 1};
    const struct cli_option options[] = {
        {"output", "DIR", "The folder to fill; it must be new or empty", .kind = CLI_TEXT, .value = &s.output,
         .required = true},
        {"classes", "N", "Classes, 2 to 200 (default 10)", .kind = CLI_INT, .value = &s.classes, .least = 2,
         .most = SL_INVENT_MAX_CLASSES},
        {"per-class", "N", "Training images of each class (default 100)", .kind = CLI_INT, .value = &s.per_class,
         .least = 1, .most = 100000},
        {"val-per-class", "N", "Validation images of each class (default 20)", .kind = CLI_INT,
         .value = &s.val_per_class, .least = 1, .most = 100000},
        {"size", "PIXELS", "Side of an image, 16 to 1024 (default 64)", .kind = CLI_INT, .value = &s.size, .least = 16,
         .most = 1024},
        {"seed", "N", "The same seed, the same bytes (default 1)", .kind = CLI_INT, .value = &s.seed},
        {0}};
    const struct cli_program program = {
        .summary =
            "Invents an image set in TinyImageNet's layout: shapes filled with textures, in random colours, places, "
            "sizes and rotations.",
        .options = options};
    struct cli_rest rest;
    cli_parse(&program, argc, argv, &rest);
    return cli_end(run(&s));
}
