/* mpi_agree.c - all ranks take a step or none does, and all say the same. */
#include <fenv.h>
#include <math.h>

#include "world.h"

#include "tests/mpi/check.h"

enum { COUNT = 50000, SMALL = 3 };
static float weights[COUNT], grad[COUNT], small[SMALL], small_grad[SMALL];

static eden_optimizer *create(const eden_config *config)
{
    eden_optimizer *o = NULL;
    eden_mpi_config mpi = EDEN_MPI_CONFIG_INIT;
    mpi.timeout = 60;
    mpi.bucket_bytes = 16384;
    OK(eden_mpi_optimizer_create(&o, MPI_COMM_WORLD, "adam", config, &mpi, error));
    return o;
}

static void fill(void)
{
    for (int i = 0; i < COUNT; i++) weights[i] = coarse((uint64_t)i), grad[i] = coarse((uint64_t)(i + 7 * my_rank()));
    for (int i = 0; i < SMALL; i++) small[i] = 1, small_grad[i] = coarse((uint64_t)(i + my_rank()));
}

static eden_optimizer *start(const eden_config *config)
{
    eden_optimizer *o = create(config);
    const eden_tensor a = eden_vector(weights, grad, COUNT), b = eden_vector(small, small_grad, SMALL);
    fill();
    OK(eden_add_tensor(o, "a", &a, NULL, error));
    OK(eden_add_tensor(o, "b", &b, NULL, error));
    return o;
}

static int is_last(void) { return my_rank() == all_ranks() - 1; }

static void check_alike(const char *where)
{
    static float theirs[COUNT];
    memcpy(theirs, weights, sizeof theirs);
    MPI_Bcast(theirs, COUNT, MPI_FLOAT, 0, MPI_COMM_WORLD);
    CHECK(memcmp(theirs, weights, sizeof theirs) == 0, "%s: the weights differ", where);
}

/* ---- ranks that differ ------------------------------------------------------------------- */

static void test_settings(void)
{
    eden_optimizer *o = start(NULL);
    const float before = weights[0];
    OK(eden_set(o, NULL, "lr", is_last() ? 0.5 : 0.25, error));
    REFUSED(eden_step(o, error), EDEN_E_MISMATCH, "rank 0 has 'lr in group default = 0.25'");
    REFUSED(eden_step(o, error), EDEN_E_MISMATCH, "'lr in group default = 0.5'");
    CHECK(weights[0] == before && eden_steps(o) == 0, "a refused step changed something");
    OK(eden_set(o, NULL, "lr", 0.25, error));
    OK(eden_step(o, error));
    CHECK(weights[0] != before, "the step did nothing");
    check_alike("after the settings were mended");
    OK(eden_set(o, NULL, "lr", is_last() ? 0.125 : 0.25, error));
    REFUSED(eden_step(o, error), EDEN_E_MISMATCH, "lr in group default = 0.125");
    eden_optimizer_destroy(o);
}

static void test_tensors(void)
{
    eden_optimizer *o = create(NULL);
    const eden_tensor t = eden_vector(weights, grad, is_last() ? 100 : 200);
    fill();
    OK(eden_add_tensor(o, "a", &t, NULL, error));
    REFUSED(eden_step(o, error), EDEN_E_MISMATCH, "rank 0 has 'tensor a = f32[200]");
    REFUSED(eden_mpi_broadcast(o, error), EDEN_E_MISMATCH, "has other tensors than rank 0, which has 1");
    eden_optimizer_destroy(o);
    o = create(NULL);
    OK(eden_add_tensor(o, is_last() ? "b" : "a", &t, NULL, error));
    REFUSED(eden_step(o, error), EDEN_E_MISMATCH, "rank 0 has 'eden.group.a = default', rank ");
    eden_optimizer_destroy(o);
}

static void test_weights(void)
{
    eden_optimizer *o = start(NULL);
    if (is_last()) weights[COUNT - 1] += 1;
    REFUSED(eden_step(o, error), EDEN_E_MISMATCH, "hash of the weights of a");
    OK(eden_mpi_broadcast(o, error));
    OK(eden_step(o, error));
    check_alike("after eden_mpi_broadcast()");
    eden_optimizer_destroy(o);
}

/* Tensors that no gradient is of, copies, and tensors that come when steps have been taken. */
static void test_other_weights(void)
{
    static float frozen[SMALL], late[SMALL], late_grad[SMALL];
    static uint16_t copy[SMALL];
    eden_optimizer *o = start(NULL);
    eden_tensor t = eden_vector(frozen, NULL, SMALL);
    t.flags = EDEN_FROZEN;
    OK(eden_add_tensor(o, "frozen", &t, NULL, error));
    frozen[1] = is_last() ? 1 : 0;
    REFUSED(eden_step(o, error), EDEN_E_MISMATCH, "hash of the weights of frozen");
    OK(eden_mpi_broadcast(o, error));
    OK(eden_step(o, error));
    t = eden_vector(late, late_grad, SMALL);
    late[0] = is_last() ? 1 : 0;
    OK(eden_add_tensor(o, "late", &t, NULL, error));
    REFUSED(eden_step(o, error), EDEN_E_MISMATCH, "hash of the weights of late");
    late[0] = 0;
    OK(eden_step(o, error));
    eden_optimizer_destroy(o);
    o = start(NULL);
    t.copy = copy, t.copy_dtype = EDEN_BF16;
    copy[2] = (uint16_t)is_last();
    OK(eden_add_tensor(o, "copied", &t, NULL, error));
    REFUSED(eden_step(o, error), EDEN_E_MISMATCH, "hash of the copy of copied");
    OK(eden_mpi_broadcast(o, error));
    OK(eden_step(o, error));
    eden_optimizer_destroy(o);
}

