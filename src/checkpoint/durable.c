/* durable.c - a file that appears under its name whole or not at all. */
#define _XOPEN_SOURCE 700 /* realpath() */
#define _FILE_OFFSET_BITS 64

#include "checkpoint/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "optimizer/text.h"

#define WRITE_MOST ((size_t)1 << 30) /* bytes in one call; systems have limits near 2^31 */

eden_status eden_io_fail(eden_error *error, const char *path, const char *what, int code)
{
    char reason[128] = "";
    if (code == ENOMEM) return eden_fail(error, EDEN_E_MEMORY, "'%s': %s: no memory", path, what);
    if (strerror_r(code, reason, sizeof reason) != 0)
        snprintf(reason, sizeof reason, "system error %d", code);
    return eden_fail(error, EDEN_E_IO, "'%s': %s: %s", path, what, reason);
}

static eden_status refuse(const eden_durable *d, const char *why, eden_error *error)
{
    return eden_fail(error, EDEN_E_IO, "'%s': %s", d->path, why);
}

/* ---- where it goes ---------------------------------------------------------------- */

/* The path with symbolic links followed, so that a link is not replaced by a file. */
static eden_status resolve(const eden_durable *d, char **real, eden_error *error)
{
    struct stat s;
    *real = realpath(d->path, NULL);
    if (!*real) {
        if (errno != ENOENT) return eden_io_fail(error, d->path, "cannot write it", errno);
        if (lstat(d->path, &s) == 0)
            return refuse(d, "cannot write it: it is a symbolic link to nothing", error);
        *real = eden_copy_text(d->path);
        return *real ? EDEN_OK : eden_io_fail(error, d->path, "cannot write it", ENOMEM);
    }
    if (stat(*real, &s) != 0) return eden_io_fail(error, d->path, "cannot look at it", errno);
    if (S_ISDIR(s.st_mode)) return refuse(d, "cannot write it: it is a folder", error);
    if (!S_ISREG(s.st_mode))
        return refuse(d, "cannot write it: it is a device or a pipe, and only files can be replaced",
                      error);
    if (access(*real, W_OK) != 0) return eden_io_fail(error, d->path, "cannot write it", errno);
    return EDEN_OK;
}

static eden_status open_folder(eden_durable *d, char *real, eden_error *error)
{
    char *slash = strrchr(real, '/');
    const char *folder = !slash ? "." : slash == real ? "/" : real;
    d->base = eden_copy_text(slash ? slash + 1 : real);
    if (!d->base) return eden_io_fail(error, d->path, "cannot write it", ENOMEM);
    if (!*d->base) return refuse(d, "cannot write it: it names a folder", error);
    if (slash) *slash = 0;
    do d->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (d->folder < 0 && errno == EINTR);
    if (d->folder < 0) return eden_io_fail(error, d->path, "cannot open its folder", errno);
    return EDEN_OK;
}

/* The next free name for a file beside the target. */
static void temp_name(char name[48], unsigned n)
{
    snprintf(name, 48, ".eden-tmp.%ld.%u", (long)getpid(), n);
}

static eden_status open_temp(eden_durable *d, eden_error *error)
{
    char name[sizeof d->temp];
    for (unsigned n = 0; n < 10000 && d->fd < 0; n++) {
        temp_name(name, n);
        do d->fd = openat(d->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        while (d->fd < 0 && errno == EINTR);
        if (d->fd < 0 && errno != EEXIST) break;
    }
    if (d->fd < 0) return eden_io_fail(error, d->path, "cannot create a file beside it", errno);
    memcpy(d->temp, name, sizeof name);
    return EDEN_OK;
}

eden_status eden_durable_begin(eden_durable *d, const char *path, eden_error *error)
{
    char *real = NULL;
    *d = (eden_durable){ path, NULL, -1, -1, "" };
    eden_status status = resolve(d, &real, error);
    if (!status) status = open_folder(d, real, error);
    if (!status) status = open_temp(d, error);
    free(real);
    return status;
}

/* ---- writing ------------------------------------------------------------------------ */

eden_status eden_durable_write(eden_durable *d, const void *data, size_t bytes, eden_error *error)
{
    const char *at = data;
    while (bytes > 0) {
        const ssize_t n = write(d->fd, at, bytes < WRITE_MOST ? bytes : WRITE_MOST);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return eden_io_fail(error, d->path, "cannot write it", n < 0 ? errno : EIO);
        at += n;
        bytes -= (size_t)n;
    }
    return EDEN_OK;
}

static int sync_file(int fd)
{
    int result;
    do result = fsync(fd);
    while (result != 0 && errno == EINTR);
    return result;
}

/* Give the file that has the name now a second one, BASE.old. The name may hold another
 * file already, which stays until the moment it is replaced. */
static int keep_older(const eden_durable *d)
{
    char link_name[sizeof d->temp];
    const size_t room = strlen(d->base) + sizeof ".old";
    int result = -1;
    for (unsigned n = 1; n < 10000 && result != 0; n++) {
        temp_name(link_name, n);
        result = linkat(d->folder, d->base, d->folder, link_name, 0);
        if (result != 0 && errno != EEXIST) break;
    }
    if (result != 0) {
        /* No file yet, or a file system without links: there is nothing to keep. */
        const int e = errno;
        return e == ENOENT || e == EPERM || e == ENOTSUP || e == EOPNOTSUPP || e == EMLINK || e == ENOSYS
                   ? 0 : -1;
    }
    char *older = malloc(room);
    if (older) {
        snprintf(older, room, "%s.old", d->base);
        result = renameat(d->folder, link_name, d->folder, older);
        free(older);
    } else {
        result = -1;
        errno = ENOMEM;
    }
    /* Between two names of one file, rename() does nothing and the first remains. */
    const int code = errno;
    unlinkat(d->folder, link_name, 0);
    errno = code;
    return result;
}

eden_status eden_durable_commit(eden_durable *d, uint32_t older, eden_error *error)
{
    /* After an error the system may call the lost pages clean, so a second fsync() that
     * succeeds would mean nothing: the file is given up. */
    if (sync_file(d->fd) != 0) return eden_io_fail(error, d->path, "cannot force it to the disk", errno);
    const int closed = close(d->fd), code = errno;
    d->fd = -1;
    if (closed != 0 && code != EINTR) return eden_io_fail(error, d->path, "cannot close it", code);
    if (older && keep_older(d) != 0)
        return eden_io_fail(error, d->path, "cannot keep the older file as .old", errno);
    if (renameat(d->folder, d->temp, d->folder, d->base) != 0)
        return eden_io_fail(error, d->path, "cannot replace it", errno);
    d->temp[0] = 0;
    /* Some file systems have nothing to force for a folder, and say so. */
    if (sync_file(d->folder) != 0 && errno != EINVAL && errno != ENOTSUP)
        return eden_io_fail(error, d->path,
                            "the new file is in place, but a power failure may still undo it", errno);
    return EDEN_OK;
}

void eden_durable_end(eden_durable *d)
{
    if (d->fd >= 0) close(d->fd);
    if (d->temp[0]) unlinkat(d->folder, d->temp, 0);
    if (d->folder >= 0) close(d->folder);
    free(d->base);
}
