/* batches_tell.c - results over the batch size: a table, JSON, and a report. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/clean.h"
#include "cli/compare_batches.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/report.h"

enum { WIDTH = 79 };

static uint64_t size_of(const cli_batches *b, size_t i) { return b->of[i].study.config.batch; }
static const cli_entry *entry_of(const cli_batches *b, size_t i, size_t k) { return &b->of[i].entries[k]; }

/* The best of a column, or NaN. */
static double best_of(const cli_batches *b, size_t i)
{
    double best = NAN;
    for (size_t k = 0; k < b->of[i].count; k++) {
        const double test = cli_summarize(&b->of[i], entry_of(b, i, k)).test.mean;
        if (lab_goal_better(&b->of[i].study.metric, test, best)) best = test;
    }
    return best;
}

/* "95.83 +- 0.21*"; without the spread if `plain`. */
static const char *cell_of(const cli_batches *b, size_t i, size_t k, int plain, char text[CLI_CELL])
{
    const cli_comparison *c = &b->of[i];
    const cli_summary s = cli_summarize(c, entry_of(b, i, k));
    if (s.diverged) {
        snprintf(text, CLI_CELL, "diverged %zu/%zu", s.diverged, c->seeds);
        return text;
    }
    cli_goal_text(&c->study.metric, s.test.mean, c->seeds > 1 && !plain ? s.test.spread : NAN, text);
    if (s.test.mean == best_of(b, i)) strncat(text, "*", CLI_CELL - strlen(text) - 1);
    return text;
}

/* ---- as text --------------------------------------------------------------------------- */

static size_t widths(const cli_batches *b, int plain, int *name, int width[CLI_BATCHES])
{
    char text[CLI_CELL];
    *name = (int)strlen("OPTIMIZER");
    for (size_t k = 0; k < b->of[0].count; k++)
        if ((int)strlen(entry_of(b, 0, k)->name) > *name) *name = (int)strlen(entry_of(b, 0, k)->name);
    size_t total = (size_t)*name;
    for (size_t i = 0; i < b->done; i++) {
        width[i] = snprintf(text, sizeof text, "%llu", (unsigned long long)size_of(b, i));
        for (size_t k = 0; k < b->of[i].count; k++) {
            const int length = (int)strlen(cell_of(b, i, k, plain, text));
            if (length > width[i]) width[i] = length;
        }
        total += 2 + (size_t)width[i];
    }
    return total;
}

static void rates_table(const cli_batches *b, int name, FILE *out)
{
    fprintf(out, "\nThe rates:\n");
    for (size_t k = 0; k < b->of[0].count; k++) {
        fprintf(out, "%-*s", name, entry_of(b, 0, k)->name);
        for (size_t i = 0; i < b->done; i++) fprintf(out, "  %8.3g", entry_of(b, i, k)->lr);
        fputc('\n', out);
    }
}

void cli_batches_about(const cli_batches *b, FILE *out)
{
    char seeds[CLI_SEEDS_ROOM];
    const cli_comparison *c = &b->of[0];
    cli_put(out, "", c->study.data, ": ");
    fprintf(out, "%s\n  ", c->study.contents);
    cli_wrap(out, 2, 2, WIDTH, c->study.network);
    fprintf(out, "\n  %llu epoch%s at each size, %s\n\n", (unsigned long long)c->study.config.epochs,
            c->study.config.epochs == 1 ? "" : "s", cli_compare_seeds(c, seeds));
    fflush(out);
}

