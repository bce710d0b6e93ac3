/* fast.h - e^x that a loop vectorizes: in float within a few units of the last place. The
 * build in double, whose gradients are compared with differences, takes the library's. */
#ifndef LAB_FAST_H
#define LAB_FAST_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "lab/real.h"

/* x = n ln 2 + r, where n is rounded by adding a number whose last place is worth 1; then
 * 2^n by its bits, times the series of e^r up to r^7. Below -87 and above 88 it is what it
 * is there; NaN stays NaN. */
static inline float lab_exp_float(float x)
{
    const float magic = 12582912.0f;
    uint32_t bits;
    float power;
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    const float rounded = x * 1.44269504f + magic, n = rounded - magic;
    const float r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.0f / 5040 * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r * r + r + 1.0f;
    memcpy(&bits, &rounded, sizeof bits);
    bits = (bits << 23) + 0x3f800000u;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

static inline lab_real lab_exp(lab_real x)
{
    if (sizeof(lab_real) == sizeof(double)) return (lab_real)exp((double)x);
    return (lab_real)lab_exp_float((float)x);
}

#endif
