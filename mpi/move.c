/* move.c - gradients to the ranks whose shards they are of, and weights from there.
 *
 * Up to DIRECT_RANKS ranks each sends to each the part that is its, as it is stored, and
 * what arrives is added up here in the order of ranks; more of them leave sums of floats
 * to MPI, which needs fewer messages. Large tensors are sent from where they are and
 * weights received where they belong, without a copy. */
#include "world.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static MPI_Datatype type_of(uint32_t dtype) { return dtype == EDEN_F32 ? MPI_FLOAT : MPI_UINT16_T; }

/* ---- adding up --------------------------------------------------------------------------- */

#define AT_A_TIME 1024

static float of_bf16(uint16_t x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void add(const world *w, float *sum, const void *from, uint32_t dtype, size_t n, int first)
{
    float room[AT_A_TIME];
    const float *x = from;
    if (dtype == EDEN_BF16) {
        const uint16_t *narrow = from;
        for (size_t k = 0; k < n; k++) room[k] = of_bf16(narrow[k]);
        x = room;
    } else if (dtype != EDEN_F32) {
        eden_backend_convert(w->optimizer, room, EDEN_F32, from, dtype, n);
        x = room;
    }
    if (first) memcpy(sum, x, n * sizeof *sum);
    else
        for (size_t k = 0; k < n; k++) sum[k] += x[k];
}

/* Where rank r's elements of a part lie that begins `used` bytes into what a rank sends,
 * of which there are `bytes`; NULL for zeros. */
static const char *source_of(const world *w, const flight *f, const bucket_part *part, uint32_t r, uint64_t used,
                             uint64_t bytes)
{
    if (r != w->backend.rank)
        return (const char *)f->room + f->received + (r - (r > w->backend.rank)) * bytes + used;
    eden_tensor t;
    eden_backend_tensor(w->optimizer, part->tensor, &t);
    return t.grad ? (const char *)t.grad + eden_mpi_range(w, part, r).first * width_of(t.grad_dtype) : NULL;
}

/* The mean of what the ranks have becomes this rank's gradient; or with a fixed order what
 * they have joins the sum. */
static void add_part(const world *w, const flight *f, const bucket_part *part, uint64_t used, uint64_t bytes)
{
    const range at = eden_mpi_range(w, part, w->backend.rank);
    float room[AT_A_TIME], *sum = NULL;
    eden_tensor t;
    eden_backend_tensor(w->optimizer, part->tensor, &t);
    const size_t width = width_of(t.grad_dtype);
    if (w->config.fixed_order)
        sum = w->sum + w->offset[part->tensor] + (at.first - eden_shard_at(w->optimizer, part->tensor, w->backend.rank));
    else if (!t.grad) return;
    for (uint64_t k = 0; k < at.count; k += AT_A_TIME) {
        const size_t n = at.count - k < AT_A_TIME ? (size_t)(at.count - k) : AT_A_TIME;
        float *to = sum ? sum + k : room;
        for (uint32_t r = 0; r < w->backend.ranks; r++) {
            const char *from = source_of(w, f, part, r, used, bytes);
            const int first = r == 0 && !w->sums;
            if (from) add(w, to, from + k * width, t.grad_dtype, n, first);
            else if (first) memset(to, 0, n * sizeof *to);
        }
        if (sum) continue;
        for (size_t j = 0; j < n; j++) to[j] /= (float)w->backend.ranks; /* times 1/W would round once more */
        eden_backend_convert(w->optimizer, (char *)t.grad + (at.first + k) * width, t.grad_dtype, to, EDEN_F32, n);
    }
}

/* Bytes that a rank's parts of a bucket take in what is received. */
static uint64_t bytes_of(const world *w, const bucket *b, uint32_t rank)
{
    uint64_t bytes = 0;
    for (size_t p = b->first; p < b->last; p++) {
        eden_tensor t;
        eden_backend_tensor(w->optimizer, w->parts[p].tensor, &t);
        const uint64_t count = eden_mpi_range(w, &w->parts[p], rank).count;
        bytes += b->in_place ? count * width_of(t.grad_dtype) : padded(count, t.grad_dtype);
    }
    return bytes;
}

static void add_up(const world *w, const flight *f)
{
    const bucket *b = &w->buckets[f->bucket];
    const uint64_t bytes = bytes_of(w, b, w->backend.rank);
    uint64_t used = 0;
    for (size_t p = b->first; p < b->last; p++) {
        eden_tensor t;
        eden_backend_tensor(w->optimizer, w->parts[p].tensor, &t);
        add_part(w, f, &w->parts[p], used, bytes);
        used += padded(eden_mpi_range(w, &w->parts[p], w->backend.rank).count, t.grad_dtype);
    }
}

/* MPI has added up: the same for its sums. */
static void unpack_mean(world *w, flight *f)
{
    const bucket *b = &w->buckets[f->bucket];
    float *from = (float *)(void *)(f->room + f->received);
    for (size_t p = b->first; p < b->last; p++) {
        const range at = eden_mpi_range(w, &w->parts[p], w->backend.rank);
        eden_tensor t;
        eden_backend_tensor(w->optimizer, w->parts[p].tensor, &t);
        for (uint64_t k = 0; k < at.count; k++) from[k] /= (float)w->backend.ranks;
        if (t.grad)
            eden_backend_convert(w->optimizer, (char *)t.grad + at.first * width_of(t.grad_dtype), t.grad_dtype, from,
                                 EDEN_F32, at.count);
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
            eden_backend_convert(w->optimizer, (char *)t.grad + first * width_of(t.grad_dtype), t.grad_dtype,
                                 w->sum + w->offset[i], EDEN_F32, last - first);
    }
}

/* ---- sending gradients ------------------------------------------------------------------- */

/* Rank r's parts of a bucket, as they are or as floats; returns the end of them. */
static unsigned char *pack_gradients(const world *w, const bucket *b, uint32_t r, int floats, unsigned char *to)
{
    for (size_t p = b->first; p < b->last; p++) {
        const range at = eden_mpi_range(w, &w->parts[p], r);
        eden_tensor t;
        eden_backend_tensor(w->optimizer, w->parts[p].tensor, &t);
        const uint32_t dtype = floats ? EDEN_F32 : t.grad_dtype;
        const char *from = t.grad ? (const char *)t.grad + at.first * width_of(t.grad_dtype) : NULL;
        if (!from) memset(to, 0, (size_t)at.count * width_of(dtype));
        else if (dtype == t.grad_dtype) memcpy(to, from, (size_t)at.count * width_of(dtype));
        else eden_backend_convert(w->optimizer, to, dtype, from, t.grad_dtype, at.count);
        to += padded(at.count, dtype);
    }
    return to;
}

static int send_to_each(world *w, flight *f, const void *from, MPI_Datatype type)
{
    /* Then nothing is sent; and Open MPI takes one address for both as MPI_IN_PLACE. */
    if (from == f->room + f->received) from = f->counts;
    return MPI_Ialltoallv(from, f->counts, f->begins, type, f->room + f->received, f->own_counts, f->own_begins, type,
                          w->data, &f->request);
}

/* A tensor's part from where it is. Those who have none send zeros, if others may have. */
static int send_in_place(world *w, flight *f, int agreed)
{
    const bucket_part *part = &w->parts[w->buckets[f->bucket].first];
    const int own = (int)w->buckets[f->bucket].own;
    eden_tensor t;
    eden_backend_tensor(w->optimizer, part->tensor, &t);
    f->received = 0;
    if (!t.grad && agreed) {
        const range at = eden_mpi_range(w, part, w->backend.rank);
        const uint64_t shard = eden_shard_at(w->optimizer, part->tensor, w->backend.rank);
        if (w->config.fixed_order && !w->sums)
            memset(w->sum + w->offset[part->tensor] + (at.first - shard), 0, (size_t)at.count * sizeof *w->sum);
        return MPI_SUCCESS;
    }
    if (!t.grad && !(f->zeros = calloc((size_t)w->buckets[f->bucket].elements + 1, width_of(t.grad_dtype))))
        return MPI_ERR_NO_MEM;
    for (uint32_t r = 0; r < w->backend.ranks; r++) {
        const range at = eden_mpi_range(w, part, r);
        const int others = r != w->backend.rank;
        f->counts[r] = others ? (int)at.count : 0;
        f->begins[r] = others && t.grad ? (int)at.first : 0;
        f->own_counts[r] = others ? own : 0;
        f->own_begins[r] = others ? (int)(r - (r > w->backend.rank)) * own : 0;
    }
    f->active = 1;
    return send_to_each(w, f, t.grad ? t.grad : f->zeros, type_of(t.grad_dtype));
}

static int send_packed(world *w, flight *f)
{
    const bucket *b = &w->buckets[f->bucket];
    const int bytes = (int)bytes_of(w, b, w->backend.rank);
    unsigned char *to = f->room;
    for (uint32_t r = 0; r < w->backend.ranks; r++) {
        const int others = r != w->backend.rank;
        unsigned char *end = others ? pack_gradients(w, b, r, 0, to) : to;
        f->counts[r] = (int)(end - to);
        f->begins[r] = (int)(to - f->room);
        f->own_counts[r] = others ? bytes : 0;
        f->own_begins[r] = others ? (int)(r - (r > w->backend.rank)) * bytes : 0;
        to = end;
    }
    f->received = (size_t)(to - f->room);
    f->active = 1;
    return send_to_each(w, f, f->room, MPI_BYTE);
}

static int send_sums(world *w, flight *f)
{
    const bucket *b = &w->buckets[f->bucket];
    unsigned char *to = f->room;
    for (uint32_t r = 0; r < w->backend.ranks; r++) {
        unsigned char *end = pack_gradients(w, b, r, 1, to);
        f->counts[r] = (int)((size_t)(end - to) / sizeof(float));
        to = end;
    }
    f->received = (size_t)(to - f->room);
    f->active = 1;
    return MPI_Ireduce_scatter(f->room, to, f->counts, MPI_FLOAT, MPI_SUM, w->data, &f->request);
}

static eden_status land(world *w, flight *f, int keep, eden_error *error)
{
    if (!f->active) return EDEN_OK;
    const eden_status status = eden_mpi_wait(w, MPI_SUCCESS, &f->request, "gradients", error);
    f->active = 0;
    if (status) return status; /* then zeros may still be read, and stay */
    free(f->zeros);
    f->zeros = NULL;
    if (!keep) return EDEN_OK;
    if (is_direct(w)) add_up(w, f);
    else unpack_mean(w, f);
    return EDEN_OK;
}

int eden_mpi_may_send(world *w)
{
    flight *f = &w->flights[w->started % FLIGHTS];
    int done = 1;
    if (f->active && MPI_Test(&f->request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) return 0;
    return done;
}

static eden_status send(world *w, size_t end, int agreed, int keep, eden_error *error)
{
    for (; w->started < end && w->started < w->bucket_count; w->started++) {
        flight *f = &w->flights[w->started % FLIGHTS];
        const eden_status status = land(w, f, keep, error);
        if (status) return status;
        f->bucket = w->started;
        if (w->backend.ranks == 1) {
            add_up(w, f);
            continue;
        }
        const int code = !is_direct(w) ? send_sums(w, f)
                         : w->buckets[f->bucket].in_place ? send_in_place(w, f, agreed) : send_packed(w, f);
        if (code != MPI_SUCCESS) return eden_mpi_wait(w, code, &f->request, "gradients", error);
    }
    return EDEN_OK;
}

eden_status eden_mpi_send_gradients(world *w, size_t end, int agreed, eden_error *error)
{
    return send(w, end, agreed, 1, error);
}

static eden_status finish(world *w, int keep, eden_error *error)
{
    eden_status status = EDEN_OK;
    for (size_t k = 0; k < FLIGHTS && !status; k++) /* the older first */
        status = land(w, &w->flights[(w->started + k) % FLIGHTS], keep, error);
    w->started = 0;
    w->told = 0;
    if (w->ready) memset(w->ready, 0, w->tensors);
    return status;
}

eden_status eden_mpi_finish_gradients(world *w, eden_error *error) { return finish(w, 1, error); }

eden_status eden_mpi_drop_gradients(world *w, size_t end, eden_error *error)
{
    eden_status status = w->failed ? EDEN_E_IO : send(w, end, 0, 0, error);
    if (!status) status = finish(w, 0, error);
    if (status) w->failed = 1;
    return status;
}

/* With a fixed order: all ranks' micro-batches have been added. */
void eden_mpi_take_sums(world *w, int last)
{
    w->sums = !last;
    if (last) unpack_sums(w);
}
