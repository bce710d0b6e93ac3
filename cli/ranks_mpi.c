/* ranks_mpi.c - the ranks of `eden-mpi`. It is built where there is an MPI. */
#define _GNU_SOURCE /* for the set of cores this process may use */
#include <eden_mpi.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/merge.h"
#include "cli/output.h"
#include "cli/ranks.h"

static MPI_Comm talk = MPI_COMM_NULL, farewell = MPI_COMM_NULL;
static int own_rank, rank_count;
static uint32_t neighbours = 1; /* ranks of this machine, with this one */
static uint32_t patience = CLI_TIMEOUT;
static int *codes;              /* of those that have come to their end, where rank 0 hears of it */
static MPI_Request *coming;

void cli_ranks_timeout(uint32_t seconds) { patience = seconds; }

/* ---- waiting -------------------------------------------------------------------------- */

/* 1 if all are done, -1 if one failed. */
static int look_at(int count, MPI_Request *requests)
{
    int done = 1;
    for (int i = 0, one = 0; i < count; i++) {
        if (MPI_Test(&requests[i], &one, MPI_STATUS_IGNORE) != MPI_SUCCESS) return -1;
        if (!one) done = 0;
    }
    return done;
}

/* Ask at once, then leave the core to whoever shares it, then sleep between questions. Returns 0
 * if it took longer than `seconds`, and -1 if the others are gone. */
static int wait_for(int count, MPI_Request *requests, double seconds)
{
    enum { AT_ONCE = 200, YIELDING = 20000 };
    const struct timespec nap = { 0, 50000 };
    const double begun = cli_now();
    int done = 0;
    for (unsigned long n = 0; !done; n++) {
        done = look_at(count, requests);
        if (done || n < AT_ONCE) continue;
        if (n < YIELDING) sched_yield();
        else nanosleep(&nap, NULL);
        if (n % 64 == 0 && cli_now() - begun > seconds) return 0;
    }
    return done;
}

static eden_status failed(eden_error *error, eden_status status, const char *text)
{
    if (!error) return status;
    error->status = status;
    snprintf(error->text, sizeof error->text, "%s", text);
    return status;
}

/* One that is silent for too long ends all: whatever else were done would wait for it again. */
static eden_status gather(const void *mine, void *all, size_t bytes, eden_error *error)
{
    MPI_Request request = MPI_REQUEST_NULL;
    int heard = -1;
    const int code = MPI_Iallgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, talk, &request);
    if (code == MPI_SUCCESS) heard = wait_for(1, &request, patience);
    if (heard > 0) return EDEN_OK;
    if (heard < 0) return failed(error, EDEN_E_IO, "the ranks have lost each other; go on from the last checkpoint");
    exit(cli_ranks_close(cli_fail(CLI_IO, "rank %d waited %lu s for the others, as --timeout says; go on from the last "
                                  "checkpoint", own_rank, (unsigned long)patience)));
}

/* ---- the optimizer ----------------------------------------------------------------------- */

