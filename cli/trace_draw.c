/* trace_draw.c - paths over a surface as a picture, or as a film. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/draw.h"
#include "cli/gnuplot.h"
#include "cli/output.h"
#include "cli/trace.h"

enum {
    WIDTH = 820, LEFT = 46, TOP = 76, PANEL = 340,  /* pixels                           */
    FIRST = 400, GAP = 76, SECOND = 264,            /* widths of the panels, and between */
    KEY = TOP + PANEL + 60, KEY_ROW = 20, LABEL = 55, /* letters of a label            */
    ACROSS = 160, DOWN = 130,                       /* of the usual grid for contours     */
    LEVELS = 14,
    WHOLE = 500, MOST = 1500,                       /* points drawn: all at first, then so
                                                       many of the rest                   */
    DOTTED = 120,                                   /* up to so many, each is a dot       */
    FRAMES = 48, LAST = 12                          /* the last one stays                 */
};

static const char ink[] = "#222222", paper[] = "#ffffff";

typedef struct {
    FILE *out;
    const cli_tracing *t;
    cli_format format;
    int height, key_rows;
    size_t stride;           /* of the points that are drawn after the first ones */
    size_t longest, points;  /* steps of the longest path, and how many are drawn */
    double low, high;        /* of the second panel                               */
    int across, down;        /* of the grid                                       */
    size_t order[CLI_PATHS]; /* in which paths are drawn                          */
    double level[LEVELS];
} sheet;

/* ---- what is to be seen ---------------------------------------------------------------- */

/* What the second panel shows after step i, or 0 if it shows nothing there. */
static double measure(const cli_tracing *t, const lab_trace *trace, size_t i)
{
    const lab_trace_point *p = &trace->points[i];
    if (!t->surface->step_lengths) return p->distance;
    if (!i) return 0;
    const double x = p->w[0] - p[-1].w[0], y = p->w[1] - p[-1].w[1];
    return sqrt(x * x + y * y);
}

/* What is far below `near`, or far above the beginning, may leave the panel. */
static void find_range(sheet *s)
{
    double low = INFINITY, high = 0, beginning = 0;
    for (size_t i = 0; i < s->t->count; i++) {
        const lab_trace *trace = &s->t->paths[i].trace;
        const double first = measure(s->t, trace, s->t->surface->step_lengths && trace->count > 1);
        if (first > beginning) beginning = first;
        for (size_t k = 0; k < trace->count; k++) {
            const double value = measure(s->t, trace, k);
            if (value > 0) low = fmin(low, value), high = fmax(high, value);
        }
        if (trace->count - 1 > s->longest) s->longest = trace->count - 1;
    }
    s->stride = (s->longest + MOST) / MOST;
    s->points = s->longest < WHOLE ? s->longest : WHOLE + (s->longest - WHOLE) / s->stride;
    if (!(high > 0)) low = high = beginning = 1;
    if (high > 10 * beginning && beginning > 0) high = 10 * beginning;
    const double least = s->t->surface->step_lengths ? high / 1e3 : s->t->surface->near / 100;
    s->high = high * 1.5;
    s->low = fmin(fmax(low / 1.5, least), high / 3);
}

