/* durable.c - a file that appears under its name whole or not at all. */
#define _XOPEN_SOURCE 700 /* realpath() */
#define _FILE_OFFSET_BITS 64

#include "checkpoint/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
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

/* ---- the file beside it ----------------------------------------------------------
 * Its name follows from the target's, so that the next writer finds what a killed one
 * has left. A living writer holds a lock on it, which dies with the process; on file
 * systems without locks nobody gets one, and nothing is ever taken for left over. */

#define TEMPS 10000 /* writers of one target at a time */
#define SWEPT 4     /* names looked at for leftovers   */

static void temp_name(const eden_durable *d, char name[48], unsigned n)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char *at = d->base; *at; at++) hash = (hash ^ (unsigned char)*at) * 0x100000001b3u;
    snprintf(name, 48, ".eden-tmp.%016llx.%u", (unsigned long long)hash, n);
}

/* The second name of the older file, on its way to be BASE.old. */
static void link_name(const char *temp, char name[48])
{
    snprintf(name, 48, "%.43s.old", temp);
}

static int is_named(const eden_durable *d, int fd, const char *name)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && fstatat(d->folder, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(a.st_mode) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* Remove what dead writers of this target have left. */
static void sweep(const eden_durable *d)
{
    char name[sizeof d->temp], older[sizeof d->temp];
    struct stat s;
    for (unsigned n = 0; n < SWEPT; n++) {
        temp_name(d, name, n);
        if (fstatat(d->folder, name, &s, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(s.st_mode)) continue;
        const int fd = openat(d->folder, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0) continue;
        /* Once it is locked nobody else renames or removes it. */
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 && is_named(d, fd, name)) {
            link_name(name, older);
            unlinkat(d->folder, older, 0);
            unlinkat(d->folder, name, 0);
        }
        close(fd);
    }
}

/* Lock the file just made. 0 if someone who sweeps was quicker, and it is going away. */
static int lock_temp(const eden_durable *d, const char *name)
{
    if (flock(d->fd, LOCK_EX | LOCK_NB) != 0) return errno != EWOULDBLOCK;
    return is_named(d, d->fd, name);
}

static eden_status open_temp(eden_durable *d, eden_error *error)
{
    char name[sizeof d->temp];
    sweep(d);
    for (unsigned n = 0; n < TEMPS && d->fd < 0; n++) {
        temp_name(d, name, n);
        do d->fd = openat(d->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        while (d->fd < 0 && errno == EINTR);
        if (d->fd < 0 && errno != EEXIST) break;
        if (d->fd >= 0 && !lock_temp(d, name)) {
            close(d->fd);
            d->fd = -1;
        }
    }
    if (d->fd < 0) return eden_io_fail(error, d->path, "cannot create a file beside it", errno);
    memcpy(d->temp, name, sizeof name);
    d->lock = fcntl(d->fd, F_DUPFD_CLOEXEC, 0); /* outlives the close before the rename */
    if (d->lock < 0) return eden_io_fail(error, d->path, "cannot create a file beside it", errno);
    return EDEN_OK;
}

eden_status eden_durable_begin(eden_durable *d, const char *path, eden_error *error)
{
    char *real = NULL;
    *d = (eden_durable){ path, NULL, -1, -1, -1, "" };
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
    char second[sizeof d->temp];
    const size_t room = strlen(d->base) + sizeof ".old";
    link_name(d->temp, second);
    int result = linkat(d->folder, d->base, d->folder, second, 0);
    if (result != 0 && errno == EEXIST && unlinkat(d->folder, second, 0) == 0)
        result = linkat(d->folder, d->base, d->folder, second, 0);
    if (result != 0) {
        /* No file yet, or a file system without links: there is nothing to keep. */
        const int e = errno;
        return e == ENOENT || e == EPERM || e == ENOTSUP || e == EOPNOTSUPP || e == EMLINK || e == ENOSYS
                   ? 0 : -1;
    }
    char *older = malloc(room);
    if (older) {
        snprintf(older, room, "%s.old", d->base);
        result = renameat(d->folder, second, d->folder, older);
        free(older);
    } else {
        result = -1;
        errno = ENOMEM;
    }
    /* Between two names of one file, rename() does nothing and the first remains. */
    const int code = errno;
    unlinkat(d->folder, second, 0);
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
    if (d->lock >= 0) close(d->lock);
    if (d->folder >= 0) close(d->folder);
    free(d->base);
}
