/* step_files.c - the files of `eden step`, and outputs that appear together. */
#define _XOPEN_SOURCE 700 /* realpath() */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/output.h"
#include "cli/step.h"

/* ---- before anything is read ------------------------------------------------------ */

/* The folder a path names a file in; the caller frees it, NULL without memory. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
}

static int same_node(const char *a, const char *b)
{
    struct stat x, y;
    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Do two paths lead to one file, or would they once it exists? */
static int same_file(const char *a, const char *b)
{
    const char *end_a = strrchr(a, '/'), *end_b = strrchr(b, '/');
    if (same_node(a, b)) return 1;
    if (strcmp(end_a ? end_a + 1 : a, end_b ? end_b + 1 : b)) return 0;
    char *folder_a = folder_of(a), *folder_b = folder_of(b);
    const int same = folder_a && folder_b && same_node(folder_a, folder_b);
    free(folder_a);
    free(folder_b);
    return same || !strcmp(a, b);
}

/* Weights and state may be updated in place; nothing else may be overwritten. */
static int check_collisions(const cli_step_files *f, const cli_command *command)
{
    const struct {
        const char *name, *path, *other, *other_path;
    } pairs[] = {
        { "out", f->out, "state-out", f->state_out },
        { "out", f->out, "grads", f->grads },
        { "out", f->out, "state", f->state },
        { "state-out", f->state_out, "params", f->params },
        { "state-out", f->state_out, "grads", f->grads },
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (pairs[i].path && pairs[i].other_path && same_file(pairs[i].path, pairs[i].other_path))
            return cli_usage(command, "--%s and --%s are the same file '%.200s'", pairs[i].name,
                             pairs[i].other, pairs[i].path);
    return CLI_OK;
}

int cli_step_files_read(cli_step_files *files, const cli_args *args)
{
    static const char *const needed[] = { "params", "grads", "out" };
    for (size_t i = 0; i < 3; i++)
        if (!cli_has(args, needed[i]))
            return cli_usage(args->command, "eden step needs --%s FILE", needed[i]);
    *files = (cli_step_files){
        .params = cli_text(args, "params", NULL), .grads = cli_text(args, "grads", NULL),
        .state = cli_text(args, "state", NULL),   .out = cli_text(args, "out", NULL),
        .state_out = cli_text(args, "state-out", NULL),
    };
    int code = check_collisions(files, args->command);
    if (!code) code = cli_can_read(files->params, 0);
    if (!code) code = cli_can_read(files->grads, 0);
    if (!code && files->state) code = cli_can_read(files->state, 0);
    if (!code) code = cli_can_replace(files->out);
    if (!code && files->state_out) code = cli_can_replace(files->state_out);
    return code;
}

/* ---- writing --------------------------------------------------------------------------- */

static int save_state(eden_optimizer *optimizer, const char *path)
{
    eden_error error;
    return eden_save(optimizer, path, EDEN_OPTIM, &error) ? cli_fail_eden(&error, CLI_WRITING)
                                                          : CLI_OK;
}

static int move(const char *from, const char *to)
{
    return rename(from, to) ? cli_fail_create(to, errno) : CLI_OK;
}

/* Make a new name survive a power cut; some file systems cannot, and say so. */
static int settle(const char *path)
{
    char *folder = folder_of(path);
    if (!folder) return cli_no_memory();
    const int handle = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int lost = handle < 0 || (fsync(handle) && errno != EINVAL && errno != ENOTSUP);
    const int reason = errno;
    if (handle >= 0) close(handle);
    free(folder);
    if (!lost) return CLI_OK;
    return cli_fail(CLI_IO, "'%.200s': the new file is in place, but a power failure may still undo "
                    "it: %s", path, strerror(reason));
}

/* Where a path leads, symbolic links followed; the caller frees it. */
static char *destination(const char *path)
{
    char *real = realpath(path, NULL);
    return real ? real : strdup(path);
}

/* A name beside `path` that nobody else uses; the caller frees it. */
static char *beside(const char *path)
{
    const size_t room = (path ? strlen(path) : 0) + 40;
    char *name = path ? malloc(room) : NULL;
    if (name) snprintf(name, room, "%s.%ld.new", path, (long)getpid());
    return name;
}

/* Both outputs are written whole, and to the disk, before either takes its place,
 * so that a full disk changes neither. What remains is a crash of the machine
 * between two renames: then the state is a step ahead of the weights. */
static int publish_both(const cli_step_files *files, const cli_weights *weights,
                        eden_optimizer *optimizer)
{
    char *to_state = destination(files->state_out), *to_out = destination(files->out);
    char *state = beside(to_state), *out = beside(to_out);
    int code = state && out ? CLI_OK : cli_no_memory();
    if (!code) code = save_state(optimizer, state);
    if (!code) code = cli_weights_write(weights, out);
    if (!code) code = move(state, to_state);
    if (!code) code = move(out, to_out);
    if (code && state) unlink(state);
    if (code && out) unlink(out);
    if (!code) code = settle(to_state);
    if (!code) code = settle(to_out);
    free(to_state);
    free(to_out);
    free(state);
    free(out);
    return code;
}

int cli_step_publish(const cli_step_files *files, const cli_weights *weights,
                     eden_optimizer *optimizer)
{
    /* Ctrl-C waits, so that it leaves neither halves nor temporary files. */
    sigset_t wait, before;
    sigemptyset(&wait);
    sigaddset(&wait, SIGINT);
    sigaddset(&wait, SIGTERM);
    sigaddset(&wait, SIGHUP);
    sigprocmask(SIG_BLOCK, &wait, &before);
    const int code = files->state_out ? publish_both(files, weights, optimizer)
                                      : cli_weights_write(weights, files->out);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return code;
}
