/* join.c - the files of many ranks as one; see file.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "checkpoint/checkpoint.h"
#include "checkpoint/file.h"
#include "checkpoint/format.h"

#define RANKS_MOST 65536

static char *path_of(const char *folder, const char *name)
{
    const size_t room = strlen(folder) + strlen(name) + 2;
    char *path = malloc(room);
    if (path) snprintf(path, room, "%s/%s", folder, name);
    return path;
}

int eden_is_sharded(const char *path)
{
    struct stat s;
    if (stat(path, &s) != 0 || !S_ISDIR(s.st_mode)) return 0;
    char *manifest = path_of(path, EDEN_MANIFEST);
    const int is = manifest && stat(manifest, &s) == 0 && S_ISREG(s.st_mode);
    free(manifest);
    return is;
}

/* ---- opening ----------------------------------------------------------------------------- */

static eden_status damaged(const eden_file *f, const char *what, eden_error *error)
{
    return eden_fail(error, EDEN_E_FORMAT, "'%.200s': the sharded checkpoint is damaged: %s", f->path, what);
}

/* An entry of the whole, from "F32 4 5". */
static eden_status add_entry(const eden_file *f, eden_writer *w, const char *name, const char *text,
                             eden_error *error)
{
    char dtype[16];
    uint64_t shape[EDEN_MAX_DIMS];
    uint32_t ndim = 0;
    const size_t n = strcspn(text, " ");
    if (n >= sizeof dtype) return damaged(f, "an entry's dtype", error);
    memcpy(dtype, text, n);
    dtype[n] = 0;
    for (text += n; *text; ndim++) {
        char number[24];
        const size_t digits = strcspn(++text, " ");
        if (ndim == EDEN_MAX_DIMS || digits >= sizeof number) return damaged(f, "an entry's shape", error);
        memcpy(number, text, digits);
        number[digits] = 0;
        if (!eden_read_count(number, &shape[ndim])) return damaged(f, "an entry's shape", error);
        text += digits;
    }
    return eden_writer_tensor(w, name, dtype, ndim, shape, NULL, error);
}

/* The header that the whole would have as a file. */
static eden_status make_header(eden_file *f, const eden_file *manifest, eden_error *error)
{
    eden_writer *w = NULL;
    uint64_t bytes = 0;
    const char *key;
    eden_status status = eden_writer_create(&w, error);
    if (status) return status;
    eden_writer_leave_data(w);
    for (size_t i = 0; !status && (key = eden_file_key(manifest, i)); i++) {
        const char *value = eden_file_value(manifest, key), *name = eden_after(key, EDEN_SHARDED_ENTRY);
        if (name) status = add_entry(f, w, name, value, error);
        else if (!eden_after(key, EDEN_SHARDED)) status = eden_writer_text(w, key, value, error);
    }
    if (!status) status = eden_writer_header(w, &f->header.text, &f->header.length, &bytes, error);
    eden_writer_destroy(w);
    f->header.joined = 1;
    return status ? status : eden_header_read(&f->header, f->path, bytes, error);
}

static eden_status open_part(eden_file *f, const eden_file *manifest, uint32_t rank, const char *generation,
                             eden_error *error)
{
    char name[128], key[64];
    snprintf(name, sizeof name, "generation-%.20s/rank-%u-of-%u.safetensors", generation, rank, f->part_count);
    char *path = path_of(f->path, name);
    if (!path) return eden_fail(error, EDEN_E_MEMORY, "no memory to open '%.200s'", f->path);
    const eden_status status = eden_file_open(&f->parts[rank], path, error);
    free(path);
    if (status) return status;
    snprintf(key, sizeof key, EDEN_SHARDED "sum.%u", rank);
    const char *wanted = eden_file_value(manifest, key), *have = eden_file_value(f->parts[rank], EDEN_SUM_KEY);
    if (wanted && have && strcmp(wanted, have) == 0) return EDEN_OK;
    snprintf(name, sizeof name, "the file of rank %u is not the one that the manifest names", rank);
    return damaged(f, name, error);
}

