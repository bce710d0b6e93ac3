/* mpi_calls.c - ranks that make different calls hear of it from Eden, before MPI ends them. */
#include "tests/mpi/check.h"

enum { COUNT = 3000, CALLS = 5 };
static float weights[COUNT], grad[COUNT];

static const char *const names[CALLS] = { "eden_step()", "eden_mpi_save()", "eden_mpi_load()", "eden_mpi_broadcast()",
                                          "eden_swap_average()" };

static eden_status make(eden_optimizer *o, int call, const char *folder, eden_error *e)
{
    switch (call) {
    case 0: return eden_step(o, e);
    case 1: return eden_mpi_save(o, folder, e);
    case 2: return eden_mpi_load(o, folder, e);
    case 3: return eden_mpi_broadcast(o, e);
    default: return eden_swap_average(o, e);
    }
}

static eden_optimizer *start(void)
{
    eden_optimizer *o = NULL;
    eden_config config = EDEN_CONFIG_INIT;
    eden_mpi_config mpi = EDEN_MPI_CONFIG_INIT;
    const eden_tensor t = eden_vector(weights, grad, COUNT);
    config.average = EDEN_SWA;
    mpi.timeout = 60;
    OK(eden_mpi_optimizer_create(&o, MPI_COMM_WORLD, "adam", &config, &mpi, error));
    for (int i = 0; i < COUNT; i++) weights[i] = coarse((uint64_t)i), grad[i] = 1;
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    return o;
}

/* All are refused, with the names of both calls, and of every call after it. */
static void check_refused(eden_optimizer *o, int mine, int other, const char *folder)
{
    char wanted[40];
    snprintf(wanted, sizeof wanted, "rank %d calls ", my_rank());
    eden_error e = { 0, "" };
    const float before = weights[0];
    const eden_status status = make(o, mine, folder, &e);
    const char *own = strstr(e.text, wanted), *another = strstr(e.text, ", and another ");
    CHECK(status == EDEN_E_ORDER && own && another && strstr(own, names[mine]) && strstr(own, names[mine]) < another &&
          strstr(another, names[other]), "%s: status %d, \"%s\"", names[mine], (int)status, e.text);
    CHECK(weights[0] == before && eden_steps(o) == 0, "a refused call changed something");
    REFUSED(eden_step(o, error), EDEN_E_IO, "lost each other before");
    eden_optimizer_destroy(o);
}

static void test_pairs(const char *folder)
{
    for (int a = 0; a < CALLS; a++)
        for (int b = 0; b < CALLS; b++)
            if (a != b) check_refused(start(), my_rank() ? b : a, my_rank() ? a : b, folder);
}

/* The way back from the averages asks no one, until it sends weights. */
static void test_back(const char *folder)
{
    for (int call = 0; call < 3; call++) {
        eden_optimizer *o = start();
        eden_error e = { 0, "" };
        OK(eden_step(o, error));
        OK(eden_swap_average(o, error));
        const eden_status status = my_rank() ? make(o, call, folder, &e) : eden_swap_average(o, &e);
        CHECK(status && strstr(e.text, my_rank() ? names[call] : "eden_swap_average()"), "%s: status %d, \"%s\"",
              names[call], (int)status, e.text);
        eden_optimizer_destroy(o);
    }
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    if (all_ranks() > 1) {
        test_pairs("/nowhere/x");
        test_back("/nowhere/x");
    }
    MPI_Finalize();
    return 0;
}
