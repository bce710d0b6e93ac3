/* pace.c - the time of a step on these ranks, and of one process alone, for docs/scaling.md.
 *
 * usage: pace ELEMENTS ROUNDS; not a test. The two take turns, and the least time counts. */
#include "tests/mpi/check.h"

static float *numbers(uint64_t count)
{
    float *x = malloc(count * sizeof *x);
    CHECK(x, "no memory");
    for (uint64_t i = 0; i < count; i++) x[i] = coarse(i) / 1024;
    return x;
}

static double timed(eden_optimizer *o)
{
    MPI_Barrier(MPI_COMM_WORLD);
    const double begun = MPI_Wtime();
    OK(eden_step(o, error));
    double took = MPI_Wtime() - begun;
    MPI_Allreduce(MPI_IN_PLACE, &took, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    return took;
}

int main(int argc, char **argv)
{
    eden_optimizer *o[2];
    eden_config config = EDEN_CONFIG_INIT;
    double best[2] = { 1e9, 1e9 };
    if (argc != 3) return 2;
    MPI_Init(&argc, &argv);
    const uint64_t count = strtoull(argv[1], NULL, 10), rounds = strtoull(argv[2], NULL, 10);
    config.threads = 1;
    OK(eden_mpi_optimizer_create(&o[0], MPI_COMM_WORLD, "adamw", &config, NULL, error));
    OK(eden_optimizer_create(&o[1], "adamw", &config, error));
    for (int k = 0; k < 2; k++) {
        const eden_tensor t = eden_vector(numbers(count), numbers(count), count);
        OK(eden_add_tensor(o[k], "w", &t, NULL, error));
    }
    for (uint64_t round = 0; round < rounds; round++)
        for (int k = 0; k < 2; k++) {
            const double took = timed(o[k]);
            best[k] = took < best[k] ? took : best[k];
        }
    if (my_rank() == 0)
        printf("%d ranks, %llu elements: %.3f ms a step, alone %.3f ms (%+.1f %%)\n", all_ranks(),
               (unsigned long long)count, best[0] * 1e3, best[1] * 1e3, (best[0] / best[1] - 1) * 100);
    eden_optimizer_destroy(o[0]);
    eden_optimizer_destroy(o[1]);
    MPI_Finalize();
    return 0;
}
