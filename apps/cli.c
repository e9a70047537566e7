#include "apps/cli.h"

#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "apps/cli_process.h"
#include "kernels/kernels.h"

const char *argp_program_version = "Starling " SL_VERSION;

enum { HELP_KEY = 'h', FIRST_KEY = 0x100, MAX_OPTIONS = 96 };

/* What argp's callback needs. */
struct parse {
    const struct cli_program *program;
    struct cli_rest *rest;
    bool seen[MAX_OPTIONS];
};

static bool parse_int(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0';
}

static bool parse_double(const char *text, double *value)
{
    char *end;
    errno = 0;
    *value = strtod(text, &end);
    return errno == 0 && end != text && *end == '\0';
}

/* "", "B", "K", "KB", "KiB", ... in either case: the power of 1024; -1 for anything else. */
static int parse_unit(const char *text)
{
    static const char units[] = "KMGT";
    const char *unit = *text ? strchr(units, *text & ~0x20) : NULL;
    const char *rest = unit ? text + 1 : text;
    if (*rest && strcasecmp(rest, "B") && (!unit || strcasecmp(rest, "iB")))
        return -1;
    return unit ? (int)(unit - units) + 1 : 0;
}

static bool parse_bytes(const char *text, uint64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoull(text, &end, 10);
    if (errno != 0 || text[0] < '0' || text[0] > '9')
        return false;
    const int power = parse_unit(end);
    if (power < 0 || *value > UINT64_MAX >> (10 * power))
        return false;
    *value <<= 10 * power;
    return true;
}

static bool is_choice(const char *choices, const char *text)
{
    const size_t n = strlen(text);
    for (const char *at = choices; at; at = strchr(at, '|')) {
        at += *at == '|';
        if (strcspn(at, "|") == n && !strncmp(at, text, n))
            return true;
    }
    return false;
}

static bool in_range(const struct cli_option *option, double value)
{
    return (option->least == 0 && option->most == 0 && option->kind != CLI_INT) ||
           (value >= option->least && (value <= option->most || option->most == 0));
}

/* Says what would have been right, in `text`. */
static const char *describe(const struct cli_option *option, char text[128])
{
    const char *what = option->kind == CLI_INT      ? "a whole number"
                       : option->kind == CLI_DOUBLE ? "a number"
                                                    : "a size such as 512M or 2GB";
    if (option->kind == CLI_CHOICE)
        snprintf(text, 128, "one of %s", option->choices);
    else if (option->kind == CLI_TEXT)
        snprintf(text, 128, "a text that is not empty");
    else if (option->most != 0)
        snprintf(text, 128, "%s of %.15g to %.15g", what, option->least, option->most);
    else
        snprintf(text, 128, "%s%s", what, option->kind == CLI_DOUBLE ? "" : " that is not negative");
    return text;
}

bool cli_take(const struct cli_option *option, const char *text)
{
    switch (option->kind) {
    case CLI_TEXT:
    case CLI_CHOICE:
        *(const char **)option->value = text;
        return option->kind == CLI_TEXT ? *text != '\0' : is_choice(option->choices, text);
    case CLI_INT:
        return parse_int(text, option->value) && in_range(option, (double)*(int64_t *)option->value);
    case CLI_DOUBLE:
        return parse_double(text, option->value) && in_range(option, *(double *)option->value);
    case CLI_BYTES:
        return parse_bytes(text, option->value) && in_range(option, (double)*(uint64_t *)option->value);
    case CLI_FLAG:
        *(bool *)option->value = true;
        return true;
    }
    return false;
}

static void take_option(struct parse *parse, int index, const char *text, struct argp_state *state)
{
    char wanted[128];
    const struct cli_option *option = &parse->program->options[index];
    if (parse->seen[index])
        argp_error(state, "--%s is given twice", option->name);
    parse->seen[index] = true;
    if (!cli_take(option, text))
        argp_error(state, "--%s %s: must be %s", option->name, text, describe(option, wanted));
    if (option->given)
        *option->given = true;
}

static void check_required(const struct parse *parse, struct argp_state *state)
{
    for (int i = 0; parse->program->options[i].name; i++)
        if (parse->program->options[i].required && !parse->seen[i])
            argp_error(state, "--%s %s is missing", parse->program->options[i].name,
                       parse->program->options[i].argument);
}

static error_t parse_one(int key, char *text, struct argp_state *state)
{
    struct parse *parse = state->input;
    if (key >= FIRST_KEY && key < FIRST_KEY + MAX_OPTIONS) {
        take_option(parse, key - FIRST_KEY, text, state);
        return 0;
    }
    switch (key) {
    case HELP_KEY:
        argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
        return 0;
    case ARGP_KEY_ARG:
        if (!parse->program->arguments)
            argp_error(state, "unexpected argument %s", text);
        return ARGP_ERR_UNKNOWN; /* leaves them to ARGP_KEY_ARGS, all together */
    case ARGP_KEY_ARGS:
        parse->rest->at = state->argv + state->next;
        parse->rest->count = state->argc - state->next;
        return 0;
    case ARGP_KEY_END:
        check_required(parse, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What is misspelt there would be ignored without a word. */
static void check_environment(void)
{
    int rc = SL_OK;
    SL_TRY(sl_isa_check());
    SL_TRY(sl_kernel_check());
out:
    if (rc != SL_OK)
        exit(cli_end(rc));
}

void cli_parse(const struct cli_program *program, int argc, char **argv, struct cli_rest *rest)
{
    struct argp_option options[MAX_OPTIONS + 2] = {
        {.key = HELP_KEY, .flags = OPTION_HIDDEN, .doc = "The same as --help"}};
    struct parse parse = {.program = program, .rest = rest};
    for (int i = 0; i < MAX_OPTIONS && program->options[i].name; i++) {
        const struct cli_option *option = &program->options[i];
        options[i + 1] = (struct argp_option){.name = option->name,
                                              .key = FIRST_KEY + i,
                                              .arg = option->kind == CLI_FLAG ? NULL : option->argument,
                                              .doc = option->help};
    }
    const struct argp argp = {options, parse_one, program->arguments, program->summary, NULL, NULL, NULL};
    *rest = (struct cli_rest){0};
    cli_process_begin();
    argp_parse(&argp, argc, argv, 0, NULL, &parse);
    check_environment();
}
