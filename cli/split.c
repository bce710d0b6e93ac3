/* split.c - the way back of `eden merge`: a checkpoint as the folder that many ranks would have
 * saved. src/checkpoint/file.h says what is in it. */
#include <dirent.h>
#include <eden/safetensors.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/merge.h"
#include "lab/problem.h"

#define SHARDED "eden.sharded."
#define GENERATION "generation-"
enum { PATH_ROOM = 4096, SUM_ROOM = 24, PIECE = 16384 };

typedef struct {
    const char *folder;
    eden_file *file;
    uint64_t generation;
    uint32_t ranks;
    char (*sums)[SUM_ROOM];
} splitting;

/* ---- what each rank gets ------------------------------------------------------------------- */

/* Ranks get as many pieces of a tensor as each other, and those that are left over go on to the
 * next ranks, tensor by tensor. */
typedef struct {
    uint64_t count, each, left, next, ranks;
} cutting;

static uint64_t first_of(const cutting *c, uint64_t rank)
{
    const uint64_t end = c->next + c->left, most = rank < end ? rank : end;
    const uint64_t wrapped = end > c->ranks ? end - c->ranks : 0;
    const uint64_t more = (most > c->next ? most - c->next : 0) + (rank < wrapped ? rank : wrapped);
    const uint64_t first = (c->each * rank + more) * PIECE;
    return first < c->count ? first : c->count;
}

static void cut(cutting *c, const eden_file_tensor *t)
{
    c->next = (c->next + c->left) % c->ranks;
    c->count = t->bytes != 0;
    for (uint32_t d = 0; d < t->ndim && c->count; d++) c->count *= t->shape[d];
    const uint64_t pieces = c->count / PIECE + (c->count % PIECE != 0);
    c->each = pieces / c->ranks;
    c->left = pieces % c->ranks;
}

static eden_status add_shards(const splitting *s, uint32_t rank, eden_writer *w, eden_error *error)
{
    cutting c = { .ranks = s->ranks };
    eden_status status = EDEN_OK;
    for (size_t i = 0; i < eden_file_count(s->file) && !status; i++) {
        eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
        status = eden_file_at(s->file, i, &t, error);
        if (status) break;
        cut(&c, &t);
        const uint64_t first = first_of(&c, rank), count = first_of(&c, (uint64_t)rank + 1) - first;
        /* A piece is a whole number of bytes, in whatever dtype. */
        const uint64_t piece = c.count < PIECE ? 0 : t.bytes / c.count * PIECE + t.bytes % c.count * PIECE / c.count;
        if (count) status = eden_writer_from(w, t.name, t.dtype, 1, &count, s->file, i, first / PIECE * piece, error);
    }
    return status;
}

static eden_status write_rank(const splitting *s, uint32_t rank, eden_error *error)
{
    char path[PATH_ROOM];
    eden_writer *w = NULL;
    eden_file *written = NULL;
    snprintf(path, sizeof path, "%s/" GENERATION "%llu/rank-%lu-of-%lu.safetensors", s->folder,
             (unsigned long long)s->generation, (unsigned long)rank, (unsigned long)s->ranks);
    eden_status status = eden_writer_create(&w, error);
    if (!status) status = add_shards(s, rank, w, error);
    if (!status) status = eden_writer_write(w, path, error);
    if (!status) status = eden_file_open(&written, path, error);
    if (!status) snprintf(s->sums[rank], SUM_ROOM, "%s", eden_file_value(written, "eden.sum"));
    eden_file_close(written);
    eden_writer_destroy(w);
    return status;
}

/* ---- the manifest --------------------------------------------------------------------------- */

static eden_status add_number(eden_writer *w, const char *key, uint64_t value, eden_error *error)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    return eden_writer_text(w, key, text, error);
}

/* "F32 4 5" */
static eden_status add_entry(eden_writer *w, const eden_file_tensor *t, eden_error *error)
{
    static const char begins[] = SHARDED "entry.";
    char text[256];
    const size_t room = strlen(t->name) + sizeof begins;
    size_t used = (size_t)snprintf(text, sizeof text, "%.16s", t->dtype);
    char *key = malloc(room);
    if (!key) return lab_fail(error, EDEN_E_MEMORY, "out of memory");
    snprintf(key, room, "%s%s", begins, t->name);
    for (uint32_t d = 0; d < t->ndim; d++)
        used += (size_t)snprintf(text + used, sizeof text - used, " %llu", (unsigned long long)t->shape[d]);
    const eden_status status = eden_writer_text(w, key, text, error);
    free(key);
    return status;
}

