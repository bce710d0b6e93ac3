#include "cli/draw.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/draw_band.h"
#include "cli/gnuplot.h"
#include "cli/output.h"

/* ---- curves ---------------------------------------------------------------------- */

static double *numbers(size_t count) { return malloc((count ? count : 1) * sizeof(double)); }

int cli_line_create(cli_line *line, size_t count, int band)
{
    *line = (cli_line){ 0 };
    if (count > SIZE_MAX / sizeof(double)) return 0;
    line->x = numbers(count);
    line->y = numbers(count);
    if (band) line->low = numbers(count), line->high = numbers(count);
    return line->x && line->y && (!band || (line->low && line->high));
}

void cli_curve_free(cli_curve *curve)
{
    for (int i = 0; i < 2; i++) {
        free(curve->line[i].x);
        free(curve->line[i].y);
        free(curve->line[i].low);
        free(curve->line[i].high);
    }
    free(curve->name);
    *curve = (cli_curve){ 0 };
}

static void thin(double *values, size_t count, size_t run)
{
    for (size_t i = 0, kept = 0; values && i < count; i += run) {
        const size_t end = i + run < count ? i + run : count;
        double sum = 0;
        for (size_t k = i; k < end; k++) sum += values[k];
        values[kept++] = sum / (double)(end - i);
    }
}

void cli_line_thin(cli_line *line, size_t most)
{
    if (line->count <= most) return;
    const size_t run = (line->count + most - 1) / most;
    double *const all[] = { line->x, line->y, line->low, line->high };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) thin(all[i], line->count, run);
    line->count = (line->count + run - 1) / run;
}

/* ---- ranges ---------------------------------------------------------------------- */

typedef struct {
    double x0, x1, y0, y1;
    int log;
} frame;

static int drawn(const cli_panel *panel, double y)
{
    return isfinite(y) && (panel->scale != CLI_LOSS || y > 0);
}

/* Of the band, and of a loss no less than can be drawn. */
static double low_of(const cli_panel *panel, const cli_line *line, size_t k)
{
    return line->low && drawn(panel, line->low[k]) ? line->low[k] : line->y[k];
}

/* A curve that diverges may leave the picture: the others are to be seen. */
static void loss_range(frame *f, double lowest, double highest, double beginning)
{
    if (beginning > lowest && highest > 10 * beginning) highest = 10 * beginning;
    f->log = highest > 12 * lowest;
    f->y0 = f->log ? lowest / 1.25 : 0;
    f->y1 = f->log ? highest * 1.25 : highest * 1.05;
}

static void value_range(frame *f, double lowest, double highest, double target)
{
    if (isfinite(target)) highest = fmax(highest, target);
    const double room = highest > lowest ? 0.04 * (highest - lowest) : fabs(highest) + 1;
    f->y0 = lowest - room;
    f->y1 = highest + room;
}

/* Where curves end is what differs, so their first quarter may begin below. */
static double percent_floor(const cli_picture *picture, int side)
{
    double low = 95;
    for (size_t i = 0; i < picture->count; i++) {
        const cli_line *line = &picture->curves[i].line[side];
        for (size_t k = line->count / 4 + (line->count > 1); k < line->count; k++)
            if (isfinite(line->y[k]) && line->y[k] < low) low = line->y[k];
    }
    low = 5 * floor(low / 5);
    return low > 0 ? low : 0;
}

