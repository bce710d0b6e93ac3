/* optimizer.c - eden_mpi.h. */
#include <fenv.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

/* ---- a step -------------------------------------------------------------------------------- */

/* Everything that this rank may refuse before others are asked. */
static eden_status check_gradients(const eden_optimizer *o, eden_error *error)
{
    for (size_t i = 0; i < eden_tensor_count(o); i++) {
        eden_tensor t;
        eden_backend_tensor(o, i, &t);
        if (t.grad && !(t.flags & (EDEN_GRAD_WRITABLE | EDEN_FROZEN)))
            return eden_mpi_fail(error, EDEN_E_ARGUMENT, "the gradient of '%.200s' is read-only, and ranks leave their "
                                 "mean there; add the tensor with EDEN_GRAD_WRITABLE", eden_tensor_name(o, i));
    }
    return EDEN_OK;
}

/* Gradients of a micro-batch that have been added to the sum. */
static void zero_gradients(const eden_optimizer *o)
{
    for (size_t i = 0; i < eden_tensor_count(o); i++) {
        eden_tensor t;
        const uint64_t count = eden_backend_tensor(o, i, &t);
        if (t.grad && !(t.flags & EDEN_FROZEN)) memset(t.grad, 0, (size_t)count * width_of(t.grad_dtype));
    }
}

static eden_status check_step(world *w, eden_optimizer *o, eden_error *error)
{
    /* What was added up of a step that has been given up since. */
    if (!eden_backend_pending(o)) w->sums = 0;
    if (!w->alone && eden_backend_refused(o))
        return eden_mpi_fail(error, EDEN_E_ORDER, "step %llu was refused for a gradient when the ranks had exchanged "
                             "theirs, and their sums are where gradients were; begin it again with eden_zero_grad()",
                             (unsigned long long)eden_steps(o) + 1);
    return check_gradients(o, error);
}

/* Gradients have been sent for shards that are no more. */
static eden_status changed_within(eden_error *error)
{
    return eden_mpi_fail(error, EDEN_E_ORDER, "tensors or settings have changed since eden_mpi_grad_ready() was told of "
                         "a gradient of this step; compute all gradients again");
}

static eden_status begin(eden_backend *backend, eden_optimizer *o, int last, eden_status mine, eden_error *error)
{
    world *w = world_of(backend);
    if (!mine) mine = check_step(w, o, error);
    w->call = IN_STEP;
    w->stepping = 1;
    eden_status status = eden_mpi_agree(backend, o, mine, error);
    w->stepping = 0;
    if (!status && w->stale && w->most_started) status = changed_within(error);
    if (status && !w->failed) eden_mpi_drop_gradients(w, w->most_started, NULL);
    if (!status && w->stale) status = eden_mpi_make_buckets(w, error);
    if (status || w->alone) return status;
    status = eden_mpi_send_gradients(w, w->bucket_count, 1, error);
    if (!status) status = eden_mpi_finish_gradients(w, error);
    w->settled = !status && last;
    if (status || !w->config.fixed_order) return status;
    eden_mpi_take_sums(w, last);
    if (!last) zero_gradients(o);
    return EDEN_OK;
}

/* ---- creating and destroying ------------------------------------------------------------------ */

static void leave(world *w)
{
    int ended = 0;
    MPI_Finalized(&ended);
    /* Freeing waits for the others, who may be gone. */
    if (!ended && !w->failed && w->control != MPI_COMM_NULL) MPI_Comm_free(&w->control);
    if (!ended && !w->failed && w->data != MPI_COMM_NULL) MPI_Comm_free(&w->data);
}

static void destroy(eden_backend *backend)
{
    world *w = world_of(backend);
    eden_mpi_free_buckets(w);
    free(w->counts);
    free(w->begins);
    free(w->bytes);
    free(w->cards);
    for (size_t k = 0; k < FLIGHTS; k++) {
        free(w->flights[k].zeros);
        free(w->flights[k].counts);
        free(w->flights[k].begins);
        free(w->flights[k].own_counts);
        free(w->flights[k].own_begins);
    }
    leave(w);
    free(w);
}

