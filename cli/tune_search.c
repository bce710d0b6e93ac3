/* tune_search.c - a few whole runs in the range that the test found. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/tune.h"

/* The first ones divide the range evenly: about six tenths of the budget. */
static size_t dividing(size_t rates) { return rates < 4 ? rates : (3 * rates + 4) / 5; }

/* Rates nearer to one another than this differ by chance more than by themselves. */
#define NEAR 1.25

static int tried(const cli_tuning *t, double rate, double near)
{
    for (size_t i = 0; i < t->count; i++)
        if (rate <= near * t->tries[i].rate && t->tries[i].rate <= near * rate) return 1;
    return 0;
}

static double goal(const cli_rate_try *try) { return try->diverged ? NAN : try->goal.mean; }

/* Beyond the edge as far as the nearest neighbour is, or between two. */
static double beside(const cli_tuning *t, size_t i, int above)
{
    const double rate = t->tries[i].rate;
    const int edge = above ? i + 1 == t->count : i == 0;
    if (t->count < 2) return above ? 2 * rate : rate / 2;
    if (edge) return rate * rate / t->tries[above ? i - 1 : i + 1].rate;
    return sqrt(rate * t->tries[above ? i + 1 : i - 1].rate);
}

/* On which side of the best is the more promising gap? At an edge the outside is: what the
 * best is lies there. */
static int look_above(const cli_tuning *t, size_t i)
{
    if (i == 0 || i + 1 == t->count) return i != 0;
    const double below = goal(&t->tries[i - 1]), above = goal(&t->tries[i + 1]);
    if (isnan(below) != isnan(above)) return isnan(below);
    return lab_goal_better(&t->study.metric, above, below);
}

/* Is i better than k? Of equals the smaller rate is. */
static int before(const cli_tuning *t, size_t i, size_t k)
{
    const double a = goal(&t->tries[i]), b = goal(&t->tries[k]);
    return lab_goal_better(&t->study.metric, a, b) || (!lab_goal_better(&t->study.metric, b, a) && i < k);
}

/* The one that `rank` others are better than. */
static size_t ranked(const cli_tuning *t, size_t rank)
{
    for (size_t i = 0; i < t->count; i++) {
        size_t better = 0;
        for (size_t k = 0; k < t->count; k++) better += k != i && before(t, k, i);
        if (better == rank) return i;
    }
    return 0;
}

/* Beside the best, or if there is no room, beside the next. */
static double refined(const cli_tuning *t)
{
    for (size_t rank = 0; rank < t->count; rank++) {
        const size_t i = ranked(t, rank);
        /* Where it diverges, only smaller rates are left. */
        const int lost = isnan(goal(&t->tries[i])), above = !lost && look_above(t, i);
        for (int k = 0; k < 2 - lost; k++) {
            const double rate = cli_rate_round(beside(t, i, k ? !above : above));
            if (rate > 0 && isfinite(rate) && !tried(t, rate, NEAR)) return rate;
        }
    }
    return 0;
}

double cli_tune_next(const cli_tuning *t)
{
    const size_t rates = t->budget / t->seeds, first = dividing(rates);
    const double span = log(t->range.high / t->range.low);
    for (size_t i = 0; i < first; i++) {
        const double share = first > 1 ? (double)i / (double)(first - 1) : 0.5;
        const double rate = cli_rate_round(t->range.low * exp(span * share));
        if (!tried(t, rate, 1)) return rate;
    }
    return t->count < rates && t->count ? refined(t) : 0;
}

static void insert(cli_tuning *t, cli_rate_try try)
{
    size_t i = t->count++;
    for (; i > 0 && t->tries[i - 1].rate > try.rate; i--) t->tries[i] = t->tries[i - 1];
    t->tries[i] = try;
}

int cli_tune_search(cli_tuning *t, cli_watch watch, void *context)
{
    int code = CLI_OK;
    const size_t rates = t->budget / t->seeds;
    while (!code && t->count < rates) {
        cli_rate_try try;
        const double rate = cli_tune_next(t);
        if (!(rate > 0)) break;
        code = cli_rate_run(&t->study, &t->settings, rate, t->study.config.seed, t->seeds, watch,
                            context, &try);
        if (code || !try.complete) break;
        insert(t, try);
    }
    t->chosen = cli_rate_choose(&t->study, t->tries, t->count, t->margin, &t->best);
    return code;
}
