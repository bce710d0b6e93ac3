/* evidence.c - `eden evidence`. */
#include "cli/evidence.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/gnuplot.h"
#include "cli/interrupt.h"
#include "cli/names.h"
#include "cli/output.h"

enum { KEY = 900, SEARCH_SEED = 1001, RATES = 5, QUICK_RATES = 3, MORE = 3, QUICK_MORE = 2, SEEDS = 5 };

/* A claim on its way: its numbers stand in the jobs. */
typedef struct {
    cli_search side[2];
    size_t *run[2];           /* a job for each seed                                   */
    size_t runs;
} experiment;

typedef struct {
    const cli_args *args;
    cli_jobs jobs;
    cli_evidence *all;
    experiment *experiments;
    size_t count, seeds, rates, more;
    int quick;
} evidence;

/* ---- which claims -------------------------------------------------------------------- */

static int unknown(const cli_args *args, const char *id)
{
    char hint[CLI_HINT_ROOM];
    const lab_claim *claim;
    cli_nearest nearest = { id, NULL, 0 };
    for (size_t i = 0; (claim = lab_claim_at(i)) != NULL; i++) cli_nearest_try(&nearest, claim->id);
    return cli_usage(args->command, "unknown claim '%.60s'%s", id,
                     nearest.best ? cli_nearest_hint(&nearest, "", hint)
                                  : "; 'eden evidence --list' has all");
}

static void add(evidence *e, const lab_claim *claim)
{
    cli_evidence *one = &e->all[e->count++];
    *one = (cli_evidence){ .claim = claim, .line = e->quick && claim->quick ? claim->quick : claim->line,
                           .rate = { NAN, NAN }, .finding = { .verdict = CLI_NOT_RUN } };
    /* Runs on the user's images take too long to be repeated. */
    const int large = strstr(one->line, "{mnist}") != NULL;
    if (claim->tuned) one->search_seeds = large ? 1 : e->quick ? 2 : CLI_SEARCH_SEEDS;
    if (large && !e->jobs.mnist) one->missing = "--mnist DIR";
}

static int choose(evidence *e)
{
    size_t known = 0;
    while (lab_claim_at(known)) known++;
    const size_t asked = e->args->operand_count;
    e->all = calloc(known, sizeof *e->all);
    e->experiments = calloc(known, sizeof *e->experiments);
    if (!e->all || !e->experiments) return cli_no_memory();
    for (size_t i = 0; i < asked; i++)
        if (!lab_claim_find(e->args->operands[i])) return unknown(e->args, e->args->operands[i]);
    for (size_t i = 0; i < known; i++) {
        const lab_claim *claim = lab_claim_at(i);
        int wanted = !asked;
        for (size_t k = 0; k < asked; k++) wanted |= !strcmp(e->args->operands[k], claim->id);
        if (wanted) add(e, claim);
    }
    return CLI_OK;
}

static int list(const cli_args *args)
{
    const lab_claim *claim;
    if (args->option_count > 1 || args->operand_count)
        return cli_usage(args->command, "--list stands alone");
    for (size_t i = 0; (claim = lab_claim_at(i)) != NULL; i++) {
        const int column = printf("%-24s", claim->id);
        cli_wrap(stdout, 24, column, 79, claim->sentence);
        fputc('\n', stdout);
    }
    return CLI_OK;
}

/* ---- lines --------------------------------------------------------------------------- */

static int is_training(const cli_evidence *one) { return !strncmp(one->line, "train ", 6); }
static int is_path(const cli_evidence *one) { return !strncmp(one->line, "trace ", 6); }

/* The whole line of a side; seed 0 stands for none, a rate of NaN for the table's. */
static int line_of(evidence *e, const cli_evidence *one, int side, double rate, uint64_t seed,
                   size_t *job)
{
    char key[KEY], number[CLI_NUMBER_ROOM];
    int n = snprintf(key, sizeof key, "%s %s", one->line, one->claim->side[side]);
    if (isfinite(rate))
        n += snprintf(key + n, sizeof key - (size_t)n, " --lr %s", cli_print_number(rate, number));
    if (seed && is_training(one))
        n += snprintf(key + n, sizeof key - (size_t)n, " --seed %llu", (unsigned long long)seed);
    n += snprintf(key + n, sizeof key - (size_t)n, is_training(one) ? " --threads 1 --json" : " --json");
    if (seed > 1 && !is_training(one) && !is_path(one))
        n += snprintf(key + n, sizeof key - (size_t)n, " #%llu", (unsigned long long)seed);
    if (n >= KEY) return cli_fail(CLI_INTERNAL, "the line of '%s' is too long", one->claim->id);
    return cli_jobs_add(&e->jobs, key, job);
}

