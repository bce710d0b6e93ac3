/* mpi_memory.c - a rank has the weights, its part of the state, and the messages that it
 * was allowed: all memory that Eden asks for is counted, at its highest. */
#include <malloc.h>

#include "tests/mpi/check.h"

/* What the libraries' calls for memory come to: see CMakeLists.txt. MPI's own do not. */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t alignment, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t alignment, size_t n);
void __wrap_free(void *p);

static size_t now, highest;
static long until_none = -1; /* calls, before one fails */

static int fails(void) { return until_none >= 0 && until_none-- == 0; }

static void *counted(void *p)
{
    now += p ? malloc_usable_size(p) : 0;
    highest = now > highest ? now : highest;
    return p;
}

void *__wrap_malloc(size_t n) { return fails() ? NULL : counted(__real_malloc(n)); }
void *__wrap_calloc(size_t n, size_t size) { return fails() ? NULL : counted(__real_calloc(n, size)); }
void *__wrap_aligned_alloc(size_t alignment, size_t n)
{
    return fails() ? NULL : counted(__real_aligned_alloc(alignment, n));
}

void *__wrap_realloc(void *p, size_t n)
{
    if (fails()) return NULL;
    now -= p ? malloc_usable_size(p) : 0;
    return counted(__real_realloc(p, n));
}

void __wrap_free(void *p)
{
    now -= p ? malloc_usable_size(p) : 0;
    __real_free(p);
}

/* Resident bytes of this process. */
static double resident(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long all = 0, pages = 0;
    if (!f || fscanf(f, "%lu %lu", &all, &pages) != 2) pages = 0;
    if (f) fclose(f);
    return (double)pages * 4096;
}

enum { MATRICES = 6, ROWS = 1024, COLS = 1024, VECTORS = 40, LENGTH = 1024 };
enum { COUNT = MATRICES * ROWS * COLS + VECTORS * LENGTH };

/* A model of `width` bytes a weight and gradient, with `state` bytes of state a weight. */
static void run(const char *rule, uint32_t dtype, uint32_t rounding, double state)
{
    const size_t width = dtype == EDEN_F32 ? 4 : 2;
    const double bucket = 8 << 20, begun = resident();
    char *weights = __real_calloc(COUNT, width), *grads = __real_calloc(COUNT, width);
    size_t at = 0;
    eden_optimizer *o = NULL;
    eden_mpi_config mpi = EDEN_MPI_CONFIG_INIT;
    CHECK(weights && grads, "no memory");
    memset(grads, 1, COUNT * width); /* pages that are there */
    now = highest = 0;
    mpi.bucket_bytes = (uint64_t)bucket, mpi.timeout = 60;
    OK(eden_mpi_optimizer_create(&o, MPI_COMM_WORLD, rule, NULL, &mpi, error));
    for (int i = 0; i < MATRICES + VECTORS; i++) {
        eden_tensor t = eden_matrix(NULL, NULL, ROWS, i < MATRICES ? COLS : 1);
        char name[16];
        t.data = weights + at * width, t.grad = grads + at * width;
        t.dtype = t.grad_dtype = dtype, t.rounding = rounding;
        snprintf(name, sizeof name, "t%d", i);
        OK(eden_add_tensor(o, name, &t, NULL, error));
        at += i < MATRICES ? ROWS * COLS : LENGTH;
    }
    for (int step = 0; step < 2; step++) OK(eden_step(o, error));
    const double parameters = 2.0 * (double)width * COUNT, part = state * COUNT / all_ranks();
    const double allowed = parameters + part + bucket, have = parameters + (double)highest;
    if (my_rank() == 0)
        printf("%s, %zu bytes a weight, %d ranks: %.1f MB of parameters and gradients, %.1f of state, %.1f of messages "
               "and the rest: %.1f %% of what is allowed; %.1f MB resident\n", rule, width, all_ranks(), parameters / 1e6,
               (double)eden_state_bytes(o) / 1e6, ((double)highest - (double)eden_state_bytes(o)) / 1e6,
               100 * have / allowed, (resident() - begun) / 1e6);
    CHECK(have <= 1.03 * allowed, "%s: %.0f bytes, allowed are %.0f and 3 %%", rule, have, allowed);
    CHECK((double)eden_state_bytes(o) <= 1.03 * part, "%s: %llu bytes of state", rule,
          (unsigned long long)eden_state_bytes(o));
    eden_optimizer_destroy(o);
    CHECK(now == 0, "%zu bytes were not freed", now);
    __real_free(weights);
    __real_free(grads);
}

/* One rank gets no memory, at each of the calls of creation: no rank has an optimizer, and
 * all say so. */
