/* mpi_order.c - with fixed_order a run on W ranks has the bits of one process that adds
 * its micro-batches up in their order, although the sums round. */
#include "tests/mpi/check.h"

enum { COUNT = 40000, BATCHES = 12, STEPS = 4 };

static float uneven(uint64_t step, uint64_t batch, uint64_t i)
{
    return coarse(step * 77 + batch * 7 + i) * (1 + (float)(i % 7) / 3) / (1 + (float)batch);
}

typedef struct { float w[COUNT], v[2], gw[COUNT], gv[2]; eden_optimizer *o; } side;
static side ours, alone;

static void add(side *s)
{
    const eden_tensor w = eden_matrix(s->w, s->gw, 200, COUNT / 200), v = eden_vector(s->v, s->gv, 2);
    for (int i = 0; i < COUNT; i++) s->w[i] = coarse((uint64_t)i);
    s->v[0] = 1, s->v[1] = 2;
    OK(eden_add_tensor(s->o, "w", &w, NULL, error));
    OK(eden_add_tensor(s->o, "v", &v, NULL, error));
}

static void backward(side *s, uint64_t step, uint64_t batch)
{
    for (uint64_t i = 0; i < COUNT; i++) s->gw[i] += uneven(step, batch, i);
    for (uint64_t i = 0; i < 2; i++) s->gv[i] += uneven(step, batch, i + 5);
}

static void run(const char *rule)
{
    eden_config config = EDEN_CONFIG_INIT;
    eden_mpi_config mpi = EDEN_MPI_CONFIG_INIT;
    const uint64_t ranks = (uint64_t)all_ranks();
    config.accumulate = BATCHES;
    config.clip_norm = 3;
    mpi.fixed_order = 1;
    mpi.bucket_bytes = 40000;
    mpi.timeout = 60;
    OK(eden_mpi_optimizer_create(&ours.o, MPI_COMM_WORLD, rule, &config, &mpi, error));
    OK(eden_optimizer_create(&alone.o, rule, &config, error));
    add(&ours);
    add(&alone);
    for (uint64_t step = 0; step < STEPS; step++) {
        OK(eden_zero_grad(ours.o, error));
        OK(eden_zero_grad(alone.o, error));
        for (uint64_t n = 0; n < BATCHES / ranks; n++) {
            OK(eden_zero_grad(ours.o, error)); /* does nothing within a step */
            backward(&ours, step, n * ranks + (uint64_t)my_rank());
            OK(eden_step(ours.o, error));
        }
        for (uint64_t n = 0; n < BATCHES; n++) {
            backward(&alone, step, n);
            OK(eden_step(alone.o, error));
        }
        CHECK(eden_steps(ours.o) == step + 1, "%llu steps", (unsigned long long)eden_steps(ours.o));
        CHECK(memcmp(ours.w, alone.w, sizeof ours.w) == 0 && memcmp(ours.v, alone.v, sizeof ours.v) == 0,
              "%s: other bits in step %llu", rule, (unsigned long long)step);
    }
    eden_optimizer_destroy(ours.o);
    eden_optimizer_destroy(alone.o);
}

int main(int argc, char **argv)
{
    eden_optimizer *o = NULL;
    eden_config config = EDEN_CONFIG_INIT;
    eden_mpi_config mpi = EDEN_MPI_CONFIG_INIT;
    MPI_Init(&argc, &argv);
    for (size_t i = 0; i < eden_rule_count(); i++) run(eden_rule_name(eden_rule_at(i)));
    mpi.fixed_order = 1;
    config.accumulate = (uint32_t)all_ranks() + 1;
    if (all_ranks() > 1)
        REFUSED(eden_mpi_optimizer_create(&o, MPI_COMM_WORLD, "sgd", &config, &mpi, error), EDEN_E_VALUE, "multiple");
    MPI_Finalize();
    return 0;
}
