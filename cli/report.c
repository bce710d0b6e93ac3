#include "cli/report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/draft.h"
#include "cli/gnuplot.h"
#include "cli/output.h"
#include "cli/place.h"

/* In the order in which they take their places: the page last. */
enum {
    PNG = CLI_REPORT_PNG, SVG = CLI_REPORT_SVG, CURVES = CLI_REPORT_CURVES, RESULTS = CLI_REPORT_RESULTS,
    FILES = CLI_REPORT_FILES
};
static const char *const names[FILES] = { "curves.png", "curves.svg", "curves.csv", "results.csv",
                                          "index.html" };

enum { POINTS = 400 }; /* of a curve; a picture has not many more pixels */

int cli_report_spares(const cli_args *args, const char *folder)
{
    const size_t room = strlen(folder) + 32;
    char *written = malloc(room), *path = NULL;
    int code = written ? CLI_OK : cli_no_memory();
    for (size_t i = 0; !code && cli_task_file(args, i, &path); i++) {
        const cli_file data = { "data", path, cli_one_file };
        if (!path) code = cli_no_memory();
        for (int k = 0; !code && k < FILES; k++) {
            snprintf(written, room, "%s/%s", folder, names[k]);
            const cli_file file = { "report", written, cli_one_file };
            code = cli_files_apart(&file, &data, args->command);
        }
        free(path);
    }
    free(written);
    return code;
}

int cli_report_check(const char *folder, int *made)
{
    struct stat about;
    int code = cli_gnuplot_check();
    *made = 0;
    if (code) return code;
    if (!mkdir(folder, 0777))
        *made = 1;
    else if (errno != EEXIST)
        return cli_fail_create(folder, errno);
    else if (stat(folder, &about) || !S_ISDIR(about.st_mode))
        return cli_fail_create(folder, ENOTDIR);
    for (int i = 0; !code && i < FILES; i++) {
        cli_draft draft;
        code = cli_draft_open(&draft, folder, names[i]);
        if (!code && !stat(draft.path, &about) && S_ISDIR(about.st_mode))
            code = cli_fail_create(draft.path, EISDIR);
        cli_draft_discard(&draft);
    }
    return code;
}

/* ---- curves --------------------------------------------------------------------------- */

/* One epoch of one panel: the mean over the seeds, and the least and greatest as its band. */
static void join(const cli_comparison *c, const cli_entry *entry, size_t i, int side, cli_line *line)
{
    double sum = 0, low = INFINITY, high = -INFINITY;
    const double scale = side ? cli_goal_scale(&c->study.metric) : 1;
    for (size_t k = 0; k < c->seeds; k++) {
        const cli_point *p = &entry->trials[k].points[i];
        const double y = side ? cli_goal(&c->study.metric, p) : p->train_loss;
        sum += scale * y / (double)c->seeds;
        low = fmin(low, scale * y);
        high = fmax(high, scale * y);
    }
    line->x[i] = (double)i;
    line->y[i] = sum;
    if (line->low) line->low[i] = low, line->high[i] = high;
}

/* Of the epochs that every seed has. */
static int fill(const cli_comparison *c, const cli_entry *entry, cli_curve *curve)
{
    size_t count = entry->trials[0].count;
    for (size_t k = 1; k < c->seeds; k++)
        if (entry->trials[k].count < count) count = entry->trials[k].count;
    curve->name = strdup(entry->name);
    if (!cli_line_create(&curve->line[0], count, c->seeds > 1)
        || !cli_line_create(&curve->line[1], count, c->seeds > 1) || !curve->name)
        return cli_no_memory();
    for (int side = 0; side < 2; side++) {
        cli_line *line = &curve->line[side];
        for (size_t i = 0; i < count; i++) join(c, entry, i, side, line);
        line->count = count;
        cli_line_thin(line, POINTS);
    }
    return CLI_OK;
}

/* "Test accuracy, %" and "Training loss, nats a byte". */
void cli_report_titles(const cli_comparison *c, char train[80], char test[80])
{
    const lab_metric *m = &c->study.metric;
    const char *unit = lab_goal_is_metric(m) ? m->unit : m->loss_unit;
    const char *loss = *m->loss_unit ? m->loss_unit : c->study.source.data.classes ? "cross-entropy" : "";
    snprintf(train, 80, "Training loss%s%.40s", *loss ? ", " : "", loss);
    snprintf(test, 80, "Test %.30s%s%.30s", cli_goal_name(m), *unit ? ", " : "", unit);
}

int cli_report_scale(const cli_comparison *c)
{
    const lab_metric *m = &c->study.metric;
    const int percent = !strcmp(cli_goal_unit(m), "%");
    return percent ? CLI_PERCENT : lab_goal_rises(m) ? CLI_VALUE : CLI_LOSS;
}

static cli_picture picture_of(const cli_comparison *c, const cli_curve *curves, const char *title,
                              const char *train, const char *test)
{
    const lab_metric *m = &c->study.metric;
    return (cli_picture){
        .title = title,
        .panel = { { train, "epoch", CLI_LOSS, 0, NULL },
                   { test, "epoch",
                     (unsigned)cli_report_scale(c), cli_goal_scale(m) * c->target, NULL } },
        .curves = curves,
        .count = c->count,
    };
}

/* ---- CSV -------------------------------------------------------------------------------- */

void cli_csv_text(FILE *out, const char *text)
{
    if (!text[strcspn(text, ",\"\r\n")]) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text; text++) fprintf(out, *text == '"' ? "\"\"" : "%c", *text);
    fputc('"', out);
}

