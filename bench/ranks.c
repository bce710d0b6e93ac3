/* ranks.c - the time of a step over MPI, beside one of a process alone; for bench/scaling.py.
 *
 * usage: mpiexec -n W ranks ELEMENTS ROUNDS [bf16]
 *
 * One matrix, AdamW. A step of all ranks and one of rank 0 alone take turns, and so does
 * which is first; while rank 0 is alone the others sleep. Prints a line of JSON: the least
 * and the median seconds of both, and the median of the ratio of each two neighbours. */
#include <eden_mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST = 4096, COLS = 1024 };

static int rank, ranks;

static void ok(eden_status status, const eden_error *error)
{
    if (!status) return;
    fprintf(stderr, "rank %d: %s\n", rank, error->text);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

/* A barrier that leaves the cores to others. */
static void all_here(void)
{
    const struct timespec nap = { 0, 50000 };
    MPI_Request request;
    int done = 0;
    for (MPI_Ibarrier(MPI_COMM_WORLD, &request); !done; nanosleep(&nap, NULL))
        MPI_Test(&request, &done, MPI_STATUS_IGNORE);
}

/* Both optimizers have the same weights and gradients: what is where decides as much as
 * what is done. */
static void add(eden_optimizer *o, uint64_t count, int narrow)
{
    static char *memory[2];
    eden_error error = { 0, "" };
    eden_tensor t = eden_matrix(NULL, NULL, count / COLS, COLS);
    const size_t width = narrow ? 2 : 4;
    float x[COLS];
    for (int k = 0; k < 2; k++)
        if (!memory[k] && !(memory[k] = malloc(count * width))) MPI_Abort(MPI_COMM_WORLD, 1);
    for (int i = 0; i < COLS; i++) x[i] = (float)(i % 127 - 63) / 1024;
    for (uint64_t at = 0; at < count; at += COLS)
        for (int k = 0; k < 2; k++) eden_convert(memory[k] + at * width, narrow ? EDEN_BF16 : EDEN_F32, x, EDEN_F32, COLS);
    t.data = memory[0], t.grad = memory[1];
    t.dtype = t.grad_dtype = narrow ? EDEN_BF16 : EDEN_F32;
    t.rounding = narrow ? EDEN_MASTER : EDEN_NEAREST;
    ok(eden_add_tensor(o, "w", &t, NULL, &error), &error);
}

static double timed(eden_optimizer *o, int alone)
{
    eden_error error = { 0, "" };
    all_here();
    double took = 0;
    const double begun = MPI_Wtime();
    if (!alone || rank == 0) {
        ok(eden_step(o, &error), &error);
        took = MPI_Wtime() - begun;
    }
    all_here();
    double most = took;
    MPI_Reduce(&took, &most, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
    return most;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, by_value);
    return x[n / 2];
}

int main(int argc, char **argv)
{
    static double times[2][MOST], ratio[MOST];
    eden_optimizer *o[2] = { NULL, NULL };
    eden_config config = EDEN_CONFIG_INIT;
    eden_error error = { 0, "" };
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    const uint64_t count = argc > 2 ? strtoull(argv[1], NULL, 10) / COLS * COLS : 0;
    const int rounds = argc > 2 ? atoi(argv[2]) : 0, narrow = argc > 3 && !strcmp(argv[3], "bf16");
    if (count == 0 || rounds < 1 || rounds > MOST) MPI_Abort(MPI_COMM_WORLD, 2);
    config.threads = 1;
    ok(eden_mpi_optimizer_create(&o[0], MPI_COMM_WORLD, "adamw", &config, NULL, &error), &error);
    ok(eden_optimizer_create(&o[1], "adamw", &config, &error), &error);
    add(o[0], count, narrow);
    if (rank == 0) add(o[1], count, narrow);
    for (int k = 0; k < 4; k++) timed(o[k % 2], k % 2);
    for (int round = 0; round < rounds; round++) {
        for (int k = 0; k < 2; k++) times[(k + round) % 2][round] = timed(o[(k + round) % 2], (k + round) % 2);
        ratio[round] = times[0][round] / times[1][round];
    }
    if (rank == 0) {
        const double ours = median(times[0], rounds), alone = median(times[1], rounds);
        printf("{\"ranks\": %d, \"elements\": %llu, \"kind\": \"%s\", \"rounds\": %d, \"step\": %.6g, \"alone\": %.6g, "
               "\"step_least\": %.6g, \"alone_least\": %.6g, \"ratio\": %.5f, \"state\": %llu}\n", ranks,
               (unsigned long long)count, narrow ? "bf16" : "f32", rounds, ours, alone, times[0][0], times[1][0],
               median(ratio, rounds), (unsigned long long)eden_state_bytes(o[0]));
    }
    eden_optimizer_destroy(o[0]);
    eden_optimizer_destroy(o[1]);
    MPI_Finalize();
    return 0;
}
