#define _XOPEN_SOURCE 700 /* realpath() */
#include "cli/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/output.h"

enum { LINKS = 40, LINK_ROOM = 4096, HEADER_MOST = 100000000 };

const char *const cli_saved_files[] = { "", ".old", ".lock", NULL };
const char *const cli_logged_files[] = { "", ".lock", ".part", NULL };
const char *const cli_one_file[] = { "", NULL };
static const char *const lock_alone[] = { ".lock", NULL };

/* ---- where a path leads ------------------------------------------------------------- */

static char *join(const char *a, const char *b, const char *c)
{
    const size_t room = strlen(a) + strlen(b) + strlen(c) + 1;
    char *text = malloc(room);
    if (text) snprintf(text, room, "%s%s%s", a, b, c);
    return text;
}

/* The folder of a path with its '/', or "./". */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? strndup(path, (size_t)(slash - path) + 1) : strdup("./");
}

/* Follow links that lead to nothing yet; `path` is taken. */
static char *follow(char *path)
{
    char target[LINK_ROOM];
    for (int i = 0; path && i < LINKS; i++) {
        const ssize_t length = readlink(path, target, sizeof target - 1);
        if (length < 0) break;
        target[length] = '\0';
        char *folder = *target == '/' ? strdup("") : folder_of(path);
        free(path);
        path = folder ? join(folder, target, "") : NULL;
        free(folder);
    }
    return path;
}

char *cli_place(const char *path)
{
    char *real = realpath(path, NULL);
    if (real) return real;
    char *end = follow(strdup(path)), *folder = end ? folder_of(end) : NULL;
    real = folder ? realpath(folder, NULL) : NULL;
    free(folder);
    /* Without its folder it cannot be made; whoever tries says so. */
    if (!end || !real) return end;
    const char *slash = strrchr(end, '/');
    char *place = join(real, strcmp(real, "/") ? "/" : "", slash ? slash + 1 : end);
    free(real);
    free(end);
    return place;
}

static int ends_in(const char *text, const char *ending)
{
    const size_t n = strlen(text), k = strlen(ending);
    return n >= k && !strcmp(text + n - k, ending);
}

int cli_place_newer(const char *place, char **newer)
{
    if (!ends_in(place, ".old")) return 0;
    *newer = strndup(place, strlen(place) - strlen(".old"));
    return 1;
}

/* ---- files in common ------------------------------------------------------------------ */

static int same_place(const char *a, const char *b)
{
    struct stat x, y;
    if (!strcmp(a, b)) return 1;
    return !stat(a, &x) && !stat(b, &y) && S_ISREG(x.st_mode) && x.st_dev == y.st_dev
        && x.st_ino == y.st_ino;
}

/* A file of `a` that is one of `b` as well, as its place, which the caller frees, and how it
 * ends in both; NULL if there is none. *broke is 1 if there was no memory to tell. */
static char *common(const cli_file *a, const cli_file *b, const char **end_a, const char **end_b,
                    int *broke)
{
    char *place_a = cli_place(a->path), *place_b = cli_place(b->path), *found = NULL;
    *broke = !place_a || !place_b;
    for (size_t i = 0; !*broke && !found && a->endings[i]; i++) {
        char *one = join(place_a, a->endings[i], "");
        for (size_t k = 0; one && !*broke && !found && b->endings[k]; k++) {
            char *other = join(place_b, b->endings[k], "");
            *broke = !other;
            if (other && same_place(one, other)) {
                found = strdup(other);
                *broke = !found;
                *end_a = a->endings[i];
                *end_b = b->endings[k];
            }
            free(other);
        }
        if (!one) *broke = 1;
        free(one);
    }
    free(place_a);
    free(place_b);
    return found;
}

int cli_files_apart(const cli_file *a, const cli_file *b, const cli_command *command)
{
    const char *end_a = "", *end_b = "";
    int broke = 0, code;
    if (!a->path || !b->path) return CLI_OK;
    char *found = common(a, b, &end_a, &end_b, &broke);
    if (!found) return broke ? cli_no_memory() : CLI_OK;
    if (!*end_a && !*end_b)
        code = !strcmp(b->option, "data")
                 ? cli_usage(command, "--%s '%.200s' would overwrite the data; name another file", a->option,
                             a->path)
                 : cli_usage(command, "--%s and --%s are the same file '%.200s'; name another", a->option,
                             b->option, a->path);
    else if (!strcmp(b->option, "data"))
        code = cli_usage(command, "--%s '%.150s' would overwrite the data '%.150s', which is its %.8s "
                         "file; name another", a->option, a->path, b->path, end_a);
    else
        code = cli_usage(command, "--%s '%.150s' and --%s '%.150s' both need the file '%.150s'; name "
                         "another", a->option, a->path, b->option, b->path, found);
    free(found);
    return code;
}

/* ---- outputs ------------------------------------------------------------------------- */

int cli_output_of(cli_output *output, const char *option, const char *path, const char *const *endings)
{
    *output = (cli_output){ NULL, { option, path, endings }, { option, path, lock_alone },
                            { option, NULL, lock_alone } };
    char *place = path ? cli_place(path) : NULL;
    if (path && !place) return cli_no_memory();
    const int older = place && cli_place_newer(place, &output->newer);
    free(place);
    output->newer_lock.path = output->newer;
    return older && !output->newer ? cli_no_memory() : CLI_OK;
}

void cli_output_free(cli_output *output) { free(output->newer); }

int cli_outputs_apart(const cli_output *a, const cli_output *b, const cli_command *command)
{
    int code = cli_files_apart(&a->files, &b->files, command);
    if (!code) code = cli_files_apart(&a->newer_lock, &b->files, command);
    if (!code) code = cli_files_apart(&b->newer_lock, &a->files, command);
    return code ? code : cli_files_apart(&a->newer_lock, &b->newer_lock, command);
}

int cli_output_spares(const cli_output *output, const cli_file *input, const cli_command *command)
{
    const int code = cli_files_apart(&output->files, input, command);
    return code ? code : cli_files_apart(&output->newer_lock, input, command);
}

int cli_output_no_lock(const cli_output *output, const cli_command *command)
{
    const char *path = output->files.path;
    char *place = path ? cli_place(path) : NULL;
    if (!path) return CLI_OK;
    if (!place) return cli_no_memory();
    const int lock = ends_in(place, ".lock");
    free(place);
    return lock ? cli_usage(command, "--%s '%.200s': names that end in '.lock' are those of locks; name "
                            "another file", output->files.option, path)
                : CLI_OK;
}

/* ---- what may be replaced --------------------------------------------------------------- */

int cli_replaceable(const char *option, const char *path)
{
    struct stat about;
    unsigned char first[9];
    uint64_t length = 0;
    if (!path || stat(path, &about) || !S_ISREG(about.st_mode) || !about.st_size)
        return CLI_OK;
    const int open_file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (open_file < 0) return CLI_OK; /* whoever writes there says why */
    const ssize_t known = pread(open_file, first, sizeof first, 0);
    close(open_file);
    for (int i = 7; i >= 0; i--) length = length << 8 | first[i];
    if (known == (ssize_t)sizeof first && length && length <= HEADER_MOST && first[8] == '{')
        return CLI_OK;
    return cli_fail(CLI_CANT_CREATE, "--%s would replace '%.200s', which is no safetensors file; name "
                    "another, or remove that one first", option, path);
}
