/* mpi_given_up.c - a step that is begun and given up leaves nothing behind: what follows
 * has the bits of one process that never began it. */
#include <math.h>

#include "tests/mpi/folder.h"

enum { COUNT = 50000, SMALL = 3 };
typedef struct { float a[COUNT], b[SMALL], late[SMALL]; } arrays;
typedef struct { arrays x, g; eden_optimizer *o; } side;
static side ours, alone;
static char place[PLACE_ROOM];

/* ---- a model, its gradients and its steps -------------------------------------------------- */

static void add(side *s)
{
    const eden_tensor a = eden_vector(s->x.a, s->g.a, COUNT), b = eden_vector(s->x.b, s->g.b, SMALL);
    memset(&s->g, 0, sizeof s->g);
    memset(&s->x, 0, sizeof s->x);
    for (int i = 0; i < COUNT; i++) s->x.a[i] = coarse((uint64_t)i);
    OK(eden_add_tensor(s->o, "a", &a, NULL, error));
    OK(eden_add_tensor(s->o, "b", &b, NULL, error));
}

/* `batches` of each rank to a step. */
static void create(uint32_t batches, uint32_t fixed)
{
    eden_config config = EDEN_CONFIG_INIT;
    eden_mpi_config mpi = EDEN_MPI_CONFIG_INIT;
    mpi.timeout = 60, mpi.fixed_order = fixed, mpi.bucket_bytes = 16384;
    config.average = EDEN_SWA;
    config.accumulate = batches * (fixed ? (uint32_t)all_ranks() : 1);
    OK(eden_mpi_optimizer_create(&ours.o, MPI_COMM_WORLD, "adam", &config, &mpi, error));
    config.accumulate = batches * (fixed ? (uint32_t)all_ranks() : 1);
    OK(eden_optimizer_create(&alone.o, "adam", &config, error));
    add(&ours);
    add(&alone);
}

static void destroy(void)
{
    eden_optimizer_destroy(ours.o);
    eden_optimizer_destroy(alone.o);
}

/* What a rank's micro-batch adds to the gradients. Sums of these are exact. */
static void backward(arrays *g, int step, uint32_t batch, int rank)
{
    const uint64_t seed = (uint64_t)step * 1000 + (uint64_t)batch * 100 + 7 * (uint64_t)rank;
    for (uint64_t i = 0; i < COUNT; i++) g->a[i] += coarse(seed + i);
    for (uint64_t i = 0; i < SMALL; i++) g->b[i] += coarse(seed + i + 3), g->late[i] += coarse(seed + i + 4);
}

static void check(const char *what)
{
    const float *a = (const float *)&ours.x, *b = (const float *)&alone.x;
    size_t at = 0;
    while (at < sizeof ours.x / sizeof *a && memcmp(a + at, b + at, sizeof *a) == 0) at++;
    CHECK(at == sizeof ours.x / sizeof *a, "%s: weight %zu is %g, and should be %g", what, at, (double)a[at], (double)b[at]);
}

static void step_ours(int step, uint32_t batches)
{
    OK(eden_zero_grad(ours.o, error));
    for (uint32_t n = 0; n < batches; n++) {
        backward(&ours.g, step, n, my_rank());
        OK(eden_step(ours.o, error));
    }
}

/* Given the mean of the ranks; or with a fixed order all their micro-batches. */
static void step_alone(int step, uint32_t batches, uint32_t fixed)
{
    OK(eden_zero_grad(alone.o, error));
    for (uint32_t n = 0; n < batches; n++) {
        for (int r = 0; r < all_ranks(); r++) {
            backward(&alone.g, step, n, r);
            if (fixed) OK(eden_step(alone.o, error));
        }
        if (fixed) continue;
        if (n + 1 == batches)
            for (size_t i = 0; i < sizeof alone.g / sizeof(float); i++) ((float *)&alone.g)[i] /= (float)all_ranks();
        OK(eden_step(alone.o, error));
    }
}

