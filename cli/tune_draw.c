/* tune_draw.c - the range test and the search beside each other, rates along both. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/draw.h"
#include "cli/gnuplot.h"
#include "cli/output.h"
#include "cli/tune.h"

/* Pixels: both panels, and the legend to their right. */
enum { LEFT = 74, TOP = 82, PANEL = 430, HIGH = 330, GAP = 78, KEY = 210,
       WIDE = LEFT + 2 * PANEL + GAP + 16 + KEY, TALL = TOP + HIGH + 62 };

/* Of cli_draw_colour(): the curve, the chosen, what diverged. */
enum { CURVE = 2, CHOSEN = 1, LOST = 7 };

typedef struct {
    double x0, x1, y0, y1;
    int log;
} frame;

static void scale(frame *f, double low, double high, int ratios)
{
    f->log = ratios && low > 0 && high > 12 * low;
    const double room = high > low ? 0.06 * (high - low) : 0.1 * fabs(high) + 1e-9;
    f->y0 = f->log ? low / 1.25 : low - room;
    f->y1 = f->log ? high * 1.25 : high + room;
}

/* An explosion may leave the picture. */
static frame range_frame(const cli_tuning *t)
{
    const cli_range *r = &t->range;
    frame f = { CLI_RANGE_LOW, CLI_RANGE_HIGH, 0, 1, 0 };
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < r->count; i++) {
        low = fmin(low, r->points[i].smooth);
        if (i > r->least) continue;
        low = fmin(low, r->points[i].loss);
        high = fmax(high, r->points[i].smooth);
    }
    if (r->count) scale(&f, low, high + 0.3 * (high - low), 1);
    return f;
}

static frame search_frame(const cli_tuning *t)
{
    const double unit = cli_goal_scale(&t->study.metric);
    frame f = { t->range.low, t->range.high, 0, 1, 0 };
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < t->count; i++) {
        const cli_rate_try *try = &t->tries[i];
        f.x0 = fmin(f.x0, try->rate);
        f.x1 = fmax(f.x1, try->rate);
        if (!isfinite(try->goal.mean)) continue;
        low = fmin(low, unit * (try->goal.mean - try->goal.spread));
        high = fmax(high, unit * (try->goal.mean + try->goal.spread));
    }
    f.x0 /= 1.5;
    f.x1 *= 1.5;
    if (low <= high) scale(&f, low, high, !lab_goal_rises(&t->study.metric));
    return f;
}

/* ---- the script ---------------------------------------------------------------------- */

static void data(const cli_tuning *t, const frame *search, FILE *out)
{
    const double unit = cli_goal_scale(&t->study.metric);
    fprintf(out, "$range << END\nNaN NaN NaN\n");
    for (size_t i = 0; i < t->range.count; i++)
        fprintf(out, "%.9g %.9g %.9g\n", t->range.points[i].rate, t->range.points[i].loss,
                t->range.points[i].smooth);
    fprintf(out, "END\n$search << END\nNaN NaN NaN\n");
    for (size_t i = 0; i < t->count; i++)
        if (isfinite(t->tries[i].goal.mean))
            fprintf(out, "%.9g %.9g %.9g\n", t->tries[i].rate, unit * t->tries[i].goal.mean,
                    unit * t->tries[i].goal.spread);
    fprintf(out, "END\n$lost << END\nNaN NaN\n");
    for (size_t i = 0; i < t->count; i++)
        if (t->tries[i].diverged) fprintf(out, "%.9g %.9g\n", t->tries[i].rate, search->y0);
    fprintf(out, "END\n$chosen << END\nNaN NaN\n");
    if (t->chosen)
        fprintf(out, "%.9g %.9g\n", t->chosen->rate, unit * t->chosen->goal.mean);
    fprintf(out, "END\n");
}

static void begin(const cli_tuning *t, int svg, FILE *out)
{
    char title[200];
    cli_draw_terminal(out, svg, WIDE, TALL, "#ffffff");
    fprintf(out, "set multiplot\nset border 3 lc rgb '#555555'\nset tics nomirror out scale 0.5 "
                 "textcolor rgb '#222222'\nset grid ytics lc rgb '#e4e4e4' lt 1 lw 0.6\n"
                 "set logscale x\nset format x '%%.0e'\nset xlabel 'learning rate' textcolor rgb '#222222'\n");
    snprintf(title, sizeof title, "%.40s on %.40s: %.80s", t->settings.name, t->study.data,
             t->study.network);
    fprintf(out, "set label 1 ");
    cli_gnuplot_quote(out, title);
    fprintf(out, " at screen %.5f,%.5f left noenhanced textcolor rgb '#222222'\n", 16. / WIDE,
            1 - 22. / TALL);
}

/* At 1, 2 and 5, so that a narrow range has labels too; over many decades each second 1. */
static void rate_tics(const frame *f, FILE *out)
{
    const double decades = log10(f->x1 / f->x0);
    int some = 0;
    fprintf(out, "set xtics (");
    for (int e = (int)floor(log10(f->x0)); e <= (int)ceil(log10(f->x1)); e++)
        for (int m = 1; m <= 5; m += m < 2 ? 1 : 3) {
            const double rate = m * pow(10, e);
            if (rate < f->x0 || rate > f->x1 || (m > 1 && decades > 2)) continue;
            if (decades > 4 && e % 2) continue;
            fprintf(out, "%s'%g' %.9g", some++ ? "," : "", rate, rate);
        }
    fprintf(out, ")\n");
}