/* An empty field is a number that does not exist. */
void cli_csv_number(FILE *out, double value)
{
    char text[CLI_NUMBER_ROOM];
    fprintf(out, ",%s", isfinite(value) ? cli_print_number(value, text) : "");
}

/* A name, fit for a heading. */
static const char *column(const char *text, char name[64])
{
    snprintf(name, 64, "%.50s", text);
    for (char *s = name; *s; s++) *s = *s == ' ' ? '_' : *s;
    return name;
}

static int write_curves(const cli_comparison *c, FILE *out)
{
    char name[64];
    const char *metric = c->study.metric.name;
    fprintf(out, "optimizer,seed,epoch,step,lr,train_loss,test_loss,test_%s\n",
            column(metric ? metric : "accuracy", name));
    for (size_t i = 0; i < c->count; i++)
        for (size_t k = 0; k < c->seeds; k++) {
            const cli_trial *trial = &c->entries[i].trials[k];
            for (size_t n = 0; n < trial->count; n++) {
                const cli_point *p = &trial->points[n];
                cli_csv_text(out, c->entries[i].name);
                fprintf(out, ",%llu,%llu,%llu", (unsigned long long)trial->seed,
                        (unsigned long long)p->epoch, (unsigned long long)p->step);
                cli_csv_number(out, p->lr);
                cli_csv_number(out, p->train_loss);
                cli_csv_number(out, p->test_loss);
                cli_csv_number(out, p->metric);
                fputc('\n', out);
            }
        }
    return CLI_OK;
}

static void csv_mean(FILE *out, cli_mean value)
{
    cli_csv_number(out, value.mean);
    cli_csv_number(out, isfinite(value.mean) ? value.spread : NAN);
}

static int write_results(const cli_comparison *c, FILE *out)
{
    char name[64];
    const cli_mean none = { NAN, NAN };
    const char *metric = column(cli_goal_name(&c->study.metric), name);
    fprintf(out, "optimizer,lr,seeds,diverged,train_loss,train_loss_deviation,test_%s,"
                 "test_%s_deviation,gap,gap_deviation,steps_to_target,seconds_to_target,"
                 "seconds_to_target_deviation,step_seconds,optimizer_share,state_bytes_per_weight\n",
            metric, metric);
    for (size_t i = 0; i <= c->count; i++) {
        const cli_entry *entry = i ? &c->entries[i - 1] : &c->control;
        const cli_summary s = cli_summarize(c, entry);
        cli_csv_text(out, entry->name);
        cli_csv_number(out, entry->lr);
        fprintf(out, ",%zu,%zu", c->seeds, s.diverged);
        csv_mean(out, s.train_loss);
        csv_mean(out, s.test);
        csv_mean(out, s.gap);
        cli_csv_number(out, i ? s.steps.mean : NAN);
        csv_mean(out, i ? s.target_seconds : none);
        cli_csv_number(out, s.seconds);
        cli_csv_number(out, s.share);
        cli_csv_number(out, i ? s.state_bytes : NAN);
        fputc('\n', out);
    }
    return CLI_OK;
}

/* ---- all of it ---------------------------------------------------------------------------- */

static int write_one(const void *context, const cli_picture *picture, int which, FILE *out)
{
    const cli_comparison *c = context;
    switch (which) {
    case PNG: return cli_draw(picture, (cli_look){ 0, 0, 0 }, out);
    case SVG: return cli_draw(picture, (cli_look){ 1, 0, 0 }, out);
    case CURVES: return write_curves(c, out);
    case RESULTS: return write_results(c, out);
    default: break;
    }
    cli_picture untitled = *picture; /* the page says it all in words */
    untitled.title = "";
    return cli_report_page(c, &untitled, out);
}

int cli_report_files(const char *folder, const cli_picture *picture, cli_report_writer write,
                     const void *context)
{
    cli_draft drafts[FILES] = { { 0 } };
    int code = CLI_OK;
    for (int i = 0; !code && i < FILES; i++) {
        code = cli_draft_open(&drafts[i], folder, names[i]);
        if (!code) code = write(context, picture, i, drafts[i].file);
        if (!code) code = cli_draft_close(&drafts[i]);
    }
    for (int i = 0; !code && i < FILES; i++) code = cli_draft_commit(&drafts[i]);
    for (int i = 0; i < FILES; i++) cli_draft_discard(&drafts[i]);
    return code;
}

int cli_report_write(const cli_comparison *c, const char *folder)
{
    char title[400], train[80], test[80], seeds[CLI_SEEDS_ROOM];
    int code = CLI_OK;
    cli_curve *curves = calloc(c->count, sizeof *curves);
    if (!curves) return cli_no_memory();
    for (size_t i = 0; !code && i < c->count; i++) code = fill(c, &c->entries[i], &curves[i]);
    snprintf(title, sizeof title, "%.60s: %.100s; batch %llu, %s%s", c->study.data,
             c->study.network, (unsigned long long)c->study.config.batch,
             c->seeds > 1 ? "mean and range of " : "", cli_compare_seeds(c, seeds));
    cli_report_titles(c, train, test);
    const cli_picture picture = picture_of(c, curves, title, train, test);
    if (!code) code = cli_report_files(folder, &picture, write_one, c);
    for (size_t i = 0; i < c->count; i++) cli_curve_free(&curves[i]);
    free(curves);
    return code;
}