static eden_status fill_manifest(const splitting *s, eden_writer *w, eden_error *error)
{
    char key[64];
    const char *own;
    eden_status status = eden_writer_keep(w, 1, error);
    for (size_t i = 0; !status && (own = eden_file_key(s->file, i)); i++)
        status = eden_writer_text(w, own, eden_file_value(s->file, own), error);
    for (size_t i = 0; i < eden_file_count(s->file) && !status; i++) {
        eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
        status = eden_file_at(s->file, i, &t, error);
        if (!status) status = add_entry(w, &t, error);
    }
    if (!status) status = add_number(w, SHARDED "generation", s->generation, error);
    if (!status) status = add_number(w, SHARDED "ranks", s->ranks, error);
    for (uint32_t r = 0; r < s->ranks && !status; r++) {
        snprintf(key, sizeof key, SHARDED "sum.%lu", (unsigned long)r);
        status = eden_writer_text(w, key, s->sums[r], error);
    }
    return status;
}

static eden_status write_manifest(const splitting *s, eden_error *error)
{
    char path[PATH_ROOM];
    eden_writer *w = NULL;
    snprintf(path, sizeof path, "%s/" CLI_MANIFEST, s->folder);
    eden_status status = eden_writer_create(&w, error);
    if (!status) status = fill_manifest(s, w, error);
    if (!status) status = eden_writer_write(w, path, error);
    eden_writer_destroy(w);
    return status;
}

/* ---- the folder ------------------------------------------------------------------------------ */

static eden_status refused(const char *path, const char *what, eden_error *error)
{
    return lab_fail(error, EDEN_E_IO, "'%.200s': %s: %.100s", path, what, strerror(errno));
}

static int generation_of(const char *name, uint64_t *number)
{
    char *end = NULL;
    const size_t before = strlen(GENERATION);
    if (strncmp(name, GENERATION, before) != 0 || name[before] < '1' || name[before] > '9') return 0;
    *number = strtoull(name + before, &end, 10);
    return !*end && *number < UINT64_MAX / 2;
}

/* A generation above all others. */
static eden_status make_folders(splitting *s, eden_error *error)
{
    char path[PATH_ROOM];
    const struct dirent *entry;
    uint64_t number = 0;
    if (mkdir(s->folder, 0777) && errno != EEXIST) return refused(s->folder, "cannot make the folder", error);
    DIR *d = opendir(s->folder);
    if (!d) return refused(s->folder, "cannot list the folder", error);
    s->generation = 1;
    while ((entry = readdir(d)))
        if (generation_of(entry->d_name, &number) && number >= s->generation) s->generation = number + 1;
    closedir(d);
    snprintf(path, sizeof path, "%s/" GENERATION "%llu", s->folder, (unsigned long long)s->generation);
    return mkdir(path, 0777) ? refused(path, "cannot make the folder", error) : EDEN_OK;
}

/* What neither the manifest nor the one before it names, as when ranks save. */
static void remove_others(const splitting *s)
{
    char path[PATH_ROOM];
    const struct dirent *entry;
    uint64_t number = 0, before = 0;
    eden_file *older = NULL;
    snprintf(path, sizeof path, "%s/" CLI_MANIFEST ".old", s->folder);
    const char *text = eden_file_open(&older, path, NULL) ? NULL : eden_file_value(older, SHARDED "generation");
    if (text) before = strtoull(text, NULL, 10);
    eden_file_close(older);
    DIR *d = opendir(s->folder);
    while (d && (entry = readdir(d)))
        if (generation_of(entry->d_name, &number) && number != s->generation && number != before)
            cli_merge_remove_generation(s->folder, entry->d_name);
    if (d) closedir(d);
}

eden_status cli_split_file(eden_file *file, const char *folder, uint32_t ranks, eden_error *error)
{
    splitting s = { folder, file, 0, ranks, calloc(ranks, SUM_ROOM) };
    char name[64];
    eden_status status = EDEN_OK;
    if (!s.sums) return lab_fail(error, EDEN_E_MEMORY, "out of memory");
    if (strlen(folder) + 128 > PATH_ROOM) status = lab_fail(error, EDEN_E_NAME, "the folder's name is too long");
    /* Parts of a tensor are not compared with its checksum. */
    for (size_t i = 0; i < eden_file_count(file) && !status; i++) status = eden_file_visit(file, i, NULL, NULL, error);
    if (!status) status = make_folders(&s, error);
    for (uint32_t r = 0; r < ranks && !status; r++) status = write_rank(&s, r, error);
    if (!status) status = write_manifest(&s, error);
    snprintf(name, sizeof name, GENERATION "%llu", (unsigned long long)s.generation);
    if (!status) remove_others(&s);
    else if (s.generation) cli_merge_remove_generation(folder, name);
    free(s.sums);
    return status;
}