static frame frame_of(const cli_picture *picture, int side)
{
    const cli_panel *panel = &picture->panel[side];
    frame f = { INFINITY, -INFINITY, 0, 100.5, 0 };
    double lowest = INFINITY, highest = -INFINITY, beginning = -INFINITY;
    for (size_t i = 0; i < picture->count; i++) {
        const cli_line *line = &picture->curves[i].line[side];
        int first = 1;
        for (size_t k = 0; k < line->count; k++) {
            if (!drawn(panel, line->y[k])) continue;
            f.x0 = fmin(f.x0, line->x[k]);
            f.x1 = fmax(f.x1, line->x[k]);
            lowest = fmin(lowest, low_of(panel, line, k));
            highest = fmax(highest, line->high ? line->high[k] : line->y[k]);
            if (first) beginning = fmax(beginning, line->y[k]);
            first = 0;
        }
    }
    if (!(f.x0 <= f.x1)) f.x0 = 0, f.x1 = 1, lowest = 0.1, highest = beginning = 1;
    if (f.x0 > 0 && f.x0 <= 0.1 * f.x1) f.x0 = 0;
    if (f.x0 >= f.x1) f.x0 -= 0.5, f.x1 = f.x0 + 1;
    if (panel->scale == CLI_LOSS)
        loss_range(&f, lowest, highest, beginning);
    else if (panel->scale == CLI_PERCENT)
        f.y0 = percent_floor(picture, side);
    else
        value_range(&f, lowest, highest, panel->target);
    return f;
}

/* ---- the script ------------------------------------------------------------------- */

/* Colours that stay apart for every kind of colour vision (after Okabe and Ito, and
 * Tol), on a light page and on a dark one. */
static const char *const colours[2][10] = {
    { "#000000", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#882255",
      "#7a7a2a", "#888888" },
    { "#f2f2f2", "#ff8a4a", "#5aa9ff", "#2fc89b", "#eba4cc", "#f0b429", "#8fd3ff", "#d678b4",
      "#c0c060", "#9a9a9a" },
};
static const char *const dashes[4] = { "solid", "'-'", "'-.'", "'.'" };
static const int marks[10] = { 7, 5, 9, 11, 13, 6, 4, 8, 10, 12 };

const char *cli_draw_colour(size_t i, int dark) { return colours[dark != 0][i % 10]; }
const char *cli_draw_dash(size_t i) { return dashes[(i + i / 10) % 4]; }
int cli_draw_mark(size_t i) { return marks[(i + 3 * (i / 10)) % 10]; }

void cli_draw_terminal(FILE *out, int svg, int width, int height, const char *paper)
{
    fprintf(out, "set encoding utf8\n");
    if (svg)
        fprintf(out,
                "set terminal svg size %d,%d fixed font 'DejaVu Sans,Verdana,sans-serif,13' "
                "linewidth 1.2 background '%s'\n", width, height, paper);
    else /* Twice the pixels, for screens that have them. */
        fprintf(out,
                "if (strstrt(GPVAL_TERMINALS, 'pngcairo')) {\n"
                "set terminal pngcairo size %d,%d font 'DejaVu Sans,10' fontscale 2 linewidth 2.4 "
                "pointscale 2 background '%s'\n} else {\nset terminal png size %d,%d font "
                "'DejaVu Sans,20' linewidth 2 background '%s'\n}\n",
                2 * width, 2 * height, paper, 2 * width, 2 * height, paper);
}

typedef struct {
    FILE *out;
    const cli_picture *picture;
    cli_look look;
    int width, height;               /* pixels                                  */
    int panel_width, panel_height;
    int left, top, gap, key_x, key_y, key_rows;
} sheet;

static size_t letters(const char *text)
{
    size_t count = 0;
    for (; *text; text++) count += (*text & 0xc0) != 0x80;
    return count;
}

/* Everything is placed by hand, so that the legend stands beside the curves and a
 * long name widens the picture instead of being cut. */
static void place(sheet *s)
{
    size_t longest = 0;
    const int count = (int)s->picture->count;
    for (size_t i = 0; i < s->picture->count; i++)
        if (letters(s->picture->curves[i].name) > longest)
            longest = letters(s->picture->curves[i].name);
    const int key_width = 70 + 8 * (int)(longest < 80 ? longest : 80);
    s->left = 70, s->top = *s->picture->title ? 82 : 42;
    if (s->look.tall) {
        const int columns = key_width * 2 < 440 ? 2 : 1;
        s->key_rows = (count + columns - 1) / columns;
        s->panel_width = 364, s->panel_height = 270, s->gap = 96;
        s->key_x = 16, s->key_y = s->top + 2 * s->panel_height + s->gap + 62;
        s->width = 450 > key_width ? 450 : key_width;
        s->height = s->key_y + 22 * s->key_rows + 14;
    } else {
        s->key_rows = count;
        s->panel_width = 440, s->panel_height = 22 * count < 340 ? 340 : 22 * count;
        s->gap = 74;
        s->key_x = s->left + 2 * s->panel_width + s->gap + 16, s->key_y = s->top - 6;
        s->width = s->key_x + key_width;
        s->height = s->top + s->panel_height + 62;
    }
}