/* Without these there is no one to agree with. */
static eden_status check_mpi(MPI_Comm comm, eden_error *error)
{
    int begun = 0, ended = 0, inter = 0, first = 0, level = MPI_THREAD_SINGLE;
    MPI_Initialized(&begun);
    MPI_Finalized(&ended);
    if (!begun || ended)
        return eden_mpi_fail(error, EDEN_E_ORDER, "eden_mpi_optimizer_create: %s", begun ? "MPI_Finalize() has been "
                             "called" : "call MPI_Init() first");
    MPI_Is_thread_main(&first);
    MPI_Query_thread(&level);
    if (!first && level < MPI_THREAD_SERIALIZED)
        return eden_mpi_fail(error, EDEN_E_ORDER, "eden_mpi_optimizer_create: this is not the thread that called "
                             "MPI_Init(), the only one that may call MPI; begin with MPI_Init_thread() and "
                             "MPI_THREAD_SERIALIZED");
    if (comm == MPI_COMM_NULL)
        return eden_mpi_fail(error, EDEN_E_ARGUMENT, "eden_mpi_optimizer_create: the communicator is MPI_COMM_NULL");
    if (MPI_Comm_test_inter(comm, &inter) != MPI_SUCCESS || inter)
        return eden_mpi_fail(error, EDEN_E_ARGUMENT, "eden_mpi_optimizer_create: the communicator joins two groups; "
                             "an optimizer is of one");
    return EDEN_OK;
}

static eden_status check_arguments(eden_optimizer **optimizer, const eden_mpi_config *mpi, eden_error *error)
{
    if (!optimizer) return eden_mpi_fail(error, EDEN_E_ARGUMENT, "eden_mpi_optimizer_create: optimizer is NULL");
    if (mpi && mpi->size != sizeof *mpi)
        return eden_mpi_fail(error, EDEN_E_ARGUMENT, "eden_mpi_optimizer_create: start mpi from EDEN_MPI_CONFIG_INIT");
    if (mpi && mpi->fixed_order > 1)
        return eden_mpi_fail(error, EDEN_E_VALUE, "fixed_order = %u is neither 0 nor 1", mpi->fixed_order);
    if (mpi && mpi->bucket_bytes && (mpi->bucket_bytes < 4096 || mpi->bucket_bytes > (uint64_t)1 << 33))
        return eden_mpi_fail(error, EDEN_E_VALUE, "bucket_bytes = %llu is outside [4096, 2^33]",
                             (unsigned long long)mpi->bucket_bytes);
    return EDEN_OK;
}

static int make_room(world *w)
{
    const uint32_t ranks = w->backend.ranks;
    w->counts = calloc(ranks, sizeof *w->counts);
    w->begins = calloc(ranks, sizeof *w->begins);
    w->bytes = calloc(ranks, sizeof *w->bytes);
    w->cards = calloc(ranks, CARD);
    if (!w->counts || !w->begins || !w->bytes || !w->cards) return 0;
    for (size_t k = 0; k < FLIGHTS; k++) {
        flight *f = &w->flights[k];
        f->counts = calloc(ranks, sizeof *f->counts);
        f->begins = calloc(ranks, sizeof *f->begins);
        f->own_counts = calloc(ranks, sizeof *f->own_counts);
        f->own_begins = calloc(ranks, sizeof *f->own_begins);
        if (!f->counts || !f->begins || !f->own_counts || !f->own_begins) return 0;
    }
    return 1;
}

static eden_status check_counts(world *w, const eden_config *config, eden_error *error)
{
    const uint32_t all = config && config->accumulate ? config->accumulate : 1, ranks = w->backend.ranks;
    w->alone = ranks == 1 && (!w->config.fixed_order || all == 1);
    if (!w->config.fixed_order || all % ranks == 0) return EDEN_OK;
    return eden_mpi_fail(error, EDEN_E_VALUE, "with fixed_order config.accumulate = %u is the micro-batches of all ranks, "
                         "and %u ranks want a multiple of %u", all, ranks, ranks);
}

