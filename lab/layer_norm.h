/* layer_norm.h - what layer and batch normalization share: y = (x - mean) / deviation
 * * scale + shift, with a scale and a shift for each channel. A channel is a plane
 * of values, or one value in a dense layer, where loops run over channels. */
#ifndef LAB_LAYER_NORM_H
#define LAB_LAYER_NORM_H

#include "lab/layer.h"

#include <math.h>

enum { LAB_SCALE, LAB_SHIFT, LAB_MEAN, LAB_VARIANCE };

static const double LAB_EPS = 1e-5; /* added to a variance */

/* A vector of the layer with a value for each channel. */
void lab_norm_vector(lab_layer *layer, const char *name, const char *part, lab_role role,
                     double fill);

/* y = (x - mean) factor + shift */
static inline void lab_norm_plane(lab_real *restrict y, const lab_real *restrict x, uint64_t n,
                                  lab_real mean, lab_real factor, lab_real shift)
{
    for (uint64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * factor + shift;
}

/* dx = a dy + b (x - mean) + c */
static inline void lab_norm_plane_back(lab_real *restrict dx, const lab_real *restrict dy,
                                       const lab_real *restrict x, uint64_t n, lab_real mean,
                                       lab_real a, lab_real b, lab_real c)
{
    for (uint64_t i = 0; i < n; i++) dx[i] = a * dy[i] + b * (x[i] - mean) + c;
}

/* The sum of dy (x - mean). */
double lab_norm_product(const lab_real *dy, const lab_real *x, lab_real mean, uint64_t n);

#endif
