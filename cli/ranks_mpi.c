/* ranks_mpi.c - the ranks of `eden-mpi`. It is built where there is an MPI. */
#define _GNU_SOURCE /* for the set of cores this process may use */
#include <eden_mpi.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/merge.h"
#include "cli/output.h"
#include "cli/ranks.h"

static MPI_Comm talk = MPI_COMM_NULL, farewell = MPI_COMM_NULL;
static uint32_t neighbours = 1; /* ranks of this machine, with this one */

/* ---- waiting -------------------------------------------------------------------------- */

/* Ask at once, then leave the core to whoever shares it, then sleep between questions. With
 * `seconds` not for ever; 0 if it was too long, or the others are gone. */
static int wait_for(MPI_Request *request, double seconds)
{
    enum { AT_ONCE = 200, YIELDING = 20000 };
    const struct timespec nap = { 0, 50000 };
    const double begun = cli_now();
    int done = 0;
    for (unsigned long n = 0; !done; n++) {
        if (MPI_Test(request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) return 0;
        if (done || n < AT_ONCE) continue;
        if (n < YIELDING) sched_yield();
        else nanosleep(&nap, NULL);
        if (seconds > 0 && n % 64 == 0 && cli_now() - begun > seconds) return 0;
    }
    return 1;
}

static eden_status failed(eden_error *error, eden_status status, const char *text)
{
    if (!error) return status;
    error->status = status;
    snprintf(error->text, sizeof error->text, "%s", text);
    return status;
}

static eden_status gather(const void *mine, void *all, size_t bytes, eden_error *error)
{
    MPI_Request request = MPI_REQUEST_NULL;
    const int code = MPI_Iallgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, talk, &request);
    if (code == MPI_SUCCESS && wait_for(&request, 0)) return EDEN_OK;
    return failed(error, EDEN_E_IO, "the ranks have lost each other; go on from the last checkpoint");
}

/* ---- the optimizer ----------------------------------------------------------------------- */

static eden_status create(eden_optimizer **optimizer, const char *rule, const eden_config *config,
                          int in_order, eden_error *error)
{
    eden_mpi_config mpi = EDEN_MPI_CONFIG_INIT;
    mpi.fixed_order = in_order != 0;
    return eden_mpi_optimizer_create(optimizer, talk, rule, config, &mpi, error);
}

/* Each rank writes its shard beside the file, and rank 0 makes the file of them. */
static eden_status save(eden_optimizer *optimizer, const char *path, eden_error *error)
{
    static const char behind[] = ".shards";
    const size_t room = strlen(path) + sizeof behind;
    char *folder = malloc(room);
    eden_status status = folder ? EDEN_OK : failed(error, EDEN_E_MEMORY, "no memory to save");
    status = lab_ranks_agree(cli_ranks(), status, error);
    if (folder) snprintf(folder, room, "%s%s", path, behind);
    if (!status) {
        status = eden_mpi_save(optimizer, folder, error);
        if (!status && cli_ranks_lead()) status = cli_merge_files(folder, path, error);
        status = lab_ranks_agree(cli_ranks(), status, error);
        if (cli_ranks_lead()) cli_merge_remove(folder);
    }
    free(folder);
    return status;
}

/* ---- beginning and end -------------------------------------------------------------------- */

static int other_mpi(uint32_t started, int there)
{
    char name[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length = 0;
    MPI_Get_library_version(name, &length);
    name[strcspn(name, ",\n")] = '\0';
    return cli_fail(CLI_UNAVAILABLE, "mpirun started %lu of these, and they see %d: this eden is built for %.60s; start "
                    "it with the mpirun of that", (unsigned long)started, there, name);
}

int cli_ranks_open(lab_ranks *ranks, uint32_t started, char **words)
{
    int rank = 0, there = 1, near = 1;
    MPI_Comm machine = MPI_COMM_NULL;
    (void)words;
    if (MPI_Init(NULL, NULL) != MPI_SUCCESS) return cli_fail(CLI_UNAVAILABLE, "MPI does not begin");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_size(MPI_COMM_WORLD, &there);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if ((uint32_t)there != started) {
        const int code = other_mpi(started, there);
        MPI_Finalize();
        return code;
    }
    if (MPI_Comm_dup(MPI_COMM_WORLD, &talk) != MPI_SUCCESS || MPI_Comm_dup(MPI_COMM_WORLD, &farewell) != MPI_SUCCESS
        || MPI_Comm_split_type(talk, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &machine) != MPI_SUCCESS)
        return cli_fail(CLI_UNAVAILABLE, "MPI does not let the ranks meet");
    MPI_Comm_size(machine, &near);
    MPI_Comm_free(&machine);
    neighbours = near > 0 ? (uint32_t)near : 1;
    *ranks = (lab_ranks){ (uint32_t)rank, (uint32_t)there, create, gather, save, eden_mpi_load };
    return CLI_OK;
}

/* Some mpiruns give each rank processors of its own, and others do not. */
uint32_t cli_ranks_threads(void)
{
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    cpu_set_t set;
    uint32_t mine = online < 1 ? 1 : (uint32_t)online;
    if (!sched_getaffinity(0, sizeof set, &set) && CPU_COUNT(&set) < (int)mine) return (uint32_t)CPU_COUNT(&set);
    mine /= neighbours;
    return mine ? mine : 1;
}

/* A rank that failed by itself does not wait for long. */
int cli_ranks_close(int code)
{
    enum { SECONDS = 5 };
    int most = 0;
    MPI_Request request = MPI_REQUEST_NULL;
    fflush(stdout);
    if (MPI_Iallreduce(&code, &most, 1, MPI_INT, MPI_MAX, farewell, &request) != MPI_SUCCESS
        || !wait_for(&request, code ? SECONDS : 0)) {
        if (!cli_ranks_lead() && *cli_said()) fprintf(stderr, "eden: rank %lu: %s\n", (unsigned long)cli_ranks()->rank,
                                                      cli_said());
        MPI_Abort(MPI_COMM_WORLD, code ? code : CLI_IO);
    }
    MPI_Finalize();
    return most;
}
