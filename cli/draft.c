#include "cli/draft.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "cli/output.h"

/* Another run may write to the same place at the same time, so the name holds the
 * process. */
static char *beside(const char *path)
{
    const char *slash = strrchr(path, '/');
    const int folder = slash ? (int)(slash - path) + 1 : 0;
    const size_t room = strlen(path) + 40;
    char *text = malloc(room);
    if (text)
        snprintf(text, room, "%.*s.%s.%ld.part", folder, path, path + folder, (long)getpid());
    return text;
}

/* Is `name` the draft of `base` by a process that is no more? */
static int is_left(const char *name, const char *base)
{
    char *end;
    const size_t length = strlen(base);
    if (*name != '.' || strncmp(name + 1, base, length) != 0 || name[1 + length] != '.') return 0;
    const char *number = name + length + 2;
    if (*number < '1' || *number > '9') return 0;
    errno = 0;
    const long process = strtol(number, &end, 10);
    if (errno || strcmp(end, ".part") != 0 || process > INT_MAX) return 0;
    return kill((pid_t)process, 0) && errno == ESRCH;
}

/* Whoever writes a draft has it locked: the process may live on another host. */
static void remove_left(int folder, const char *name)
{
    const int file = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) return;
    if (!flock(file, LOCK_EX | LOCK_NB)) unlinkat(folder, name, 0);
    close(file);
}

/* Remove what killed runs have left beside `path`. */
static void sweep(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    DIR *open = folder ? opendir(folder) : NULL;
    for (const struct dirent *entry; open && (entry = readdir(open)) != NULL;)
        if (is_left(entry->d_name, slash ? slash + 1 : path))
            remove_left(dirfd(open), entry->d_name);
    if (open) closedir(open);
    free(folder);
}

int cli_draft_open(cli_draft *draft, const char *folder, const char *name)
{
    *draft = (cli_draft){ 0 };
    const size_t room = (folder ? strlen(folder) : 0) + strlen(name) + 2;
    draft->path = malloc(room);
    if (!draft->path) return cli_no_memory();
    snprintf(draft->path, room, "%s%s%s", folder ? folder : "", folder ? "/" : "", name);
    draft->temporary = beside(draft->path);
    if (!draft->temporary) return cli_no_memory();
    sweep(draft->path);
    unlink(draft->temporary);
    const int file = open(draft->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0) {
        const int code = cli_fail_create(draft->path, errno);
        free(draft->temporary);
        draft->temporary = NULL;
        return code;
    }
    flock(file, LOCK_EX | LOCK_NB);
    draft->file = fdopen(file, "wb");
    if (draft->file) return CLI_OK;
    close(file);
    return cli_no_memory();
}

int cli_draft_close(cli_draft *draft)
{
    errno = 0;
    int lost = ferror(draft->file) || fflush(draft->file);
    /* Some file systems cannot sync, which is no loss. */
    if (!lost && fsync(fileno(draft->file)) && errno != EINVAL && errno != ENOSYS) lost = 1;
    const int problem = errno;
    if (fclose(draft->file)) lost = 1;
    draft->file = NULL;
    if (!lost) return CLI_OK;
    return cli_fail(CLI_IO, "cannot write '%.200s': %s", draft->path,
                    problem ? strerror(problem) : "writing broke off; is the disk full?");
}

int cli_draft_commit(cli_draft *draft)
{
    if (rename(draft->temporary, draft->path)) return cli_fail_create(draft->path, errno);
    free(draft->temporary);
    draft->temporary = NULL;
    return CLI_OK;
}

void cli_draft_discard(cli_draft *draft)
{
    if (draft->file) fclose(draft->file);
    if (draft->temporary) unlink(draft->temporary);
    free(draft->temporary);
    free(draft->path);
    *draft = (cli_draft){ 0 };
}
