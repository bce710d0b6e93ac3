/* schedule_math.h - the arithmetic of schedules, without libm, whose last bit
 * differs between systems. */
#ifndef EDEN_SCHEDULE_MATH_H
#define EDEN_SCHEDULE_MATH_H

#include <stdint.h>

/* A number in twice the precision of a double: hi + lo. */
typedef struct {
    double hi, lo;
} eden_wide;

eden_wide eden_wide_ratio(double a, double b); /* a / b */

/* (1 + cos(pi * gone / (gone + left))) / 2: 1 at the start, exactly 1/2 half way,
 * 0 at the end, with a small relative error also near 0. */
double eden_half_cosine(double gone, double left);

/* base^n and, for 0 <= y < 1, base^y; base >= 0. What would overflow is DBL_MAX. */
double eden_power_whole(eden_wide base, uint64_t n);
double eden_power_part(double base, eden_wide y);

/* Step s >= 1 among cycles of n, n * grow, n * grow^2, ... steps: how much of its
 * cycle is gone, and how much is left. */
void eden_find_cycle(double n, double grow, uint64_t s, double *gone, double *left);

#endif
