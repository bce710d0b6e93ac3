/* lock.h - one run at a time writes to a file. */
#ifndef CLI_LOCK_H
#define CLI_LOCK_H

/* All zero: nothing is locked. */
typedef struct {
    char *path; /* of the lock, which names process and host for people */
    int file;
} cli_lock_file;

typedef struct {
    cli_lock_file own, newer; /* of the target; of X if that is X.old */
} cli_lock;

/* Lock `target`, which need not exist, through a file beside it, TARGET.lock; if it is
 * called X.old, X.lock as well, since whoever saves to X writes it too. The lock
 * ends with the process, however that ends: a TARGET.lock that a killed one has left
 * locks nothing. Where the file system cannot lock, this succeeds without. Returns
 * CLI_BUSY if another process has it; the reason has been told. */
int cli_lock_take(cli_lock *lock, const char *target);
void cli_lock_release(cli_lock *lock);

#endif