void cli_batches_table(const cli_batches *b, FILE *out)
{
    char text[CLI_CELL];
    int name, width[CLI_BATCHES];
    const int plain = widths(b, 0, &name, width) > WIDTH;
    const cli_style style = cli_style_of(out);
    const lab_metric *m = &b->of[0].study.metric;
    const char *unit = cli_goal_unit(m);
    if (plain) widths(b, 1, &name, width);
    fprintf(out, "Test %s%s%s by batch size\n\n%s%-*s", cli_goal_name(m), *unit ? ", " : "", unit, style.bold,
            name, "OPTIMIZER");
    for (size_t i = 0; i < b->done; i++) fprintf(out, "  %*llu", width[i], (unsigned long long)size_of(b, i));
    fprintf(out, "%s\n", style.off);
    for (size_t k = 0; k < b->of[0].count; k++) {
        fprintf(out, "%-*s", name, entry_of(b, 0, k)->name);
        for (size_t i = 0; i < b->done; i++) fprintf(out, "  %*s", width[i], cell_of(b, i, k, plain, text));
        fputc('\n', out);
    }
    rates_table(b, name, out);
    fprintf(out, "\n* is the best of its column.");
    if (b->of[0].seeds > 1 && plain) fprintf(out, " No room for the spread: --json and --report tell.");
    else if (b->of[0].seeds > 1) fprintf(out, " +- is the standard deviation over the %zu seeds.", b->of[0].seeds);
    fputc('\n', out);
}

/* ---- for other programs ------------------------------------------------------------------ */

static json_t *mean(cli_mean value)
{
    return json_pack("{s:o, s:o}", "mean", cli_json_number(value.mean), "deviation",
                     isfinite(value.mean) ? cli_json_number(value.spread) : json_null());
}

static json_t *size_json(const cli_batches *b, size_t i)
{
    char name[64];
    const cli_comparison *c = &b->of[i];
    json_t *list = json_array();
    snprintf(name, sizeof name, "test_%.50s", cli_goal_name(&c->study.metric));
    for (size_t k = 0; k < c->count; k++) {
        const cli_entry *e = entry_of(b, i, k);
        const cli_summary s = cli_summarize(c, e);
        json_array_append_new(list, json_pack("{s:s, s:o, s:I, s:o, s:o}", "name", e->name, "lr",
                                              cli_json_number(e->lr), "diverged", (json_int_t)s.diverged,
                                              "train_loss", mean(s.train_loss), name, mean(s.test)));
    }
    return json_pack("{s:I, s:I, s:o}", "batch", (json_int_t)size_of(b, i), "epoch_steps",
                     (json_int_t)c->study.epoch_steps, "optimizers", list);
}

int cli_batches_json(const cli_batches *b)
{
    const cli_comparison *c = &b->of[0];
    json_t *sizes = json_array();
    for (size_t i = 0; i < b->done; i++) json_array_append_new(sizes, size_json(b, i));
    return cli_json_print(json_pack("{s:s, s:s, s:s, s:o, s:o, s:I, s:I, s:I, s:o}", "command", "compare", "version",
                                    eden_version(), "task", c->study.task, "data", cli_json_text(c->study.data),
                                    "network", cli_json_text(c->study.network), "epochs",
                                    (json_int_t)c->study.config.epochs, "seeds", (json_int_t)c->seeds, "budget",
                                    (json_int_t)c->budget, "batches", sizes), stdout, 2);
}

/* ---- the report ---------------------------------------------------------------------------- */

static double at_end(const cli_comparison *c, const cli_trial *trial, int side)
{
    const cli_point *p = &trial->points[trial->count - 1];
    return side ? cli_goal_scale(&c->study.metric) * cli_goal(&c->study.metric, p) : p->train_loss;
}

/* Sizes in order, as the line across them goes; those where a seed diverged are left out. */
static void join(const cli_batches *b, size_t k, int side, cli_line *line)
{
    size_t order[CLI_BATCHES];
    for (size_t i = 0; i < b->done; i++) {
        size_t n = i;
        for (; n && size_of(b, order[n - 1]) > size_of(b, i); n--) order[n] = order[n - 1];
        order[n] = i;
    }
    line->count = 0;
    for (size_t n = 0; n < b->done; n++) {
        const cli_comparison *c = &b->of[order[n]];
        const cli_entry *e = entry_of(b, order[n], k);
        double sum = 0, low = INFINITY, high = -INFINITY;
        if (cli_summarize(c, e).diverged) continue;
        for (size_t s = 0; s < c->seeds; s++) {
            const double y = at_end(c, &e->trials[s], side);
            sum += y / (double)c->seeds, low = fmin(low, y), high = fmax(high, y);
        }
        line->x[line->count] = log2((double)c->study.config.batch);
        line->y[line->count] = sum;
        if (line->low) line->low[line->count] = low, line->high[line->count] = high;
        line->count++;
    }
}

