/* data_scale.c - columns scaled by the training rows' mean and deviation. */
#include <float.h>
#include <math.h>

#include "lab/data_column.h"

/* One pass over the training rows, in memory's order, for all columns. */
typedef void (*visit)(column_scale *scale, double value);

static void add_difference(column_scale *s, double value) { s->mean += value - s->first; }

static void find_largest(column_scale *s, double value)
{
    const double distance = fabs(value - s->mean);
    if (!(distance <= s->largest)) s->largest = distance;
}

/* In units of the largest distance, so that no square over- or underflows. */
static void add_square(column_scale *s, double value)
{
    const double distance = s->largest > 0 ? (value - s->mean) / s->largest : 0;
    s->deviation += distance * distance;
}

static uint64_t over_training(visit each, const double *values, uint64_t rows, uint64_t columns,
                              const unsigned char *is_test, column_scale *scale)
{
    uint64_t count = 0;
    for (uint64_t row = 0; row < rows; row++, values += columns) {
        if (is_test[row]) continue;
        for (uint64_t c = 0; c < columns; c++) each(&scale[c], values[c]);
        count++;
    }
    return count;
}

static void measure(const double *values, uint64_t rows, uint64_t columns,
                    const unsigned char *is_test, column_scale *scale)
{
    uint64_t first = 0;
    while (first < rows && is_test[first]) first++;
    if (first == rows) return;
    /* Differences from the first value: a constant column sums to exactly 0. */
    for (uint64_t c = 0; c < columns; c++)
        scale[c] = (column_scale){ .first = values[first * columns + c] };
    const double count =
        (double)over_training(add_difference, values, rows, columns, is_test, scale);
    for (uint64_t c = 0; c < columns; c++) scale[c].mean = scale[c].first + scale[c].mean / count;
    over_training(find_largest, values, rows, columns, is_test, scale);
    over_training(add_square, values, rows, columns, is_test, scale);
    for (uint64_t c = 0; c < columns; c++)
        scale[c].deviation = scale[c].largest * sqrt(scale[c].deviation / count);
}

uint64_t columns_standardize(const double *values, uint64_t rows, uint64_t columns,
                             const unsigned char *is_test, column_scale *scale, float *train,
                             float *test)
{
    measure(values, rows, columns, is_test, scale);
    for (uint64_t c = 0; c < columns; c++)
        if (!isfinite(scale[c].mean) || !isfinite(scale[c].deviation)) return c;
    for (uint64_t row = 0; row < rows; row++, values += columns) {
        float *to = is_test[row] ? test : train;
        for (uint64_t c = 0; c < columns; c++) {
            const double deviation = scale[c].deviation;
            const double scaled = deviation > 0 ? (values[c] - scale[c].mean) / deviation : 0;
            if (!(fabs(scaled) <= (double)FLT_MAX)) return c;
            to[c] = (float)scaled;
        }
        if (is_test[row])
            test += columns;
        else
            train += columns;
    }
    return columns;
}