static const json_t *values_of(const evidence *e, size_t job) { return e->jobs.jobs[job].values; }

/* Do both sides search a rate? */
static int searches(const cli_evidence *one) { return one->claim->tuned && !one->missing; }

/* The table's rates, as runs at them tell. */
static int ask_usual(evidence *e)
{
    int code = CLI_OK;
    for (size_t i = 0; i < e->count && !code; i++)
        for (int side = 0; side < 2 && !code; side++)
            if (searches(&e->all[i]))
                code = line_of(e, &e->all[i], side, NAN, SEARCH_SEED, &e->experiments[i].side[side].job[0][0]);
    return code;
}

/* Lines for the rates from the k-th on, with each seed. */
static int ask_from(evidence *e, size_t i, int side, size_t k)
{
    int code = CLI_OK;
    cli_search *s = &e->experiments[i].side[side];
    for (; k < s->count && !code; k++)
        for (size_t n = 0; n < e->all[i].search_seeds && !code; n++)
            code = line_of(e, &e->all[i], side, k ? s->rate[k] : NAN, SEARCH_SEED + n, &s->job[k][n]);
    return code;
}

static int ask_rates(evidence *e)
{
    int code = CLI_OK;
    for (size_t i = 0; i < e->count && !code; i++)
        for (int side = 0; side < 2 && !code; side++) {
            cli_search *s = &e->experiments[i].side[side];
            if (!searches(&e->all[i])) continue;
            const json_t *settings = json_object_get(values_of(e, s->job[0][0]), "settings");
            const double usual = json_number_value(json_object_get(settings, "lr"));
            if (!(usual > 0)) return cli_fail(CLI_INTERNAL, "'%s' tells no rate", e->all[i].claim->id);
            cli_search_begin(s, usual, e->rates);
            code = ask_from(e, i, side, 0);
        }
    return code;
}

/* Means over the seeds; one that diverged makes it infinite. */
static void weigh(const evidence *e, size_t i, cli_search *s)
{
    const size_t seeds = e->all[i].search_seeds;
    for (size_t k = 0; k < s->count; k++) {
        s->cost[k] = 0;
        for (size_t n = 0; n < seeds; n++)
            s->cost[k] += cli_measure_cost(e->all[i].claim, values_of(e, s->job[k][n])) / (double)seeds;
    }
}

/* A side whose best rate is at an edge goes on past it; the other tries as many more. */
static int ask_more(evidence *e, int *asked)
{
    int code = CLI_OK;
    *asked = 0;
    for (size_t i = 0; i < e->count && !code; i++) {
        cli_search *side = e->experiments[i].side;
        if (!searches(&e->all[i])) continue;
        for (int k = 0; k < 2; k++) weigh(e, i, &side[k]);
        if (!cli_search_at_edge(&side[0]) && !cli_search_at_edge(&side[1])) continue;
        *asked = 1;
        for (int k = 0; k < 2 && !code; k++) {
            cli_search_extend(&side[k]);
            code = ask_from(e, i, k, side[k].count - 1);
        }
    }
    return code;
}

static void choose_rate(evidence *e, size_t i, int side)
{
    cli_search *s = &e->experiments[i].side[side];
    if (!searches(&e->all[i])) return;
    weigh(e, i, s);
    e->all[i].searched = s->count;
    e->all[i].rate[side] = s->rate[cli_search_best(s)];
    e->all[i].edge[side] = cli_search_at_edge(s);
}

static int ask_runs(evidence *e)
{
    int code = CLI_OK;
    for (size_t i = 0; i < e->count && !code; i++)
        for (int side = 0; side < 2 && !code; side++) {
            experiment *x = &e->experiments[i];
            if (e->all[i].missing) continue;
            choose_rate(e, i, side);
            const int exact = is_path(&e->all[i]) || !strcmp(e->all[i].claim->measure, "state");
            x->runs = exact ? 1 : e->seeds;
            x->run[side] = calloc(x->runs, sizeof *x->run[side]);
            if (!x->run[side]) return cli_no_memory();
            for (size_t k = 0; k < x->runs && !code; k++)
                code = line_of(e, &e->all[i], side, e->all[i].rate[side], k + 1, &x->run[side][k]);
        }
    return code;
}