/* The picture is drawn in pixels, and gnuplot wants shares of it. */
static double across(const sheet *s, int x) { return (double)x / s->width; }
static double up(const sheet *s, int y) { return 1 - (double)y / s->height; }

static void begin(const sheet *s)
{
    const char *ink = s->look.dark ? "#e6e6e6" : "#222222";
    const char *paper = s->look.dark ? "#16181c" : "#ffffff";
    cli_draw_terminal(s->out, s->look.svg, s->width, s->height, paper);
    fprintf(s->out, "set multiplot\nset border 3 lc rgb '%s'\nset tics nomirror out scale 0.5 "
                    "textcolor rgb '%s'\nset grid ytics lc rgb '%s' lt 1 lw 0.6\n",
            s->look.dark ? "#8a8f98" : "#555555", ink, s->look.dark ? "#33373e" : "#e4e4e4");
    if (!*s->picture->title) return;
    fprintf(s->out, "set label 1 ");
    cli_gnuplot_quote(s->out, s->picture->title);
    fprintf(s->out, " at screen %.5f,%.5f left noenhanced textcolor rgb '%s'\n",
            across(s, 16), up(s, 22), ink);
}

static void data(const sheet *s)
{
    for (size_t i = 0; i < s->picture->count; i++)
        for (int side = 0; side < 2; side++) {
            const cli_line *line = &s->picture->curves[i].line[side];
            fprintf(s->out, "$d%zu_%d << END\nNaN NaN\n", i, side);
            for (size_t k = 0; k < line->count; k++)
                if (drawn(&s->picture->panel[side], line->y[k]))
                    fprintf(s->out, "%.9g %.9g\n", line->x[k], line->y[k]);
            fprintf(s->out, "END\n");
            if (!line->low) continue;
            const frame f = frame_of(s->picture, side);
            fprintf(s->out, "$b%zu_%d << END\nNaN NaN NaN\n", i, side);
            cli_draw_band(s->out, line, f.y0, f.y1, f.log);
            fprintf(s->out, "END\n");
        }
}

/* 1, 2, 5 and 10 where decades are few, so that every panel has labels. */
static void log_tics(const sheet *s, const frame *f)
{
    fprintf(s->out, "set logscale y\nset ytics (");
    const double decades = log10(f->y1 / f->y0);
    const int every = (int)ceil(decades / 8);
    int some = 0;
    for (int e = (int)floor(log10(f->y0)); e <= (int)ceil(log10(f->y1)); e++)
        for (int m = 1; m <= 5; m += m < 2 ? 1 : 3) {
            const double value = m * pow(10, e);
            if (value < f->y0 || value > f->y1 || (m > 1 && decades > 2.5)) continue;
            if (decades > 8 && e % every) continue;
            fprintf(s->out, "%s'%g' %g", some++ ? "," : "", value, value);
        }
    fprintf(s->out, ")\n");
}

