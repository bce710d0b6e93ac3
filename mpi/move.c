/* move.c - gradients to the ranks whose shards they are of, and weights from there. */
#include "world.h"

#include <stddef.h>
#include <string.h>

/* ---- where things are -------------------------------------------------------------------- */

typedef struct { uint64_t first, count; } range;

static range range_of(const world *w, const bucket_part *part, uint32_t rank)
{
    const uint64_t at = eden_shard_at(w->optimizer, part->tensor, rank);
    const uint64_t n = eden_shard_at(w->optimizer, part->tensor, rank + 1) - at;
    const uint64_t first = n * part->slice / part->slices;
    return (range){ at + first, n * (part->slice + 1) / part->slices - first };
}

static size_t width_of(uint32_t dtype) { return dtype == EDEN_F32 ? 4 : 2; }

static uint64_t elements_for(const world *w, const bucket *b, uint32_t rank)
{
    uint64_t n = 0;
    for (size_t p = b->first; p < b->last; p++) n += range_of(w, &w->parts[p], rank).count;
    return n;
}

/* ---- gradients --------------------------------------------------------------------------- */

/* All ranks' parts of a bucket as floats, rank by rank. */
static void pack_gradients(world *w, flight *f)
{
    const bucket *b = &w->buckets[f->bucket];
    float *to = (float *)(void *)f->whole;
    for (uint32_t r = 0; r < w->backend.ranks; r++)
        for (size_t p = b->first; p < b->last; p++) {
            const range at = range_of(w, &w->parts[p], r);
            eden_tensor t;
            eden_backend_tensor(w->optimizer, w->parts[p].tensor, &t);
            if (!t.grad) memset(to, 0, (size_t)at.count * sizeof *to);
            else
                eden_convert(to, EDEN_F32, (char *)t.grad + at.first * width_of(t.grad_dtype), t.grad_dtype, at.count);
            to += at.count;
        }
}

/* What the ranks sent, in their order, joins the sum. */
static void add_up(world *w, const flight *f)
{
    const bucket *b = &w->buckets[f->bucket];
    const float *from = (const float *)(const void *)f->own;
    for (uint32_t r = 0; r < w->backend.ranks; r++)
        for (size_t p = b->first; p < b->last; p++) {
            const size_t i = w->parts[p].tensor;
            const range at = range_of(w, &w->parts[p], w->backend.rank);
            float *sum = w->sum + w->offset[i] + (at.first - eden_shard_at(w->optimizer, i, w->backend.rank));
            if (r == 0 && !w->sums) memcpy(sum, from, (size_t)at.count * sizeof *sum);
            else
                for (uint64_t k = 0; k < at.count; k++) sum[k] += from[k];
            from += at.count;
        }
}

/* This rank's gradients become the mean of what the ranks had. */
static void unpack_mean(world *w, flight *f)
{
    const bucket *b = &w->buckets[f->bucket];
    float *from = (float *)(void *)f->own;
    const float ranks = (float)w->backend.ranks;
    for (size_t p = b->first; p < b->last; p++) {
        const range at = range_of(w, &w->parts[p], w->backend.rank);
        eden_tensor t;
        eden_backend_tensor(w->optimizer, w->parts[p].tensor, &t);
        for (uint64_t k = 0; k < at.count; k++) from[k] /= ranks; /* not times 1/W: the mean of equals is each */
        if (t.grad)
            eden_convert((char *)t.grad + at.first * width_of(t.grad_dtype), t.grad_dtype, from, EDEN_F32, at.count);
        from += at.count;
    }
}

/* The sums of all micro-batches, in their order, become this rank's gradients. */
static void unpack_sums(world *w)
{
    for (size_t i = 0; i < w->tensors; i++) {
        const uint64_t first = eden_shard_at(w->optimizer, i, w->backend.rank);
        const uint64_t last = eden_shard_at(w->optimizer, i, w->backend.rank + 1);
        eden_tensor t;
        eden_backend_tensor(w->optimizer, i, &t);
        if (t.grad && first < last)
            eden_convert((char *)t.grad + first * width_of(t.grad_dtype), t.grad_dtype, w->sum + w->offset[i], EDEN_F32,
                         last - first);
    }
}

static eden_status land(world *w, flight *f, int keep, eden_error *error)
{
    if (!f->active) return EDEN_OK;
    const eden_status status = eden_mpi_wait(w, MPI_SUCCESS, &f->request, "gradients", error);
    f->active = 0;
    if (status || !keep) return status;
    if (w->config.fixed_order) add_up(w, f);
    else unpack_mean(w, f);
    return EDEN_OK;
}

static int set_counts(world *w, flight *f)
{
    const bucket *b = &w->buckets[f->bucket];
    int at = 0, own_at = 0;
    for (uint32_t r = 0; r < w->backend.ranks; r++) {
        f->counts[r] = (int)elements_for(w, b, r);
        f->begins[r] = at;
        f->own_counts[r] = (int)b->own;
        f->own_begins[r] = own_at;
        at += f->counts[r];
        own_at += f->own_counts[r];
    }
    return w->config.fixed_order
               ? MPI_Ialltoallv(f->whole, f->counts, f->begins, MPI_FLOAT, f->own, f->own_counts, f->own_begins,
                                MPI_FLOAT, w->data, &f->request)
               : MPI_Ireduce_scatter(f->whole, f->own, f->counts, MPI_FLOAT, MPI_SUM, w->data, &f->request);
}

