/* endless.c - ranks that step and save until something ends them: for faults.py.
 *
 * usage: endless FOLDER TIMEOUT STEPS; loads what is in the folder. Each rank first says
 * its process on a line, then rank 0 the steps that it loaded; at the end, a hash of the
 * weights. */
#include <sys/stat.h>
#include <unistd.h>

#include "tests/mpi/check.h"

enum { COUNT = 70000, SAVE_EVERY = 3 };
static float weights[COUNT], grad[COUNT], small[2], small_grad[2];

static uint64_t hash(void)
{
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < sizeof weights; i++) h = (h ^ ((unsigned char *)weights)[i]) * 1099511628211u;
    return h;
}

/* What a program does that finds the others gone. */
static void end_all(const eden_error *e)
{
    fprintf(stderr, "rank %d: %s\n", my_rank(), e->text);
    MPI_Abort(MPI_COMM_WORLD, 3);
}

static void step(eden_optimizer *o)
{
    eden_error e = { 0, "" };
    const uint64_t n = eden_steps(o);
    for (uint64_t i = 0; i < COUNT; i++) grad[i] = coarse(n * 13 + i);
    small_grad[0] = coarse(n), small_grad[1] = coarse(n + 1);
    if (eden_mpi_grad_ready(o, "small", &e) || eden_mpi_grad_ready(o, "w", &e) || eden_step(o, &e)) end_all(&e);
}

int main(int argc, char **argv)
{
    eden_error e = { 0, "" };
    eden_mpi_config mpi = EDEN_MPI_CONFIG_INIT;
    eden_optimizer *o = NULL;
    char manifest[600];
    struct stat s;
    if (argc != 4) return 2;
    MPI_Init(&argc, &argv);
    printf("process %d\n", (int)getpid());
    fflush(stdout);
    mpi.timeout = (uint32_t)strtoul(argv[2], NULL, 10);
    mpi.bucket_bytes = 65536;
    OK(eden_mpi_optimizer_create(&o, MPI_COMM_WORLD, "adam", NULL, &mpi, error));
    const eden_tensor w = eden_vector(weights, grad, COUNT), v = eden_vector(small, small_grad, 2);
    OK(eden_add_tensor(o, "w", &w, NULL, error));
    OK(eden_add_tensor(o, "small", &v, NULL, error));
    snprintf(manifest, sizeof manifest, "%s/manifest.safetensors", argv[1]);
    all_here();
    if (stat(manifest, &s) == 0 && eden_mpi_load(o, argv[1], &e)) end_all(&e);
    if (my_rank() == 0) printf("loaded %llu\n", (unsigned long long)eden_steps(o)), fflush(stdout);
    const uint64_t end = strtoull(argv[3], NULL, 10);
    while (eden_steps(o) < end) {
        step(o);
        if (eden_steps(o) % SAVE_EVERY == 0 && eden_mpi_save(o, argv[1], &e)) end_all(&e);
    }
    if (my_rank() == 0) printf("weights %016llx\n", (unsigned long long)hash());
    eden_optimizer_destroy(o);
    MPI_Finalize();
    return 0;
}
