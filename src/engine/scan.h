/* scan.h - one look at a gradient: its norm and its largest magnitude. */
#ifndef EDEN_SCAN_H
#define EDEN_SCAN_H

#include "engine/rule.h"

typedef struct {
    double norm2;  /* sum of the squares of clamp(g * pre, -limit, limit)      */
    uint32_t top;  /* bits of the largest |g|: ordered like |g|, infinity above
                      every number and NaN above infinity                     */
} eden_scan;

#define EDEN_INFINITY_BITS 0x7f800000u

/* n <= EDEN_CHUNK. Without want_norm, norm2 is 0. */
typedef void eden_scan_kernel(const real *g, size_t n, const eden_grad_scale *scale,
                              int want_norm, eden_scan *out);

extern eden_scan_kernel *const eden_scans[EDEN_ISA_COUNT];

/* Index of the first element whose |bits| are above `above`, or n. */
size_t eden_scan_find(const real *g, size_t n, uint32_t above);

#endif
