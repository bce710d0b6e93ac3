/* world.h - what an optimizer over MPI is made of; for mpi/ alone. */
#ifndef EDEN_MPI_WORLD_H
#define EDEN_MPI_WORLD_H

#include "eden_mpi.h"

#include "optimizer/backend.h"

#define COUNT_MOST ((uint64_t)1 << 28) /* elements in one call of MPI, whose counts are ints */

#define DIRECT_RANKS 64 /* up to so many each sends to each; more leave the adding to MPI */

/* Slice `slice` of `slices` of every rank's shard of a tensor. */
typedef struct { size_t tensor; uint64_t slice, slices; } bucket_part;

/* Parts [first, last): what goes in one message to each rank. In place is a part alone that
 * MPI can take from the tensor itself and put there. */
typedef struct { size_t first, last; uint64_t elements, own; int in_place; } bucket;

/* One bucket under way. What is not in place is packed in `room`; behind that, at
 * `received`, is what the others send. */
typedef struct {
    unsigned char *room;
    size_t received;
    void *zeros;               /* sent for a gradient that others have       */
    int *counts, *begins, *own_counts, *own_begins;
    MPI_Request request;
    size_t bucket;
    int active;
} flight;

#define FLIGHTS 2

typedef struct {
    eden_backend backend;      /* first, so that one is the other            */
    MPI_Comm control, data;    /* what is agreed on; gradients and weights   */
    eden_mpi_config config;
    eden_optimizer *optimizer;
    int failed;                /* no more calls of MPI                       */
    uint64_t most;             /* COUNT_MOST, or less in tests               */
    uint32_t direct;           /* DIRECT_RANKS, or less in tests             */
    int alone;                 /* nothing is to be sent or added up          */

    uint64_t version, described; /* of shards, as buckets were made for; as was compared */
    uint64_t hash;             /* of the description                         */
    int met;                   /* weights have been compared                 */

    size_t tensors;
    uint64_t *offset;          /* where a tensor's part of `sum` begins      */
    unsigned char *ready;      /* by tensor                                  */
    bucket_part *parts; size_t part_count, part_room;
    bucket *buckets; size_t bucket_count, bucket_room;
    size_t started;            /* buckets, of this step's gradients          */
    flight flights[FLIGHTS];
    float *sum;                /* fixed_order: this rank's shard             */
    int sums;                  /* it holds some                              */
} world;

static inline world *world_of(eden_backend *backend) { return (world *)(void *)backend; }

/* ---- world.c: talking ---------------------------------------------------------------- */

eden_status eden_mpi_fail(eden_error *error, eden_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Wait for a request that `code` says was started; `what` is for the error. */
eden_status eden_mpi_wait(world *w, int code, MPI_Request *request, const char *what, eden_error *error);

eden_status eden_mpi_allreduce(world *w, void *values, int count, MPI_Datatype type, MPI_Op op, eden_error *error);
eden_status eden_mpi_bcast(world *w, void *bytes, uint64_t count, uint32_t root, eden_error *error);
eden_status eden_mpi_exchange(eden_backend *backend, const void *mine, void *all, const uint64_t *bytes,
                              eden_error *error);

/* ---- agree.c --------------------------------------------------------------------------- */

eden_status eden_mpi_vote(eden_backend *backend, eden_status mine, eden_error *error);

/* Of creation, which may have failed before there is an optimizer. */
eden_status eden_mpi_agree_first(world *w, eden_status mine, eden_error *error);
eden_status eden_mpi_agree(eden_backend *backend, eden_optimizer *o, eden_status mine, eden_error *error);

/* ---- buckets.c ------------------------------------------------------------------------- */

/* Make buckets for the shards of now, if those there are were made for others. */
eden_status eden_mpi_make_buckets(world *w, eden_error *error);
void eden_mpi_free_buckets(world *w);

/* A rank's elements of a part. */
typedef struct { uint64_t first, count; } range;
range eden_mpi_range(const world *w, const bucket_part *part, uint32_t rank);

static inline size_t width_of(uint32_t dtype) { return dtype == EDEN_F32 ? 4 : 2; }

/* Bytes in a message, so that what follows is aligned as floats are. */
static inline uint64_t padded(uint64_t count, uint32_t dtype) { return (count * width_of(dtype) + 3) & ~(uint64_t)3; }

/* Do ranks send gradients as they are, which are added up where they arrive? */
static inline int is_direct(const world *w) { return w->config.fixed_order || w->backend.ranks <= w->direct; }

/* ---- move.c ---------------------------------------------------------------------------- */

/* Send gradients of buckets below `end`, and what of that has arrived is put in place.
 * `agreed`: all ranks have the same gradients. */
eden_status eden_mpi_send_gradients(world *w, size_t end, int agreed, eden_error *error);

/* Can the next bucket be sent without waiting for an earlier one? */
int eden_mpi_may_send(world *w);
eden_status eden_mpi_finish_gradients(world *w, int keep, eden_error *error);
/* With fixed_order: what came joined the sum, which with `last` becomes the gradients. */
void eden_mpi_take_sums(world *w, int last);
eden_status eden_mpi_gather_weights(eden_backend *backend, eden_optimizer *o, eden_error *error);

#endif
