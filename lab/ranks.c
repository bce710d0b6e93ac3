#include "lab/ranks.h"

#include <string.h>

#include "lab/problem.h"

_Static_assert(sizeof(eden_error) <= LAB_RANKS_WORD, "a sentence has to fit");

eden_status lab_ranks_gather(const lab_ranks *r, const void *mine, void *all, size_t bytes, eden_error *error)
{
    eden_status status = EDEN_OK;
    for (size_t at = 0; at < bytes && !status; at += LAB_RANKS_WORD) {
        const size_t n = bytes - at < LAB_RANKS_WORD ? bytes - at : LAB_RANKS_WORD;
        const char *room = r->room;
        status = r->gather((const char *)mine + at, r->room, n, error);
        for (uint32_t k = 0; all && !status && k < r->ranks; k++)
            memcpy((char *)all + k * bytes + at, room + k * n, n);
    }
    if (status || all) return status;
    return lab_fail(error, EDEN_E_MEMORY, "no memory for what the ranks have to say");
}

eden_status lab_ranks_share(const lab_ranks *r, void *bytes, size_t count, eden_error *error)
{
    eden_status status = EDEN_OK;
    for (size_t at = 0; r && at < count && !status; at += LAB_RANKS_WORD) {
        const size_t n = count - at < LAB_RANKS_WORD ? count - at : LAB_RANKS_WORD;
        status = r->gather((char *)bytes + at, r->room, n, error);
        if (!status) memcpy((char *)bytes + at, r->room, n);
    }
    return status;
}

/* The sentences travel only if there are any. */
eden_status lab_ranks_agree(const lab_ranks *r, eden_status mine, eden_error *error)
{
    eden_error unheard = { 0, "" };
    eden_error *own = error ? error : &unheard;
    if (!r) return mine;
    const uint32_t status = (uint32_t)mine, *each = r->room;
    uint32_t first = 0;
    eden_status failed = r->gather(&status, r->room, sizeof status, own);
    while (!failed && first < r->ranks && !each[first]) first++;
    if (failed || first == r->ranks) return failed;
    const eden_status theirs = (eden_status)each[first];
    const eden_error sentence = *own, *said = r->room;
    failed = r->gather(&sentence, r->room, sizeof sentence, own);
    if (failed) return failed;
    if (first) return lab_fail(own, theirs, "rank %lu: %.480s", (unsigned long)first, said[first].text);
    return lab_fail(own, theirs, "%s", said[0].text);
}
