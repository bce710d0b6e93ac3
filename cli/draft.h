/* draft.h - output files that appear whole or not at all: written beside their
 * place under a name of their own, then renamed. */
#ifndef CLI_DRAFT_H
#define CLI_DRAFT_H

#include <stdio.h>

typedef struct {
    char *path, *temporary;
    FILE *file; /* NULL once it is closed */
} cli_draft;

/* Functions return the exit code and have told why. A draft that is all zero may
 * be discarded. `folder` may be NULL: then `name` is the whole path. */
int cli_draft_open(cli_draft *draft, const char *folder, const char *name);

/* Every byte is on the disk after this, still under the temporary name. */
int cli_draft_close(cli_draft *draft);

/* Put it in its place, over what was there. */
int cli_draft_commit(cli_draft *draft);

/* Remove what was not committed, and free the rest. */
void cli_draft_discard(cli_draft *draft);

#endif
