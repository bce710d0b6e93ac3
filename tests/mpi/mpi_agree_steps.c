/* mpi_agree_steps.c - what ranks have in common when steps have been taken: what they set,
 * report and schedule between steps, and how a difference is named. */
#include <math.h>

#include "tests/mpi/folder.h"

enum { COUNT = 40000, SMALL = 600 };
static float weights[COUNT], grad[COUNT];

static int is_last(void) { return my_rank() == all_ranks() - 1; }

static eden_optimizer *create(const char *rule, const eden_config *config)
{
    eden_optimizer *o = NULL;
    eden_mpi_config mpi = EDEN_MPI_CONFIG_INIT;
    mpi.timeout = 60;
    OK(eden_mpi_optimizer_create(&o, MPI_COMM_WORLD, rule, config, &mpi, error));
    return o;
}

/* After two steps, so that settings have been compared. */
static eden_optimizer *start(const char *schedule, const eden_config *config)
{
    eden_optimizer *o = create("adam", config);
    const eden_tensor t = eden_vector(weights, grad, COUNT);
    for (int i = 0; i < COUNT; i++) weights[i] = coarse((uint64_t)i), grad[i] = coarse((uint64_t)(i + 7));
    OK(eden_add_group(o, "group", NULL, NULL, error));
    OK(eden_add_tensor(o, "w", &t, "group", error));
    OK(eden_set(o, NULL, "lr", 0.25, error));
    if (schedule) OK(eden_schedule(o, NULL, "lr", schedule, error));
    for (int i = 0; i < 2; i++) OK(eden_step(o, error));
    return o;
}

/* No step was taken: no rank's weights or count moved. */
static void check_refused(eden_optimizer *o, uint64_t steps, float before)
{
    CHECK(eden_steps(o) == steps, "%llu steps", (unsigned long long)eden_steps(o));
    CHECK(weights[0] == before, "a refused step moved a weight");
}

static void end(eden_optimizer *o)
{
    static float theirs[COUNT];
    OK(eden_step(o, error));
    memcpy(theirs, weights, sizeof theirs);
    MPI_Bcast(theirs, COUNT, MPI_FLOAT, 0, MPI_COMM_WORLD);
    CHECK(memcmp(theirs, weights, sizeof theirs) == 0, "the weights differ");
    eden_optimizer_destroy(o);
}

/* ---- values of a step -------------------------------------------------------------------- */

static void refuse(eden_optimizer *o, const char *part)
{
    const float before = weights[0];
    const uint64_t steps = eden_steps(o);
    char other[40];
    snprintf(other, sizeof other, "', rank %d '", all_ranks() - 1);
    for (int i = 0; i < 2; i++) {
        REFUSED(eden_step(o, error), EDEN_E_MISMATCH, part);
        REFUSED(eden_step(o, error), EDEN_E_MISMATCH, other);
    }
    check_refused(o, steps, before);
}

/* One rank reports another loss, or alone; the rates would differ a step later. */
static void test_reports(void)
{
    eden_optimizer *o = start("plateau(patience=0, threshold=0)", NULL);
    OK(eden_report(o, 1, error));
    OK(eden_step(o, error));
    OK(eden_report(o, is_last() ? 2 : 0.5, error));
    refuse(o, "rank 0 has 'eden.plateau.lr.default = 1 0.5 0'");
    refuse(o, "'eden.plateau.lr.default = 0.1 1 0'");
    OK(eden_schedule(o, NULL, "lr", "plateau(patience=0)", error)); /* which forgets */
    OK(eden_step(o, error));
    if (is_last()) OK(eden_report(o, 3, error));
    refuse(o, "'eden.plateau.lr.default = 1 3 0'");
    if (!is_last()) OK(eden_report(o, 3, error));
    OK(eden_step(o, error));
    OK(eden_report(o, is_last() ? 2.5 : 2, error)); /* both better: the rates are alike for now */
    refuse(o, "'eden.plateau.lr.default = 1 2.5 0'");
    OK(eden_schedule(o, NULL, "lr", NULL, error));
    end(o);
}

/* By the last bit of a double. */
static double odd(uint64_t step, void *context) { return context && step > 3 ? nextafter(0.5, 1) : 0.5; }

static void test_factors(void)
{
    eden_optimizer *o = start(NULL, NULL);
    OK(eden_schedule_custom(o, NULL, "lr", odd, is_last() ? o : NULL, error));
    OK(eden_step(o, error));
    refuse(o, "rank 0 has 'lr in group default in this step = 0.125'");
    refuse(o, "'lr in group default in this step = 0.12500000000000003'");
    OK(eden_schedule_custom(o, NULL, "lr", odd, NULL, error));
    end(o);
}

/* Of a step that one rank alone has made its values of, nothing is left. */
static double infinite(uint64_t step, void *context) { return context ? INFINITY : 0.5 / (double)step; }

static void test_refused_values(const char *folder)
{
    eden_optimizer *o = start(NULL, NULL);
    OK(eden_schedule_custom(o, NULL, "lr", infinite, is_last() ? o : NULL, error));
    REFUSED(eden_step(o, error), EDEN_E_VALUE, "lr");
    OK(eden_schedule_custom(o, NULL, "lr", infinite, NULL, error));
    OK(eden_mpi_save(o, folder, error));
    end(o);
}

/* ---- what is no difference --------------------------------------------------------------- */

