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
static eden_status resolve(eden_durable *d, char **real, eden_error *error)
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
    d->mode = (int)(s.st_mode & 0777);
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

/* Every save but the first would fail where ".old" makes the name too long. */
static eden_status check_older(const eden_durable *d, eden_error *error)
{
    struct stat s;
    if (!d->keeps || fstatat(d->folder, d->older, &s, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENAMETOOLONG)
        return EDEN_OK;
    return refuse(d, "cannot keep an older file as .old: File name too long; choose a shorter one", error);
}

/* ---- the file beside it -------------------------------------------------------------
 * Its name follows from the target's, and who writes it holds a lock on it. So what a
 * killed process left is known by having no lock, and the next save takes its place. */

#define SLOTS 1000u /* that many may write to one place at a time */
#define GAP   8u    /* so many free ones in a row, and killed writers are looked for no further */

enum { TEMP_ROOM = sizeof ((eden_durable *)0)->temp, SECOND_ROOM = sizeof ((eden_durable *)0)->second };

static void temp_name(const eden_durable *d, char name[TEMP_ROOM], unsigned n)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a: a name of any length in 16 digits */
    for (const char *s = d->base; *s; s++) hash = (hash ^ (unsigned char)*s) * 1099511628211u;
    snprintf(name, TEMP_ROOM, ".eden-tmp.%016llx.%u", (unsigned long long)hash, n);
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

/* Open and lock the file that has a name; -1 if there is none, or another holds it. */
static int take(int folder, const char *name)
{
    const int fd = open_beside(folder, name, O_NONBLOCK);
    if (fd < 0 || hold(folder, name, fd) == 1) return fd;
    close(fd);
    return -1;
}

/* Remove the file that has a name if nobody holds it, and its second name, which belongs
 * to whoever holds it. */
static void remove_stale(int folder, const char *name)
{
    char second[SECOND_ROOM];
    const int fd = take(folder, name);
    if (fd < 0) return;
    snprintf(second, sizeof second, "%s.old", name);
    unlinkat(folder, second, 0);
    unlinkat(folder, name, 0);
    close(fd);
}

/* A second name whose first is gone was left between two renames; but a writer that is
 * there now holds what is the target. */
static void remove_second(const eden_durable *d, const char *second)
{
    const int fd = take(d->folder, d->base);
    if (fd < 0) return;
    unlinkat(d->folder, second, 0);
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

/* Where several wrote, those that were killed have left files that no later one needs the
 * place of. Nothing is removed where locks cannot tell. */
static void sweep(const eden_durable *d)
{
    char name[TEMP_ROOM], second[SECOND_ROOM];
    if (hold(d->folder, d->temp, d->fd) != 1) return;
    for (unsigned n = 0, free_ones = 0; n < SLOTS && free_ones < GAP; n++) {
        temp_name(d, name, n);
        if (strcmp(name, d->temp) == 0) continue;
        snprintf(second, sizeof second, "%s.old", name);
        const int first_is = faccessat(d->folder, name, F_OK, 0) == 0;
        const int second_is = faccessat(d->folder, second, F_OK, 0) == 0;
        if (first_is) remove_stale(d->folder, name);
        else if (second_is) remove_second(d, second);
        free_ones = first_is || second_is ? 0 : free_ones + 1;
    }
}

/* Before anything is written that others are not to read. */
static int keep_mode(const eden_durable *d)
{
    struct stat s;
    if (d->mode < 0) return 0;
    if (fstat(d->fd, &s) != 0) return errno;
    return (int)(s.st_mode & 0777) == d->mode || fchmod(d->fd, (mode_t)d->mode) == 0 ? 0 : errno;
}

static eden_status open_temp(eden_durable *d, eden_error *error)
{
    char name[TEMP_ROOM];
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
    sweep(d);
    const int code = keep_mode(d);
    return code ? eden_io_fail(error, d->path, "cannot give the new file the old one's permissions", code)
                : EDEN_OK;
}

eden_status eden_durable_begin(eden_durable *d, const char *path, uint32_t older, eden_error *error)
{
    char *real = NULL;
    *d = (eden_durable){ .path = path, .keeps = older, .mode = -1, .folder = -1, .fd = -1, .lock = -1 };
    eden_status status = resolve(d, &real, error);
    if (!status) status = open_folder(d, real, error);
    if (!status) status = check_older(d, error);
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

/* Give the file that has the name now a second one, under which it stays when the name
 * goes to the new file. Returns 0, or why not. */
static int link_older(const eden_durable *d)
{
    if (linkat(d->folder, d->base, d->folder, d->second, 0) == 0) return 0;
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
    return fsync(d->folder) != 0 && errno != EINVAL && errno != ENOTSUP ? errno : 0;
}

static eden_status replace(eden_durable *d, eden_error *error)
{
    int code = d->keeps ? link_older(d) : 0;
    if (code) return eden_io_fail(error, d->path, "cannot keep the older file as .old", code);
    if (renameat(d->folder, d->temp, d->folder, d->base) != 0)
        return eden_io_fail(error, d->path, "cannot replace it", errno);
    d->temp[0] = 0;
    int unsure = sync_folder(d);
    code = d->keeps ? keep_older(d) : 0;
    if (d->keeps && !unsure) unsure = sync_folder(d);
    if (unsure)
        return eden_io_fail(error, d->path,
                            "the new file is in place, but a power failure may still undo it", unsure);
    if (code)
        return eden_io_fail(error, d->path,
                            "the new file is in place, but the older one was not kept as .old", code);
    return EDEN_OK;
}

eden_status eden_durable_commit(eden_durable *d, eden_error *error)
{
    /* After an error the system may call the lost pages clean, so a second fsync() that
     * succeeds would mean nothing: the file is given up. So also after a signal, for
     * nobody says what was lost before it came. */
    if (fsync(d->fd) != 0) return eden_io_fail(error, d->path, "cannot force it to the disk", errno);
    /* The lock is to last until the file has its name. */
    d->lock = fcntl(d->fd, F_DUPFD_CLOEXEC, 0);
    const int closed = close(d->fd), code = errno;
    d->fd = -1;
    if (closed != 0 && code != EINTR) return eden_io_fail(error, d->path, "cannot close it", code);
    return replace(d, error);
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
