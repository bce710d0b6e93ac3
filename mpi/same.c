/* same.c - cards that ranks show each other, and have to be the same. */
#include "world.h"

#include <eden/safetensors.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *eden_mpi_list_others(const void *cards, uint32_t ranks, char text[100])
{
    enum { NAMED = 6 };
    const char *card = cards;
    uint32_t others = 0, last = 0;
    size_t used = 0;
    for (uint32_t r = 1; r < ranks; r++)
        if (memcmp(card, card + (size_t)r * CARD, CARD) != 0) others++, last = r;
    if (others > NAMED) snprintf(text, 100, "%u of %u ranks have", others, ranks);
    if (others == 1) snprintf(text, 100, "rank %u has", last);
    for (uint32_t r = 1, n = 0; r < ranks && others > 1 && others <= NAMED; r++) {
        if (memcmp(card, card + (size_t)r * CARD, CARD) == 0) continue;
        used += (size_t)snprintf(text + used, 100 - used, "%s%" PRIu32 "%s", n == 0 ? "ranks " : r == last ? " and " : ", ",
                                 r, r == last ? " have" : "");
        n++;
    }
    return text;
}

/* The first rank whose card is not rank 0's; `ranks` if there is none. */
static uint32_t first_other(const void *cards, uint32_t ranks)
{
    const char *card = cards;
    uint32_t r = 1;
    while (r < ranks && memcmp(card, card + (size_t)r * CARD, CARD) == 0) r++;
    return r;
}

/* ---- programs -------------------------------------------------------------------------------- */

#define ORDER UINT64_C(0x0102030405060708)

eden_status eden_mpi_same_builds(const build *builds, uint32_t ranks, eden_error *error)
{
    char others[100];
    const uint32_t other = first_other(builds, ranks);
    if (other >= ranks) return EDEN_OK;
    eden_mpi_list_others(builds, ranks, others);
    if (builds[0].order != builds[other].order)
        return eden_mpi_fail(error, EDEN_E_MISMATCH, "the ranks differ: %s another order of bytes than rank 0; "
                             "ranks exchange numbers as they lie in memory, so run all on like processors", others);
    return eden_mpi_fail(error, EDEN_E_MISMATCH, "the ranks differ: rank 0 is of Eden %.40s, and %s another, rank %u "
                         "%.40s; start the same program on all", builds[0].version, others, other,
                         builds[other].version);
}

eden_status eden_mpi_compare_builds(world *w, eden_error *error)
{
    build mine = { .order = ORDER };
    snprintf(mine.version, sizeof mine.version, "%s", eden_version());
    const eden_status status = eden_mpi_show(w, &mine, error);
    return status ? status : eden_mpi_same_builds((const build *)(const void *)w->cards, w->backend.ranks, error);
}

/* ---- tensors --------------------------------------------------------------------------------- */

#define FIRST_HASH UINT64_C(0xcbf29ce484222325)

static uint64_t hash_text(uint64_t hash, const char *text)
{
    do hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    while (*text++);
    return hash;
}

typedef struct { uint64_t hash, count; char zeros[CARD - 2 * sizeof(uint64_t)]; } model;

eden_status eden_mpi_same_tensors(world *w, eden_error *error)
{
    model mine = { .hash = FIRST_HASH, .count = eden_tensor_count(w->optimizer) };
    char others[100];
    for (size_t i = 0; i < mine.count; i++) {
        eden_tensor t;
        const uint64_t count = eden_backend_tensor(w->optimizer, i, &t);
        const uint64_t widths = width_of(t.dtype) + (t.copy ? 16 * width_of(t.copy_dtype) : 0);
        mine.hash = hash_text(mine.hash, eden_tensor_name(w->optimizer, i));
        mine.hash = ((mine.hash ^ count) * 0x9e3779b97f4a7c15u ^ widths) * 0x9e3779b97f4a7c15u;
    }
    const eden_status status = eden_mpi_show(w, &mine, error);
    if (status || first_other(w->cards, w->backend.ranks) >= w->backend.ranks) return status;
    return eden_mpi_fail(error, EDEN_E_MISMATCH, "the ranks differ: %s other tensors than rank 0, which has %" PRIu64
                         "; add the same on every rank, in the same order",
                         eden_mpi_list_others(w->cards, w->backend.ranks, others),
                         ((const model *)(const void *)w->cards)->count);
}

/* ---- checkpoints ------------------------------------------------------------------------------ */

/* Of a file, or of the manifest of a folder, whose checksum is of all that the folder's files
 * have. */
typedef struct { uint64_t hash, step, generation; char zeros[CARD - 3 * sizeof(uint64_t)]; } identity;

static uint64_t number_at(const eden_file *file, const char *key)
{
    const char *text = eden_file_value(file, key);
    return text ? strtoull(text, NULL, 10) : 0;
}

static eden_status identify(identity *mine, const char *path, eden_error *error)
{
    struct stat about;
    char manifest[4096];
    eden_file *file = NULL;
    const char *key, *sum;
    if (!path) return eden_mpi_fail(error, EDEN_E_ARGUMENT, "eden_mpi_load: the path is NULL");
    if (stat(path, &about) == 0 && S_ISDIR(about.st_mode)) {
        if ((size_t)snprintf(manifest, sizeof manifest, "%s/manifest.safetensors", path) >= sizeof manifest)
            return eden_mpi_fail(error, EDEN_E_NAME, "eden_mpi_load: the folder's name is too long");
        path = manifest;
    }
    const eden_status status = eden_file_open(&file, path, error);
    if (status) return status;
    mine->hash = FIRST_HASH;
    for (size_t i = 0; (key = eden_file_key(file, i)); i++)
        mine->hash = hash_text(hash_text(mine->hash, key), eden_file_value(file, key));
    if ((sum = eden_file_value(file, "eden.sum"))) mine->hash = hash_text(mine->hash, sum);
    mine->step = number_at(file, "eden.steps");
    mine->generation = number_at(file, "eden.sharded.generation");
    eden_file_close(file);
    return EDEN_OK;
}

static const char *describe(const identity *it, char text[120])
{
    size_t used = (size_t)snprintf(text, 120, "step %" PRIu64, it->step);
    if (it->generation) used += (size_t)snprintf(text + used, 120 - used, " in generation %" PRIu64, it->generation);
    snprintf(text + used, 120 - used, " (%08" PRIx64 ")", it->hash >> 32);
    return text;
}

eden_status eden_mpi_same_checkpoint(world *w, const char *path, eden_error *error)
{
    identity mine = { 0 };
    char others[100], first[120], second[120];
    eden_status status = eden_mpi_all(w, identify(&mine, path, error), error);
    if (!status) status = eden_mpi_show(w, &mine, error);
    if (status) return status;
    const identity *all = (const identity *)(const void *)w->cards;
    const uint32_t other = first_other(all, w->backend.ranks);
    if (other >= w->backend.ranks) return EDEN_OK;
    eden_mpi_list_others(all, w->backend.ranks, others);
    return eden_mpi_fail(error, EDEN_E_MISMATCH, "the ranks load different checkpoints: rank 0 has that of %s, and %s "
                         "another, rank %u that of %s; give all ranks the same file or folder", describe(all, first),
                         others, other, describe(all + other, second));
}
