#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/clean.h"

/* ---- one clean line --------------------------------------------------------- */

void cli_clean_text(char *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        const int plain = text[i] == '\n' || text[i] == '\t';
        const size_t bytes = plain ? 1 : cli_harmless(text + i);
        if (!bytes) text[i] = '?';
        i += bytes ? bytes : 1;
    }
}

static int holds_tongue;
static char said[1024];

void cli_hold_tongue(void)
{
    holds_tongue = 1;
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere < 0) return;
    dup2(nowhere, STDOUT_FILENO);
    close(nowhere);
}

FILE *cli_people(void) { return holds_tongue ? stdout : stderr; }
const char *cli_said(void) { return said; }

static void say(const char *format, va_list list)
{
    char text[sizeof said];
    if (vsnprintf(text, sizeof text, format, list) < 0) return;
    snprintf(said, sizeof said, "%s", cli_clean(text));
    if (!holds_tongue) fprintf(stderr, "eden: %s\n", said);
}

int cli_fail(int code, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    say(format, list);
    va_end(list);
    return code;
}

void cli_warn(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    say(format, list);
    va_end(list);
}

static int lacked_memory;

int cli_no_memory(void)
{
    if (!lacked_memory) cli_fail(CLI_SYSTEM, "out of memory");
    lacked_memory = 1;
    return CLI_SYSTEM;
}

int cli_lacked_memory(void) { return lacked_memory; }

int cli_code(int system_error, int code) { return system_error == ENOMEM ? CLI_SYSTEM : code; }

int cli_fail_eden(const eden_error *error, cli_doing doing)
{
    int code = CLI_INTERNAL;
    switch ((eden_status)error->status) {
    case EDEN_E_MEMORY: code = CLI_SYSTEM; break;
    case EDEN_E_IO: code = doing == CLI_READING ? CLI_NO_INPUT : CLI_IO; break;
    case EDEN_E_FORMAT:
    case EDEN_E_MISMATCH:
    case EDEN_E_GRADIENT:
    case EDEN_E_OVERFLOW: code = CLI_DATA; break;
    case EDEN_E_NAME:
    case EDEN_E_VALUE:
    case EDEN_E_DTYPE:
    case EDEN_E_SHAPE: code = doing == CLI_RUNNING ? CLI_USAGE : CLI_DATA; break;
    case EDEN_E_ORDER: code = CLI_USAGE; break;
    case EDEN_E_ARGUMENT: code = doing == CLI_RUNNING ? CLI_USAGE : CLI_INTERNAL; break;
    case EDEN_E_WORKSPACE:
    case EDEN_OK: break;
    }
    return cli_fail(code, "%s", error->text);
}

char *cli_close_text(FILE *stream, char **text)
{
    const int lost = ferror(stream), unfinished = fclose(stream);
    if (!lost && !unfinished && *text) return *text;
    free(*text);
    *text = NULL;
    cli_no_memory();
    return NULL;
}

/* ---- files -------------------------------------------------------------------- */

int cli_can_read(const char *path, int directory)
{
    struct stat about;
    const int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0)
        return cli_fail(errno == EACCES || errno == EPERM ? CLI_PERMISSION
                                                          : cli_code(errno, CLI_NO_INPUT),
                        "cannot read '%.200s': %s", path, strerror(errno));
    const int known = fstat(file, &about) == 0;
    close(file);
    if (known && S_ISDIR(about.st_mode) != (directory != 0))
        return cli_fail(CLI_NO_INPUT, "'%.200s' is %s directory", path, directory ? "not a" : "a");
    return CLI_OK;
}

int cli_fail_create(const char *path, int system_error)
{
    return cli_fail(system_error == EACCES || system_error == EPERM
                        ? CLI_PERMISSION
                        : cli_code(system_error, CLI_CANT_CREATE),
                    "cannot create '%.200s': %s", path, strerror(system_error));
}

int cli_can_create(const char *path)
{
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file >= 0) {
        close(file);
        unlink(path);
        return CLI_OK;
    }
    if (errno != EEXIST) return cli_fail_create(path, errno);
    file = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) return cli_fail_create(path, errno);
    close(file);
    return CLI_OK;
}

