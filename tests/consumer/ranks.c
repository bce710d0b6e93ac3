/* ranks.c - the program at the head of eden_mpi.h: each rank has its part of a batch. */
#include <eden_mpi.h>
#include <math.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    float w[2] = { 0, 0 }, g[2];
    int rank, ranks;
    eden_error error = { 0, "" };
    eden_optimizer *opt = NULL;
    const eden_tensor tensor = eden_vector(w, g, 2);
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    int failed = eden_mpi_optimizer_create(&opt, MPI_COMM_WORLD, "sgd", NULL, NULL, &error) ||
                 eden_add_tensor(opt, "w", &tensor, NULL, &error) || eden_set(opt, NULL, "lr", 0.25, &error);
    for (int step = 0; step < 50 && !failed; step++) {
        eden_zero_grad(opt, &error);
        g[0] = 2 * (w[0] - 3) + (float)rank; /* what the ranks add averages out in their target */
        g[1] = 2 * (w[1] + 1);
        failed = eden_step(opt, &error) != EDEN_OK;
    }
    const float target = 3 - (float)(ranks - 1) / 4;
    if (failed) fprintf(stderr, "rank %d: %s\n", rank, error.text);
    if (!failed && rank == 0) printf("%.3f %.3f\n", (double)w[0], (double)w[1]);
    failed = failed || fabsf(w[0] - target) > 1e-4f || fabsf(w[1] + 1) > 1e-4f;
    eden_optimizer_destroy(opt);
    MPI_Finalize();
    return failed;
}
