/* trace.h - an optimizer's path over a surface. */
#ifndef LAB_TRACE_H
#define LAB_TRACE_H

#include <eden/eden.h>

#include "lab/surface.h"

typedef struct {
    double w[2], loss, distance; /* the last is to the nearest minimum */
} lab_trace_point;

typedef struct {
    lab_trace_point *points; /* points[i] is after step i; points[0] is the start */
    size_t count;
    uint64_t diverged_at;    /* step that left for good, or 0; the path ends there */
    uint64_t reached_at;     /* first step from which all points are near, or 0    */
    uint64_t turns;          /* steps that go back on the one before, at an angle of
                                more than 90 degrees, up to reached_at if it is there */
    double length;           /* of the path                                        */
} lab_trace;

/* Run `steps` steps; `settings` as eden_set_text() takes them, or NULL. To diverge is
 * a result and no failure. Free with lab_trace_free(), whatever came of it. */
eden_status lab_trace_run(lab_trace *out, const lab_surface *surface, const char *optimizer,
                          const char *settings, uint64_t steps, uint64_t seed, eden_error *error);
void lab_trace_free(lab_trace *trace);

#endif
