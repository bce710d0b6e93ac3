/* buckets.c - tensors gathered in messages of a good size.
 *
 * A bucket holds, for every rank, the parts of that rank's shards of a few tensors, or a
 * slice of them where a tensor is larger than a bucket. Buckets run from the last tensor
 * to the first, since backward makes gradients in that order. */
#include "world.h"

#include <stdlib.h>
#include <string.h>

void eden_mpi_free_buckets(world *w)
{
    for (size_t k = 0; k < FLIGHTS; k++) {
        free(w->flights[k].whole);
        free(w->flights[k].own);
        w->flights[k].whole = w->flights[k].own = NULL;
    }
    free(w->parts);
    free(w->buckets);
    free(w->tensor);
    free(w->offset);
    free(w->ready);
    free(w->sum);
    w->parts = NULL, w->buckets = NULL, w->tensor = NULL, w->offset = NULL, w->ready = NULL, w->sum = NULL;
    w->part_count = w->part_room = w->bucket_count = w->bucket_room = w->tensors = 0;
    w->version = 0;
}

static int grow(void **items, size_t count, size_t *room, size_t size)
{
    if (count < *room) return 1;
    void *more = realloc(*items, (*room * 2 + 16) * size);
    if (!more) return 0;
    *items = more;
    *room = *room * 2 + 16;
    return 1;
}

static int add_part(world *w, bucket_part part, int begins)
{
    void *parts = w->parts, *buckets = w->buckets;
    const int had = grow(&parts, w->part_count, &w->part_room, sizeof part);
    w->parts = parts;
    if (!had) return 0;
    w->parts[w->part_count++] = part;
    if (begins) {
        const int fits = grow(&buckets, w->bucket_count, &w->bucket_room, sizeof *w->buckets);
        w->buckets = buckets;
        if (!fits) return 0;
        w->buckets[w->bucket_count++] = (bucket){ w->part_count - 1, w->part_count, 0, 0, 0 };
    }
    w->buckets[w->bucket_count - 1].last = w->part_count;
    return 1;
}

static int cut_buckets(world *w, uint64_t most)
{
    uint64_t used = most;
    for (size_t i = w->tensors; i-- > 0;) {
        const uint64_t count = eden_shard_at(w->optimizer, i, w->backend.ranks) - eden_shard_at(w->optimizer, i, 0);
        const uint64_t slices = count / most + (count % most != 0);
        for (uint64_t k = 0; k < slices; k++) {
            const int begins = slices > 1 || used + count > most;
            if (!add_part(w, (bucket_part){ i, k, slices }, begins)) return 0;
            used = slices > 1 ? most : begins ? count : used + count;
        }
    }
    return 1;
}

/* What each bucket holds, and the most. */
static void measure(world *w, uint64_t *whole, uint64_t *own)
{
    *whole = *own = 0;
    for (size_t b = 0; b < w->bucket_count; b++) {
        bucket *at = &w->buckets[b];
        for (uint32_t r = 0; r < w->backend.ranks; r++) {
            uint64_t elements = 0;
            for (size_t p = at->first; p < at->last; p++) {
                const bucket_part *part = &w->parts[p];
                const uint64_t n = eden_shard_at(w->optimizer, part->tensor, r + 1) -
                                   eden_shard_at(w->optimizer, part->tensor, r);
                elements += n * (part->slice + 1) / part->slices - n * part->slice / part->slices;
            }
            at->elements += elements;
            at->most_own = elements > at->most_own ? elements : at->most_own;
            if (r == w->backend.rank) at->own = elements;
        }
        *whole = at->elements > *whole ? at->elements : *whole;
        const uint64_t in = w->config.fixed_order ? at->own * w->backend.ranks : at->own;
        *own = in > *own ? in : *own;
    }
}

static int make(world *w)
{
    uint64_t whole, own, shard = 0;
    const uint64_t bytes = w->config.bucket_bytes / FLIGHTS / sizeof(float);
    w->tensors = eden_tensor_count(w->optimizer);
    w->tensor = calloc(w->tensors + 1, sizeof *w->tensor);
    w->offset = calloc(w->tensors + 1, sizeof *w->offset);
    w->ready = calloc(w->tensors + 1, 1);
    if (!w->tensor || !w->offset || !w->ready || !cut_buckets(w, bytes < w->most ? bytes : w->most)) return 0;
    for (size_t i = 0; i < w->tensors; i++) {
        w->offset[i] = shard;
        shard += eden_shard_at(w->optimizer, i, w->backend.rank + 1) - eden_shard_at(w->optimizer, i, w->backend.rank);
    }
    measure(w, &whole, &own);
    for (size_t k = 0; k < FLIGHTS; k++) {
        w->flights[k].whole = malloc((size_t)whole * sizeof(float) + 1);
        w->flights[k].own = malloc((size_t)own * sizeof(float) + 1);
        if (!w->flights[k].whole || !w->flights[k].own) return 0;
    }
    if (w->config.fixed_order) w->sum = malloc((size_t)shard * sizeof(float) + 1);
    return !w->config.fixed_order || w->sum;
}

eden_status eden_mpi_make_buckets(world *w, eden_error *error)
{
    if (w->version == eden_shard_version(w->optimizer) && w->tensor) return EDEN_OK;
    if (w->sums && w->tensors == eden_tensor_count(w->optimizer)) return EDEN_OK;
    if (w->sums)
        return eden_mpi_fail(error, EDEN_E_ORDER, "tensors were added within the micro-batches of a step");
    eden_mpi_free_buckets(w);
    if (!make(w)) {
        eden_mpi_free_buckets(w);
        return eden_mpi_fail(error, EDEN_E_MEMORY, "no memory for the buckets that ranks exchange; make bucket_bytes "
                             "smaller");
    }
    w->version = eden_shard_version(w->optimizer);
    return EDEN_OK;
}
