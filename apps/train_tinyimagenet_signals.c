#include "apps/train_tinyimagenet_signals.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "kernels/base.h"

volatile sig_atomic_t train_stop_signal;

static volatile sig_atomic_t opening;

static const struct {
    int number;
    const char *name;
} signals[] = {
    {SIGINT, "SIGINT"},   {SIGTERM, "SIGTERM"}, {SIGHUP, "SIGHUP"},
    {SIGUSR1, "SIGUSR1"}, {SIGUSR2, "SIGUSR2"}, {SIGXCPU, "SIGXCPU"},
};

enum { SIGNALS = sizeof signals / sizeof *signals };

const char *train_signal_name(int number)
{
    for (int i = 0; i < SIGNALS; i++)
        if (signals[i].number == number)
            return signals[i].name;
    return "a signal";
}

static bool say(const char *text)
{
    return write(STDERR_FILENO, text, strlen(text)) > 0;
}

static void take_signal(int number)
{
    const int error = errno;
    if (opening) {
        const bool said = say(program_invocation_short_name) && say(": stopped by ") &&
                          say(train_signal_name(number)) &&
                          say(" before the first step; nothing was trained that could be lost, start it again\n");
        (void)said;
        _exit(SL_PREEMPTED);
    }
    if (!train_stop_signal)
        train_stop_signal = number;
    errno = error;
}

void train_signals_watch(void)
{
    opening = true;
    for (int i = 0; i < SIGNALS; i++) {
        struct sigaction old, action = {.sa_handler = take_signal, .sa_flags = SA_RESTART};
        /* A second Ctrl-C means now. The others may come twice by themselves: timeout sends two, the kernel one for
         * each second beyond the limit of CPU time. */
        if (signals[i].number == SIGINT)
            action.sa_flags |= (int)SA_RESETHAND;
        const bool ignored = sigaction(signals[i].number, NULL, &old) == 0 && old.sa_handler == SIG_IGN;
        if (signals[i].number != SIGHUP || !ignored)
            sigaction(signals[i].number, &action, NULL);
    }
}

void train_signals_note(void)
{
    opening = false;
}
