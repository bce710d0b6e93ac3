/* measured.c - what the page of evidence found, as the build takes it from there. */
#include <string.h>

#include "lab/claims.h"

static const lab_measured all[] = {
#include "lab/measured.inc"
    { NULL, NULL, NULL, 0 },
};

const lab_measured *lab_measured_find(const char *id)
{
    for (size_t i = 0; all[i].id; i++)
        if (!strcmp(all[i].id, id)) return &all[i];
    return NULL;
}
