/* layer.c - what the families of layers share. */
#include "lab/layer.h"

#include <stdio.h>

enum { LANES = 16 };

lab_tensor *lab_tensor_add(lab_layer *layer, const char *name, const char *part, lab_role role)
{
    lab_tensor *t = &layer->tensor[layer->tensors++];
    snprintf(t->name, sizeof t->name, "%s.%s", name, part);
    t->role = role;
    return t;
}

/* Lanes are short sums in lab_real; double holds the rest. */
static double fold(const lab_real lane[LANES])
{
    double sum = 0;
    for (int k = 0; k < LANES; k++) sum += (double)lane[k];
    return sum;
}

double lab_sum(const lab_real *x, uint64_t n)
{
    lab_real lane[LANES] = { 0 };
    uint64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) lane[k] += x[i + (uint64_t)k];
    double sum = fold(lane);
    for (; i < n; i++) sum += (double)x[i];
    return sum;
}

lab_real lab_largest(const lab_real *x, uint64_t n)
{
    lab_real lane[LANES], top = x[0];
    uint64_t i = 0;
    for (int k = 0; k < LANES; k++) lane[k] = top;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) lane[k] = x[i + (uint64_t)k] > lane[k] ? x[i + (uint64_t)k] : lane[k];
    for (int k = 0; k < LANES; k++) top = lane[k] > top ? lane[k] : top;
    for (; i < n; i++) top = x[i] > top ? x[i] : top;
    return top;
}

double lab_sum_squares(const lab_real *x, lab_real center, uint64_t n)
{
    lab_real lane[LANES] = { 0 };
    uint64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) {
            const lab_real d = x[i + (uint64_t)k] - center;
            lane[k] += d * d;
        }
    double sum = fold(lane);
    for (; i < n; i++) {
        const double d = (double)x[i] - (double)center;
        sum += d * d;
    }
    return sum;
}

double lab_sum_products(const lab_real *x, const lab_real *y, uint64_t n)
{
    lab_real lane[LANES] = { 0 };
    uint64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) lane[k] += x[i + (uint64_t)k] * y[i + (uint64_t)k];
    double sum = fold(lane);
    for (; i < n; i++) sum += (double)x[i] * (double)y[i];
    return sum;
}
