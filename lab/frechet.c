#include "lab/frechet.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void lab_moments(const lab_real *x, uint64_t rows, uint64_t n, double *mean, double *covariance)
{
    memset(mean, 0, n * sizeof *mean);
    memset(covariance, 0, n * n * sizeof *covariance);
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t i = 0; i < n; i++) mean[i] += (double)x[r * n + i] / (double)rows;
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t i = 0; i < n; i++) {
            const double d = (double)x[r * n + i] - mean[i];
            for (uint64_t k = 0; k < n; k++)
                covariance[i * n + k] += d * ((double)x[r * n + k] - mean[k]);
        }
    const double most = rows > 1 ? (double)(rows - 1) : 1;
    for (uint64_t i = 0; i < n * n; i++) covariance[i] /= most;
}

/* ---- eigenvalues ------------------------------------------------------------------- */

/* Rows (step n, 1) or columns (1, n) p and q, turned by an angle. */
static void turn(double *a, uint64_t n, uint64_t p, uint64_t q, uint64_t line, uint64_t along,
                 double c, double s)
{
    double *x = a + p * line, *y = a + q * line;
    for (uint64_t i = 0; i < n; i++) {
        const double u = x[i * along], v = y[i * along];
        x[i * along] = c * u - s * v;
        y[i * along] = s * u + c * v;
    }
}

static double outside(const double *a, uint64_t n)
{
    double sum = 0;
    for (uint64_t i = 0; i < n * n; i++)
        if (i / n != i % n) sum += a[i] * a[i];
    return sum;
}

/* Jacobi's method: the symmetric `a` becomes diagonal, its eigenvalues. Where `vectors`
 * is not NULL its rows become the eigenvectors. */
static void diagonalize(double *a, double *vectors, uint64_t n)
{
    double size = 0;
    for (uint64_t i = 0; i < n * n; i++) {
        size += a[i] * a[i];
        if (vectors) vectors[i] = i / n == i % n;
    }
    for (int sweep = 0; sweep < 40 && outside(a, n) > 1e-26 * size; sweep++)
        for (uint64_t p = 0; p + 1 < n; p++)
            for (uint64_t q = p + 1; q < n; q++) {
                if (a[p * n + q] == 0) continue;
                const double theta = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
                const double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1));
                const double c = 1 / sqrt(t * t + 1), s = t * c;
                turn(a, n, p, q, n, 1, c, s);
                turn(a, n, p, q, 1, n, c, s);
                if (vectors) turn(vectors, n, p, q, n, 1, c, s);
            }
}

/* ---- the distance -------------------------------------------------------------------- */

/* out = a b for n x n matrices. */
static void multiply(double *out, const double *a, const double *b, uint64_t n)
{
    memset(out, 0, n * n * sizeof *out);
    for (uint64_t i = 0; i < n; i++)
        for (uint64_t k = 0; k < n; k++)
            for (uint64_t j = 0; j < n; j++) out[i * n + j] += a[i * n + k] * b[k * n + j];
}

static double root(double x) { return x > 0 ? sqrt(x) : 0; }

/* The symmetric root of `a`, into `out`; a and vectors are lost. */
static void take_root(double *out, double *a, double *vectors, uint64_t n)
{
    diagonalize(a, vectors, n);
    memset(out, 0, n * n * sizeof *out);
    for (uint64_t e = 0; e < n; e++)
        for (uint64_t i = 0; i < n; i++)
            for (uint64_t k = 0; k < n; k++)
                out[i * n + k] += root(a[e * n + e]) * vectors[e * n + i] * vectors[e * n + k];
}

/* C1 C2 has the eigenvalues of R C2 R, where R is the root of C1; those are symmetric. */
double lab_frechet(uint64_t n, const double *mean1, const double *covariance1,
                   const double *mean2, const double *covariance2)
{
    const size_t square = (size_t)(n * n);
    double *space = malloc(3 * square * sizeof *space), distance = 0;
    if (!space) return -1;
    double *r = space, *a = space + square, *b = space + 2 * square;
    memcpy(a, covariance1, square * sizeof *a);
    take_root(r, a, b, n);
    multiply(a, r, covariance2, n);
    multiply(b, a, r, n);
    diagonalize(b, NULL, n);
    for (uint64_t i = 0; i < n; i++) {
        const double d = mean1[i] - mean2[i];
        distance += d * d + covariance1[i * n + i] + covariance2[i * n + i] - 2 * root(b[i * n + i]);
    }
    free(space);
    return distance > 0 ? distance : 0;
}