static void axes(const sheet *s, int side, const frame *f)
{
    char title[160], target[60] = "";
    const cli_panel *panel = &s->picture->panel[side];
    const char *ink = s->look.dark ? "#e6e6e6" : "#222222";
    const int x = s->left + (s->look.tall ? 0 : side * (s->panel_width + s->gap));
    const int y = s->top + (s->look.tall ? side * (s->panel_height + s->gap) : 0);
    fprintf(s->out, "set lmargin at screen %.5f\nset rmargin at screen %.5f\n"
                    "set tmargin at screen %.5f\nset bmargin at screen %.5f\n",
            across(s, x), across(s, x + s->panel_width), up(s, y), up(s, y + s->panel_height));
    fprintf(s->out, "set label 2 ");
    if (panel->target > f->y0 && panel->target < f->y1)
        snprintf(target, sizeof target, " (dotted: target %.4g)", panel->target);
    snprintf(title, sizeof title, "%s%s%s", panel->title, f->log ? " (log scale)" : "", target);
    cli_gnuplot_quote(s->out, title);
    fprintf(s->out, " at graph 0,1 offset character 0,1 left noenhanced textcolor rgb '%s'\n", ink);
    fprintf(s->out, "set xlabel ");
    cli_gnuplot_quote(s->out, panel->x_label);
    fprintf(s->out, " noenhanced textcolor rgb '%s'\nset xrange [%.9g:%.9g]\n"
                    "set yrange [%.9g:%.9g]\nunset logscale\nset ytics autofreq\n",
            ink, f->x0, f->x1, f->y0, f->y1);
    /* Whole epochs and steps only. */
    fprintf(s->out, "set xtics %s\n", panel->x_tics ? panel->x_tics : f->x1 - f->x0 <= 5 ? "1" : "autofreq");
    if (f->log) log_tics(s, f);
    fprintf(s->out, "unset arrow\n");
    if (panel->target > f->y0 && panel->target < f->y1)
        fprintf(s->out, "set arrow 1 from graph 0, first %.9g to graph 1, first %.9g nohead back "
                        "lw 1 dt '.' lc rgb '%s'\n", panel->target, panel->target, ink);
}

static void style(const sheet *s, size_t i)
{
    fprintf(s->out, " lw 1.6 dt %s lc rgb '%s' pt %d ps 0.7", cli_draw_dash(i),
            cli_draw_colour(i, s->look.dark), cli_draw_mark(i));
}

/* Below all curves, so pale that they can lie upon one another. */
static void bands(const sheet *s, int side)
{
    for (size_t i = 0; i < s->picture->count; i++)
        if (s->picture->curves[i].line[side].low)
            fprintf(s->out, " $b%zu_%d using 1:2:3 with filledcurves fs transparent solid %s noborder "
                            "lc rgb '%s' notitle, \\\n", i, side, s->look.dark ? "0.22" : "0.15",
                    cli_draw_colour(i, s->look.dark));
}

static void panel(const sheet *s, int side)
{
    const frame f = frame_of(s->picture, side);
    axes(s, side, &f);
    if (side)
        fprintf(s->out, "set key at screen %.5f,%.5f left top Left reverse vertical maxrows %d "
                        "samplen 3 spacing 1.25 noenhanced textcolor rgb '%s'\n",
                across(s, s->key_x), up(s, s->key_y), s->key_rows,
                s->look.dark ? "#e6e6e6" : "#222222");
    else
        fprintf(s->out, "unset key\n");
    fprintf(s->out, "plot");
    bands(s, side);
    for (size_t i = 0; i < s->picture->count; i++) {
        const size_t points = s->picture->curves[i].line[side].count;
        fprintf(s->out, " $d%zu_%d using 1:2 with linespoints pi %zu", i, side, points / 6 + 1);
        style(s, i);
        fprintf(s->out, " notitle%s", i + 1 < s->picture->count ? ", \\\n" : "");
    }
    /* A curve without any point is in the legend too. */
    for (size_t i = 0; i < s->picture->count; i++) {
        fprintf(s->out, ", \\\n NaN with linespoints");
        style(s, i);
        fprintf(s->out, " title ");
        cli_gnuplot_quote(s->out, s->picture->curves[i].name);
    }
    fprintf(s->out, "\nunset label 1\n");
}

int cli_draw(const cli_picture *picture, cli_look look, FILE *out)
{
    char *script = NULL;
    size_t size = 0;
    sheet s = { .out = open_memstream(&script, &size), .picture = picture, .look = look };
    if (!s.out) return cli_no_memory();
    place(&s);
    begin(&s);
    data(&s);
    panel(&s, 0);
    panel(&s, 1);
    fprintf(s.out, "unset multiplot\n");
    const int code = cli_close_text(s.out, &script) ? cli_gnuplot_run(script, out) : CLI_SYSTEM;
    free(script);
    return code;
}