static void axes(int side, const frame *f, const char *title, FILE *out)
{
    const double left = LEFT + side * (PANEL + GAP);
    fprintf(out, "set lmargin at screen %.5f\nset rmargin at screen %.5f\nset tmargin at screen %.5f\n"
                 "set bmargin at screen %.5f\nset label 2 ",
            left / WIDE, (left + PANEL) / WIDE, 1 - (double)TOP / TALL, 1 - (double)(TOP + HIGH) / TALL);
    cli_gnuplot_quote(out, title);
    fprintf(out, " at graph 0,1 offset character 0,1 left noenhanced textcolor rgb '#222222'\n"
                 "set xrange [%.9g:%.9g]\nset yrange [%.9g:%.9g]\n%s logscale y\n",
            f->x0, f->x1, f->y0, f->y1, f->log ? "set" : "unset");
    rate_tics(f, out);
}

static void range_panel(const cli_tuning *t, FILE *out)
{
    char title[120];
    const lab_metric *m = &t->study.metric;
    const frame f = range_frame(t);
    snprintf(title, sizeof title, "Range test: loss as the rate rises%s%.40s%s", *m->loss_unit ? ", " : "",
             m->loss_unit, f.log ? " (log scale)" : "");
    axes(0, &f, title, out);
    if (t->range.complete)
        fprintf(out, "set object 1 rectangle from first %.9g, graph 0 to first %.9g, graph 1 behind "
                     "fc rgb '%s' fs solid 0.12 noborder\n", t->range.low, t->range.high,
                cli_draw_colour(CURVE, 0));
    if (t->chosen)
        fprintf(out, "set arrow 1 from first %.9g, graph 0 to first %.9g, graph 1 nohead lw 1.4 dt '-' "
                     "lc rgb '%s'\n", t->chosen->rate, t->chosen->rate, cli_draw_colour(CHOSEN, 0));
    fprintf(out, "unset key\nplot $range using 1:2 with points pt 7 ps 0.25 lc rgb '#aaaaaa', \\\n"
                 " $range using 1:3 with lines lw 1.8 lc rgb '%s'\nunset object 1\nunset label 1\n",
            cli_draw_colour(CURVE, 0));
}

/* The legend of both panels stands beside the second. */
static void keys(const cli_tuning *t, FILE *out)
{
    char chosen[80] = "recommended";
    if (t->chosen) snprintf(chosen, sizeof chosen, "recommended: %.3g", t->chosen->rate);
    fprintf(out, ", \\\n NaN with points pt 7 ps 0.6 lc rgb '#aaaaaa' title 'loss of a batch', \\\n"
                 " NaN with lines lw 1.8 lc rgb '%s' title 'smoothed loss'", cli_draw_colour(CURVE, 0));
    fprintf(out, ", \\\n NaN with boxes fs solid 0.12 noborder lc rgb '%s' title '%s'",
            cli_draw_colour(CURVE, 0), t->range.found ? "useful range" : "range of the search");
    fprintf(out, ", \\\n NaN with linespoints lw 1.6 pt 5 ps 0.8 lc rgb '%s' title '%s'",
            cli_draw_colour(0, 0), t->seeds > 1 ? "search, +- deviation" : "search");
    for (size_t i = 0; i < t->count; i++)
        if (t->tries[i].diverged) {
            fprintf(out, ", \\\n NaN with points pt 2 ps 1.2 lw 2 lc rgb '%s' title 'diverged'",
                    cli_draw_colour(LOST, 0));
            break;
        }
    fprintf(out, ", \\\n NaN with linespoints lw 1.4 dt '-' pt 12 ps 1.6 lc rgb '%s' title ",
            cli_draw_colour(CHOSEN, 0));
    cli_gnuplot_quote(out, chosen);
}

static void search_panel(const cli_tuning *t, const frame *f, FILE *out)
{
    char title[120];
    const lab_metric *m = &t->study.metric;
    const char *unit = lab_goal_is_metric(m) ? m->unit : m->loss_unit;
    snprintf(title, sizeof title, "Search, %llu epoch%s each: test %.30s%s%.30s%s",
             (unsigned long long)t->study.config.epochs, t->study.config.epochs == 1 ? "" : "s",
             cli_goal_name(m), *unit ? ", " : "", unit, f->log ? " (log scale)" : "");
    axes(1, f, title, out);
    fprintf(out, "set key at screen %.5f,%.5f left top Left reverse vertical samplen 2.4 spacing 1.3 "
                 "noenhanced textcolor rgb '#222222'\n",
            (double)(WIDE - KEY) / WIDE, 1 - (double)(TOP - 6) / TALL);
    fprintf(out, "plot $search using 1:2%s lw 1.6 pt 5 ps 0.8 lc rgb '%s' notitle, \\\n"
                 " $lost using 1:2 with points pt 2 ps 1.2 lw 2 lc rgb '%s' notitle, \\\n"
                 " $chosen using 1:2 with points pt 12 ps 2 lw 2 lc rgb '%s' notitle",
            t->seeds > 1 ? ":3 with yerrorlines" : " with linespoints", cli_draw_colour(0, 0),
            cli_draw_colour(LOST, 0), cli_draw_colour(CHOSEN, 0));
    keys(t, out);
    fputc('\n', out);
}

int cli_tune_draw(const cli_tuning *t, int svg, FILE *out)
{
    char *script = NULL;
    size_t size = 0;
    FILE *s = open_memstream(&script, &size);
    if (!s) return cli_no_memory();
    const frame search = search_frame(t);
    begin(t, svg, s);
    data(t, &search, s);
    range_panel(t, s);
    search_panel(t, &search, s);
    fprintf(s, "unset multiplot\n");
    const int code = cli_close_text(s, &script) ? cli_gnuplot_run(script, out) : CLI_SYSTEM;
    free(script);
    return code;
}
