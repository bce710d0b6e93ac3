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
    int *counts, *begins, *own_counts, *own_begins; /* not to be touched under way */
    MPI_Request request;
    size_t bucket;
    int active;
} flight;

/* Calls of which each rank tells the others that it is in one. */
enum { IN_CREATE, IN_STEP, IN_SAVE, IN_LOAD, IN_BROADCAST, IN_VOTE, IN_RETURN };

#define FLIGHTS 2
#define CARD    64

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
    uint64_t hash;             /* of the settings' description               */
    int stepping;              /* settings have the values of a step         */
    int call;                  /* IN_..., of the last that others heard of   */
    size_t met;                /* tensors whose weights have been compared   */

    size_t most_started;       /* of any rank, when all last agreed          */
    int stale;                 /* a rank had buckets of earlier shards       */
    int told;                  /* eden_mpi_grad_ready() was, of a gradient   */
    int settled;               /* no rank has gradients under way, all know  */
    int loading, voted;        /* within eden_mpi_load()                     */
    int *counts, *begins;      /* of eden_mpi_exchange()                     */
    uint64_t *bytes;           /* by rank                                    */
    unsigned char *cards;      /* CARD bytes of each rank                    */

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

/* A card of each rank to all, in w->cards. */
eden_status eden_mpi_show(world *w, const void *card, eden_error *error);

/* ---- agree.c --------------------------------------------------------------------------- */

/* Has every rank succeeded so far, and is in the same call? */
eden_status eden_mpi_all(world *w, eden_status mine, eden_error *error);

/* How many buckets has any rank started, of those that come to the same call? */
eden_status eden_mpi_most_started(world *w, size_t *started, eden_error *error);

/* As eden_mpi_all(), before the weights change, which gradients under way would not know of: they are
 * dropped by a load, and refuse all else. */
eden_status eden_mpi_vote(eden_backend *backend, eden_status mine, eden_error *error);

/* As eden_mpi_all(), and is what ranks must have in common the same? Nothing is done about what
 * is under way. */
eden_status eden_mpi_agree(eden_backend *backend, eden_optimizer *o, eden_status mine, eden_error *error);

/* ---- same.c ---------------------------------------------------------------------------- */

/* What the programs of all ranks must have in common; one to a card. */
typedef struct { uint64_t order; char version[CARD - sizeof(uint64_t)]; } build;
eden_status eden_mpi_same_builds(const build *builds, uint32_t ranks, eden_error *error);
eden_status eden_mpi_compare_builds(world *w, eden_error *error);

/* Has every rank tensors of the same names and sizes? Weights may differ. */
eden_status eden_mpi_same_tensors(world *w, eden_error *error);

/* Do all ranks see the same checkpoint at `path`? */
eden_status eden_mpi_same_checkpoint(world *w, const char *path, eden_error *error);

/* "ranks 1, 3 and 5 have", or how many, of those whose card is not rank 0's. */
const char *eden_mpi_list_others(const void *cards, uint32_t ranks, char text[100]);

/* ---- buckets.c ------------------------------------------------------------------------- */

/* Were the buckets made for other shards than those of now? */
int eden_mpi_is_stale(const world *w);

/* Then all ranks make others. */
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

/* Meet what any rank has sent, of buckets below `end`, and forget it. */
eden_status eden_mpi_drop_gradients(world *w, size_t end, eden_error *error);

/* Can the next bucket be sent without waiting for an earlier one? */
int eden_mpi_may_send(world *w);
eden_status eden_mpi_finish_gradients(world *w, eden_error *error);
/* With fixed_order: what came joined the sum, which with `last` becomes the gradients. */
void eden_mpi_take_sums(world *w, int last);
eden_status eden_mpi_gather_weights(eden_backend *backend, eden_optimizer *o, eden_error *error);

#endif
