#include "cli/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/place.h"

/* The lock of a place, which is not to be made. */
static char *lock_path(const char *place)
{
    const size_t room = strlen(place) + sizeof ".lock";
    char *path = malloc(room);
    if (path) snprintf(path, room, "%s.lock", place);
    return path;
}

/* The one who holds the lock removes the file, so the name may be another's by now. */
static int is_named(int file, const char *path)
{
    struct stat a, b;
    return !fstat(file, &a) && !stat(path, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int refuse(const cli_lock_file *lock, const char *target)
{
    char owner[100] = "";
    const ssize_t length = pread(lock->file, owner, sizeof owner - 1, 0);
    owner[length > 0 ? length : 0] = '\0';
    owner[strcspn(owner, "\n")] = '\0';
    return cli_fail(CLI_BUSY, "'%.200s' is being written by %s; wait for it, or choose another file",
                    target, *owner ? owner : "another run");
}

/* For people; the lock itself is the kernel's. Through a descriptor of its own, since one
 * that stays open for writing would keep the file system from becoming read-only. */
static void sign(const char *path)
{
    char host[65] = "", text[120];
    gethostname(host, sizeof host - 1);
    const int length = snprintf(text, sizeof text, "process %ld on %s\n", (long)getpid(), host);
    const int file = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0) return;
    const ssize_t written = write(file, text, (size_t)length);
    (void)written; /* unsigned, as on a full disk, it is still a lock */
    close(file);
}

static int take(cli_lock_file *lock, const char *place, const char *target)
{
    int code = CLI_OK, taken = 0;
    *lock = (cli_lock_file){ lock_path(place), -1 };
    if (!lock->path) return cli_no_memory();
    while (!code && !taken) {
        lock->file = open(lock->path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
        if (lock->file < 0) {
            code = cli_fail_create(target, errno);
        } else if (!flock(lock->file, LOCK_EX | LOCK_NB)) {
            taken = is_named(lock->file, lock->path);
        } else if (errno == EWOULDBLOCK) {
            code = refuse(lock, target);
        } else {
            taken = 1; /* without */
        }
        if (!taken && lock->file >= 0) close(lock->file);
    }
    if (taken) {
        cli_interrupt_remove(lock->path);
        sign(lock->path);
        return CLI_OK;
    }
    free(lock->path);
    *lock = (cli_lock_file){ NULL, -1 };
    return code;
}

static void release(cli_lock_file *lock)
{
    if (!lock->path) return;
    cli_interrupt_keep(lock->path);
    unlink(lock->path);
    close(lock->file);
    free(lock->path);
    *lock = (cli_lock_file){ NULL, -1 };
}

/* One file has one lock, whichever link names it. */
int cli_lock_take(cli_lock *lock, const char *target)
{
    char *place = cli_place(target);
    *lock = (cli_lock){ { NULL, -1 }, { NULL, -1 } };
    if (!place) return cli_no_memory();
    int code = take(&lock->own, place, target);
    char *newer = NULL;
    const int older = !code && cli_place_newer(place, &newer);
    if (older) code = newer ? take(&lock->newer, newer, target) : cli_no_memory();
    free(newer);
    free(place);
    if (code) cli_lock_release(lock);
    return code;
}

void cli_lock_release(cli_lock *lock)
{
    release(&lock->newer);
    release(&lock->own);
}
