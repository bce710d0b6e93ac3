#include "lab/ranks.h"

#include <stdlib.h>
#include <string.h>

#include "lab/problem.h"

static eden_status no_memory(eden_error *error)
{
    return lab_fail(error, EDEN_E_MEMORY, "no memory for what the ranks have to say");
}

eden_status lab_ranks_share(const lab_ranks *r, void *bytes, size_t count, eden_error *error)
{
    if (!r) return EDEN_OK;
    char *all = malloc(r->ranks * count);
    if (!all) return no_memory(error);
    const eden_status status = r->gather(bytes, all, count, error);
    if (!status) memcpy(bytes, all, count);
    free(all);
    return status;
}

/* The sentences travel only if there are any. */
eden_status lab_ranks_agree(const lab_ranks *r, eden_status mine, eden_error *error)
{
    eden_error unheard = { 0, "" };
    eden_error *own = error ? error : &unheard;
    if (!r) return mine;
    uint32_t status = (uint32_t)mine, first = 0;
    uint32_t *each = malloc(r->ranks * sizeof *each);
    eden_error *said = malloc(r->ranks * sizeof *said);
    eden_status failed = each && said ? r->gather(&status, each, sizeof status, own) : no_memory(own);
    while (!failed && first < r->ranks && !each[first]) first++;
    if (!failed && first < r->ranks) {
        eden_error sentence = *own;
        failed = r->gather(&sentence, said, sizeof sentence, own);
        if (!failed) {
            failed = (eden_status)each[first];
            if (first) lab_fail(own, failed, "rank %lu: %.480s", (unsigned long)first, said[first].text);
            else lab_fail(own, failed, "%s", said[0].text);
        }
    }
    free(each);
    free(said);
    return failed;
}
