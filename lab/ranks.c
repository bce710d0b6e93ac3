#include "lab/ranks.h"

#include <stdio.h>
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

/* ---- alike? ------------------------------------------------------------------------------ */

typedef struct {
    uint64_t hash;
    char text[300];
} heard;
_Static_assert(sizeof(heard) <= LAB_RANKS_WORD, "a text has to fit");

static uint64_t hash_text(uint64_t hash, const char *text)
{
    do hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    while (*text++);
    return hash;
}

/* The first rank that says something else than rank 0; 0 if none does. */
static eden_status find_other(const lab_ranks *r, const heard *mine, uint32_t *other, eden_error *error)
{
    const heard *all = r->room;
    const eden_status status = r->gather(mine, r->room, sizeof *mine, error);
    *other = 0;
    for (uint32_t k = 1; !status && !*other && k < r->ranks; k++)
        if (all[k].hash != all[0].hash) *other = k;
    return status;
}

/* All at once first, and one by one only where they are not alike. */
eden_status lab_ranks_compare(const lab_ranks *r, const lab_alike *things, size_t count, eden_error *error)
{
    heard mine = { 1469598103934665603u, "" };
    uint32_t other = 0;
    if (!r) return EDEN_OK;
    for (size_t i = 0; i < count; i++) mine.hash = hash_text(mine.hash, things[i].text);
    eden_status status = find_other(r, &mine, &other, error);
    for (size_t i = 0, differ = other; !status && differ && i < count; i++) {
        mine.hash = hash_text(1469598103934665603u, things[i].text);
        snprintf(mine.text, sizeof mine.text, "%s", things[i].text);
        status = find_other(r, &mine, &other, error);
        if (status || !other) continue;
        const heard *all = r->room;
        return lab_fail(error, EDEN_E_MISMATCH, "the ranks differ: rank %lu has %s %.160s, and rank 0 has %s %.160s; all "
                        "need the same data, options and checkpoint", (unsigned long)other, things[i].name,
                        all[other].text, things[i].name, all[0].text);
    }
    return status;
}

/* ---- together ---------------------------------------------------------------------------- */

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