/* A rank that comes to every call long after the others changes no bit. */
static void test_slow(void)
{
    static float other[COUNT];
    const struct timespec nap = { 0, 100000000 };
    eden_config config = EDEN_CONFIG_INIT;
    config.clip_norm = 1, config.average = EDEN_SWA;
    for (int slow = 0; slow < 2; slow++) {
#define LATE(call) do { if (slow && is_last()) nanosleep(&nap, NULL); OK(call); } while (0)
        eden_optimizer *o = start(&config);
        LATE(eden_mpi_broadcast(o, error));
        for (int i = 0; i < 3; i++) {
            for (int k = 0; k < COUNT; k++) grad[k] = coarse((uint64_t)(k + i + my_rank()));
            for (int k = 0; k < 9; k++) LATE(eden_mpi_grad_ready(o, "a", error));
            LATE(eden_step(o, error));
        }
        LATE(eden_swap_average(o, error));
        LATE(eden_swap_average(o, error));
        eden_optimizer_destroy(o);
        if (slow) CHECK(memcmp(other, weights, sizeof other) == 0, "other bits with a rank that is slow");
        memcpy(other, weights, sizeof other);
    }
}

static double odd(uint64_t step, void *context) { return step == 2 && context ? NAN : 1; }

static void test_one_refuses(void)
{
    eden_optimizer *o = start(NULL);
    OK(eden_schedule_custom(o, NULL, "lr", odd, is_last() ? o : NULL, error));
    OK(eden_step(o, error));
    for (int i = 0; i < 2; i++) { /* once with buckets under way on some ranks */
        if (i && my_rank() == 0) OK(eden_mpi_grad_ready(o, "b", error));
        if (i && my_rank() == 0) OK(eden_mpi_grad_ready(o, "a", error));
        REFUSED(eden_step(o, error), EDEN_E_VALUE, is_last() ? "lr" : "rank ");
    }
    OK(eden_schedule_custom(o, NULL, "lr", odd, NULL, error));
    OK(eden_step(o, error));
    CHECK(eden_steps(o) == 2, "%llu steps", (unsigned long long)eden_steps(o));
    check_alike("after a step that one rank refused");
    eden_optimizer_destroy(o);
}

/* ---- gradients ------------------------------------------------------------------------------ */

static void test_absent(void)
{
    eden_optimizer *o = start(NULL);
    if (is_last()) OK(eden_set_grad(o, "b", NULL, error));
    REFUSED(eden_step(o, error), EDEN_E_ARGUMENT, "the gradient of 'b' is there on some ranks");
    OK(eden_set_grad(o, "b", NULL, error));
    OK(eden_step(o, error));
    eden_optimizer_destroy(o);
}

static void test_nan(int policy)
{
    eden_config config = EDEN_CONFIG_INIT;
    config.nonfinite = (uint32_t)policy;
    eden_optimizer *o = start(&config);
    OK(eden_step(o, error));
    const float before = weights[0];
    fill();
    weights[0] = before;
    if (is_last()) grad[40000] = NAN;
    if (policy == EDEN_REFUSE)
        REFUSED(eden_step(o, error), EDEN_E_GRADIENT, "step 2 refused: the gradient of 'a' is NaN at element 40000");
    else OK(eden_step(o, error));
    CHECK(weights[0] == before, "a weight has moved");
    CHECK(eden_skipped(o) == (policy == EDEN_SKIP), "%llu skipped", (unsigned long long)eden_skipped(o));
    eden_optimizer_destroy(o);
}

static void test_read_only(void)
{
    eden_optimizer *o = create(NULL);
    eden_tensor t = eden_vector(weights, grad, 10);
    t.flags = 0;
    fill();
    OK(eden_add_tensor(o, "a", &t, NULL, error));
    REFUSED(eden_step(o, error), EDEN_E_ARGUMENT, "read-only");
    eden_optimizer_destroy(o);
}

/* ---- the rest --------------------------------------------------------------------------------- */