static void step_both(int step, uint32_t batches, uint32_t fixed, const char *what)
{
    step_ours(step, batches);
    step_alone(step, batches, fixed);
    check(what);
}

static const char *folder(char path[512])
{
    snprintf(path, 512, "%s/folder", place);
    return path;
}

/* Backward on all ranks, or the first alone, of gradients that no step will take. */
static void begin_backward(int on_all, int small_alone)
{
    backward(&ours.g, 77, 0, my_rank());
    if (!on_all && my_rank()) return;
    OK(eden_mpi_grad_ready(ours.o, "b", error));
    for (int i = 0; i < 20 && !small_alone; i++) OK(eden_mpi_grad_ready(ours.o, "a", error));
}

/* ---- loading --------------------------------------------------------------------------------- */

static void test_load_within_a_step(uint32_t fixed, int plain)
{
    char path[512], file[600];
    create(3, fixed);
    step_both(0, 3, fixed, "before");
    OK(eden_mpi_save(ours.o, folder(path), error));
    snprintf(file, sizeof file, "%s/alone", place);
    if (my_rank() == 0) OK(eden_save(alone.o, file, 0, error));
    all_here();
    backward(&ours.g, 55, 0, my_rank());
    OK(eden_step(ours.o, error));
    if (plain) OK(eden_load(ours.o, file, 0, error));
    else OK(eden_mpi_load(ours.o, path, error));
    check("loaded within a step");
    step_both(1, 3, fixed, "the step after a load within one");
    destroy();
}

static void test_load_within_backward(int on_all)
{
    char path[512];
    create(1, 0);
    step_both(0, 1, 0, "before");
    OK(eden_mpi_save(ours.o, folder(path), error));
    begin_backward(on_all, 0);
    OK(eden_mpi_load(ours.o, path, error));
    check("loaded within backward");
    step_both(1, 1, 0, "the step after a load within backward");
    step_both(2, 1, 0, "one more step");
    destroy();
}

/* What is saved meanwhile, or refused, changes nothing: the step takes what was sent. */
static void test_save_within_backward(int on_all)
{
    char path[512];
    create(1, 0);
    step_both(0, 1, 0, "before");
    for (int i = 1; i < 4; i++) {
        OK(eden_zero_grad(ours.o, error));
        backward(&ours.g, i, 0, my_rank());
        if (on_all || my_rank() == 0) {
            OK(eden_mpi_grad_ready(ours.o, "b", error));
            for (int k = 0; k < 20; k++) OK(eden_mpi_grad_ready(ours.o, "a", error));
        }
        if (i == 1) OK(eden_mpi_save(ours.o, folder(path), error));
        if (i == 2 && all_ranks() > 1) REFUSED(eden_swap_average(ours.o, error), EDEN_E_ORDER, "eden_mpi_grad_ready");
        if (i == 3) REFUSED(eden_mpi_load(ours.o, "/nowhere/x", error), EDEN_E_IO, "/nowhere/x");
        OK(eden_step(ours.o, error));
        step_alone(i, 1, 0);
        check("the step after a save, a swap and a load within backward");
    }
    OK(eden_mpi_load(ours.o, path, error));
    CHECK(eden_steps(ours.o) == 1, "%llu steps", (unsigned long long)eden_steps(ours.o));
    destroy();
}

/* ---- weights that change ------------------------------------------------------------------------ */

static void test_swap_back(void)
{
    create(1, 0);
    step_both(0, 1, 0, "before");
    step_both(1, 1, 0, "before");
    OK(eden_swap_average(ours.o, error));
    begin_backward(0, 0);
    OK(eden_swap_average(ours.o, error));
    check("the averages and back");
    step_both(2, 1, 0, "the step after");
    destroy();
}