/* Do the parts of every entry make it whole? */
static eden_status check_parts(const eden_file *f, eden_error *error)
{
    for (size_t i = 0; i < f->header.count; i++) {
        const eden_header_entry *entry = &f->header.entries[i];
        const char *name = eden_header_text(&f->header, entry->name);
        uint64_t bytes = 0;
        for (uint32_t r = 0; r < f->part_count; r++) {
            const size_t k = eden_file_find(f->parts[r], name);
            if (k == SIZE_MAX) continue;
            const eden_header_entry *part = &f->parts[r]->header.entries[k];
            if (part->format != entry->format) return damaged(f, "a part's dtype is not the entry's", error);
            bytes += part->end - part->begin;
        }
        if (bytes != entry->end - entry->begin)
            return eden_fail(error, EDEN_E_FORMAT, "'%.200s': the sharded checkpoint is damaged: the parts of '%.99s' "
                             "have %" PRIu64 " bytes, not %" PRIu64, f->path, name, bytes, entry->end - entry->begin);
    }
    return EDEN_OK;
}

eden_status eden_file_join(eden_file *f, eden_error *error)
{
    eden_file *manifest = NULL;
    uint64_t ranks = 0, number = 0;
    char *path = path_of(f->path, EDEN_MANIFEST);
    if (!path) return eden_fail(error, EDEN_E_MEMORY, "no memory to open '%.200s'", f->path);
    eden_status status = eden_file_open(&manifest, path, error);
    free(path);
    if (status) return status;
    const char *generation = eden_file_value(manifest, EDEN_SHARDED "generation");
    const char *count = eden_file_value(manifest, EDEN_SHARDED "ranks");
    if (!generation || !count || !eden_read_count(generation, &number) || !eden_read_count(count, &ranks) ||
        ranks == 0 || ranks > RANKS_MOST)
        status = damaged(f, "the manifest does not say of how many ranks", error);
    if (!status && !(f->parts = eden_alloc(ranks, sizeof(eden_file *))))
        status = eden_fail(error, EDEN_E_MEMORY, "no memory to open '%.200s'", f->path);
    if (!status) f->part_count = (uint32_t)ranks;
    for (uint32_t r = 0; r < f->part_count && !status; r++) status = open_part(f, manifest, r, generation, error);
    if (!status) status = make_header(f, manifest, error);
    if (!status) status = check_parts(f, error);
    eden_file_close(manifest);
    return status;
}

/* ---- reading ------------------------------------------------------------------------------- */

/* What of a stream of bytes is wanted. */
typedef struct { uint64_t at, from, end; unsigned char *to; } cutting;

static void cut(void *context, const void *piece, size_t bytes)
{
    cutting *c = context;
    const uint64_t begin = c->at > c->from ? c->at : c->from;
    const uint64_t end = c->at + bytes < c->end ? c->at + bytes : c->end;
    if (begin < end) memcpy(c->to + (begin - c->from), (const char *)piece + (begin - c->at), (size_t)(end - begin));
    c->at += bytes;
}

eden_status eden_file_read_range(eden_file *f, size_t i, uint64_t from, uint64_t bytes, void *data, eden_error *error)
{
    const eden_header_entry *entry = &f->header.entries[i];
    const char *name = eden_header_text(&f->header, entry->name);
    cutting c = { 0, from, from + bytes, data };
    eden_status status = EDEN_OK;
    if (bytes == 0) return EDEN_OK;
    if (!f->parts && bytes == entry->end - entry->begin) return eden_file_read(f, i, data, bytes, error);
    if (!f->parts) return eden_file_visit(f, i, cut, &c, error);
    for (uint32_t r = 0; r < f->part_count && !status; r++) {
        const size_t k = eden_file_find(f->parts[r], name);
        if (k == SIZE_MAX) continue;
        const uint64_t n = f->parts[r]->header.entries[k].end - f->parts[r]->header.entries[k].begin;
        if (c.at < c.end && c.at + n > from) status = eden_file_visit(f->parts[r], k, cut, &c, error);
        else c.at += n;
    }
    return status;
}
