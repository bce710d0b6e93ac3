#include "lab/surface.h"

#include <math.h>
#include <string.h>

#include "lab/random.h"

/* ---- the functions ------------------------------------------------------------------- */

static double ravine(const double w[2]) { return (w[0] * w[0] + 90 * w[1] * w[1]) / 2; }

static void ravine_gradient(const double w[2], double g[2])
{
    g[0] = w[0];
    g[1] = 90 * w[1];
}

static double rosenbrock(const double w[2])
{
    const double a = 1 - w[0], b = w[1] - w[0] * w[0];
    return a * a + 100 * b * b;
}

static void rosenbrock_gradient(const double w[2], double g[2])
{
    const double b = w[1] - w[0] * w[0];
    g[0] = -2 * (1 - w[0]) - 400 * w[0] * b;
    g[1] = 200 * b;
}

/* 1.5 - x (1 - y), 2.25 - x (1 - y^2) and 2.625 - x (1 - y^3). */
static void beale_terms(const double w[2], double t[3])
{
    const double y = w[1];
    t[0] = 1.5 - w[0] * (1 - y);
    t[1] = 2.25 - w[0] * (1 - y * y);
    t[2] = 2.625 - w[0] * (1 - y * y * y);
}

static double beale(const double w[2])
{
    double t[3];
    beale_terms(w, t);
    return t[0] * t[0] + t[1] * t[1] + t[2] * t[2];
}

static void beale_gradient(const double w[2], double g[2])
{
    const double y = w[1];
    double t[3];
    beale_terms(w, t);
    g[0] = -2 * (t[0] * (1 - y) + t[1] * (1 - y * y) + t[2] * (1 - y * y * y));
    g[1] = 2 * w[0] * (t[0] + 2 * y * t[1] + 3 * y * y * t[2]);
}

static double himmelblau(const double w[2])
{
    const double a = w[0] * w[0] + w[1] - 11, b = w[0] + w[1] * w[1] - 7;
    return a * a + b * b;
}

static void himmelblau_gradient(const double w[2], double g[2])
{
    const double a = w[0] * w[0] + w[1] - 11, b = w[0] + w[1] * w[1] - 7;
    g[0] = 4 * w[0] * a + 2 * b;
    g[1] = 2 * a + 4 * w[1] * b;
}

static double saddle(const double w[2])
{
    const double a = w[1] * w[1] - 1;
    return 4 * w[0] * w[0] + a * a / 4;
}

static void saddle_gradient(const double w[2], double g[2])
{
    g[0] = 8 * w[0];
    g[1] = w[1] * (w[1] * w[1] - 1);
}

static double plateau(const double w[2])
{
    const double q = (w[0] * w[0] + 2 * w[1] * w[1]) / 2;
    return q / (1 + q);
}

static void plateau_gradient(const double w[2], double g[2])
{
    const double q = (w[0] * w[0] + 2 * w[1] * w[1]) / 2;
    g[0] = w[0] / ((1 + q) * (1 + q));
    g[1] = 2 * w[1] / ((1 + q) * (1 + q));
}

static double noisy(const double w[2]) { return (w[0] * w[0] + 10 * w[1] * w[1]) / 2; }

static void noisy_gradient(const double w[2], double g[2])
{
    g[0] = w[0];
    g[1] = 10 * w[1];
}

static double slope(const double w[2]) { return sqrt(1 + w[0] * w[0] + w[1] * w[1]) - 1; }

static void slope_gradient(const double w[2], double g[2])
{
    const double root = sqrt(1 + w[0] * w[0] + w[1] * w[1]);
    g[0] = w[0] / root;
    g[1] = w[1] / root;
}

static double first_steps(const double w[2]) { return (w[0] * w[0] + 2 * w[1] * w[1]) / 2; }

static void first_steps_gradient(const double w[2], double g[2])
{
    g[0] = w[0];
    g[1] = 2 * w[1];
}

/* ---- the table ----------------------------------------------------------------------- */