int cli_can_replace(const char *path)
{
    struct stat about;
    const int there = stat(path, &about) == 0;
    if (there && !S_ISREG(about.st_mode))
        return cli_fail(CLI_CANT_CREATE, "cannot create '%.200s': a %s is in its place", path,
                        S_ISDIR(about.st_mode) ? "directory" : "device or pipe");
    const int code = cli_can_create(path);
    if (code) return code;
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    if (!folder) return cli_no_memory();
    const int refused = access(folder, W_OK | X_OK) ? errno : 0;
    free(folder);
    return refused ? cli_fail_create(path, refused) : CLI_OK;
}

void cli_open_standard(void)
{
    for (int i = 0; i < 3; i++)
        if (fcntl(i, F_GETFD) < 0 && errno == EBADF) {
            /* The wrong way round on purpose: using it must fail. */
            const int file = open("/dev/null", i == 0 ? O_WRONLY : O_RDONLY);
            if (file >= 0 && file != i) close(file);
        }
}

/* Has nobody the other end? */
static int reader_gone(void)
{
    struct pollfd out = { STDOUT_FILENO, POLLOUT, 0 };
    return poll(&out, 1, 0) > 0 && out.revents & (POLLERR | POLLHUP);
}

int cli_close_output(int *gone)
{
    errno = 0;
    const int lost = ferror(stdout), unflushed = fflush(stdout), problem = errno;
    *gone = (lost || unflushed) && reader_gone();
    if ((!lost && !unflushed) || *gone) return CLI_OK;
    errno = problem;
    return cli_fail(CLI_IO, "cannot write the output%s%s", errno ? ": " : "",
                    errno ? strerror(errno) : "");
}

/* ---- text ----------------------------------------------------------------------- */

cli_style cli_style_of(FILE *stream)
{
    const char *no = getenv("NO_COLOR"), *terminal = getenv("TERM");
    if ((no && *no) || !isatty(fileno(stream)) || !terminal || !strcmp(terminal, "dumb"))
        return (cli_style){ "", "", "" };
    return (cli_style){ "\033[1m", "\033[2m", "\033[0m" };
}

/* Columns that `length` bytes of UTF-8 take; continuation bytes take none. */
static int columns(const char *s, size_t length)
{
    int count = 0;
    for (size_t i = 0; i < length; i++) count += (s[i] & 0xc0) != 0x80;
    return count;
}

void cli_wrap(FILE *out, int indent, int column, int width, const char *text)
{
    int fresh = 1; /* nothing of the text stands on this line */
    while (*text) {
        if (*text == '\n') {
            fprintf(out, "\n%*s", text[1] && text[1] != '\n' ? indent : 0, "");
            column = indent, fresh = 1, text++;
            continue;
        }
        size_t spaces = strspn(text, " "), length = strcspn(text + spaces, " \n");
        const int word = columns(text + spaces, length);
        if (!fresh && column + (int)spaces + word > width) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        } else if (!fresh || text[spaces] == '\0' || column == indent) {
            fprintf(out, "%*s", (int)spaces, "");
            column += (int)spaces;
        }
        fwrite(text + spaces, 1, length, out);
        column += word;
        text += spaces + length;
        fresh = 0;
    }
}

const char *cli_print_number(double value, char text[CLI_NUMBER_ROOM])
{
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, CLI_NUMBER_ROOM, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    return text;
}

const char *cli_print_time(double seconds, char text[CLI_NUMBER_ROOM])
{
    if (!(seconds >= 0 && seconds < 1e9)) seconds = 0;
    const long all = lround(seconds), hours = all / 3600, minutes = all / 60 % 60;
    if (hours)
        snprintf(text, CLI_NUMBER_ROOM, "%ld:%02ld:%02ld", hours, minutes, all % 60);
    else
        snprintf(text, CLI_NUMBER_ROOM, "%ld:%02ld", minutes, all % 60);
    return text;
}

double cli_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