static void test_single_calls(void)
{
    eden_config config = EDEN_CONFIG_INIT;
    config.nonfinite = EDEN_APPLY;
    eden_optimizer *o = start(&config);
    uint64_t first, last, n;
    REFUSED(eden_mpi_shard(o, "a", &first, &last, error), EDEN_E_ORDER, "first step");
    OK(eden_step(o, error));
    OK(eden_mpi_shard(o, "a", &first, &last, error));
    CHECK(first <= last && last <= COUNT && first % 16384 == 0, "[%llu, %llu)", (unsigned long long)first,
          (unsigned long long)last);
    REFUSED(eden_step_tensor(o, "a", error), EDEN_E_ORDER, "part");
    REFUSED(eden_save(o, "/nowhere/x", 0, error), EDEN_E_ORDER, "part");
    REFUSED(eden_load(o, "/nowhere/x", 0, error), EDEN_E_IO, "/nowhere/x");
    REFUSED(eden_get_state(o, "a", "m", NULL, 0, &n, error), EDEN_E_ORDER, "part");
    REFUSED(eden_mpi_grad_ready(o, "c", error), EDEN_E_NAME, "no tensor is called 'c'");
    REFUSED(eden_mpi_broadcast(o, error), EDEN_E_ORDER, "alike");
    eden_optimizer_destroy(o);
    REFUSED(eden_mpi_grad_ready(NULL, "c", error), EDEN_E_ARGUMENT, "eden_mpi_optimizer_create");
}

/* What is more than a call of MPI can count goes in parts, and more ranks than each can send
 * to each leave the adding to MPI: to the same bits, where sums do not round. */
static void test_ways_to_send(void)
{
    static float other[COUNT];
    eden_config config = EDEN_CONFIG_INIT;
    config.clip_norm = 1;
    for (int way = 0; way < 4; way++) {
        eden_optimizer *o = start(&config);
        if (way & 1) world_of(eden_backend_of(o))->most = 499;
        if (way & 2) world_of(eden_backend_of(o))->direct = 0;
        for (int i = 0; i < 3; i++) {
            if (i == 1) OK(eden_mpi_grad_ready(o, "b", error));
            if (i == 1) OK(eden_mpi_grad_ready(o, "a", error));
            OK(eden_step(o, error));
        }
        eden_optimizer_destroy(o);
        if (way) CHECK(memcmp(other, weights, sizeof other) == 0, "other bits in way %d", way);
        memcpy(other, weights, sizeof other);
    }
}

/* Nor does it matter in which environment the caller computes. */
static void test_environment(void)
{
    static float other[COUNT];
    for (int mode = 0; mode < 2; mode++) {
        eden_optimizer *o = start(NULL);
        for (int i = 0; i < 3; i++) {
            for (int k = 0; k < COUNT; k++) grad[k] = coarse((uint64_t)(k + i)) / (float)(3 + 4 * my_rank());
            if (mode) fesetround(FE_UPWARD);
            OK(eden_mpi_grad_ready(o, "b", error));
            for (int k = 0; k < 50; k++) { /* until some has arrived */
                OK(eden_mpi_grad_ready(o, "a", error));
                all_here();
            }
            OK(eden_step(o, error));
            CHECK(fegetround() == (mode ? FE_UPWARD : FE_TONEAREST), "the caller's rounding was changed");
            fesetround(FE_TONEAREST);
        }
        eden_optimizer_destroy(o);
        if (mode) CHECK(memcmp(other, weights, sizeof other) == 0, "other bits when the caller rounds up");
        memcpy(other, weights, sizeof other);
    }
}

/* State is spread evenly, and nothing is kept twice. */
static void test_memory(void)
{
    enum { BIG = 16384 * 48 };
    float *w = calloc(BIG, sizeof *w), *g = calloc(BIG, sizeof *g), small_w[40] = { 0 };
    eden_optimizer *o = create(NULL);
    const eden_tensor t = eden_matrix(w, g, 512, BIG / 512);
    OK(eden_add_tensor(o, "big", &t, NULL, error));
    for (int i = 0; i < 40; i++) {
        const eden_tensor s = eden_vector(small_w + i, g + i, 1);
        char name[8];
        snprintf(name, sizeof name, "s%d", i);
        OK(eden_add_tensor(o, name, &s, NULL, error));
    }
    OK(eden_step(o, error));
    uint64_t mine = eden_state_bytes(o), sum, all = (BIG + 40) * 2 * sizeof(float);
    MPI_Allreduce(&mine, &sum, 1, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
    CHECK(sum == all, "%llu bytes of state on all ranks, of %llu", (unsigned long long)sum, (unsigned long long)all);
    CHECK((double)mine <= 1.03 * (double)all / all_ranks(), "%llu bytes here", (unsigned long long)mine);
    eden_optimizer_destroy(o);
    free(w);
    free(g);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    if (all_ranks() > 1) {
        test_settings();
        test_tensors();
        test_weights();
        test_other_weights();
        test_slow();
        test_one_refuses();
        test_absent();
    }
    test_nan(EDEN_REFUSE);
    test_nan(EDEN_SKIP);
    test_read_only();
    test_single_calls();
    test_ways_to_send();
    test_environment();
    test_memory();
    MPI_Finalize();
    return 0;
}