static const lab_surface surfaces[] = {
    { .name = "ravine", .formula = "(x^2 + 90 y^2) / 2",
      .shows = "oscillation across the steep direction, slowness along the flat one",
      .value = ravine, .gradient = ravine_gradient, .start = { -8, 1 }, .low = { -9, -1.5 },
      .high = { 3, 1.5 }, .minimum_count = 1, .near = 0.1, .steps = 250 },
    { .name = "rosenbrock", .formula = "(1 - x)^2 + 100 (y - x^2)^2",
      .shows = "a bent valley with a flat floor: only speed along it helps",
      .value = rosenbrock, .gradient = rosenbrock_gradient, .start = { -1.2, 1 },
      .low = { -2, -1 }, .high = { 2, 2.5 }, .minima = { { 1, 1 } }, .minimum_count = 1,
      .fine = 2, .near = 0.1, .steps = 1000 },
    { .name = "beale", .formula = "(1.5 - x + x y)^2 + (2.25 - x + x y^2)^2 + (2.625 - x + x y^3)^2",
      .shows = "steep walls around a flat plain: one rate has to suit both",
      .value = beale, .gradient = beale_gradient, .start = { 0.7, 1.4 }, .low = { -0.5, -1 },
      .high = { 4.5, 2 }, .minima = { { 3, 0.5 } }, .minimum_count = 1, .near = 0.1,
      .steps = 500 },
    { .name = "himmelblau", .formula = "(x^2 + y - 11)^2 + (x + y^2 - 7)^2",
      .shows = "four equal minima: where a run ends depends on its optimizer",
      .value = himmelblau, .gradient = himmelblau_gradient, .start = { -0.2, 0.7 },
      .low = { -5, -5 }, .high = { 5, 5 },
      .minima = { { 3, 2 }, { -2.805118086952745, 3.131312518250573 },
                  { -3.779310253377747, -3.283185991286170 },
                  { 3.584428340330492, -1.848126526964404 } },
      .minimum_count = 4, .near = 0.1, .steps = 100 },
    { .name = "saddle", .formula = "4 x^2 + (y^2 - 1)^2 / 4",
      .shows = "a point without slope that is no minimum, and who leaves it when",
      .value = saddle, .gradient = saddle_gradient, .start = { -1.5, 0.0005 },
      .low = { -2, -0.5 }, .high = { 2, 2 }, .minima = { { 0, 1 }, { 0, -1 } },
      .minimum_count = 2, .near = 0.1, .steps = 150 },
    { .name = "plateau", .formula = "q / (1 + q), q = (x^2 + 2 y^2) / 2",
      .shows = "almost no slope far away: steps in the gradient's measure crawl",
      .value = plateau, .gradient = plateau_gradient, .start = { -7, 3 }, .low = { -8, -2.5 },
      .high = { 3, 4 }, .minimum_count = 1, .near = 0.1, .steps = 400 },
    { .name = "noisy", .formula = "(x^2 + 10 y^2) / 2, each gradient with noise of deviation 2",
      .shows = "noise in every gradient: a rate that does not fall never settles",
      .value = noisy, .gradient = noisy_gradient, .start = { -4, 1.5 }, .low = { -5, -2 },
      .high = { 2, 2.5 }, .minimum_count = 1, .near = 0.5, .noise = 2, .steps = 300 },
    { .name = "slope", .formula = "sqrt(1 + x^2 + y^2) - 1",
      .shows = "the same slope all the way: a rate that can only fall dies out",
      .value = slope, .gradient = slope_gradient, .start = { -9, -4 }, .low = { -10, -5 },
      .high = { 2, 2 }, .minimum_count = 1, .near = 0.5, .steps = 200, .step_lengths = 1 },
    { .name = "first-steps", .formula = "(x^2 + 2 y^2) / 2",
      .shows = "averages that begin at zero, with and without bias correction",
      .value = first_steps, .gradient = first_steps_gradient, .start = { -3, 2 },
      .low = { -4, -2.5 }, .high = { 4, 3 }, .minimum_count = 1, .near = 0.1, .steps = 100,
      .step_lengths = 1 },
};

const lab_surface *lab_surface_at(size_t i)
{
    return i < sizeof surfaces / sizeof *surfaces ? &surfaces[i] : NULL;
}

const lab_surface *lab_surface_find(const char *name)
{
    const lab_surface *surface;
    for (size_t i = 0; (surface = lab_surface_at(i)) != NULL; i++)
        if (!strcmp(surface->name, name)) return surface;
    return NULL;
}

double lab_surface_distance(const lab_surface *surface, const double w[2])
{
    double least = INFINITY;
    for (size_t i = 0; i < surface->minimum_count; i++) {
        const double x = w[0] - surface->minima[i][0], y = w[1] - surface->minima[i][1];
        const double distance = sqrt(x * x + y * y);
        if (distance < least) least = distance;
    }
    return least;
}

/* Nearly normal with variance 1, without a logarithm: twelve uniform numbers. */
static double nearly_normal(uint64_t key, uint64_t i)
{
    double sum = -6;
    for (uint64_t k = 0; k < 12; k++) sum += lab_random_uniform(key, 12 * i + k);
    return sum;
}

void lab_surface_slope(const lab_surface *surface, const double w[2], uint64_t seed,
                       uint64_t step, double g[2])
{
    surface->gradient(w, g);
    if (!(surface->noise > 0)) return;
    const uint64_t key = lab_random_key(seed, 0x7472616365u); /* "trace" */
    for (uint64_t i = 0; i < 2; i++) g[i] += surface->noise * nearly_normal(key, 2 * step + i);
}