static eden_status create(eden_optimizer **optimizer, const char *rule, const eden_config *config,
                          int in_order, eden_error *error)
{
    eden_mpi_config mpi = EDEN_MPI_CONFIG_INIT;
    mpi.fixed_order = in_order != 0;
    mpi.timeout = patience;
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

/* A rank that was started with another command may never come, which MPI_Init() has no end for. */
static void give_up(int number)
{
    static const char text[] = "eden: not all ranks have come to begin; start them all with the same command, or leave out "
                               "mpirun\n";
    (void)number;
    const ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    _exit(written < 0 ? CLI_IO : CLI_UNAVAILABLE);
}

/* A refusal alone is not worth a long wait. */
static int begin(int needed)
{
    enum { REFUSAL = 10 };
    signal(SIGALRM, give_up);
    alarm(needed ? CLI_TIMEOUT : REFUSAL);
    const int begun = MPI_Init(NULL, NULL) == MPI_SUCCESS;
    alarm(0);
    signal(SIGALRM, SIG_DFL);
    return begun ? CLI_OK : cli_fail(CLI_UNAVAILABLE, "MPI does not begin");
}

/* Communicators, and room for what is said; without memory on one, none goes on. */
static int meet(lab_ranks *ranks)
{
    int near = 1, got = 0;
    MPI_Comm machine = MPI_COMM_NULL;
    if (MPI_Comm_dup(MPI_COMM_WORLD, &talk) != MPI_SUCCESS || MPI_Comm_dup(MPI_COMM_WORLD, &farewell) != MPI_SUCCESS
        || MPI_Comm_split_type(talk, MPI_COMM_TYPE_SHARED, own_rank, MPI_INFO_NULL, &machine) != MPI_SUCCESS)
        return cli_fail(CLI_UNAVAILABLE, "MPI does not let the ranks meet");
    MPI_Comm_size(machine, &near);
    MPI_Comm_free(&machine);
    neighbours = near > 0 ? (uint32_t)near : 1;
    void *room = calloc((size_t)rank_count, LAB_RANKS_WORD);
    codes = calloc((size_t)rank_count, sizeof *codes);
    coming = calloc((size_t)rank_count, sizeof(MPI_Request));
    const int mine = room && codes && coming;
    MPI_Allreduce(&mine, &got, 1, MPI_INT, MPI_MIN, talk);
    if (!got) {
        MPI_Finalize();
        return mine ? cli_fail(CLI_SYSTEM, "a rank is out of memory") : cli_no_memory();
    }
    *ranks = (lab_ranks){ (uint32_t)own_rank, (uint32_t)rank_count, create, gather, save, eden_mpi_load, room };
    return CLI_OK;
}

int cli_ranks_open(lab_ranks *ranks, uint32_t started, char **words, int needed)
{
    (void)words;
    const int code = begin(needed);
    if (code) return code;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_size(MPI_COMM_WORLD, &rank_count);
    MPI_Comm_rank(MPI_COMM_WORLD, &own_rank);
    if ((uint32_t)rank_count == started) return meet(ranks);
    const int other = other_mpi(started, rank_count);
    MPI_Finalize();
    return other;
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

/* Rank 0 hears the code of each, and tells all the greatest. 1 if all have come. */
static int part(int code, int *most, double seconds)
{
    MPI_Request request = MPI_REQUEST_NULL;
    const double begun = cli_now();
    codes[0] = code;
    if (own_rank) {
        if (MPI_Isend(&codes[0], 1, MPI_INT, 0, 0, farewell, &coming[0]) != MPI_SUCCESS) return 0;
    } else {
        for (int r = 1; r < rank_count; r++)
            if (MPI_Irecv(&codes[r], 1, MPI_INT, r, 0, farewell, &coming[r]) != MPI_SUCCESS) return 0;
    }
    if (!own_rank && wait_for(rank_count - 1, coming + 1, seconds) <= 0) return 0;
    for (int r = 0; r < rank_count; r++) *most = codes[r] > *most ? codes[r] : *most;
    return MPI_Ibcast(most, 1, MPI_INT, 0, farewell, &request) == MPI_SUCCESS
           && wait_for(1, &request, seconds - (cli_now() - begun)) > 0;
}

/* What rank 0 knows of those that have not come. */
static void name_missing(void)
{
    char text[400] = "";
    size_t used = 0;
    for (int r = 1; r < rank_count && used < sizeof text - 20; r++) {
        if (coming[r] == MPI_REQUEST_NULL) continue;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%d", used ? ", " : "", r);
    }
    if (used) cli_warn("no word from rank %s; all ranks are ended", text);
}

/* A rank that failed by itself does not wait for long; but rank 0 may, and speaks first. */
int cli_ranks_close(int code)
{
    enum { SECONDS = 3 };
    int most = 0;
    fflush(stdout);
    const double seconds = code ? SECONDS + 2 * (own_rank > 2 ? 2 : own_rank) : (double)patience;
    if (!part(code, &most, seconds)) {
        if (!own_rank) name_missing();
        else if (*cli_said()) fprintf(stderr, "eden: rank %d: %s\n", own_rank, cli_said());
        /* The launcher reads no more once it ends the ranks: it gets time to read this. */
        nanosleep(&(struct timespec){ 0, 400 * 1000 * 1000 }, NULL);
        MPI_Abort(MPI_COMM_WORLD, code ? code : CLI_IO);
    }
    MPI_Finalize();
    return most;
}
