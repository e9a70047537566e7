/* Command lines, on glibc's argp: a program is a table of options, and everything else follows from it: parsing with
 * range checks, --help, --version, refusal of unknown, duplicate and missing options (exit code 64), and the end of the
 * program.
 *
 *   int main(int argc, char **argv)
 *   {
 *       struct settings s = {.epochs = 10};
 *       const struct cli_option options[] = {
 *           {"data", "DIR", "The prepared data set", .kind = CLI_TEXT, .value = &s.data, .required = true},
 *           {"epochs", "N", "Passes over the data", .kind = CLI_INT, .value = &s.epochs, .least = 1, .most = 1000},
 *           {0}};
 *       const struct cli_program program = {.summary = "Trains a network.", .options = options};
 *       struct cli_rest rest;
 *       cli_parse(&program, argc, argv, &rest);
 *       return cli_end(run(&s));
 *   }
 */
#ifndef SL_APPS_CLI_H
#define SL_APPS_CLI_H

#include "apps/cli_process.h"
#include "kernels/base.h"

enum cli_kind {
    CLI_TEXT,   /* const char * (not empty) */
    CLI_INT,    /* int64_t in [least, most] */
    CLI_DOUBLE, /* double in [least, most]; without a range also what is not finite */
    CLI_BYTES,  /* uint64_t in [least, most]: 1000, 64K, 512MB, 2GiB, 1T (powers of 1024, in either case) */
    CLI_FLAG,   /* bool: takes no argument */
    CLI_CHOICE, /* const char *, one of `choices` */
};

struct cli_option {
    const char *name, *argument, *help; /* "epochs", "N", "Passes over the data (default 10)" */
    enum cli_kind kind;
    void *value;         /* where it goes; what is there before is the default */
    double least, most;  /* both 0: no range but the type's (CLI_INT: not negative) */
    const char *choices; /* "none|zstd" */
    bool required;
    bool *given; /* set to true when the option is there; may be NULL */
};

struct cli_program {
    const char *summary;              /* what the program does, one or two sentences */
    const char *arguments;            /* "IMAGE..." for the usage line; NULL: takes none */
    const struct cli_option *options; /* ends with a row without a name */
};

/* The arguments that are no options, in order; they point into argv. */
struct cli_rest {
    int count;
    char **at;
};

/* Parses; ends the program with 0 after --help (-h) or --version, with 64, a message and a hint after a mistake, and
 * with SL_BAD_CONFIG if SL_ISA or SL_KERNEL is misspelt. Comes before any file is opened: standard streams that are
 * closed are opened on /dev/null, so that no file gets their numbers. Also makes a closed pipe and a file size limit
 * ordinary write errors instead of deaths by signal, and gives a mapped file that is cut short while it is read a
 * message and SL_IO. */
void cli_parse(const struct cli_program *program, int argc, char **argv, struct cli_rest *rest);

/* Puts the text where the option's value goes; false if it is not of the option's kind or out of its range. */
bool cli_take(const struct cli_option *option, const char *text);

#endif
