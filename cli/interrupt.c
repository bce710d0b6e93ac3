#include "cli/interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static const struct {
    int number;
    const char *name;
} known[] = { { SIGINT, "SIGINT" }, { SIGTERM, "SIGTERM" }, { SIGHUP, "SIGHUP" } };
enum { KNOWN = sizeof known / sizeof *known };

static volatile sig_atomic_t came;

static void handle(int number)
{
    if (came) _exit(128 + number);
    came = number;
}

void cli_interrupt_catch(void)
{
    struct sigaction now, old;
    came = 0;
    /* A file size limit then fails a write like a full disk. */
    signal(SIGXFSZ, SIG_IGN);
    for (size_t i = 0; i < KNOWN; i++) {
        if (sigaction(known[i].number, NULL, &old) || old.sa_handler == SIG_IGN) continue;
        now.sa_handler = handle;
        now.sa_flags = SA_RESTART;
        sigemptyset(&now.sa_mask);
        sigaction(known[i].number, &now, NULL);
    }
}

int cli_interrupt(void) { return came; }

const char *cli_interrupt_name(int number)
{
    for (size_t i = 0; i < KNOWN; i++)
        if (known[i].number == number) return known[i].name;
    return "a signal";
}