int eden_mpi_may_send(world *w)
{
    flight *f = &w->flights[w->started % FLIGHTS];
    int done = 1;
    if (f->active && MPI_Test(&f->request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) return 0;
    return done;
}

eden_status eden_mpi_send_gradients(world *w, size_t end, eden_error *error)
{
    for (; w->started < end && w->started < w->bucket_count; w->started++) {
        flight *f = &w->flights[w->started % FLIGHTS];
        eden_status status = land(w, f, 1, error);
        if (status) return status;
        f->bucket = w->started;
        pack_gradients(w, f);
        const int code = set_counts(w, f);
        if (code != MPI_SUCCESS) return eden_mpi_wait(w, code, &f->request, "gradients", error);
        f->active = 1;
    }
    return EDEN_OK;
}

eden_status eden_mpi_finish_gradients(world *w, int keep, eden_error *error)
{
    eden_status status = EDEN_OK;
    for (size_t k = 0; k < FLIGHTS && !status; k++) /* the older first */
        status = land(w, &w->flights[(w->started + k) % FLIGHTS], keep, error);
    w->started = 0;
    if (w->ready) memset(w->ready, 0, w->tensors);
    return status;
}

/* With a fixed order: all ranks' micro-batches have been added. */
void eden_mpi_take_sums(world *w, int last)
{
    w->sums = !last;
    if (last) unpack_sums(w);
}

/* ---- weights ------------------------------------------------------------------------------ */

static unsigned char *stored_at(const world *w, const bucket_part *part, uint64_t element, int copies, size_t *width)
{
    eden_tensor t;
    eden_backend_tensor(w->optimizer, part->tensor, &t);
    if (copies && !t.copy) return NULL;
    *width = width_of(copies ? t.copy_dtype : t.dtype);
    return (unsigned char *)(copies ? t.copy : t.data) + element * *width;
}

/* A rank's weights to or from a message; returns its bytes. */
static uint64_t move_weights(const world *w, const bucket *b, uint32_t rank, int copies, unsigned char *bytes, int out)
{
    uint64_t used = 0;
    for (size_t p = b->first; p < b->last; p++) {
        const range at = range_of(w, &w->parts[p], rank);
        size_t width = 0;
        unsigned char *here = stored_at(w, &w->parts[p], at.first, copies, &width);
        if (!here || !at.count) continue;
        if (bytes && out) memcpy(bytes + used, here, (size_t)at.count * width);
        else if (bytes) memcpy(here, bytes + used, (size_t)at.count * width);
        used += at.count * width;
    }
    return used;
}

static eden_status land_weights(world *w, flight *f, int copies, eden_error *error)
{
    if (!f->active) return EDEN_OK;
    const eden_status status = eden_mpi_wait(w, MPI_SUCCESS, &f->request, "weights", error);
    f->active = 0;
    for (uint32_t r = 0; r < w->backend.ranks && !status; r++)
        if (r != w->backend.rank) move_weights(w, &w->buckets[f->bucket], r, copies, f->whole + f->begins[r], 0);
    return status;
}

static eden_status gather(world *w, int copies, eden_error *error)
{
    eden_status status = EDEN_OK;
    for (size_t k = 0; k < w->bucket_count && !status; k++) {
        flight *f = &w->flights[k % FLIGHTS];
        int total = 0;
        status = land_weights(w, f, copies, error);
        if (status) break;
        f->bucket = k;
        for (uint32_t r = 0; r < w->backend.ranks; total += f->counts[r++]) {
            f->counts[r] = (int)move_weights(w, &w->buckets[k], r, copies, NULL, 1);
            f->begins[r] = total;
        }
        if (!total) continue;
        move_weights(w, &w->buckets[k], w->backend.rank, copies, f->own, 1);
        const int code = MPI_Iallgatherv(f->own, f->counts[w->backend.rank], MPI_BYTE, f->whole, f->counts, f->begins,
                                         MPI_BYTE, w->data, &f->request);
        if (code != MPI_SUCCESS) return eden_mpi_wait(w, code, &f->request, "weights", error);
        f->active = 1;
    }
    for (size_t k = 0; k < FLIGHTS && !status; k++)
        status = land_weights(w, &w->flights[(w->bucket_count + k) % FLIGHTS], copies, error);
    return status;
}

eden_status eden_mpi_gather_weights(eden_backend *backend, eden_optimizer *o, eden_error *error)
{
    world *w = world_of(backend);
    int copies = 0;
    if (backend->ranks == 1) return EDEN_OK;
    eden_status status = eden_mpi_make_buckets(w, error);
    for (size_t i = 0; i < eden_tensor_count(o); i++) {
        eden_tensor t;
        eden_backend_tensor(o, i, &t);
        copies = copies || t.copy;
    }
    if (!status) status = gather(w, 0, error);
    if (!status && copies) status = gather(w, 1, error);
    return status;
}
