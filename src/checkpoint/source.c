/* source.c - data that a writer takes from an open file. It is read twice, since its checksum
 * stands before it. */
#include "checkpoint/source.h"

#include <string.h>

#include "checkpoint/format.h"
#include "optimizer/text.h"

eden_status eden_source_check(const eden_source *s, const char *name, uint64_t bytes, eden_error *error)
{
    const uint64_t count = eden_file_count(s->file);
    if (s->at >= count)
        return eden_fail(error, EDEN_E_ARGUMENT, "tensor '%.99s': no tensor of the file has the number %zu; there are %llu",
                         name, s->at, (unsigned long long)count);
    const eden_header_entry *entry = &s->file->header.entries[s->at];
    const uint64_t there = entry->end - entry->begin;
    if (s->from <= there && bytes <= there - s->from) return EDEN_OK;
    return eden_fail(error, EDEN_E_ARGUMENT, "tensor '%.99s': the file has %llu bytes, and not %llu from byte %llu on", name,
                     (unsigned long long)there, (unsigned long long)bytes, (unsigned long long)s->from);
}

typedef struct {
    const eden_sum *table;
    uint64_t sum;
    eden_durable *durable; /* NULL: only add up */
} taking;

static eden_status take(void *context, const void *piece, size_t bytes, eden_error *error)
{
    taking *t = context;
    t->sum = eden_sum_bytes(t->table, t->sum, piece, bytes);
    return t->durable ? eden_durable_write(t->durable, piece, bytes, error) : EDEN_OK;
}

eden_status eden_source_sum(const eden_source *s, uint64_t bytes, const eden_sum *table, uint64_t *sum, eden_error *error)
{
    taking t = { table, 0, NULL };
    const eden_status status = eden_file_range(s->file, s->at, s->from, bytes, take, &t, error);
    *sum = t.sum;
    return status;
}

eden_status eden_source_write(const eden_source *s, uint64_t bytes, const eden_sum *table,
                              const char printed[EDEN_SUM_ROOM], eden_durable *durable, eden_error *error)
{
    char now[EDEN_SUM_ROOM];
    taking t = { table, 0, durable };
    const eden_status status = eden_file_range(s->file, s->at, s->from, bytes, take, &t, error);
    if (status) return status;
    eden_sum_print(t.sum, now);
    if (strcmp(now, printed) == 0) return EDEN_OK;
    return eden_fail(error, EDEN_E_FORMAT, "'%.200s': it changed while it was being read", s->file->path);
}
