/* mpi_create.c - an optimizer of ranks is made by all of them, or by none. */
#include <pthread.h>

#include "world.h"

#include "tests/mpi/check.h"

static int is_last(void) { return my_rank() == all_ranks() - 1; }

static void test_creation(void)
{
    eden_optimizer *o = NULL;
    eden_config config = EDEN_CONFIG_INIT;
    REFUSED(eden_mpi_optimizer_create(&o, MPI_COMM_WORLD, is_last() ? "sgd" : "adam", NULL, NULL, error),
            EDEN_E_MISMATCH, "eden.rule.default = adam");
    config.clip_norm = is_last();
    REFUSED(eden_mpi_optimizer_create(&o, MPI_COMM_WORLD, "adam", &config, NULL, error), EDEN_E_MISMATCH,
            "eden.clip_norm = 0");
    REFUSED(eden_mpi_optimizer_create(&o, MPI_COMM_WORLD, is_last() ? "adm" : "adam", NULL, NULL, error), EDEN_E_NAME,
            "adm");
    CHECK(!o, "a refused call wrote its result");
}

/* What a rank refuses without a look at the others: they hear of it. */
static void test_arguments(void)
{
    eden_optimizer *o = NULL;
    eden_mpi_config mpi = EDEN_MPI_CONFIG_INIT;
    mpi.timeout = 60;
    if (is_last()) mpi.fixed_order = 2;
    REFUSED(eden_mpi_optimizer_create(&o, MPI_COMM_WORLD, "adam", NULL, &mpi, error), EDEN_E_VALUE, "fixed_order = 2");
    if (is_last()) mpi.fixed_order = 0, mpi.bucket_bytes = 7;
    REFUSED(eden_mpi_optimizer_create(&o, MPI_COMM_WORLD, "adam", NULL, &mpi, error), EDEN_E_VALUE, "bucket_bytes = 7");
    mpi.bucket_bytes = 0;
    if (is_last()) mpi.size = 1;
    REFUSED(eden_mpi_optimizer_create(&o, MPI_COMM_WORLD, "adam", NULL, &mpi, error), EDEN_E_ARGUMENT, "INIT");
    REFUSED(eden_mpi_optimizer_create(is_last() ? NULL : &o, MPI_COMM_WORLD, "adam", NULL, NULL, error),
            EDEN_E_ARGUMENT, "optimizer is NULL");
    CHECK(!o, "a refused call wrote its result");
}

/* Programs that cannot work together, of which there are none here: by what they would show. */
static void test_builds(void)
{
    build all[12];
    memset(all, 0, sizeof all);
    for (int r = 0; r < 12; r++) all[r].order = 0x0102030405060708, strcpy(all[r].version, "1.2.3");
    OK(eden_mpi_same_builds(all, 12, error));
    OK(eden_mpi_same_builds(all, 1, error));
    strcpy(all[7].version, "1.2.4");
    REFUSED(eden_mpi_same_builds(all, 12, error), EDEN_E_MISMATCH,
            "rank 0 is of Eden 1.2.3, and rank 7 has another, rank 7 1.2.4; start the same program on all");
    all[11].order = 0x0807060504030201;
    REFUSED(eden_mpi_same_builds(all, 12, error), EDEN_E_MISMATCH, "1.2.3, and ranks 7 and 11 have another, rank 7 1.2.4");
    all[4].order = 0x0807060504030201;
    REFUSED(eden_mpi_same_builds(all, 12, error), EDEN_E_MISMATCH, "ranks 4, 7 and 11 have another order of bytes than");
    for (int r = 1; r < 8; r++) all[r].order = 7;
    REFUSED(eden_mpi_same_builds(all, 12, error), EDEN_E_MISMATCH, "8 of 12 ranks have another order of bytes");
    OK(eden_mpi_same_builds(all, 1, error));
}

/* MPI_Init() lets the thread that called it call MPI, and no other. */
static void *create_elsewhere(void *context)
{
    eden_optimizer *o = NULL;
    (void)context;
    REFUSED(eden_mpi_optimizer_create(&o, MPI_COMM_WORLD, "adam", NULL, NULL, error), EDEN_E_ORDER, "MPI_Init_thread()");
    return NULL;
}

static void test_thread(void)
{
    pthread_t other;
    int level;
    MPI_Query_thread(&level);
    if (level >= MPI_THREAD_SERIALIZED) return;
    CHECK(pthread_create(&other, NULL, create_elsewhere, NULL) == 0 && pthread_join(other, NULL) == 0, "no thread");
}

int main(int argc, char **argv)
{
    eden_optimizer *o = NULL;
    eden_error before = { 0, "" };
    if (eden_mpi_optimizer_create(&o, MPI_COMM_WORLD, "adam", NULL, NULL, &before) != EDEN_E_ORDER ||
        !strstr(before.text, "MPI_Init"))
        return fprintf(stderr, "before MPI_Init(): %s\n", before.text), 1;
    MPI_Init(&argc, &argv);
    REFUSED(eden_mpi_optimizer_create(&o, MPI_COMM_NULL, "adam", NULL, NULL, error), EDEN_E_ARGUMENT, "MPI_COMM_NULL");
    if (all_ranks() > 1) test_creation();
    test_arguments();
    test_builds();
    test_thread();
    MPI_Finalize();
    return 0;
}
