/* evidence_search.c - which rates a side tries, and the one that it takes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/evidence.h"

/* About a factor of three apart, around the rate of the table. */
static double factor(size_t i)
{
    static const double factors[] = { 1, 3, 1.0 / 3, 10, 0.1 };
    return i < sizeof factors / sizeof *factors ? factors[i] : 1;
}

static double two_digits(double rate)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%.2g", rate);
    return strtod(digits, NULL);
}

void cli_search_begin(cli_search *s, double usual, size_t count)
{
    s->count = 0;
    for (size_t i = 0; i < count; i++) s->rate[s->count++] = i ? two_digits(usual * factor(i)) : usual;
}

/* Of equals the first asked for. */
size_t cli_search_best(const cli_search *s)
{
    size_t best = 0;
    for (size_t i = 1; i < s->count; i++)
        if (s->cost[i] < s->cost[best]) best = i;
    return best;
}

/* The next rate below, or above; none: i itself. */
static size_t neighbour(const cli_search *s, size_t i, int above)
{
    size_t found = i;
    for (size_t k = 0; k < s->count; k++) {
        if (above ? s->rate[k] <= s->rate[i] : s->rate[k] >= s->rate[i]) continue;
        if (found == i || (above ? s->rate[k] < s->rate[found] : s->rate[k] > s->rate[found])) found = k;
    }
    return found;
}

int cli_search_at_edge(const cli_search *s)
{
    const size_t best = cli_search_best(s);
    return s->count > 1 && (neighbour(s, best, 0) == best || neighbour(s, best, 1) == best);
}

void cli_search_extend(cli_search *s)
{
    size_t best = cli_search_best(s);
    /* Where all diverged, smaller ones are left. */
    for (size_t i = 0; !isfinite(s->cost[best]) && i < s->count; i++)
        if (s->rate[i] < s->rate[best]) best = i;
    const size_t below = neighbour(s, best, 0), above = neighbour(s, best, 1);
    double rate = s->rate[best];
    if (below == best) rate /= 3;
    else if (above == best) rate *= 3;
    else rate = sqrt(rate * s->rate[s->cost[above] < s->cost[below] ? above : below]);
    if (s->count < CLI_RATES) s->rate[s->count++] = two_digits(rate);
}