static int ascending(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double place(const lab_surface *surface, int axis, int i, int all)
{
    return surface->low[axis] + (surface->high[axis] - surface->low[axis]) * i / all;
}

/* How much a path turns: a straight one not at all, however long it is. */
static double roughness(const lab_trace *trace)
{
    double sum = 0;
    for (size_t k = 1; k + 1 < trace->count; k++) {
        const double *a = trace->points[k - 1].w, *b = trace->points[k].w, *c = trace->points[k + 1].w;
        const double bend = hypot(a[0] - 2 * b[0] + c[0], a[1] - 2 * b[1] + c[1]);
        if (isfinite(bend)) sum += bend;
    }
    return sum;
}

/* What goes to and fro covers much, so the noisiest paths are drawn below others. */
static void find_order(sheet *s)
{
    for (size_t i = 0; i < s->t->count; i++) {
        size_t k = i;
        const double rough = roughness(&s->t->paths[i].trace);
        for (; k && roughness(&s->t->paths[s->order[k - 1]].trace) < rough; k--)
            s->order[k] = s->order[k - 1];
        s->order[k] = i;
    }
}

/* Levels from one share of the picture to another, in equal ratios. */
static int find_levels(sheet *s)
{
    const size_t count = (size_t)(s->across + 1) * (size_t)(s->down + 1);
    double *values = calloc(count, sizeof *values);
    if (!values) return cli_no_memory();
    size_t n = 0;
    for (int j = 0; j <= s->down; j++)
        for (int i = 0; i <= s->across; i++) {
            const double w[2] = { place(s->t->surface, 0, i, s->across),
                                  place(s->t->surface, 1, j, s->down) };
            values[n++] = s->t->surface->value(w);
        }
    qsort(values, n, sizeof *values, ascending);
    const double low = values[n / 100], high = values[n - n / 50];
    for (int i = 0; i < LEVELS; i++) s->level[i] = low * pow(high / low, (double)i / (LEVELS - 1));
    free(values);
    return CLI_OK;
}

/* ---- data ------------------------------------------------------------------------------ */

static void contours(const sheet *s)
{
    const lab_surface *surface = s->t->surface;
    fprintf(s->out, "$grid << END\n");
    for (int j = 0; j <= s->down; j++) {
        for (int i = 0; i <= s->across; i++) {
            const double w[2] = { place(surface, 0, i, s->across), place(surface, 1, j, s->down) };
            fprintf(s->out, "%.6g %.6g %.6g\n", w[0], w[1], surface->value(w));
        }
        fputc('\n', s->out);
    }
    fprintf(s->out, "END\nset contour base\nunset surface\nset cntrparam linear\n"
                    "set cntrparam levels discrete ");
    for (int i = 0; i < LEVELS; i++) fprintf(s->out, "%s%.9g", i ? "," : "", s->level[i]);
    fprintf(s->out, "\nset table $contours\nsplot $grid using 1:2:3\nunset table\n"
                    "unset contour\nset surface\n");
}

static int is_drawn(const sheet *s, size_t k) { return k < WHOLE || k % s->stride == 0; }

static void paths(const sheet *s)
{
    for (size_t i = 0; i < s->t->count; i++) {
        const lab_trace *trace = &s->t->paths[i].trace;
        fprintf(s->out, "$p%zu << END\n", i);
        for (size_t k = 0; k < trace->count; k++) {
            const double value = measure(s->t, trace, k);
            if (!is_drawn(s, k) && k + 1 < trace->count) continue;
            fprintf(s->out, "%zu %.7g %.7g ", k, trace->points[k].w[0], trace->points[k].w[1]);
            if (value > 0) fprintf(s->out, "%.6g\n", value);
            else fprintf(s->out, "NaN\n");
        }
        fprintf(s->out, "END\n");
    }
    fprintf(s->out, "$minima << END\n");
    for (size_t i = 0; i < s->t->surface->minimum_count; i++)
        fprintf(s->out, "%.9g %.9g\n", s->t->surface->minima[i][0], s->t->surface->minima[i][1]);
    fprintf(s->out, "END\n$start << END\n%.9g %.9g\nEND\n", s->t->surface->start[0],
            s->t->surface->start[1]);
}

/* ---- the script ------------------------------------------------------------------------- */

/* The picture is drawn in pixels, and gnuplot wants shares of it. */
static double across(int x) { return (double)x / WIDTH; }
static double up(const sheet *s, int y) { return 1 - (double)y / s->height; }

static void legend_text(const sheet *s, size_t i, char *text, size_t room)
{
    const cli_path *path = &s->t->paths[i];
    char lr[32] = "";
    if (isfinite(path->lr)) snprintf(lr, sizeof lr, ", lr %.3g", path->lr);
    const int cut = strlen(path->label) > LABEL;
    int length = snprintf(text, room, "%.*s%s%s", cut ? LABEL - 3 : LABEL, path->label,
                          cut ? "..." : "", lr);
    if (path->trace.diverged_at)
        snprintf(text + length, room - (size_t)length, ": diverged at step %llu",
                 (unsigned long long)path->trace.diverged_at);
}

/* As many columns as have room for the longest entry. */
static void find_legend(sheet *s)
{
    char text[160];
    size_t longest = 12;
    const int entries = (int)s->t->count + 2;
    for (size_t i = 0; i < s->t->count; i++) {
        legend_text(s, i, text, sizeof text);
        if (strlen(text) > longest) longest = strlen(text);
    }
    int columns = (WIDTH - 32) / (62 + 8 * (int)longest);
    if (columns < 1) columns = 1;
    s->key_rows = (entries + columns - 1) / columns;
    s->height = KEY + KEY_ROW * s->key_rows + 12;
}

static void title(const sheet *s, uint64_t step)
{
    char text[200];
    const lab_surface *surface = s->t->surface;
    fprintf(s->out, "set label 1 ");
    if (step < s->t->steps)
        snprintf(text, sizeof text, "%s: step %llu of %llu", surface->name,
                 (unsigned long long)step, (unsigned long long)s->t->steps);
    else
        snprintf(text, sizeof text, "%s: %llu step%s", surface->name,
                 (unsigned long long)s->t->steps, s->t->steps == 1 ? "" : "s");
    cli_gnuplot_quote(s->out, text);
    fprintf(s->out, " at screen %.5f,%.5f left noenhanced textcolor rgb '%s'\nset label 2 ",
            across(16), up(s, 18), ink);
    cli_gnuplot_quote(s->out, surface->formula);
    fprintf(s->out, " at screen %.5f,%.5f left noenhanced textcolor rgb '#666666'\n", across(16),
            up(s, 38));
}

static void margins(const sheet *s, int left, int width)
{
    fprintf(s->out, "set lmargin at screen %.5f\nset rmargin at screen %.5f\n"
                    "set tmargin at screen %.5f\nset bmargin at screen %.5f\n",
            across(left), across(left + width), up(s, TOP), up(s, TOP + PANEL));
}

/* The last point of a path up to `step`, as gnuplot counts those that are drawn. */
static size_t last_point(const sheet *s, size_t i, uint64_t step)
{
    const size_t end = s->t->paths[i].trace.count - 1, k = step < end ? (size_t)step : end;
    if (k < WHOLE) return k;
    const size_t whole = WHOLE - 1, index = whole + k / s->stride - whole / s->stride;
    return index + (k == end && !is_drawn(s, k));
}

static void first_panel(const sheet *s, uint64_t step)
{
    const lab_surface *surface = s->t->surface;
    margins(s, LEFT, FIRST);
    fprintf(s->out, "unset logscale\nset border 15\nunset grid\nunset key\nset xrange [%.9g:%.9g]\n"
                    "set yrange [%.9g:%.9g]\nset xtics autofreq\nset ytics autofreq\n"
                    "set xlabel 'x' offset 0,0.4\nunset ylabel\nunset arrow\nset label 3 'y' at graph 0,1 "
                    "offset character -0.5,0.9 left textcolor rgb '%s'\n"
                    "plot $contours using 1:2:(log10($3)) with lines lw 0.7 lc palette",
            surface->low[0], surface->high[0], surface->low[1], surface->high[1], ink);
    for (size_t k = 0; k < s->t->count; k++) {
        const size_t i = s->order[k], last = last_point(s, i, step);
        fprintf(s->out, ", \\\n $p%zu every ::0::%zu using 2:3 with lines lw 1.5 lc rgb '%s'", i, last,
                cli_draw_colour(i, 0));
        if (s->longest > DOTTED) continue;
        fprintf(s->out, ", \\\n '' every ::0::%zu using 2:3 with points pt 7 ps 0.25 lc rgb '%s'",
                last, cli_draw_colour(i, 0));
    }
    /* SVG's marks are larger than the others'. */
    const double size = s->format == CLI_SVG ? 1 : 1.4;
    fprintf(s->out, ", \\\n $start using 1:2 with points pt 7 ps %g lc rgb '%s', \\\n $start using 1:2 "
                    "with points pt 6 ps %g lw 1.5 lc rgb '%s'", size, paper, size, ink);
    for (size_t i = 0; i < s->t->count; i++) {
        const size_t last = last_point(s, i, step);
        fprintf(s->out, ", \\\n $p%zu every ::%zu::%zu using 2:3 with points pt %d ps %g lc rgb '%s'",
                i, last, last, cli_draw_mark(i), size, cli_draw_colour(i, 0));
    }
    /* Above the ends, which are often there, and with a rim. */
    fprintf(s->out, ", \\\n $minima using 1:2 with points pt 2 ps 1 lw 4 lc rgb '%s', \\\n $minima "
                    "using 1:2 with points pt 2 ps 1 lw 2 lc rgb '%s'\nunset label 1\nunset label 2\n"
                    "unset label 3\n", paper, ink);
}

static void decades(const sheet *s)
{
    const double count = log10(s->high / s->low);
    int some = 0;
    fprintf(s->out, "set logscale y\nset ytics (");
    for (int e = (int)floor(log10(s->low)); e <= (int)ceil(log10(s->high)); e++)
        for (int m = 1; m <= 5; m += m < 2 ? 1 : 3) {
            const double value = m * pow(10, e);
            if (value < s->low || value > s->high || (m > 1 && count > 2.5)) continue;
            fprintf(s->out, "%s'%g' %g", some++ ? "," : "", value, value);
        }
    fprintf(s->out, ")\n");
}

/* 1, 2 or 5 times a power of ten, so that at most five of it are in the steps. */
static uint64_t tic(uint64_t steps)
{
    uint64_t power = 1;
    while (steps > 50 * power) power *= 10;
    return power * (steps <= 5 * power ? 1 : steps <= 10 * power ? 2 : steps <= 25 * power ? 5 : 10);
}

static void second_panel(const sheet *s, uint64_t step)
{
    char text[160], near[60] = "";
    const lab_surface *surface = s->t->surface;
    margins(s, LEFT + FIRST + GAP, SECOND);
    fprintf(s->out, "set border 3\nset grid ytics lc rgb '#e4e4e4' lt 1 lw 0.6\n"
                    "set xrange [0:%llu]\nset yrange [%.9g:%.9g]\nset xlabel 'step'\n"
                    "set xtics %llu\n",
            (unsigned long long)s->t->steps, s->low, s->high, (unsigned long long)tic(s->t->steps));
    decades(s);
    if (!surface->step_lengths) {
        snprintf(near, sizeof near, " (line: %.3g)", surface->near);
        fprintf(s->out, "set arrow 1 from graph 0, first %.9g to graph 1, first %.9g nohead back "
                        "lw 1 dt '.' lc rgb '#555555'\n", surface->near, surface->near);
    }
    snprintf(text, sizeof text, "%s%s",
             surface->step_lengths ? "Length of each step"
                                   : surface->minimum_count > 1 ? "Distance to the nearest minimum"
                                                                : "Distance to the minimum", near);
    fprintf(s->out, "set label 3 ");
    cli_gnuplot_quote(s->out, text);
    fprintf(s->out, " at graph 0,1 offset character -4,0.9 left noenhanced textcolor rgb '%s'\n"
                    "set key at screen %.5f,%.5f left top Left reverse vertical maxrows %d samplen 2.5 "
                    "spacing %g noenhanced textcolor rgb '%s'\n",
            ink, across(8), up(s, KEY - 8), s->key_rows, s->format == CLI_GIF ? 1.6 : 1.2, ink);
    for (size_t k = 0; k < s->t->count; k++) {
        const size_t i = s->order[k];
        fprintf(s->out, "%s $p%zu every ::0::%zu using 1:4 with linespoints pi %zu lw 1.5 lc rgb '%s' "
                        "pt %d ps 0.7 notitle", k ? ", \\\n" : "plot", i, last_point(s, i, step),
                s->points / 5 + 1, cli_draw_colour(i, 0), cli_draw_mark(i));
    }
    for (size_t i = 0; i < s->t->count; i++) {
        fprintf(s->out, ", \\\n NaN with linespoints lw 1.5 lc rgb '%s' pt %d ps 1.0 title ",
                cli_draw_colour(i, 0), cli_draw_mark(i));
        legend_text(s, i, text, sizeof text);
        cli_gnuplot_quote(s->out, text);
    }
    fprintf(s->out, ", \\\n NaN with points pt 6 ps 1.3 lw 1.5 lc rgb '%s' title 'start', \\\n NaN with "
                    "points pt 2 ps 1 lw 2 lc rgb '%s' title 'minimum'\nunset label 3\n",
            ink, ink);
}

static void frame(const sheet *s, uint64_t step)
{
    fprintf(s->out, "set multiplot\n");
    title(s, step);
    first_panel(s, step);
    second_panel(s, step);
    fprintf(s->out, "unset multiplot\n");
}

static void begin(const sheet *s)
{
    if (s->format == CLI_GIF)
        fprintf(s->out, "set encoding utf8\nset terminal gif animate delay 8 loop 0 optimize size "
                        "%d,%d font 'DejaVu Sans,10' linewidth 1.2 background '%s'\n",
                WIDTH, s->height, paper);
    else
        cli_draw_terminal(s->out, s->format == CLI_SVG, WIDTH, s->height, paper);
    fprintf(s->out, "set border 15 lc rgb '#555555'\nset tics nomirror out scale 0.5 textcolor rgb "
                    "'%s'\nset clip two\nunset colorbox\nset palette defined (0 '#7f93ab', 1 '#dfe5ec')\n"
                    "set cbrange [%.9g:%.9g]\nset xlabel textcolor rgb '%s'\n",
            ink, log10(s->level[0]), log10(s->level[LEVELS - 1]), ink);
}

/* The first steps are the liveliest, so the frames are denser there. */
static void film(const sheet *s)
{
    uint64_t last = UINT64_MAX;
    for (int i = 0; i < FRAMES; i++) {
        const double share = (double)i / FRAMES;
        const uint64_t step = (uint64_t)((double)s->t->steps * share * sqrt(share));
        if (step != last) frame(s, step);
        last = step;
    }
    for (int i = 0; i < LAST; i++) frame(s, s->t->steps);
}

int cli_trace_draw(const cli_tracing *t, cli_format format, FILE *out)
{
    char *script = NULL;
    size_t size = 0;
    const int fine = t->surface->fine ? t->surface->fine : 1;
    sheet s = { .t = t, .format = format, .across = fine * ACROSS, .down = fine * DOWN };
    find_range(&s);
    find_order(&s);
    find_legend(&s);
    int code = find_levels(&s);
    if (code) return code;
    s.out = open_memstream(&script, &size);
    if (!s.out) return cli_no_memory();
    contours(&s);
    paths(&s);
    begin(&s);
    if (format == CLI_GIF)
        film(&s);
    else
        frame(&s, t->steps);
    code = cli_close_text(s.out, &script) ? cli_gnuplot_run(script, out) : CLI_SYSTEM;
    free(script);
    return code;
}