static int judge(evidence *e)
{
    for (size_t i = 0; i < e->count; i++) {
        const experiment *x = &e->experiments[i];
        double *values[2] = { calloc(e->seeds + 1, sizeof(double)), calloc(e->seeds + 1, sizeof(double)) };
        int whole = !e->all[i].missing && values[0] && values[1];
        for (int side = 0; side < 2 && whole; side++)
            for (size_t k = 0; k < x->runs; k++) {
                const json_t *printed = values_of(e, x->run[side][k]);
                whole &= printed != NULL;
                values[side][k] = cli_measure_value(e->all[i].claim, printed);
            }
        if (whole)
            e->all[i].finding = cli_judge(e->all[i].claim, values[0], values[1], x->runs, x->runs > 1);
        const int lacking = !values[0] || !values[1];
        free(values[0]);
        free(values[1]);
        if (lacking) return cli_no_memory();
    }
    return CLI_OK;
}

/* ---- the command ----------------------------------------------------------------------- */

static int run(evidence *e)
{
    int code = ask_usual(e);
    if (!code) code = cli_jobs_run(&e->jobs, "rates, first");
    if (!code && !cli_interrupt()) code = ask_rates(e);
    if (!code) code = cli_jobs_run(&e->jobs, "rates, search");
    for (size_t i = 0, asked = 1; !code && asked && i < e->more && !cli_interrupt(); i++) {
        int some = 0;
        code = ask_more(e, &some);
        asked = (size_t)some;
        if (!code) code = cli_jobs_run(&e->jobs, "rates, past the edge");
    }
    if (!code && !cli_interrupt()) code = ask_runs(e);
    if (!code) code = cli_jobs_run(&e->jobs, "runs");
    if (!code && !cli_interrupt()) code = judge(e);
    return code;
}

static int check_output(const cli_args *args)
{
    const char *path = cli_text(args, "output", NULL);
    if (!path) return CLI_OK;
    const size_t length = strlen(path);
    if (length < 4 || strcmp(path + length - 3, ".md") != 0)
        return cli_usage(args->command, "'%.200s' does not end in .md", path);
    const int code = cli_can_create(path);
    return code ? code : cli_gnuplot_check();
}

static int tell(const evidence *e)
{
    const char *path = cli_text(e->args, "output", NULL);
    int code = CLI_OK;
    if (cli_has(e->args, "json"))
        code = cli_evidence_json(e->all, e->count, e->quick, e->seeds);
    else
        cli_evidence_table(e->all, e->count, stdout);
    fflush(stdout);
    return code || !path ? code : cli_evidence_page(e->args, e->all, e->count, e->seeds, path);
}

static int evidence_of(evidence *e)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int code = choose(e);
    if (!code) code = check_output(e->args);
    if (!code && e->jobs.mnist) code = cli_can_read(e->jobs.mnist, 1);
    e->jobs.at_once = (uint32_t)cli_count(e->args, "threads", cores > 0 ? (uint64_t)cores : 1);
    if (!code) code = cli_jobs_open(&e->jobs, cli_text(e->args, "results", NULL));
    if (code) return code;
    cli_interrupt_catch();
    code = run(e);
    if (!code && cli_interrupt())
        return cli_fail(128 + cli_interrupt(), "stopped by %s; %s", cli_interrupt_name(cli_interrupt()),
                        cli_has(e->args, "results") ? "the results so far are kept, and the same line goes on"
                                                    : "nothing is kept without --results");
    return code ? code : tell(e);
}

int cli_evidence_command(const cli_args *args)
{
    evidence e = { .args = args, .quick = cli_has(args, "quick") };
    if (cli_has(args, "list")) return list(args);
    e.seeds = (size_t)cli_count(args, "seeds", SEEDS);
    e.rates = e.quick ? QUICK_RATES : RATES;
    e.more = e.quick ? QUICK_MORE : MORE;
    e.jobs.mnist = cli_text(args, "mnist", NULL);
    const int code = evidence_of(&e);
    for (size_t i = 0; i < e.count; i++) {
        free(e.experiments[i].run[0]);
        free(e.experiments[i].run[1]);
    }
    free(e.experiments);
    free(e.all);
    cli_jobs_close(&e.jobs);
    return code;
}
