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
    const size_t room = strlen(slash ? slash + 1 : real) + sizeof ".old";
    d->base = eden_copy_text(slash ? slash + 1 : real);
    d->older = malloc(room);
    if (d->older && d->base) snprintf(d->older, room, "%s.old", d->base);
    if (!d->base || !d->older) return eden_io_fail(error, d->path, "cannot write it", ENOMEM);
    if (!*d->base) return refuse(d, "cannot write it: it names a folder", error);
    if (slash) *slash = 0;
    do d->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (d->folder < 0 && errno == EINTR);
    if (d->folder < 0) return eden_io_fail(error, d->path, "cannot open its folder", errno);
    return EDEN_OK;
}

/* ---- the file beside it -------------------------------------------------------------
 * Its name follows from the target's, and who writes it holds a lock on it. So what a
 * killed process left is known by having no lock, and the next save takes its place. */

#define SLOTS 1000u /* that many may write to one place at a time */

static void temp_name(const eden_durable *d, char name[48], unsigned n)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a: a name of any length in 16 digits */
    for (const char *s = d->base; *s; s++) hash = (hash ^ (unsigned char)*s) * 1099511628211u;
    snprintf(name, 48, ".eden-tmp.%016llx.%u", (unsigned long long)hash, n);
}

static int open_beside(int folder, const char *name, int flags)
{
    int fd;
    do fd = openat(folder, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC | flags, 0666);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* Lock an open file: 1 if it is ours and still has the name, 0 if it is another's, -1
 * if that cannot be known, as where there are no locks. */
static int hold(int folder, const char *name, int fd)
{
    struct stat mine, named;
    int result;
    do result = flock(fd, LOCK_EX | LOCK_NB);
    while (result != 0 && errno == EINTR);
    if (result != 0) return errno == EWOULDBLOCK ? 0 : -1;
    if (fstat(fd, &mine) != 0) return -1;
    if (fstatat(folder, name, &named, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? 0 : -1;
    return mine.st_dev == named.st_dev && mine.st_ino == named.st_ino;
}

/* Remove the file that has a name if nobody holds it. */
static void remove_stale(int folder, const char *name)
{
    const int fd = open_beside(folder, name, O_NONBLOCK);
    if (fd < 0) return;
    if (hold(folder, name, fd) == 1) unlinkat(folder, name, 0);
    close(fd);
}

/* A new file; EEXIST also if another took it for a stale one before it was locked. */
static int create(int folder, const char *name)
{
    const int fd = open_beside(folder, name, O_CREAT | O_EXCL);
    if (fd < 0 || hold(folder, name, fd) != 0) return fd;
    close(fd);
    errno = EEXIST;
    return -1;
}

static eden_status open_temp(eden_durable *d, eden_error *error)
{
    char name[sizeof d->temp];
    for (unsigned n = 0; n < SLOTS && d->fd < 0; n++) {
        temp_name(d, name, n);
        d->fd = create(d->folder, name);
        if (d->fd < 0 && errno == EEXIST) {
            remove_stale(d->folder, name);
            d->fd = create(d->folder, name);
        }
        if (d->fd < 0 && errno != EEXIST) break;
    }
    if (d->fd < 0) return eden_io_fail(error, d->path, "cannot create a file beside it", errno);
    memcpy(d->temp, name, sizeof name);
    /* Whoever holds the file has its second name as well. */
    snprintf(d->second, sizeof d->second, "%s.old", d->temp);
    unlinkat(d->folder, d->second, 0);
    return EDEN_OK;
}

eden_status eden_durable_begin(eden_durable *d, const char *path, eden_error *error)
{
    char *real = NULL;
    *d = (eden_durable){ path, NULL, NULL, -1, -1, -1, "", "" };
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

/* Give the file that has the name now a second one, under which it stays when the name
 * goes to the new file. Returns 0, or why not. */
static int link_older(const eden_durable *d)
{
    struct stat s;
    if (linkat(d->folder, d->base, d->folder, d->second, 0) == 0)
        return fstatat(d->folder, d->older, &s, AT_SYMLINK_NOFOLLOW) && errno == ENAMETOOLONG ? errno : 0;
    switch (errno) {
    /* No file yet, or a file system without links: there is nothing to keep. */
    case ENOENT: case EPERM: case EMLINK: case ENOSYS: case ENOTSUP: return 0;
    default: return errno;
    }
}

/* The file before the last is given up only here, when the new one is on the disk. */
static int keep_older(const eden_durable *d)
{
    const int failed = renameat(d->folder, d->second, d->folder, d->older) != 0 && errno != ENOENT;
    const int code = errno;
    /* Between two names of one file, rename() does nothing and the first remains. */
    unlinkat(d->folder, d->second, 0);
    return failed ? code : 0;
}

/* Force the folder to the disk. Some file systems have nothing to force, and say so. */
static int sync_folder(const eden_durable *d)
{
    return sync_file(d->folder) != 0 && errno != EINVAL && errno != ENOTSUP ? errno : 0;
}

static eden_status replace(eden_durable *d, uint32_t older, eden_error *error)
{
    int code = older ? link_older(d) : 0;
    if (code) return eden_io_fail(error, d->path, "cannot keep the older file as .old", code);
    if (renameat(d->folder, d->temp, d->folder, d->base) != 0)
        return eden_io_fail(error, d->path, "cannot replace it", errno);
    d->temp[0] = 0;
    int unsure = sync_folder(d);
    code = older ? keep_older(d) : 0;
    if (older && !unsure) unsure = sync_folder(d);
    if (unsure)
        return eden_io_fail(error, d->path,
                            "the new file is in place, but a power failure may still undo it", unsure);
    if (code)
        return eden_io_fail(error, d->path,
                            "the new file is in place, but the older one was not kept as .old", code);
    return EDEN_OK;
}

eden_status eden_durable_commit(eden_durable *d, uint32_t older, eden_error *error)
{
    /* After an error the system may call the lost pages clean, so a second fsync() that
     * succeeds would mean nothing: the file is given up. */
    if (sync_file(d->fd) != 0) return eden_io_fail(error, d->path, "cannot force it to the disk", errno);
    /* The lock is to last until the file has its name. */
    d->lock = fcntl(d->fd, F_DUPFD_CLOEXEC, 0);
    const int closed = close(d->fd), code = errno;
    d->fd = -1;
    if (closed != 0 && code != EINTR) return eden_io_fail(error, d->path, "cannot close it", code);
    return replace(d, older, error);
}

void eden_durable_end(eden_durable *d)
{
    if (d->temp[0]) {
        unlinkat(d->folder, d->temp, 0);
        unlinkat(d->folder, d->second, 0);
    }
    if (d->fd >= 0) close(d->fd);
    if (d->lock >= 0) close(d->lock);
    if (d->folder >= 0) close(d->folder);
    free(d->base);
    free(d->older);
}
