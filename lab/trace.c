#include "lab/trace.h"

#include <math.h>
#include <stdlib.h>

#include "lab/train_run.h"

/* So many widths of the picture from its edge nobody comes back. */
#define LOST 100

static lab_trace_point point_at(const lab_surface *surface, const float w[2])
{
    lab_trace_point point = { .w = { (double)w[0], (double)w[1] } };
    point.loss = surface->value(point.w);
    point.distance = lab_surface_distance(surface, point.w);
    return point;
}

static int is_lost(const lab_surface *surface, const lab_trace_point *point)
{
    for (int i = 0; i < 2; i++) {
        const double far = LOST * (surface->high[i] - surface->low[i]);
        if (!(point->w[i] > surface->low[i] - far && point->w[i] < surface->high[i] + far))
            return 1;
    }
    return 0;
}

/* One step of the optimizer, with the gradient where the optimizer wants it. */
static eden_status move(eden_optimizer *optimizer, const lab_surface *surface, const float w[2],
                        float grad[2], int lookahead, uint64_t seed, uint64_t step,
                        eden_error *error)
{
    double g[2];
    const eden_status status = lookahead ? eden_lookahead_begin(optimizer, error) : EDEN_OK;
    if (status) return status;
    const double at[2] = { (double)w[0], (double)w[1] };
    lab_surface_slope(surface, at, seed, step, g);
    for (int i = 0; i < 2; i++) grad[i] = (float)g[i];
    return eden_step(optimizer, error);
}

static eden_status walk(lab_trace *out, eden_optimizer *optimizer, const lab_surface *surface,
                        float w[2], float grad[2], uint64_t steps, uint64_t seed,
                        eden_error *error)
{
    double lookahead = 0;
    eden_get(optimizer, NULL, "lookahead", &lookahead, NULL); /* stays 0 where there is none */
    out->points[out->count++] = point_at(surface, w);
    for (uint64_t step = 1; step <= steps; step++) {
        const eden_status status =
            move(optimizer, surface, w, grad, lookahead > 0, seed, step, error);
        if (status) return status;
        const lab_trace_point point = point_at(surface, w);
        if (is_lost(surface, &point)) out->diverged_at = step;
        if (!isfinite(point.w[0]) || !isfinite(point.w[1])) break;
        out->points[out->count++] = point;
        if (out->diverged_at) break;
    }
    return EDEN_OK;
}

static void measure(lab_trace *out, const lab_surface *surface)
{
    size_t away = 0; /* the last point that is not near */
    for (size_t i = 1; i < out->count; i++)
        if (!(out->points[i].distance <= surface->near)) away = i;
    if (!out->diverged_at && away + 1 < out->count) out->reached_at = away + 1;
    double last[2] = { 0, 0 };
    for (size_t i = 1; i < out->count; i++) {
        const double *a = out->points[i - 1].w, *b = out->points[i].w;
        const double step[2] = { b[0] - a[0], b[1] - a[1] };
        out->length += sqrt(step[0] * step[0] + step[1] * step[1]);
        if (!out->reached_at || i <= out->reached_at)
            out->turns += step[0] * last[0] + step[1] * last[1] < 0;
        last[0] = step[0], last[1] = step[1];
    }
}

eden_status lab_trace_run(lab_trace *out, const lab_surface *surface, const char *optimizer,
                          const char *settings, uint64_t steps, uint64_t seed, eden_error *error)
{
    float w[2] = { (float)surface->start[0], (float)surface->start[1] }, grad[2] = { 0, 0 };
    eden_config config = EDEN_CONFIG_INIT;
    eden_optimizer *o = NULL;
    const eden_tensor tensor = eden_vector(w, grad, 2);
    *out = (lab_trace){ .points = steps < SIZE_MAX ? calloc((size_t)steps + 1, sizeof *out->points)
                                                   : NULL };
    if (!out->points)
        return lab_fail(error, EDEN_E_MEMORY, "no memory for a path of %llu steps",
                        (unsigned long long)steps);
    config.threads = 1;
    eden_status status = eden_optimizer_create(&o, optimizer, &config, error);
    if (!status && settings && *settings) status = eden_set_text(o, NULL, settings, error);
    if (!status) status = eden_add_tensor(o, "w", &tensor, NULL, error);
    if (!status) status = walk(out, o, surface, w, grad, steps, seed, error);
    eden_optimizer_destroy(o);
    if (!status) measure(out, surface);
    return status;
}

void lab_trace_free(lab_trace *trace)
{
    free(trace->points);
    *trace = (lab_trace){ .points = NULL };
}
