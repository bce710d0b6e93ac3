#include "cli/ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
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

/* Training is for all ranks, and all other work for one process: its copies would write to the
 * same files, or measure one another. How to call it rank 0 says alone, which is all that
 * ON_FIRST is; what is no command, or explains one, the ranks meet for, so that one voice is heard. */
typedef enum { ON_FIRST, ON_RANKS, ON_ONE, NOWHERE } place;

static place place_of(int count, char **words)
{
    static const struct { const char *word; place place; } known[] = {
        { "train", ON_RANKS }, { "compare", ON_RANKS }, { "help", NOWHERE },
        { "--help", ON_FIRST }, { "-h", ON_FIRST },     { "--version", ON_FIRST }
    };
    if (count < 2) return NOWHERE;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i].word, words[1]))
            return known[i].place == ON_FIRST && count > 2 ? NOWHERE : known[i].place; /* they stand alone */
    return cli_command_find(words[1]) ? ON_ONE : NOWHERE;
}

void cli_ranks_begin(void)
{
    uint32_t rank;
    if (cli_ranks_started(&rank) > 1 && rank) cli_hold_tongue();
}

/* ---- meeting ---------------------------------------------------------------------------- */

/* As one of many that differ says it. */
typedef struct {
    uint64_t hash;
    char text[200];
} line_word;
_Static_assert(sizeof(line_word) <= LAB_RANKS_WORD, "a word has to fit");

#define FIRST_HASH ((uint64_t)1469598103934665603u)

static uint64_t hash_word(uint64_t hash, const char *word)
{
    do hash = (hash ^ (unsigned char)*word) * 1099511628211u;
    while (*word++);
    return hash;
}

/* The first of all ranks' lines, or words, that is not as rank 0 has it; 0 if they are all alike. */
static uint32_t other_than_first(const char *all, size_t each)
{
    uint32_t rank = 1;
    while (rank < world.ranks && !memcmp(all, all + rank * each, sizeof(uint64_t))) rank++;
    return rank < world.ranks ? rank : 0;
}

static int refuse_words(uint32_t rank)
{
    const line_word *all = world.room;
    return cli_fail(CLI_USAGE, "rank %lu was started with %s, and rank 0 with %s: give every rank the same words",
                    (unsigned long)rank, all[rank].text, all[0].text);
}

/* An option's value with its option before it. */
static line_word word_at(int count, char **words, int i)
{
    line_word word = { 0, "nothing more" };
    if (i >= count) return word;
    const char *before = i > 1 && words[i - 1][0] == '-' && words[i][0] != '-' ? words[i - 1] : "";
    word.hash = hash_word(FIRST_HASH, words[i]);
    snprintf(word.text, sizeof word.text, "'%.40s%s%.140s'", before, *before ? " " : "", words[i]);
    return word;
}

/* Ranks that do different things would wait for each other. Only if their lines differ does
 * each tell its words. */
static int compare_words(int count, char **words)
{
    enum { MOST = 1 << 24 };
    eden_error error = { 0, "" };
    uint64_t line = FIRST_HASH;
    for (int i = 1; i < count; i++) line = hash_word(line, words[i]);
    if (world.gather(&line, world.room, sizeof line, &error)) return cli_fail_eden(&error, CLI_RUNNING);
    if (!other_than_first(world.room, sizeof line)) return CLI_OK;
    for (int i = 1; i < MOST; i++) {
        const line_word mine = word_at(count, words, i);
        if (world.gather(&mine, world.room, sizeof mine, &error)) return cli_fail_eden(&error, CLI_RUNNING);
        const uint32_t rank = other_than_first(world.room, sizeof mine);
        if (rank) return refuse_words(rank);
    }
    return cli_fail(CLI_USAGE, "the ranks were started with different words");
}

int cli_ranks_join(int count, char **words)
{
    uint32_t rank;
    const uint32_t started = cli_ranks_started(&rank);
    const place where = place_of(count, words);
    if (started < 2 || where == ON_FIRST) return CLI_OK;
    /* Who refuses does so with the others, or an mpirun ends them before one has said why. */
    int code = cli_ranks_open(&world, started, words, where == ON_RANKS);
    joined = !code && world.ranks;
    if (joined) code = compare_words(count, words);
    if (!code && where == ON_ONE)
        code = cli_fail(CLI_USAGE, "'eden %s' is for one process, and mpirun started %lu: leave out mpirun", words[1],
                        (unsigned long)started);
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
_Static_assert(sizeof(word) <= LAB_RANKS_WORD, "a word has to fit");

int cli_ranks_agree(int code)
{
    word mine = { code, "" };
    uint32_t first = 0;
    if (!joined) return code;
    const word *all = world.room;
    eden_error error = { 0, "" };
    if (code) snprintf(mine.text, sizeof mine.text, "%s", cli_said());
    if (world.gather(&mine, world.room, sizeof mine, &error)) return cli_fail_eden(&error, CLI_RUNNING);
    while (first < world.ranks && !all[first].code) first++;
    code = first < world.ranks ? all[first].code : CLI_OK;
    /* What rank 0 had to say is said. */
    if (code && first && !world.rank)
        cli_fail(code, "rank %lu: %s", (unsigned long)first, all[first].text);
    return code;
}

void cli_ranks_meet(void)
{
    int mine[2], stop = 0, save = 0;
    const int *all = world.room;
    if (!joined) return;
    cli_interrupt_own(mine);
    if (!world.gather(mine, world.room, sizeof mine, NULL))
        for (uint32_t r = 0; r < world.ranks; r++) {
            if (!stop) stop = all[2 * r];
            save |= all[2 * r + 1];
        }
    cli_interrupt_agree(stop, save);
}

int cli_ranks_end(int code) { return joined ? cli_ranks_close(code) : code; }