static void test_tensor_within_backward(void)
{
    create(1, 0);
    step_both(0, 1, 0, "before");
    begin_backward(0, 0);
    const eden_tensor t = eden_vector(ours.x.late, ours.g.late, SMALL), u = eden_vector(alone.x.late, alone.g.late, SMALL);
    OK(eden_add_tensor(ours.o, "late", &t, NULL, error));
    OK(eden_add_tensor(alone.o, "late", &u, NULL, error));
    if (all_ranks() > 1) REFUSED(eden_step(ours.o, error), EDEN_E_ORDER, "eden_mpi_grad_ready");
    step_both(1, 1, 0, "the step with a tensor that came within backward");
    destroy();
}

/* A gradient that was told of before a refused step is not ready in the next. */
static void test_told_before(void)
{
    float b[SMALL];
    create(1, 0);
    step_both(0, 1, 0, "before");
    begin_backward(1, 1);
    if (my_rank() == 0) OK(eden_set_grad(ours.o, "a", NULL, error));
    if (all_ranks() > 1) REFUSED(eden_step(ours.o, error), EDEN_E_ARGUMENT, "the gradient of 'a' is there on some ranks");
    if (my_rank() == 0) OK(eden_set_grad(ours.o, "a", ours.g.a, error));
    OK(eden_zero_grad(ours.o, error));
    backward(&ours.g, 1, 0, my_rank());
    memcpy(b, ours.g.b, sizeof b);
    memset(ours.g.b, 0, sizeof b); /* not made yet */
    for (int i = 0; i < 50; i++) {
        OK(eden_mpi_grad_ready(ours.o, "a", error));
        all_here();
    }
    memcpy(ours.g.b, b, sizeof b);
    OK(eden_step(ours.o, error));
    step_alone(1, 1, 0);
    check("the step after a refused one");
    destroy();
}

/* ---- gradients that are refused ---------------------------------------------------------------------- */

static void test_refused_gradient(uint32_t batches, uint32_t fixed)
{
    const int alone_here = all_ranks() == 1 && (!fixed || batches == 1);
    create(batches, fixed);
    step_both(0, batches, fixed, "before");
    OK(eden_zero_grad(ours.o, error));
    for (uint32_t n = 0; n < batches; n++) {
        backward(&ours.g, 1, n, my_rank());
        const float kept = ours.g.a[40000];
        if (n + 1 == batches && my_rank() == all_ranks() - 1) ours.g.a[40000] = NAN;
        if (n + 1 < batches) OK(eden_step(ours.o, error));
        else REFUSED(eden_step(ours.o, error), EDEN_E_GRADIENT, "the gradient of 'a' is NaN at element 40000");
        ours.g.a[40000] = kept;
    }
    check("a refused step");
    if (!alone_here)
        for (int i = 0; i < 2; i++) REFUSED(eden_step(ours.o, error), EDEN_E_ORDER, "begin it again with eden_zero_grad()");
    check("a refused step, again");
    step_both(1, batches, fixed, "the step that was begun again");
    step_both(2, batches, fixed, "one more step");
    destroy();
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    make_place(place);
    const char *only = argc > 1 ? argv[1] : "abcdefghij";
    if (strchr(only, 'a')) test_load_within_a_step(1, 0);
    if (strchr(only, 'a')) test_load_within_a_step(0, 0);
    if (strchr(only, 'b')) test_load_within_a_step(1, 1);
    if (strchr(only, 'c')) test_load_within_backward(1);
    if (strchr(only, 'd')) test_load_within_backward(0);
    if (strchr(only, 'e')) test_save_within_backward(1);
    if (strchr(only, 'e')) test_save_within_backward(0);
    if (strchr(only, 'f')) test_swap_back();
    if (strchr(only, 'g')) test_tensor_within_backward();
    if (strchr(only, 'h')) test_told_before();
    for (uint32_t fixed = 0; fixed < 2; fixed++)
        for (uint32_t batches = 1; batches < 3; batches++)
            if (strchr(only, 'i')) test_refused_gradient(batches, fixed);
    remove_place(place);
    MPI_Finalize();
    return 0;
}
