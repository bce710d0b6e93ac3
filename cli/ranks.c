#include "cli/ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/interrupt.h"
#include "cli/output.h"

static lab_ranks world;
static int joined;

/* ---- what mpirun tells --------------------------------------------------------------- */

static uint32_t number_in(const char *name, uint32_t usual)
{
    const char *text = getenv(name);
    const unsigned long n = text ? strtoul(text, NULL, 10) : usual;
    return n < UINT32_MAX ? (uint32_t)n : usual;
}

uint32_t cli_ranks_started(uint32_t *rank)
{
    static const char *const known[][2] = { { "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK" },
                                            { "PMI_SIZE", "PMI_RANK" },
                                            { "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK" } };
    *rank = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const uint32_t count = number_in(known[i][0], 1);
        if (count < 2) continue;
        *rank = number_in(known[i][1], 0);
        return count;
    }
    /* Slurm starts by itself what it knows to be of an MPI. */
    const uint32_t count = number_in("SLURM_NTASKS", 1);
    if (count < 2 || !getenv("PMIX_RANK")) return 1;
    *rank = number_in("PMIX_RANK", 0);
    return count;
}

/* Training is for all ranks or for one process; a process of its own on each rank, such as
 * `eden step` on files that only this rank has, is all else. */
typedef enum { ON_EACH, ON_RANKS, ON_ONE } place;

static place place_of(const char *command)
{
    static const struct { const char *command; place place; } known[] = {
        { "train", ON_RANKS }, { "compare", ON_RANKS }, { "tune", ON_ONE }, { "evidence", ON_ONE }
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i].command, command)) return known[i].place;
    return ON_EACH;
}

void cli_ranks_begin(int count, char **words)
{
    uint32_t rank;
    if (cli_ranks_started(&rank) > 1 && rank && count > 1 && place_of(words[1]) != ON_EACH) cli_hold_tongue();
}

/* ---- meeting ---------------------------------------------------------------------------- */

int cli_ranks_join(const cli_command *command, char **words)
{
    uint32_t rank;
    const uint32_t started = cli_ranks_started(&rank);
    const place where = place_of(command->name);
    if (started < 2 || where == ON_EACH) return CLI_OK;
    if (where == ON_ONE)
        return cli_fail(CLI_USAGE, "'eden %s' is for one process, and mpirun started %lu: leave out mpirun",
                        command->name, (unsigned long)started);
    const int code = cli_ranks_open(&world, started, words);
    joined = !code;
    return code;
}

const lab_ranks *cli_ranks(void) { return joined ? &world : NULL; }
int cli_ranks_lead(void) { return !joined || !world.rank; }

void cli_ranks_config(lab_config *config)
{
    config->ranks = cli_ranks();
    if (!joined || config->threads) return;
    config->threads = config->model.threads = cli_ranks_threads();
}

/* ---- together ----------------------------------------------------------------------------- */

typedef struct {
    int code;
    char text[600];
} word;

int cli_ranks_agree(int code)
{
    word mine = { code, "" };
    uint32_t first = 0;
    if (!joined) return code;
    word *all = calloc(world.ranks, sizeof *all);
    eden_error error = { 0, "" };
    if (code) snprintf(mine.text, sizeof mine.text, "%s", cli_said());
    if (!all) return cli_no_memory();
    if (world.gather(&mine, all, sizeof mine, &error)) {
        free(all);
        return cli_fail_eden(&error, CLI_RUNNING);
    }
    while (first < world.ranks && !all[first].code) first++;
    code = first < world.ranks ? all[first].code : CLI_OK;
    /* What rank 0 had to say is said. */
    if (code && first && !world.rank)
        cli_fail(code, "rank %lu: %s", (unsigned long)first, all[first].text);
    free(all);
    return code;
}

void cli_ranks_meet(void)
{
    int mine[2], *all = joined ? calloc(world.ranks, sizeof mine) : NULL, stop = 0, save = 0;
    if (!all) return;
    cli_interrupt_own(mine);
    if (!world.gather(mine, all, sizeof mine, NULL))
        for (uint32_t r = 0; r < world.ranks; r++) {
            if (!stop) stop = all[2 * r];
            save |= all[2 * r + 1];
        }
    cli_interrupt_agree(stop, save);
    free(all);
}

int cli_ranks_end(int code) { return joined ? cli_ranks_close(code) : code; }
