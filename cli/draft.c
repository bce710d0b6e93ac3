#include "cli/draft.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/output.h"

/* Another run may write to the same place at the same time, so the name holds the
 * process; a file left by a killed one is taken over. */
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

int cli_draft_open(cli_draft *draft, const char *folder, const char *name)
{
    *draft = (cli_draft){ 0 };
    const size_t room = (folder ? strlen(folder) : 0) + strlen(name) + 2;
    draft->path = malloc(room);
    if (!draft->path) return cli_no_memory();
    snprintf(draft->path, room, "%s%s%s", folder ? folder : "", folder ? "/" : "", name);
    draft->temporary = beside(draft->path);
    if (!draft->temporary) return cli_no_memory();
    unlink(draft->temporary);
    const int file = open(draft->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0) {
        const int code = cli_fail_create(draft->path, errno);
        free(draft->temporary);
        draft->temporary = NULL;
        return code;
    }
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
