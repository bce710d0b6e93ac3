#include "cli/gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/clean.h"
#include "cli/interrupt.h"
#include "cli/output.h"

extern char **environ;

enum { PATIENCE = 60 }; /* seconds */

static const char missing[] =
    "gnuplot, which draws the curves, cannot be run (%s); install it: apt-get install gnuplot-nox";

void cli_gnuplot_quote(FILE *script, const char *text)
{
    /* In single quotes nothing is special but the quote, which is doubled, and the
     * end of the line. */
    fputc('\'', script);
    while (*text) {
        const size_t length = cli_character(text);
        if (*text == '\'') fputc('\'', script);
        if (length)
            fwrite(text, 1, length, script);
        else
            fputc('?', script);
        text += length ? length : 1;
    }
    fputc('\'', script);
}

/* Start gnuplot on three open files. Returns 0 or the system's error. */
static int start(pid_t *child, char **words, int in, int out, int err)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t normal;
    int problem = posix_spawn_file_actions_init(&files);
    if (problem) return problem;
    problem = posix_spawnattr_init(&how);
    if (problem) {
        posix_spawn_file_actions_destroy(&files);
        return problem;
    }
    /* This program ignores SIGPIPE, and its child should not. A process group of its
     * own keeps a Ctrl-C from the child: who waits for it decides. */
    sigemptyset(&normal);
    sigaddset(&normal, SIGPIPE);
    posix_spawnattr_setsigdefault(&how, &normal);
    posix_spawnattr_setpgroup(&how, 0);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    problem = posix_spawn_file_actions_adddup2(&files, in, 0);
    if (!problem) problem = posix_spawn_file_actions_adddup2(&files, out, 1);
    if (!problem) problem = posix_spawn_file_actions_adddup2(&files, err, 2);
    if (!problem) problem = posix_spawnp(child, words[0], &files, &how, words, environ);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    return problem;
}

/* A Ctrl-C, or no more patience. */
static int given_up(double deadline) { return cli_interrupt() || cli_now() > deadline; }

/* Copy what the child draws until it closes its end: gnuplot itself does not notice
 * a full disk. Returns 0 if it had to be given up; a failed write stays with
 * `picture`, which may be NULL. */
static int collect(int from, FILE *picture, double deadline)
{
    char piece[8192];
    struct pollfd what = { from, POLLIN, 0 };
    while (!given_up(deadline)) {
        if (poll(&what, 1, 100) <= 0) continue;
        const ssize_t length = read(from, piece, sizeof piece);
        if (!length) return 1;
        if (length < 0 && errno != EINTR) return 0;
        if (length > 0 && picture) fwrite(piece, 1, (size_t)length, picture);
    }
    return 0;
}

/* Wait for the child. Returns 1 and its status, or 0 if it had to be ended. */
static int wait_for(pid_t child, double deadline, int *status)
{
    const struct timespec pause = { 0, 2000000 };
    while (!given_up(deadline)) {
        const pid_t got = waitpid(child, status, WNOHANG);
        if (got == child) return 1;
        if (got < 0 && errno != EINTR) break;
        nanosleep(&pause, NULL);
    }
    kill(child, SIGKILL);
    while (waitpid(child, status, 0) < 0 && errno == EINTR) {}
    return 0;
}

/* The last line with words in it of what gnuplot said. */
static void last_words(FILE *said, char *text, size_t room)
{
    char line[300];
    snprintf(text, room, "no reason given");
    rewind(said);
    while (fgets(line, sizeof line, said)) {
        const char *s = line + strspn(line, " \t\n^");
        const int length = (int)strcspn(s, "\n");
        if (length) snprintf(text, room, "%.*s", length, s);
    }
}

static int finish(pid_t child, int from, FILE *picture, FILE *said)
{
    int status;
    char text[300];
    const double deadline = cli_now() + PATIENCE;
    const int drawn = collect(from, picture, deadline);
    const int ended = wait_for(child, drawn ? deadline : 0, &status);
    if (!ended && cli_interrupt())
        return cli_fail(128 + cli_interrupt(), "stopped by %s",
                        cli_interrupt_name(cli_interrupt()));
    if (!ended)
        return cli_fail(CLI_SYSTEM, "gnuplot did not end within %d seconds", PATIENCE);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return CLI_OK;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return cli_fail(CLI_UNAVAILABLE, missing, "not found");
    if (WIFSIGNALED(status))
        return cli_fail(CLI_SYSTEM, "gnuplot was ended by signal %d", WTERMSIG(status));
    last_words(said, text, sizeof text);
    return cli_fail(CLI_SYSTEM, "gnuplot failed: %s", text);
}

static int spawn(char **words, FILE *in, FILE *picture, FILE *said)
{
    pid_t child;
    int ends[2];
    if (pipe(ends)) return cli_fail(CLI_SYSTEM, "no pipe for gnuplot: %s", strerror(errno));
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    const int problem = start(&child, words, fileno(in), ends[1], fileno(said));
    close(ends[1]); /* so that the child's end is the last */
    const int code = problem ? cli_fail(cli_code(problem, CLI_UNAVAILABLE), missing, strerror(problem))
                             : finish(child, ends[0], picture, said);
    close(ends[0]);
    return code;
}

static int no_scratch(void)
{
    return cli_fail(cli_code(errno, CLI_IO), "cannot write a temporary file for gnuplot: %s", strerror(errno));
}

int cli_gnuplot_check(void)
{
    char *words[] = { "gnuplot", "--version", NULL };
    FILE *said = tmpfile();
    if (!said) return no_scratch();
    const int code = spawn(words, said, NULL, said);
    fclose(said);
    return code;
}

int cli_gnuplot_run(const char *script, FILE *picture)
{
    /* -d: what a user has in ~/.gnuplot does not change the picture. */
    char *words[] = { "gnuplot", "-d", NULL };
    FILE *in = tmpfile(), *said = tmpfile();
    int code = CLI_OK;
    if (!in || !said || fputs(script, in) < 0 || fflush(in)
        || lseek(fileno(in), 0, SEEK_SET) < 0)
        code = no_scratch();
    if (!code) code = spawn(words, in, picture, said);
    errno = 0;
    if (!code && (fflush(picture) || ferror(picture)))
        code = cli_fail(cli_code(errno, CLI_IO), "cannot write the picture: %s",
                        errno ? strerror(errno) : "writing broke off; is the disk full?");
    if (in) fclose(in);
    if (said) fclose(said);
    return code;
}
