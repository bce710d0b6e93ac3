/* rates_surface.c - the learning rates of `eden trace`, and whom it shows.
 *
 * Rates were tried in steps of 1, 2 and 5 from 1e-4 to 50, from the surface's start, for
 * its number of steps and with seed 1. Those whose path leaves the picture are out. Of the
 * others the fewest steps count until the path is near a minimum and stays there, or, if
 * none does so, the least distance at the end; chosen is the smallest rate within a tenth
 * of the best. Some bests are luck of this start: where the first step has the length of the
 * rate in each direction, a rate may land on the minimum. Lion's steps keep that length for
 * good, so that it nears a minimum and leaves it again: for it the distance at the end counts
 * alone, all under 1e-5 alike. On `slope` and `first-steps`
 * nothing is tuned: one rate for all, so that what differs is what the optimizers make of
 * it. */
#include <string.h>

#include "lab/surface.h"

static const char *const names[] = { "sgd",   "momentum", "nesterov",  "adagrad", "rmsprop",
                                     "adam",  "adamw",    "adafactor", "lamb",    "lion" };
enum { NAMES = sizeof names / sizeof *names };

static const char tuned[] = "tuned on this surface";
static const char alike[] = "the same for all";

static const struct {
    const char *surface, *shown, *source;
    double rates[NAMES];
} table[] = {
    { "ravine", "sgd,momentum,adagrad,adam", tuned,
      { 0.02, 0.01, 0.01, 2, 0.05, 0.5, 1, 0.2, 0.1, 0.1 } },
    { "rosenbrock", "sgd,momentum,adagrad,rmsprop,adam", tuned,
      { 0.002, 0.002, 0.001, 1, 0.01, 0.5, 0.1, 1, 0.05, 0.01 } },
    { "beale", "sgd,momentum,adagrad,rmsprop,adam", tuned,
      { 0.02, 0.002, 0.005, 1, 0.05, 0.5, 0.2, 0.02, 0.1, 0.05 } },
    { "himmelblau", "sgd,momentum,rmsprop,adam", tuned,
      { 0.02, 0.02, 0.01, 1, 0.1, 0.5, 0.5, 0.1, 0.05, 0.1 } },
    { "saddle", "sgd,momentum,adagrad,adam", tuned,
      { 0.2, 0.1, 0.1, 1, 0.02, 0.05, 0.05, 0.5, 0.05, 0.05 } },
    { "plateau", "sgd,momentum,adagrad,adam", tuned,
      { 1, 1, 0.5, 1, 0.1, 1, 0.5, 1, 0.5, 0.05 } },
    { "noisy", "sgd:lr=0.1,sgd,momentum,adagrad,adam", tuned,
      { 0.02, 0.002, 0.002, 0.5, 0.05, 0.05, 0.05, 1, 0.05, 0.1 } },
    { "slope", "sgd,adagrad,rmsprop,adam", alike,
      { 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1 } },
    { "first-steps", "adam,adam:bias_correction=0", alike,
      { 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1 } },
};
enum { SURFACES = sizeof table / sizeof *table };

const char *lab_surface_shown(const char *surface)
{
    for (size_t i = 0; i < SURFACES; i++)
        if (!strcmp(table[i].surface, surface)) return table[i].shown;
    return "";
}

double lab_surface_rate(const char *surface, const char *optimizer, const char **source)
{
    for (size_t i = 0; i < SURFACES; i++)
        for (size_t k = 0; k < NAMES; k++)
            if (!strcmp(table[i].surface, surface) && !strcmp(names[k], optimizer)) {
                *source = table[i].source;
                return table[i].rates[k];
            }
    return 0;
}
