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

/* A line "key = value". */
static eden_status add_line(void *context, const char *key, const char *value, eden_error *error)
{
    description *d = context;
    const size_t n = strlen(key), m = strlen(value), length = n + m + 4;
    d->hash = hash_bytes(hash_bytes(d->hash, key, n + 1), value, m + 1);
    if (!d->keep) return EDEN_OK;
    if (d->used + length + 1 > d->room) {
        const size_t room = d->room * 2 + length + 4096;
        char *text = realloc(d->text, room);
        if (!text) return eden_mpi_fail(error, EDEN_E_MEMORY, "no memory to compare the ranks");
        d->text = text;
        d->room = room;
    }
    d->used += (size_t)snprintf(d->text + d->used, d->room - d->used, "%s = %s\n", key, value);
    return EDEN_OK;
}

static eden_status describe(world *w, eden_optimizer *o, description *d, eden_error *error)
{
    char text[64];
    snprintf(text, sizeof text, "%u", w->config.fixed_order);
    eden_status status = add_line(d, "fixed_order", text, error);
    snprintf(text, sizeof text, "%" PRIu64, w->config.bucket_bytes);
    if (!status) status = add_line(d, "bucket_bytes", text, error);
    if (!status) status = eden_describe(o, add_line, d, error);
    for (size_t i = 0; i < eden_tensor_count(o) && !status && !w->met; i++) {
        char key[300];
        eden_tensor t;
        const uint64_t count = eden_backend_tensor(o, i, &t);
        if (t.flags & EDEN_FROZEN) continue;
        snprintf(key, sizeof key, "hash of the weights of %s", eden_tensor_name(o, i));
        snprintf(text, sizeof text, "%016" PRIx64, hash_bytes(1, t.data, count * width_of(t.dtype)));
        status = add_line(d, key, text, error);
    }
    return status;
}

/* ---- naming a difference ------------------------------------------------------------------- */

/* The first line in which two descriptions differ, as offsets. 0 if they are equal. */
static int first_difference(const char *a, const char *b, size_t *in_a, size_t *in_b)
{
    size_t i = 0, line = 0;
    while (a[i] && a[i] == b[i]) {
        if (a[i] == '\n') line = i + 1;
        i++;
    }
    *in_a = *in_b = line;
    return a[i] != b[i];
}

static void copy_line(char line[200], const char *from)
{
    size_t n = 0;
    while (n < 199 && from[n] && from[n] != '\n') line[n] = from[n], n++;
    line[n] = 0;
    if (!n) snprintf(line, 200, "nothing more");
}

/* Rank 0 says what it has, the first that differs what it has instead. */
static eden_status name_difference(world *w, eden_optimizer *o, eden_error *error)
{
    description d = { .keep = 1 };
    char *first = NULL;
    struct { char theirs[200], mine[200]; } lines = { "", "" };
    eden_status status = describe(w, o, &d, error);
    uint64_t length = status ? 0 : d.used;
    int differs = INT_MAX; /* a rank */
    eden_status got = eden_mpi_bcast(w, &length, sizeof length, 0, error);
    first = got ? NULL : calloc(length + 1, 1);
    char *text = w->backend.rank == 0 && d.text ? d.text : first;
    if (!got && text) got = eden_mpi_bcast(w, text, length, 0, error);
    size_t at, other;
    if (!got && text && d.text && w->backend.rank && first_difference(text, d.text, &at, &other)) {
        differs = (int)w->backend.rank;
        copy_line(lines.theirs, text + at);
        copy_line(lines.mine, d.text + other);
    }
    if (!got) got = eden_mpi_allreduce(w, &differs, 1, MPI_INT, MPI_MIN, error);
    if (!got && differs < INT_MAX) got = eden_mpi_bcast(w, &lines, sizeof lines, (uint32_t)differs, error);
    free(first);
    free(d.text);
    if (got) return got;
    return eden_mpi_fail(error, EDEN_E_MISMATCH, "the ranks differ: rank 0 has '%s', rank %d '%s'; create, "
                         "add and set the same on every rank, and begin with eden_mpi_broadcast() if only weights "
                         "differ", lines.theirs, differs, lines.mine);
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
enum { FAILED, STARTED, STEPS, HASH = STEPS + 2, GRADIENTS = HASH + 2, WORDS = GRADIENTS + 2 };

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

eden_status eden_mpi_vote(eden_backend *backend, eden_status mine, eden_error *error)
{
    world *w = world_of(backend);
    int failed = mine != EDEN_OK;
    const eden_status status = eden_mpi_allreduce(w, &failed, 1, MPI_INT, MPI_MAX, error);
    if (status) return status;
    return failed ? name_failure(w, mine, error) : EDEN_OK;
}

eden_status eden_mpi_agree_first(world *w, eden_status mine, eden_error *error)
{
    const eden_status status = eden_mpi_vote(&w->backend, mine, error);
    return status ? status : eden_mpi_agree(&w->backend, w->optimizer, EDEN_OK, error);
}

eden_status eden_mpi_agree(eden_backend *backend, eden_optimizer *o, eden_status mine, eden_error *error)
{
    world *w = world_of(backend);
    uint64_t words[WORDS] = { 0 };
    if (!mine && (w->described != eden_settings_version(o) || !w->met)) {
        description d = { .hash = 1 };
        mine = describe(w, o, &d, error);
        w->hash = d.hash;
    }
    words[FAILED] = mine != EDEN_OK;
    words[STARTED] = w->started;
    put_both(words + STEPS, eden_steps(o));
    put_both(words + HASH, w->hash);
    put_both(words + GRADIENTS, hash_gradients(o));
    eden_status status = eden_mpi_allreduce(w, words, WORDS, MPI_UINT64_T, MPI_MAX, error);
    if (status) return status;
    int differ = 0;
    if (words[FAILED]) status = name_failure(w, mine, error);
    else if ((differ = !all_equal(words + STEPS) || !all_equal(words + HASH))) status = name_difference(w, o, error);
    else if (!all_equal(words + GRADIENTS)) status = name_gradient(w, o, error);
    if (!status) {
        w->described = eden_settings_version(o);
        w->met = w->met || eden_tensor_count(o);
    } else if (!w->failed && words[STARTED]) {
        /* What some ranks have sent already has to be met by all. */
        eden_status met = w->bucket_count ? eden_mpi_send_gradients(w, (size_t)words[STARTED], 0, NULL) : EDEN_OK;
        if (!met) met = eden_mpi_finish_gradients(w, 0, NULL);
        if (met) w->failed = 1;
    }
    return status;
}
