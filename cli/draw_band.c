#include "cli/draw_band.h"

#include <math.h>

typedef struct {
    double y0, y1;
    int log;
} window;

/* As it stands on paper, where lines are straight; what cannot stand there is far below. */
static double paper(const window *w, double y)
{
    if (!w->log) return y;
    return y > 0 ? log(y) : log(w->y0) - 100;
}

static double value(const window *w, double at) { return w->log ? exp(at) : at; }

/* Where between 0 and 1 a line from a to b crosses `edge`; 1 if it does not. */
static double crossing(double a, double b, double edge)
{
    const double t = (edge - a) / (b - a);
    return t > 0 && t < 1 ? t : 1;
}

static double within(const window *w, double at)
{
    return fmin(fmax(value(w, at), w->y0), w->y1);
}

/* One piece between two points: its beginning, and wherever an edge is crossed. */
static void piece(FILE *out, const window *w, const cli_line *line, size_t i)
{
    const double low[2] = { paper(w, line->low[i]), paper(w, line->low[i + 1]) };
    const double high[2] = { paper(w, line->high[i]), paper(w, line->high[i + 1]) };
    const double cuts[4] = { crossing(low[0], low[1], paper(w, w->y0)),
                             crossing(low[0], low[1], paper(w, w->y1)),
                             crossing(high[0], high[1], paper(w, w->y0)),
                             crossing(high[0], high[1], paper(w, w->y1)) };
    double t = 0;
    while (t < 1) {
        double next = 1;
        fprintf(out, "%.9g %.9g %.9g\n", line->x[i] + t * (line->x[i + 1] - line->x[i]),
                within(w, low[0] + t * (low[1] - low[0])),
                within(w, high[0] + t * (high[1] - high[0])));
        for (int k = 0; k < 4; k++)
            if (cuts[k] > t && cuts[k] < next) next = cuts[k];
        t = next;
    }
}

static int there(const cli_line *line, size_t i)
{
    return i < line->count && isfinite(line->low[i]) && isfinite(line->high[i]);
}

void cli_draw_band(FILE *out, const cli_line *line, double y0, double y1, int log)
{
    const window w = { y0, y1, log };
    for (size_t i = 0; i < line->count; i++) {
        if (!there(line, i)) continue;
        if (there(line, i + 1))
            piece(out, &w, line, i);
        else
            fprintf(out, "%.9g %.9g %.9g\n", line->x[i], within(&w, paper(&w, line->low[i])),
                    within(&w, paper(&w, line->high[i])));
    }
}