/* Once all ranks have room. What of it fails on some, fails on all. */
static eden_status create_here(world *w, const char *rule, const eden_config *config, eden_error *error)
{
    eden_status status = eden_mpi_compare_builds(w, error);
    if (status) return status;
    status = check_counts(w, config, error);
    if (!status) status = eden_optimizer_create(&w->optimizer, rule, config, error);
    if (!status) status = eden_attach_backend(w->optimizer, &w->backend, error);
    status = eden_mpi_all(w, status, error);
    return status ? status : eden_mpi_agree(&w->backend, w->optimizer, EDEN_OK, error);
}

/* A communicator of our own; those who wait for others leave them the cores. */
static eden_status duplicate(world *w, MPI_Comm comm, MPI_Comm *own, eden_error *error)
{
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Comm made = MPI_COMM_NULL;
    const int code = MPI_Comm_idup(comm, &made, &request);
    const eden_status status = eden_mpi_wait(w, code, &request, "part in creation", error);
    if (!status) *own = made;
    return status;
}

static eden_status meet(world *w, MPI_Comm comm, eden_error *error)
{
    int rank = 0, ranks = 0;
    eden_status status = duplicate(w, comm, &w->control, error);
    if (!status) status = duplicate(w, comm, &w->data, error);
    if (status) return status;
    if (MPI_Comm_set_errhandler(w->control, MPI_ERRORS_RETURN) != MPI_SUCCESS ||
        MPI_Comm_set_errhandler(w->data, MPI_ERRORS_RETURN) != MPI_SUCCESS ||
        MPI_Comm_rank(w->control, &rank) != MPI_SUCCESS || MPI_Comm_size(w->control, &ranks) != MPI_SUCCESS)
        return eden_mpi_fail(error, EDEN_E_IO, "eden_mpi_optimizer_create: MPI refused to duplicate the communicator");
    w->backend.rank = (uint32_t)rank;
    w->backend.ranks = (uint32_t)ranks;
    return EDEN_OK;
}

static world start(const eden_mpi_config *mpi)
{
    const eden_mpi_config initial = EDEN_MPI_CONFIG_INIT;
    world w = { .config = mpi ? *mpi : initial, .most = COUNT_MOST, .direct = DIRECT_RANKS, .described = UINT64_MAX };
    if (!w.config.bucket_bytes) w.config.bucket_bytes = (uint64_t)32 << 20;
    w.backend.counts = 1;
    w.control = w.data = MPI_COMM_NULL;
    w.backend.agree = eden_mpi_agree;
    w.backend.vote = eden_mpi_vote;
    w.backend.begin = begin;
    w.backend.exchange = eden_mpi_exchange;
    w.backend.end = eden_mpi_gather_weights;
    w.backend.destroy = destroy;
    return w;
}

/* A rank without memory for its world meets the others to tell them. */
static eden_status make_world(world **made, world *met, eden_status mine, eden_error *error)
{
    world *w = malloc(sizeof *w);
    *made = w;
    if (w) *w = *met;
    if (!mine && !(w && make_room(w))) mine = eden_mpi_fail(error, EDEN_E_MEMORY, "no memory for an optimizer over MPI");
    return eden_mpi_all(w ? w : met, mine, error);
}

eden_status eden_mpi_optimizer_create(eden_optimizer **optimizer, MPI_Comm comm, const char *rule,
                                      const eden_config *config, const eden_mpi_config *mpi, eden_error *error)
{
    eden_error own = { 0, "" };
    world *w = NULL;
    eden_status status = check_mpi(comm, error);
    if (status) return status;
    const eden_status mine = check_arguments(optimizer, mpi, &own);
    world met = start(mine ? NULL : mpi);
    status = meet(&met, comm, mine ? NULL : &own);
    if (!status) status = make_world(&w, &met, mine, &own);
    if (!status && w->config.fixed_order) w->backend.counts = w->backend.ranks, w->backend.every = 1;
    if (!status) status = create_here(w, rule, config, &own);
    if (!status) {
        *optimizer = w->optimizer;
        return EDEN_OK;
    }
    if (error) *error = own;
    eden_optimizer *half = w ? w->optimizer : NULL;
    const int attached = half && eden_backend_of(half);
    if (half) eden_optimizer_destroy(half); /* with the world, if it is its */
    if (w && !attached) destroy(&w->backend);
    else if (!w) leave(&met);
    return status;
}

/* ---- calls of their own --------------------------------------------------------------------------- */

