/* agree.c - all ranks go on, or none does. */
#include "world.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

/* ---- what ranks must have in common ------------------------------------------------------ */

typedef struct { char *text; size_t used, room; uint64_t hash; int keep; } description;

static uint64_t hash_bytes(uint64_t hash, const void *bytes, uint64_t n)
{
    const unsigned char *at = bytes;
    for (; n >= 8; n -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    for (; n; n--) hash = (hash ^ *at++) * 0x100000001b3u;
    return hash ^ hash >> 32;
}

/* A key and a value, each with its end: either may hold anything else. */
static eden_status add_line(void *context, const char *key, const char *value, eden_error *error)
{
    description *d = context;
    const size_t n = strlen(key) + 1, m = strlen(value) + 1;
    d->hash = hash_bytes(hash_bytes(d->hash, key, n), value, m);
    if (!d->keep) return EDEN_OK;
    if (d->used + n + m > d->room) {
        const size_t room = d->room * 2 + n + m + 4096;
        char *text = realloc(d->text, room);
        if (!text) return eden_mpi_fail(error, EDEN_E_MEMORY, "no memory to compare the ranks");
        d->text = text;
        d->room = room;
    }
    memcpy(d->text + d->used, key, n);
    memcpy(d->text + d->used + n, value, m);
    d->used += n + m;
    return EDEN_OK;
}

static eden_status add_hash(description *d, const char *what, const char *tensor, const void *bytes, uint64_t n,
                            eden_error *error)
{
    char key[300], text[32];
    snprintf(key, sizeof key, "hash of the %s of %s", what, tensor);
    snprintf(text, sizeof text, "%016" PRIx64, hash_bytes(1, bytes, n));
    return add_line(d, key, text, error);
}

static eden_status describe(world *w, eden_optimizer *o, int what, description *d, eden_error *error)
{
    char text[64];
    snprintf(text, sizeof text, "%u", w->config.fixed_order);
    eden_status status = add_line(d, "fixed_order", text, error);
    snprintf(text, sizeof text, "%" PRIu64, w->config.bucket_bytes);
    if (!status) status = add_line(d, "bucket_bytes", text, error);
    return status ? status : eden_describe(o, what, add_line, d, error);
}

/* What is in tensors that have come since all last agreed, frozen ones and copies too. */
static eden_status describe_weights(const world *w, eden_optimizer *o, description *d, eden_error *error)
{
    eden_status status = EDEN_OK;
    for (size_t i = w->met; i < eden_tensor_count(o) && !status; i++) {
        eden_tensor t;
        const uint64_t count = eden_backend_tensor(o, i, &t);
        status = add_hash(d, "weights", eden_tensor_name(o, i), t.data, count * width_of(t.dtype), error);
        if (t.copy && !status)
            status = add_hash(d, "copy", eden_tensor_name(o, i), t.copy, count * width_of(t.copy_dtype), error);
    }
    return status;
}

/* ---- naming a difference ------------------------------------------------------------------- */

static const char *value_of(const char *key) { return key + strlen(key) + 1; }
static const char *next_of(const char *key) { const char *value = value_of(key); return value + strlen(value) + 1; }

static int has_key(const char *at, const char *end, const char *key)
{
    while (at < end && strcmp(at, key) != 0) at = next_of(at);
    return at < end;
}

typedef struct { char theirs[200], mine[200]; } difference;

static void quote(char line[200], const char *at, int there)
{
    if (there) snprintf(line, 200, "'%.80s = %.110s'", at, value_of(at));
    else snprintf(line, 200, "nothing");
}

/* The first difference of two descriptions; 0 if they are equal. What one alone has is
 * nothing on the other. */
static int find_difference(const char *a, size_t a_bytes, const char *b, size_t b_bytes, difference *found)
{
    const char *const a_end = a + a_bytes, *const b_end = b + b_bytes;
    while (a < a_end && b < b_end && strcmp(a, b) == 0 && strcmp(value_of(a), value_of(b)) == 0)
        a = next_of(a), b = next_of(b);
    if (a >= a_end && b >= b_end) return 0;
    const int more_a = a < a_end && !has_key(b, b_end, a), more_b = b < b_end && !has_key(a, a_end, b);
    quote(found->theirs, a, a < a_end && (more_a || !more_b));
    quote(found->mine, b, b < b_end && (more_b || !more_a));
    return 1;
}

/* A rank failed: all say what it said. */
static eden_status name_failure(world *w, eden_status mine, eden_error *error)
{
    eden_error theirs = { 0, "" };
    int rank = mine ? (int)w->backend.rank : INT_MAX;
    if (mine && error) theirs = *error;
    theirs.status = (uint32_t)mine;
    eden_status status = eden_mpi_allreduce(w, &rank, 1, MPI_INT, MPI_MIN, error);
    if (!status && rank < INT_MAX) status = eden_mpi_bcast(w, &theirs, sizeof theirs, (uint32_t)rank, error);
    if (status) return status;
    if (mine) return mine;
    return eden_mpi_fail(error, (eden_status)theirs.status, "rank %d: %.400s", rank,
                         theirs.text[0] ? theirs.text : eden_status_text((eden_status)theirs.status));
}

/* Rank 0 says what it has, the first that differs what it has instead. */
static eden_status name_difference(world *w, eden_optimizer *o, eden_error *error)
{
    const int all = EDEN_TELL_SETTINGS | EDEN_TELL_COUNTS | (w->stepping ? EDEN_TELL_VALUES : 0);
    description d = { .keep = 1 };
    difference lines = { "nothing that can be named", "something else" };
    eden_status status = describe(w, o, all, &d, error);
    if (!status) status = describe_weights(w, o, &d, error);
    uint64_t length = d.used;
    int differs = INT_MAX; /* a rank */
    eden_status got = eden_mpi_bcast(w, &length, sizeof length, 0, error);
    char *first = got || w->backend.rank == 0 ? NULL : calloc(length + 1, 1), *text = first ? first : d.text;
    if (!status && w->backend.rank && !first)
        status = eden_mpi_fail(error, EDEN_E_MEMORY, "no memory to compare the ranks");
    if (!got) got = eden_mpi_all(w, status, error); /* whoever lacks memory is not waited for */
    if (!got) got = eden_mpi_bcast(w, text, length, 0, error);
    if (!got && w->backend.rank && find_difference(text, length, d.text, d.used, &lines)) differs = (int)w->backend.rank;
    if (!got) got = eden_mpi_allreduce(w, &differs, 1, MPI_INT, MPI_MIN, error);
    if (!got && differs < INT_MAX) got = eden_mpi_bcast(w, &lines, sizeof lines, (uint32_t)differs, error);
    free(first);
    free(d.text);
    if (got) return got;
    return eden_mpi_fail(error, EDEN_E_MISMATCH, "the ranks differ: rank 0 has %s, rank %d %s; create, add, set and "
                         "report the same on every rank, and begin with eden_mpi_broadcast() if only weights "
                         "differ", lines.theirs, differs < INT_MAX ? differs : 1, lines.mine);
}

/* Some ranks have a gradient that others do not. */
static eden_status name_gradient(world *w, eden_optimizer *o, eden_error *error)
{
    for (size_t i = 0; i < eden_tensor_count(o); i++) {
        eden_tensor t;
        eden_backend_tensor(o, i, &t);
        int has[2] = { t.grad != NULL, t.grad == NULL };
        const eden_status status = eden_mpi_allreduce(w, has, 2, MPI_INT, MPI_MAX, error);
        if (status) return status;
        if (has[0] && has[1])
            return eden_mpi_fail(error, EDEN_E_ARGUMENT, "the gradient of '%.200s' is there on some ranks and missing "
                                 "on others, here it %s; a rank without one gives zeros", eden_tensor_name(o, i),
                                 t.grad ? "is there" : "is missing");
    }
    return EDEN_OK;
}

/* ---- agreeing ------------------------------------------------------------------------------- */

/* Maximums of a value and of its complement say whether all are equal, also where MPI
 * takes these for signed, as MPICH 4.0 does. */
enum { CALL, FAILED = CALL + 2, STARTED, STALE, TOLD = STALE, COUNTS, HASH = COUNTS + 2, WEIGHTS = HASH + 2, GRADIENTS = WEIGHTS + 2, WORDS = GRADIENTS + 2 };

static void put_both(uint64_t *words, uint64_t value) { words[0] = value, words[1] = ~value; }
static int all_equal(const uint64_t *words) { return words[0] == ~words[1]; }

static uint64_t hash_gradients(const eden_optimizer *o)
{
    uint64_t hash = 1;
    for (size_t i = 0; i < eden_tensor_count(o); i++) {
        eden_tensor t;
        eden_backend_tensor(o, i, &t);
        hash = (hash ^ (t.grad != NULL)) * 0x100000001b3u;
    }
    return hash;
}

/* Ranks in different calls have nothing more to say to each other: MPI would end them when
 * the next words were not of one length. */
static eden_status name_calls(world *w, const uint64_t *words, eden_error *error)
{
    static const char *const calls[] = {
        "eden_mpi_optimizer_create()", "eden_step()", "eden_mpi_save()", "eden_mpi_load()", "eden_mpi_broadcast()",
        "eden_load(), eden_lookahead_begin() or eden_swap_average()", "eden_lookahead_end() or eden_swap_average()" };
    const uint64_t mine = (uint64_t)w->call, other = words[CALL] == mine ? ~words[CALL + 1] : words[CALL];
    w->failed = 1;
    return eden_mpi_fail(error, EDEN_E_ORDER, "the ranks make different calls: rank %u calls %s, and another %s; make "
                         "the same on every rank, and end all with MPI_Abort()", w->backend.rank, calls[mine],
                         calls[other]);
}

/* What ranks say first in a call: as many words in every call, and which it is. */
static eden_status say(world *w, uint64_t words[WORDS], eden_error *error)
{
    put_both(words + CALL, (uint64_t)w->call);
    const eden_status status = eden_mpi_allreduce(w, words, WORDS, MPI_UINT64_T, MPI_MAX, error);
    return status || all_equal(words + CALL) ? status : name_calls(w, words, error);
}

eden_status eden_mpi_all(world *w, eden_status mine, eden_error *error)
{
    uint64_t words[WORDS] = { [FAILED] = mine != EDEN_OK };
    const eden_status status = say(w, words, error);
    if (status) return status;
    return words[FAILED] ? name_failure(w, mine, error) : EDEN_OK;
}

eden_status eden_mpi_most_started(world *w, size_t *started, eden_error *error)
{
    uint64_t words[WORDS] = { [STARTED] = w->started };
    const eden_status status = say(w, words, error);
    *started = (size_t)words[STARTED];
    return status;
}

eden_status eden_mpi_vote(eden_backend *backend, eden_status mine, eden_error *error)
{
    world *w = world_of(backend);
    uint64_t words[WORDS] = { [FAILED] = mine != EDEN_OK, [TOLD] = w->told != 0, [STARTED] = w->started };
    w->voted = 1;
    if (!w->loading) w->call = IN_VOTE;
    const eden_status status = say(w, words, error);
    if (status) return status;
    if (words[FAILED]) return name_failure(w, mine, error);
    if (words[TOLD] && !w->loading)
        return eden_mpi_fail(error, EDEN_E_ORDER, "eden_mpi_grad_ready() was told of gradients of the weights that "
                             "are here now; take the step before they change, or give it up with eden_mpi_load()");
    w->settled = 1;
    return words[TOLD] ? eden_mpi_drop_gradients(w, (size_t)words[STARTED], error) : EDEN_OK;
}

/* This rank's words. Settings are hashed again only when they may have changed, which some
 * ranks may have to and others not: so what they do not hold is hashed apart, each time. */
static eden_status put_words(world *w, eden_optimizer *o, uint64_t *words, eden_error *error)
{
    description weights = { .hash = 1 };
    eden_status status = describe_weights(w, o, &weights, error);
    if (!status && w->described != eden_settings_version(o)) {
        description d = { .hash = 1 };
        status = describe(w, o, EDEN_TELL_SETTINGS, &d, error);
        w->hash = d.hash;
    }
    put_both(words + COUNTS, eden_hash_counts(o, w->stepping));
    put_both(words + HASH, w->hash);
    put_both(words + WEIGHTS, weights.hash);
    put_both(words + GRADIENTS, hash_gradients(o));
    return status;
}

eden_status eden_mpi_agree(eden_backend *backend, eden_optimizer *o, eden_status mine, eden_error *error)
{
    world *w = world_of(backend);
    uint64_t words[WORDS] = { 0 };
    if (!mine) mine = put_words(w, o, words, error);
    words[FAILED] = mine != EDEN_OK;
    words[STARTED] = w->started;
    words[STALE] = !mine && eden_mpi_is_stale(w);
    eden_status status = say(w, words, error);
    if (status) return status;
    w->most_started = (size_t)words[STARTED];
    w->stale = words[STALE] != 0;
    if (words[FAILED]) return name_failure(w, mine, error);
    if (!all_equal(words + COUNTS) || !all_equal(words + HASH) || !all_equal(words + WEIGHTS))
        return name_difference(w, o, error);
    if (!all_equal(words + GRADIENTS)) status = name_gradient(w, o, error);
    if (status) return status;
    w->described = eden_settings_version(o);
    w->met = eden_tensor_count(o);
    return EDEN_OK;
}
