/* frechet.h - how far two clouds of points are from each other, each as a normal
 * distribution: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) (Frechet, 1957; for images,
 * Heusel et al., 2017). */
#ifndef LAB_FRECHET_H
#define LAB_FRECHET_H

#include "lab/real.h"

/* Mean and covariance of `rows` points of `n` values; one row has a covariance of 0. */
void lab_moments(const lab_real *x, uint64_t rows, uint64_t n, double *mean, double *covariance);

/* The distance, at least 0; -1 without memory. */
double lab_frechet(uint64_t n, const double *mean1, const double *covariance1,
                   const double *mean2, const double *covariance2);

#endif
