/* step_publish.c - outputs of `eden step` that appear together, each with the one before it
 * as PATH.old. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/output.h"
#include "cli/place.h"
#include "cli/step.h"

/* One output. It is written under a name of its own beside its place; the file that is
 * replaced gets a second one there until it is PATH.old. Both names follow from the
 * target's, so that the next step to it, which has the lock, clears up after a killed one. */
typedef struct {
    const char *path;           /* as the user says it                        */
    char *folder, *place, *stage, *second, *older;
    int replaced;
} target;

static char *named(const char *folder, const char *base, const char *ending)
{
    const size_t room = strlen(folder) + strlen(base) + 64;
    char *name = malloc(room);
    uint64_t hash = 14695981039346656037u; /* FNV-1a: a name of any length in 16 digits */
    for (const char *s = base; *s; s++) hash = (hash ^ (unsigned char)*s) * 1099511628211u;
    if (name) snprintf(name, room, "%s.eden-step.%016llx%s", folder, (unsigned long long)hash, ending);
    return name;
}

/* What a killed step left: a new file that has not taken its place, and the one before,
 * which is PATH.old if its place has been taken. */
static void take_up(const target *t)
{
    struct stat second, now;
    const int left = !lstat(t->second, &second), there = !stat(t->place, &now);
    if (left && there && (second.st_dev != now.st_dev || second.st_ino != now.st_ino))
        rename(t->second, t->older);
    unlink(t->stage);
    unlink(t->second);
}

static int begin(target *t, const char *path)
{
    *t = (target){ .path = path, .place = cli_place(path) };
    if (!t->place) return cli_no_memory();
    const char *slash = strrchr(t->place, '/');
    const size_t length = slash ? (size_t)(slash - t->place) + 1 : 0;
    t->folder = length ? strndup(t->place, length) : strdup("./");
    if (!t->folder) return cli_no_memory();
    t->stage = named(t->folder, t->place + length, "");
    t->second = named(t->folder, t->place + length, ".old");
    const size_t room = strlen(t->place) + sizeof ".old";
    t->older = malloc(room);
    if (!t->stage || !t->second || !t->older) return cli_no_memory();
    snprintf(t->older, room, "%s.old", t->place);
    take_up(t);
    return CLI_OK;
}

/* The library's sentence, about the file that the user knows. */
static int tell(const target *t, const eden_error *error)
{
    eden_error told = *error;
    const char *at = strstr(error->text, t->stage);
    if (at)
        snprintf(told.text, sizeof told.text, "%.*s%s%s", (int)(at - error->text), error->text, t->path,
                 at + strlen(t->stage));
    return cli_fail_eden(&told, CLI_WRITING);
}

/* ---- in its place --------------------------------------------------------------------- */

static int link_older(const target *t)
{
    struct stat about;
    int reason = 0;
    if (!link(t->place, t->second)) {
        if (lstat(t->older, &about) && errno == ENAMETOOLONG) reason = errno;
    } else {
        switch (errno) {
        /* No file yet, or a file system without links: there is nothing to keep. */
        case ENOENT: case EPERM: case EMLINK: case ENOSYS: case ENOTSUP: break;
        default: reason = errno;
        }
    }
    if (!reason) return CLI_OK;
    return cli_fail(cli_code(reason, CLI_IO), "'%.200s': cannot keep the older file as .old: %s", t->path,
                    strerror(reason));
}

static int replace(target *t)
{
    t->replaced = !rename(t->stage, t->place);
    return t->replaced ? CLI_OK : cli_fail_create(t->path, errno);
}

/* Make new names survive a power cut; some file systems cannot, and say so. */
static int settle(const target *t)
{
    const int handle = open(t->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int lost = handle < 0 || (fsync(handle) && errno != EINVAL && errno != ENOTSUP);
    const int reason = errno;
    if (handle >= 0) close(handle);
    if (!lost) return CLI_OK;
    return cli_fail(cli_code(reason, CLI_IO), "'%.200s': the new file is in place, but a power failure may "
                    "still undo it: %s", t->path, strerror(reason));
}

/* The file before the last is given up only here, when the new one is on the disk. */
static int keep_older(const target *t)
{
    const int failed = rename(t->second, t->older) && errno != ENOENT, reason = errno;
    unlink(t->second); /* it may be another name of PATH.old already */
    if (!failed) return CLI_OK;
    return cli_fail(CLI_IO, "'%.200s': the new file is in place, but the older one was not kept as .old: %s",
                    t->path, strerror(reason));
}

static void end(target *t)
{
    if (!t->replaced && t->stage) unlink(t->stage);
    if (t->second) unlink(t->second);
    free(t->folder);
    free(t->place);
    free(t->stage);
    free(t->second);
    free(t->older);
}

/* All outputs are written whole, and to the disk, before any takes its place, so that a
 * full disk changes none. What remains is a crash between two files: then the state is a
 * step ahead of the weights, and PATH.old of the state is the one that belongs to them. */
static int publish(target *list, size_t count)
{
    int code = CLI_OK, doubt = CLI_OK;
    for (size_t i = 0; !code && i < count; i++) code = link_older(&list[i]);
    for (size_t i = 0; !code && i < count; i++) {
        code = replace(&list[i]);
        if (code) break;
        const int unsure = settle(&list[i]), lost = keep_older(&list[i]);
        if (!doubt) doubt = unsure ? unsure : lost ? lost : settle(&list[i]);
    }
    return code ? code : doubt;
}

static int write_all(const cli_step_files *files, const cli_weights *weights, eden_optimizer *optimizer)
{
    eden_error error;
    target list[2] = { { 0 } };
    size_t count = 0;
    int code = CLI_OK;
    if (files->state_out) {
        target *t = &list[count++];
        code = begin(t, files->state_out);
        if (!code && eden_save(optimizer, t->stage, EDEN_OPTIM, &error)) code = tell(t, &error);
    }
    if (!code) {
        target *t = &list[count++];
        code = begin(t, files->out);
        if (!code && cli_weights_write(weights, t->stage, &error)) code = tell(t, &error);
    }
    if (!code) code = publish(list, count);
    for (size_t i = 0; i < count; i++) end(&list[i]);
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
    const int code = write_all(files, weights, optimizer);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return code;
}