static int fill(const cli_batches *b, size_t k, cli_curve *curve)
{
    const int band = b->of[0].seeds > 1;
    curve->name = strdup(entry_of(b, 0, k)->name);
    if (!cli_line_create(&curve->line[0], b->done, band) || !cli_line_create(&curve->line[1], b->done, band)
        || !curve->name)
        return cli_no_memory();
    for (int side = 0; side < 2; side++) join(b, k, side, &curve->line[side]);
    return CLI_OK;
}

static int write_curves(const cli_batches *b, FILE *out)
{
    char name[64];
    snprintf(name, sizeof name, "%.50s", cli_goal_name(&b->of[0].study.metric));
    fprintf(out, "optimizer,batch,seed,lr,steps,train_loss,test_%s\n", name);
    for (size_t k = 0; k < b->of[0].count; k++)
        for (size_t i = 0; i < b->done; i++)
            for (size_t s = 0; s < b->of[i].seeds; s++) {
                const cli_entry *e = entry_of(b, i, k);
                const cli_trial *trial = &e->trials[s];
                cli_csv_text(out, e->name);
                fprintf(out, ",%llu,%llu", (unsigned long long)size_of(b, i), (unsigned long long)trial->seed);
                cli_csv_number(out, e->lr);
                fprintf(out, ",%llu", (unsigned long long)trial->steps);
                for (int side = 0; side < 2; side++)
                    cli_csv_number(out, trial->complete ? at_end(&b->of[i], trial, side)
                                   / (side ? cli_goal_scale(&b->of[i].study.metric) : 1) : NAN);
                fputc('\n', out);
            }
    return CLI_OK;
}

static int write_results(const cli_batches *b, FILE *out)
{
    fprintf(out, "optimizer,batch,lr,diverged,test_mean,test_deviation\n");
    for (size_t k = 0; k < b->of[0].count; k++)
        for (size_t i = 0; i < b->done; i++) {
            const cli_summary s = cli_summarize(&b->of[i], entry_of(b, i, k));
            cli_csv_text(out, entry_of(b, i, k)->name);
            fprintf(out, ",%llu", (unsigned long long)size_of(b, i));
            cli_csv_number(out, entry_of(b, i, k)->lr);
            fprintf(out, ",%zu", s.diverged);
            cli_csv_number(out, s.test.mean);
            cli_csv_number(out, isfinite(s.test.mean) ? s.test.spread : NAN);
            fputc('\n', out);
        }
    return CLI_OK;
}

static void page_table(const cli_batches *b, FILE *out)
{
    char text[CLI_CELL];
    fputs("<table>\n<thead><tr><th scope=\"col\">Optimizer</th>", out);
    for (size_t i = 0; i < b->done; i++)
        fprintf(out, "<th scope=\"col\">%llu<span class=\"unit\">%llu steps</span></th>",
                (unsigned long long)size_of(b, i),
                (unsigned long long)(b->of[i].study.epoch_steps * b->of[i].study.config.epochs));
    fputs("</tr></thead>\n<tbody>\n", out);
    for (size_t k = 0; k < b->of[0].count; k++) {
        fputs("<tr><td>", out);
        cli_report_escape(out, entry_of(b, 0, k)->name);
        fputs("</td>", out);
        for (size_t i = 0; i < b->done; i++) {
            cell_of(b, i, k, 0, text);
            char *star = strchr(text, '*'), *mark = strstr(text, "+-");
            if (star) *star = '\0';
            fprintf(out, "<td%s data-name=\"Batch %llu\">", star ? " class=\"best\"" : "",
                    (unsigned long long)size_of(b, i));
            if (mark) fprintf(out, "%.*s&plusmn;%s", (int)(mark - text), text, mark + 2);
            else fputs(text, out);
            fprintf(out, "<span class=\"unit\">lr %.3g</span></td>", entry_of(b, i, k)->lr);
        }
        fputs("</tr>\n", out);
    }
    fputs("</tbody>\n</table>\n", out);
}

