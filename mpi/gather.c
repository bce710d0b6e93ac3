/* gather.c - new weights and copies from the ranks whose shards they are of to all. */
#include "world.h"

#include <string.h>

/* What of a tensor is brought to all: the weights; or the copies, where others cannot
 * make them from the weights. NULL if there is nothing. */
static unsigned char *stored(const world *w, size_t i, int copies, uint32_t *dtype)
{
    eden_tensor t;
    eden_backend_tensor(w->optimizer, i, &t);
    if (copies && (!t.copy || (t.dtype == EDEN_F32 && t.grad))) return NULL;
    *dtype = copies ? t.copy_dtype : t.dtype;
    return copies ? t.copy : t.data;
}

/* A rank's weights to or from a message; returns its bytes, and with NULL only that. */
static uint64_t move_weights(const world *w, const bucket *b, uint32_t rank, int copies, unsigned char *bytes, int out)
{
    uint64_t used = 0;
    for (size_t p = b->first; p < b->last; p++) {
        const range at = eden_mpi_range(w, &w->parts[p], rank);
        uint32_t dtype = EDEN_F32;
        unsigned char *here = stored(w, w->parts[p].tensor, copies, &dtype);
        const size_t width = width_of(dtype), n = (size_t)at.count * width;
        if (!here || !n) continue;
        if (bytes && out) memcpy(bytes + used, here + at.first * width, n);
        else if (bytes) memcpy(here + at.first * width, bytes + used, n);
        used += n;
    }
    return used;
}

/* A float's copy is the float rounded, as the step of another rank made it. */
static void make_copies(const world *w, const bucket *b)
{
    for (size_t p = b->first; p < b->last; p++) {
        eden_tensor t;
        eden_backend_tensor(w->optimizer, w->parts[p].tensor, &t);
        if (!t.copy || !t.grad || t.dtype != EDEN_F32) continue;
        for (uint32_t r = 0; r < w->backend.ranks; r++) {
            const range at = eden_mpi_range(w, &w->parts[p], r);
            if (r != w->backend.rank && at.count)
                eden_backend_convert(w->optimizer, (uint16_t *)t.copy + at.first, t.copy_dtype,
                                     (const float *)t.data + at.first, EDEN_F32, at.count);
        }
    }
}

static eden_status land(world *w, flight *f, int copies, eden_error *error)
{
    if (!f->active) return EDEN_OK;
    const bucket *b = &w->buckets[f->bucket];
    const eden_status status = eden_mpi_wait(w, MPI_SUCCESS, &f->request, "weights", error);
    f->active = 0;
    for (uint32_t r = 0; r < w->backend.ranks && !status && !b->in_place; r++)
        if (r != w->backend.rank) move_weights(w, b, r, copies, f->room + f->begins[r], 0);
    if (!status && !copies) make_copies(w, b);
    return status;
}

static int send_in_place(world *w, flight *f, int copies)
{
    const bucket_part *part = &w->parts[w->buckets[f->bucket].first];
    uint32_t dtype = EDEN_F32;
    unsigned char *here = stored(w, part->tensor, copies, &dtype);
    const MPI_Datatype type = dtype == EDEN_F32 ? MPI_FLOAT : MPI_UINT16_T;
    for (uint32_t r = 0; r < w->backend.ranks; r++) {
        const range at = eden_mpi_range(w, part, r);
        f->counts[r] = (int)at.count;
        f->begins[r] = (int)at.first;
    }
    f->active = here != NULL;
    return here ? MPI_Iallgatherv(MPI_IN_PLACE, 0, type, here, f->counts, f->begins, type, w->data, &f->request)
                : MPI_SUCCESS;
}

static int send_packed(world *w, flight *f, int copies)
{
    const bucket *b = &w->buckets[f->bucket];
    int total = 0;
    for (uint32_t r = 0; r < w->backend.ranks; total += f->counts[r++]) {
        f->counts[r] = (int)move_weights(w, b, r, copies, NULL, 1);
        f->begins[r] = total;
    }
    f->active = total > 0;
    if (!total) return MPI_SUCCESS;
    move_weights(w, b, w->backend.rank, copies, f->room + f->begins[w->backend.rank], 1);
    return MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_BYTE, f->room, f->counts, f->begins, MPI_BYTE, w->data, &f->request);
}

static eden_status gather(world *w, int copies, eden_error *error)
{
    eden_status status = EDEN_OK;
    for (size_t k = 0; k < w->bucket_count && !status; k++) {
        flight *f = &w->flights[k % FLIGHTS];
        status = land(w, f, copies, error);
        if (status) return status;
        f->bucket = k;
        const int code = w->buckets[k].in_place ? send_in_place(w, f, copies) : send_packed(w, f, copies);
        if (code != MPI_SUCCESS) status = eden_mpi_wait(w, code, &f->request, "weights", error);
    }
    for (size_t k = 0; k < FLIGHTS && !status; k++)
        status = land(w, &w->flights[(w->bucket_count + k) % FLIGHTS], copies, error);
    return status;
}

/* Gradients of the weights that were, told of since the others were last heard of. */
static eden_status drop_gradients(world *w, eden_error *error)
{
    size_t started;
    w->call = IN_RETURN;
    const eden_status status = eden_mpi_most_started(w, &started, error);
    return status ? status : eden_mpi_drop_gradients(w, started, error);
}

eden_status eden_mpi_gather_weights(eden_backend *backend, eden_optimizer *o, eden_error *error)
{
    world *w = world_of(backend);
    int copies = 0;
    if (backend->ranks == 1) return EDEN_OK;
    eden_status status = w->settled ? EDEN_OK : drop_gradients(w, error);
    w->settled = 0;
    if (!status && eden_mpi_is_stale(w)) status = eden_mpi_make_buckets(w, error);
    for (size_t i = 0; i < eden_tensor_count(o); i++) {
        uint32_t dtype;
        copies = copies || stored(w, i, 1, &dtype);
    }
    if (!status) status = gather(w, 0, error);
    if (!status && copies) status = gather(w, 1, error);
    return status;
}