static eden_status find(const eden_optimizer *o, const char *call, const char *tensor, world **w, size_t *i,
                        eden_error *error)
{
    if (!eden_backend_of(o) || !tensor)
        return eden_mpi_fail(error, EDEN_E_ARGUMENT, "%s: %s", call, tensor ? "the optimizer was not made by "
                             "eden_mpi_optimizer_create()" : "a tensor's name is NULL");
    *w = world_of(eden_backend_of(o));
    *i = eden_backend_find(o, tensor);
    if (*i != SIZE_MAX) return EDEN_OK;
    return eden_mpi_fail(error, EDEN_E_NAME, "%s: no tensor is called '%.100s'", call, tensor);
}

static int is_ready(const world *w, const bucket *b)
{
    for (size_t p = b->first; p < b->last; p++) {
        eden_tensor t;
        eden_backend_tensor(w->optimizer, w->parts[p].tensor, &t);
        if (!w->ready[w->parts[p].tensor] || !t.grad) return 0;
    }
    return 1;
}

eden_status eden_mpi_grad_ready(eden_optimizer *o, const char *tensor, eden_error *error)
{
    world *w = NULL;
    size_t i = 0;
    eden_status status = find(o, "eden_mpi_grad_ready", tensor, &w, &i, error);
    if (status) return status;
    if (w->failed) return eden_mpi_fail(error, EDEN_E_IO, "the ranks have lost each other before; end all with "
                                        "MPI_Abort()");
    if (eden_mpi_is_stale(w) || !eden_backend_steps_next(o) || eden_backend_refused(o) || w->config.fixed_order ||
        w->backend.ranks == 1)
        return EDEN_OK;
    w->ready[i] = 1;
    w->told = 1;
    /* A rank that failed and never gets here must not be waited for. MPI works within
     * calls alone, and this is one. What arrives is added up as in a step, whatever
     * environment the caller computes in. */
    fenv_t saved;
    fegetenv(&saved);
    fesetenv(FE_DFL_ENV);
    while (!status && eden_mpi_may_send(w) && w->started < w->bucket_count && is_ready(w, &w->buckets[w->started]))
        status = eden_mpi_send_gradients(w, w->started + 1, 0, error);
    fesetenv(&saved);
    return status;
}

eden_status eden_mpi_broadcast(eden_optimizer *o, eden_error *error)
{
    if (!eden_backend_of(o))
        return eden_mpi_fail(error, EDEN_E_ARGUMENT, "eden_mpi_broadcast: the optimizer was not made by "
                             "eden_mpi_optimizer_create()");
    world *w = world_of(eden_backend_of(o));
    w->call = IN_BROADCAST;
    eden_status status = eden_steps(o) ? eden_mpi_fail(error, EDEN_E_ORDER, "eden_mpi_broadcast: weights are alike once "
                                                       "a step has been taken") : EDEN_OK;
    status = eden_mpi_all(w, status, error);
    if (!status) status = eden_mpi_same_tensors(w, error);
    for (size_t i = 0; i < eden_tensor_count(o) && !status; i++) {
        eden_tensor t;
        const uint64_t count = eden_backend_tensor(o, i, &t);
        status = eden_mpi_bcast(w, t.data, count * width_of(t.dtype), 0, error);
        if (!status && t.copy)
            status = eden_mpi_bcast(w, t.copy, count * width_of(t.copy_dtype), 0, error);
    }
    return status;
}

eden_status eden_mpi_shard(const eden_optimizer *o, const char *tensor, uint64_t *first, uint64_t *last,
                           eden_error *error)
{
    world *w = NULL;
    size_t i = 0;
    const eden_status status = find(o, "eden_mpi_shard", tensor, &w, &i, error);
    if (status) return status;
    if (!first || !last) return eden_mpi_fail(error, EDEN_E_ARGUMENT, "eden_mpi_shard: %s is NULL", first ? "last" : "first");
    if (w->tensors != eden_tensor_count(o))
        return eden_mpi_fail(error, EDEN_E_ORDER, "eden_mpi_shard: shards are made by the first step");
    *first = eden_shard_at(o, i, w->backend.rank);
    *last = eden_shard_at(o, i, w->backend.rank + 1);
    return EDEN_OK;
}
