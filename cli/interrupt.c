#include "cli/interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

static const struct {
    int number;
    const char *name;
} known[] = { { SIGINT, "SIGINT" }, { SIGTERM, "SIGTERM" }, { SIGHUP, "SIGHUP" },
              { SIGXCPU, "SIGXCPU" } };
enum { KNOWN = sizeof known / sizeof *known, FILES = 6 };

static volatile sig_atomic_t came, save_wanted, patient, plain, together;
static volatile int64_t came_at; /* milliseconds; the handler's alone */
static int agreed, save_agreed;
static const char *volatile files[FILES];

/* Only what a signal may interrupt anything with. */
static void leave(int number)
{
    for (size_t i = 0; i < FILES; i++)
        if (files[i]) unlink(files[i]);
    if (plain) {
        sigset_t mine;
        signal(number, SIG_DFL);
        sigemptyset(&mine);
        sigaddset(&mine, number);
        sigprocmask(SIG_UNBLOCK, &mine, NULL);
        raise(number);
    }
    _exit(128 + number);
}

static int64_t now(void)
{
    struct timespec t = { 0, 0 };
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void handle(int number)
{
    enum { ONE_KEY = 500 };
    if (number == SIGUSR1) {
        save_wanted = 1;
        return;
    }
    /* mpirun passes on what a terminal may have sent already. */
    const int again = came && number != SIGXCPU && (!together || now() - came_at > ONE_KEY);
    if (!patient || again) leave(number);
    if (!came) came_at = now();
    if (!came) came = number;
}

static void handle_all(void)
{
    struct sigaction now, old;
    /* A file size limit then fails a write like a full disk. */
    signal(SIGXFSZ, SIG_IGN);
    now.sa_handler = handle;
    now.sa_flags = SA_RESTART;
    sigemptyset(&now.sa_mask);
    for (size_t i = 0; i < KNOWN; i++) {
        if (sigaction(known[i].number, NULL, &old) || old.sa_handler == SIG_IGN) continue;
        sigaction(known[i].number, &now, NULL);
    }
}

void cli_interrupt_catch(void)
{
    came = 0;
    agreed = 0;
    patient = 1;
    handle_all();
}

void cli_interrupt_end(void)
{
    patient = 0;
    plain = 1;
    handle_all();
}

void cli_interrupt_prepare(void)
{
    struct sigaction now, old;
    patient = 0;
    handle_all();
    if (sigaction(SIGUSR1, NULL, &old) || old.sa_handler == SIG_IGN) return;
    now.sa_handler = handle;
    now.sa_flags = SA_RESTART;
    sigemptyset(&now.sa_mask);
    sigaction(SIGUSR1, &now, NULL);
}

int cli_interrupt(void) { return together ? agreed : came; }

int cli_interrupt_save(void)
{
    /* What came since cli_interrupt_own() is still to be told. */
    const int wanted = together ? save_agreed : save_wanted;
    if (wanted && !together) save_wanted = 0;
    save_agreed = 0;
    return wanted;
}

void cli_interrupt_own(int mine[2])
{
    together = 1;
    mine[0] = came;
    mine[1] = save_wanted;
    if (mine[1]) save_wanted = 0;
}

void cli_interrupt_agree(int number, int save)
{
    agreed = number;
    save_agreed |= save;
}

void cli_interrupt_remove(const char *path)
{
    for (size_t i = 0; i < FILES; i++)
        if (!files[i]) {
            files[i] = path;
            return;
        }
}

void cli_interrupt_keep(const char *path)
{
    for (size_t i = 0; i < FILES; i++)
        if (files[i] == path) files[i] = NULL;
}

const char *cli_interrupt_name(int number)
{
    for (size_t i = 0; i < KNOWN; i++)
        if (known[i].number == number) return known[i].name;
    return "a signal";
}
