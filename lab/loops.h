/* loops.h - the loops that networks spend their time in beside products. loops.c is
 * compiled once for each instruction set that the library knows, to the same bits. */
#ifndef LAB_LOOPS_H
#define LAB_LOOPS_H

#include <stddef.h>

#include "lab/real.h"

typedef struct {
    const char *isa; /* as eden_isa_name() says it                              */

    /* y becomes GELU of itself; slopes are its derivatives where it was.       */
    void (*gelu)(lab_real *y, uint64_t n);
    void (*gelu_slopes)(lab_real *y, lab_real *slope, uint64_t n);

    /* y becomes its hyperbolic tangent; d is multiplied by the slope where y came out. */
    void (*tanh)(lab_real *y, uint64_t n);
    void (*tanh_back)(lab_real *d, const lab_real *y, uint64_t n);

    /* x becomes e^((x - top) scale). */
    void (*exponentials)(lab_real *x, uint64_t n, lab_real top, lab_real scale);

    /* y = x factor */
    void (*scale)(lab_real *y, uint64_t n, lab_real factor);

    /* d becomes scale p (d - sum). */
    void (*softmax_back)(lab_real *d, const lab_real *p, uint64_t n, lab_real sum,
                         lab_real scale);

    /* y += x, and y = a + b. */
    void (*add)(lab_real *y, const lab_real *x, uint64_t n);
    void (*sum)(lab_real *y, const lab_real *a, const lab_real *b, uint64_t n);

    /* y *= x */
    void (*multiply)(lab_real *y, const lab_real *x, uint64_t n);

    /* The largest of four from two lines of 2 n values, the first of equal ones, and which
     * it is, 0 to 3; and back, where the lines of gradients are 0 but for that one. */
    void (*pool)(lab_real *y, unsigned char *which, const lab_real *top, const lab_real *bottom,
                 uint64_t n);
    void (*pool_back)(lab_real *top, lab_real *bottom, const lab_real *d,
                      const unsigned char *which, uint64_t n);
} lab_loops;

/* The i-th, in the order of eden_isa_name(), weakest first; NULL past the end. */
const lab_loops *lab_loops_at(size_t i);

/* Those for the best instruction set of this machine. */
const lab_loops *lab_loops_best(void);

#endif
