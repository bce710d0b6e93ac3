/* surface.h - two-dimensional functions on which a path of an optimizer can be seen.
 *
 * Values and gradients take additions, products, quotients and square roots only, so
 * that they have the same bits everywhere. The value at every minimum is 0. */
#ifndef LAB_SURFACE_H
#define LAB_SURFACE_H

#include <stddef.h>
#include <stdint.h>

enum { LAB_MINIMA = 4 };

typedef struct {
    const char *name, *formula;
    const char *shows;                 /* in one line                                  */
    double (*value)(const double w[2]);
    void (*gradient)(const double w[2], double g[2]);
    double start[2];
    double low[2], high[2];            /* the part that is drawn                       */
    double minima[LAB_MINIMA][2];
    size_t minimum_count;
    int fine;                          /* its valley is so narrow that contours want
                                          this many times the usual grid; 0: as usual  */
    double near;                       /* a minimum is reached at this distance        */
    double noise;                      /* standard deviation in each gradient, or 0    */
    uint64_t steps;                    /* to take unless told otherwise                */
    int step_lengths;                  /* 1: what is told over time is the length of a
                                          step, else the distance to the minimum       */
} lab_surface;

/* The i-th surface, or NULL past the end; and the one of that name, or NULL. */
const lab_surface *lab_surface_at(size_t i);
const lab_surface *lab_surface_find(const char *name);

/* To the nearest minimum. */
double lab_surface_distance(const lab_surface *surface, const double w[2]);

/* The gradient that step number `step` sees, noise included: a function of its
 * arguments alone. */
void lab_surface_slope(const lab_surface *surface, const double w[2], uint64_t seed,
                       uint64_t step, double g[2]);

/* ---- rates_surface.c ------------------------------------------------------------- */

/* Which optimizers to show unless told otherwise, as `eden trace --optimizers` takes
 * them, and an optimizer's rate, or 0 for one that is not in the table. Both are for
 * the name of a surface that there is. */
const char *lab_surface_shown(const char *surface);
double lab_surface_rate(const char *surface, const char *optimizer, const char **source);

#endif