static void test_none_to_create(void)
{
    long at = 0;
    for (int done = 0; !done; at++) {
        eden_optimizer *o = NULL;
        eden_error e = { 0, "" };
        eden_mpi_config mpi = EDEN_MPI_CONFIG_INIT;
        mpi.timeout = 60;
        until_none = my_rank() == all_ranks() - 1 ? at : -1;
        const eden_status status = eden_mpi_optimizer_create(&o, MPI_COMM_WORLD, "adamw", NULL, &mpi, &e);
        done = until_none >= 0;
        until_none = -1;
        MPI_Bcast(&done, 1, MPI_INT, all_ranks() - 1, MPI_COMM_WORLD);
        CHECK(status == (done ? EDEN_OK : EDEN_E_MEMORY), "call %ld: status %d, \"%s\"", at, (int)status, e.text);
        CHECK(!o == !done, "call %ld: an optimizer in spite of \"%s\"", at, e.text);
        eden_optimizer_destroy(o);
        CHECK(now == 0, "%zu bytes were not freed", now);
        CHECK(at < 1000, "no end");
    }
    if (my_rank() == 0) printf("%ld calls for memory of creation failed\n", at - 1);
}

/* Nor is one waited for that has no memory to say how the ranks differ. */
static void test_none_to_name(void)
{
    float w[4] = { 0 }, g[4] = { 0 };
    const eden_tensor t = eden_vector(w, g, 4);
    long at = 0;
    for (int done = 0; !done; at++) {
        eden_optimizer *o = NULL;
        eden_error e = { 0, "" };
        eden_mpi_config mpi = EDEN_MPI_CONFIG_INIT;
        mpi.timeout = 60;
        OK(eden_mpi_optimizer_create(&o, MPI_COMM_WORLD, "adamw", NULL, &mpi, error));
        OK(eden_add_tensor(o, "w", &t, NULL, error));
        OK(eden_set(o, NULL, "lr", my_rank() ? 0.5 : 0.25, error));
        until_none = my_rank() == all_ranks() - 1 ? at : -1;
        const eden_status status = eden_step(o, &e);
        done = until_none >= 0;
        until_none = -1;
        MPI_Bcast(&done, 1, MPI_INT, all_ranks() - 1, MPI_COMM_WORLD);
        CHECK(status == (done ? EDEN_E_MISMATCH : EDEN_E_MEMORY), "call %ld: status %d, \"%s\"", at, (int)status, e.text);
        eden_optimizer_destroy(o);
        CHECK(at < 1000, "no end");
    }
    if (my_rank() == 0) printf("%ld calls for memory failed where ranks differ\n", at - 1);
}

/* One rank gets no memory, at each of the calls of a first step: no rank steps, all say
 * so, and the same call then succeeds. */
static void test_one_has_none(void)
{
    float w[700] = { 0 }, g[700];
    long at = 0;
    for (int i = 0; i < 700; i++) g[i] = 1;
    for (int done = 0; !done; at++) {
        eden_optimizer *o = NULL;
        eden_error e = { 0, "" };
        eden_mpi_config mpi = EDEN_MPI_CONFIG_INIT;
        const eden_tensor t = eden_matrix(w, g, 7, 100);
        const float before = w[0];
        mpi.timeout = 60;
        OK(eden_mpi_optimizer_create(&o, MPI_COMM_WORLD, "adamw", NULL, &mpi, error));
        OK(eden_add_tensor(o, "w", &t, NULL, error));
        until_none = my_rank() == all_ranks() - 1 ? at : -1;
        const eden_status status = eden_step(o, &e);
        done = until_none >= 0;
        until_none = -1;
        MPI_Bcast(&done, 1, MPI_INT, all_ranks() - 1, MPI_COMM_WORLD);
        CHECK(status == (done ? EDEN_OK : EDEN_E_MEMORY), "call %ld: status %d, \"%s\"", at, (int)status, e.text);
        CHECK(done || w[0] == before, "call %ld: a weight has moved", at);
        if (!done) OK(eden_step(o, error));
        eden_optimizer_destroy(o);
        CHECK(at < 1000, "no end");
    }
    if (my_rank() == 0) printf("%ld calls for memory of one rank failed, and all ranks said so\n", at - 1);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    test_none_to_create();
    if (all_ranks() > 1) test_none_to_name();
    test_one_has_none();
    run("adamw", EDEN_F32, EDEN_NEAREST, 8);
    run("adamw", EDEN_BF16, EDEN_MASTER, 12);
    run("lamb", EDEN_F32, EDEN_NEAREST, 8);
    MPI_Finalize();
    return 0;
}