static int write_page(const cli_batches *b, const cli_picture *picture, FILE *out)
{
    char title[120];
    const cli_comparison *c = &b->of[0];
    cli_picture untitled = *picture;
    untitled.title = "";
    snprintf(title, sizeof title, "Batch sizes on %.90s", c->study.data);
    cli_report_head(title, out);
    cli_report_escape(out, title);
    fputs("</h1>\n<p class=\"soft\">", out);
    cli_report_escape(out, c->study.contents);
    fputs("; ", out);
    cli_report_escape(out, c->study.network);
    fprintf(out, "; %llu epochs at every size</p>\n<h2>Curves</h2>\n", (unsigned long long)c->study.config.epochs);
    const int code = cli_report_pictures(&untitled, "Training loss and the test's result over the batch size, one "
                                         "curve for each optimizer", out);
    fputs("<figcaption>After as many epochs at each size, so a larger batch takes fewer steps", out);
    if (c->seeds > 1) fputs("; means over the seeds, and bands from the least to the greatest", out);
    fprintf(out, ".</figcaption>\n</figure>\n<h2>Results: test %s%s%s</h2>\n", cli_goal_name(&c->study.metric),
            *cli_goal_unit(&c->study.metric) ? ", " : "", cli_goal_unit(&c->study.metric));
    page_table(b, out);
    if (c->budget)
        fprintf(out, "<p>At each size %zu rates of each optimizer were tried first with a seed of their own, and the "
                     "best was taken.</p>\n", c->budget);
    fputs("<h2>Made by</h2>\n", out);
    cli_report_command(c, out);
    fputs("<p class=\"soft\">The folder holds this page, the curves as <code>curves.png</code> and "
          "<code>curves.svg</code>, and the numbers as <code>curves.csv</code> and <code>results.csv</code>.</p>\n"
          "</main>\n</body>\n</html>\n", out);
    return code;
}

static int write_one(const void *context, const cli_picture *picture, int which, FILE *out)
{
    const cli_batches *b = context;
    if (which == CLI_REPORT_PNG || which == CLI_REPORT_SVG)
        return cli_draw(picture, (cli_look){ which == CLI_REPORT_SVG, 0, 0 }, out);
    return which == CLI_REPORT_CURVES ? write_curves(b, out)
         : which == CLI_REPORT_RESULTS ? write_results(b, out) : write_page(b, picture, out);
}

/* Where the sizes are, on a scale on which twice as many is as far everywhere. */
static void tics_of(const cli_batches *b, char text[600])
{
    size_t used = (size_t)snprintf(text, 600, "(");
    for (size_t i = 0; i < b->done; i++)
        used += (size_t)snprintf(text + used, 600 - used, "%s'%llu' %.6g", i ? ", " : "",
                                 (unsigned long long)size_of(b, i), log2((double)size_of(b, i)));
    snprintf(text + used, 600 - used, ")");
}

int cli_batches_report(const cli_batches *b, const char *folder)
{
    char title[400], train[80], test[80], tics[600], seeds[CLI_SEEDS_ROOM];
    const cli_comparison *c = &b->of[0];
    int code = CLI_OK;
    cli_curve *curves = calloc(c->count, sizeof *curves);
    if (!curves) return cli_no_memory();
    for (size_t k = 0; !code && k < c->count; k++) code = fill(b, k, &curves[k]);
    snprintf(title, sizeof title, "%.60s: %.100s; %llu epochs, %s", c->study.data, c->study.network,
             (unsigned long long)c->study.config.epochs, cli_compare_seeds(c, seeds));
    cli_report_titles(c, train, test);
    tics_of(b, tics);
    const cli_picture picture = {
        .title = title,
        .panel = { { train, "batch size", CLI_LOSS, 0, tics },
                   { test, "batch size", (unsigned)cli_report_scale(c), 0, tics } },
        .curves = curves, .count = c->count,
    };
    if (!code) code = cli_report_files(folder, &picture, write_one, b);
    for (size_t k = 0; k < c->count; k++) cli_curve_free(&curves[k]);
    free(curves);
    return code;
}
