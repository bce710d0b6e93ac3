/* buckets.c - tensors gathered in messages of a good size.
 *
 * A bucket holds, for every rank, the parts of that rank's shards of a few small tensors,
 * or a large tensor alone, or a slice of one that is larger than a bucket. Buckets run
 * from the last tensor to the first, since backward makes gradients in that order; small
 * ones wait for their fellows. */
#include "world.h"

#include <stdlib.h>
#include <string.h>

#define TOGETHER ((uint64_t)1 << 16) /* elements: what is smaller shares a bucket, and is copied */

void eden_mpi_free_buckets(world *w)
{
    for (size_t k = 0; k < FLIGHTS; k++) {
        free(w->flights[k].room);
        w->flights[k].room = NULL;
    }
    free(w->parts);
    free(w->buckets);
    free(w->offset);
    free(w->ready);
    free(w->sum);
    w->parts = NULL, w->buckets = NULL, w->offset = NULL, w->ready = NULL, w->sum = NULL;
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

range eden_mpi_range(const world *w, const bucket_part *part, uint32_t rank)
{
    const uint64_t at = eden_shard_at(w->optimizer, part->tensor, rank);
    const uint64_t n = eden_shard_at(w->optimizer, part->tensor, rank + 1) - at;
    const uint64_t first = n * part->slice / part->slices;
    return (range){ at + first, n * (part->slice + 1) / part->slices - first };
}

/* Elements that a tensor takes in a bucket: whoever has the largest shard receives as
 * much from every rank. */
static uint64_t size_of(const world *w, size_t i)
{
    const uint32_t ranks = w->backend.ranks;
    const uint64_t count = eden_shard_at(w->optimizer, i, ranks) - eden_shard_at(w->optimizer, i, 0);
    uint64_t most = 0;
    for (uint32_t r = 0; r < ranks && is_direct(w); r++) {
        const uint64_t n = eden_shard_at(w->optimizer, i, r + 1) - eden_shard_at(w->optimizer, i, r);
        most = n > most ? n : most;
    }
    return most * ranks > count ? most * ranks : count;
}

/* One bucket of the small tensors of [begin, end), the last first. */
static int gather_small(world *w, size_t begin, size_t end, uint64_t below)
{
    int begins = 1;
    for (size_t i = end; i-- > begin;) {
        const uint64_t size = size_of(w, i);
        if (!size || size >= below) continue;
        if (!add_part(w, (bucket_part){ i, 0, 1 }, begins)) return 0;
        begins = 0;
    }
    return 1;
}

/* `most` elements to a bucket; those that are packed are a quarter of that. */
static int cut_buckets(world *w, uint64_t most)
{
    const uint64_t limit = most / 4 + 1, below = limit < TOGETHER ? limit : TOGETHER;
    uint64_t waiting = 0;
    size_t end = w->tensors; /* of those with waiting small ones */
    for (size_t i = w->tensors; i-- > 0;) {
        const uint64_t size = size_of(w, i), slices = size / most + (size % most != 0);
        if (size && size < below && waiting + size > limit) {
            if (!gather_small(w, i + 1, end, below)) return 0;
            waiting = 0, end = i + 1;
        }
        if (size < below) waiting += size;
        for (uint64_t k = 0; k < slices && size >= below; k++)
            if (!add_part(w, (bucket_part){ i, k, slices }, 1)) return 0;
    }
    return !waiting || gather_small(w, 0, end, below);
}

/* What each bucket holds; returns the bytes of room that the largest needs. */
static uint64_t measure(world *w)
{
    const uint32_t ranks = w->backend.ranks;
    uint64_t most = 0;
    for (size_t b = 0; b < w->bucket_count; b++) {
        bucket *at = &w->buckets[b];
        uint64_t own = 0; /* bytes */
        for (size_t p = at->first; p < at->last; p++) {
            eden_tensor t;
            eden_backend_tensor(w->optimizer, w->parts[p].tensor, &t);
            for (uint32_t r = 0; r < ranks; r++) at->elements += eden_mpi_range(w, &w->parts[p], r).count;
            const uint64_t n = eden_mpi_range(w, &w->parts[p], w->backend.rank).count;
            at->own += n;
            own += padded(n, is_direct(w) ? t.grad_dtype : EDEN_F32);
        }
        const size_t i = w->parts[at->first].tensor;
        at->in_place = at->last - at->first == 1 && eden_shard_at(w->optimizer, i, ranks) <= 8 * w->most;
        const uint64_t packed = at->in_place && is_direct(w) ? 0 : at->elements * sizeof(float);
        const uint64_t bytes = packed + own * (is_direct(w) ? ranks - 1 : 1);
        most = bytes > most ? bytes : most;
    }
    return most;
}

static int make(world *w)
{
    uint64_t shard = 0;
    const uint64_t bytes = w->config.bucket_bytes / FLIGHTS / sizeof(float);
    w->tensors = eden_tensor_count(w->optimizer);
    w->offset = calloc(w->tensors + 1, sizeof *w->offset);
    w->ready = calloc(w->tensors + 1, 1);
    if (!w->offset || !w->ready || !cut_buckets(w, bytes < w->most ? bytes : w->most)) return 0;
    for (size_t i = 0; i < w->tensors; i++) {
        w->offset[i] = shard;
        shard += eden_shard_at(w->optimizer, i, w->backend.rank + 1) - eden_shard_at(w->optimizer, i, w->backend.rank);
    }
    const uint64_t room = measure(w);
    for (size_t k = 0; k < FLIGHTS && w->backend.ranks > 1; k++)
        if (!(w->flights[k].room = malloc((size_t)room + 1))) return 0;
    if (w->config.fixed_order && !w->alone) w->sum = malloc((size_t)shard * sizeof(float) + 1);
    return !w->config.fixed_order || w->alone || w->sum;
}

int eden_mpi_is_stale(const world *w)
{
    return !w->ready || w->version != eden_shard_version(w->optimizer) || w->tensors != eden_tensor_count(w->optimizer);
}

eden_status eden_mpi_make_buckets(world *w, eden_error *error)
{
    eden_status status = EDEN_OK;
    if (w->sums && eden_mpi_is_stale(w)) {
        status = eden_mpi_fail(error, EDEN_E_ORDER, "tensors were added within the micro-batches of a step");
    } else if (eden_mpi_is_stale(w)) {
        eden_mpi_free_buckets(w);
        if (make(w)) w->version = eden_shard_version(w->optimizer);
        else status = eden_mpi_fail(error, EDEN_E_MEMORY, "no memory for the buckets that ranks exchange; make "
                                    "bucket_bytes smaller");
        if (status) eden_mpi_free_buckets(w);
    }
    return eden_mpi_all(w, status, error);
}