/* One rank looks at its settings anew, and others do not. */
static void test_set_again(const char *folder)
{
    for (int way = 0; way < 7; way++) {
        eden_optimizer *o = start("cosine(100)", NULL);
        if (way == 0 && is_last()) OK(eden_set(o, NULL, "lr", 0.25, error));
        if (way == 1 && my_rank() == 0) OK(eden_set(o, NULL, "lr", 0.5, error));
        if (way == 1 && my_rank() == 0) OK(eden_set(o, NULL, "lr", 0.25, error));
        if (way == 2 && my_rank() == 0) OK(eden_schedule(o, NULL, "lr", "cosine(100)", error));
        if (way == 3 && is_last()) OK(eden_set(o, "group", "lr", 0.25, error)); /* as it is anyway */
        if (way == 4 && my_rank() == 0) OK(eden_set(o, NULL, "beta1", 0.9, error));
        if (way == 5) {
            OK(eden_set(o, NULL, "lr", is_last() ? 0.5 : 0.25, error));
            refuse(o, "'lr in group default = 0.5'");
            if (is_last()) OK(eden_set(o, NULL, "lr", 0.25, error));
        }
        if (way == 6) {
            OK(eden_schedule(o, NULL, "lr", "plateau(patience=2)", error));
            OK(eden_step(o, error));
            OK(eden_report(o, 1, error));
            if (my_rank() == 0) OK(eden_set(o, NULL, "lr", 0.25, error));
        }
        OK(eden_step(o, error));
        OK(eden_mpi_save(o, folder, error));
        OK(eden_mpi_load(o, folder, error));
        end(o);
    }
}

/* Counts are compared in each step all the same: one rank loads another checkpoint, which
 * eden_load() does not see. */
static void test_counts(const char *folder)
{
    eden_optimizer *o = start(NULL, NULL);
    char other[250];
    snprintf(other, sizeof other, "%s/other", folder);
    OK(eden_mpi_save(o, folder, error));
    OK(eden_step(o, error));
    OK(eden_mpi_save(o, other, error));
    OK(eden_load(o, is_last() ? other : folder, 0, error));
    REFUSED(eden_step(o, error), EDEN_E_MISMATCH, "rank 0 has 'eden.steps = 2', rank ");
    REFUSED(eden_step(o, error), EDEN_E_MISMATCH, "'eden.steps = 3';");
    OK(eden_mpi_load(o, other, error));
    end(o);
}

/* ---- names --------------------------------------------------------------------------------- */

/* Ways in which the last rank differs, and what then is named. */
static const struct { const char *rule, *first, *last; } named[] = {
    { "adam", "nothing", "'eden.storage.w = f32,bf16,nearest'" },
    { "adam", "'eden.storage.w = bf16,f32,stochastic'", "'eden.storage.w = bf16,f32,kahan'" },
    { "adafactor", "nothing", "'eden.split.w = 0'" },
    { "adam", "'eden.group.w = default'", "nothing" },
    { "adam", "'eden.group.w = default'", "'eden.group.v = default'" },
    { "adam", "nothing", "'eden.schedule.lr.default = cosine(9)'" },
};

static void test_names(void)
{
    for (size_t k = 0; k < sizeof named / sizeof *named; k++) {
        eden_optimizer *o = create(named[k].rule, NULL);
        eden_tensor t = eden_vector(weights, grad, SMALL);
        char wanted[200];
        memset(weights, 0, sizeof weights);
        if (k == 0 && is_last()) t.state_dtype = EDEN_BF16;
        if (k == 1) t.dtype = EDEN_BF16, t.rounding = is_last() ? EDEN_KAHAN : EDEN_STOCHASTIC;
        if (k == 2) t.ndim = 3, t.shape[0] = 10, t.shape[1] = 10, t.shape[2] = 6;
        if (k == 2 && is_last()) t.flags |= EDEN_MATRICES;
        if (k == 5 && is_last()) OK(eden_schedule(o, NULL, "lr", "cosine(9)", error));
        if (k != 3 || !is_last()) OK(eden_add_tensor(o, k == 4 && is_last() ? "v" : "w", &t, NULL, error));
        snprintf(wanted, sizeof wanted, "rank 0 has %s, rank %d %s;", named[k].first, all_ranks() - 1, named[k].last);
        REFUSED(eden_step(o, error), EDEN_E_MISMATCH, wanted);
        eden_optimizer_destroy(o);
    }
    eden_config config = EDEN_CONFIG_INIT;
    eden_optimizer *o = NULL;
    config.loss_scale = is_last() ? 1024 : 0;
    REFUSED(eden_mpi_optimizer_create(&o, MPI_COMM_WORLD, "adam", &config, NULL, error), EDEN_E_MISMATCH,
            "rank 0 has nothing, rank ");
}

/* The same tensors in another order: keys are the same, and their order is not. */
static void test_order(void)
{
    eden_optimizer *o = create("adam", NULL);
    const eden_tensor t = eden_vector(weights, grad, SMALL), u = eden_vector(weights + SMALL, grad, SMALL);
    memset(weights, 0, sizeof weights);
    OK(eden_add_tensor(o, is_last() ? "b" : "a", &t, NULL, error));
    OK(eden_add_tensor(o, is_last() ? "a" : "b", &u, NULL, error));
    REFUSED(eden_step(o, error), EDEN_E_MISMATCH, "rank 0 has 'eden.group.a = default', rank ");
    REFUSED(eden_step(o, error), EDEN_E_MISMATCH, " 'eden.group.b = default';");
    eden_optimizer_destroy(o);
}

int main(int argc, char **argv)
{
    char folder[PLACE_ROOM] = "";
    MPI_Init(&argc, &argv);
    make_place(folder);
    if (all_ranks() > 1) {
        test_reports();
        test_factors();
        test_refused_values(folder);
        test_set_again(folder);
        test_counts(folder);
        test_names();
        test_order();
    }
    remove_place(folder);
    MPI_Finalize();
    return 0;
}
