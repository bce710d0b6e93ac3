/* tune_tell.c - range test and search as tables, sentences, and for other programs. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json.h"
#include "cli/output.h"
#include "cli/shell.h"
#include "cli/tune.h"

enum { WIDTH = 79 };

/* ---- sentences --------------------------------------------------------------------------- */

const char *cli_tune_range_text(const cli_tuning *t, char text[CLI_REASON_ROOM])
{
    char end[80];
    const cli_range *r = &t->range;
    if (!r->complete) {
        snprintf(text, CLI_REASON_ROOM, "It was stopped after %zu of %llu steps.", r->count,
                 (unsigned long long)r->steps);
        return text;
    }
    if (isfinite(r->exploded))
        snprintf(end, sizeof end, "The loss exploded at %.2g.", r->exploded);
    else
        snprintf(end, sizeof end, "The loss did not explode.");
    if (r->found)
        snprintf(text, CLI_REASON_ROOM, "%s Useful (|) are rates from %.2g, where a tenth of the fall is "
                 "made, to %.2g, at the least loss.", end, r->low, r->high);
    else
        snprintf(text, CLI_REASON_ROOM, "%s It hardly fell, so the search is about the usual rate, %.3g "
                 "(%.80s): from %.2g to %.2g.", end, t->usual, t->source, r->low, r->high);
    return text;
}

const char *cli_tune_reason(const cli_tuning *t, char text[CLI_REASON_ROOM])
{
    char best[CLI_GOAL_ROOM], own[CLI_GOAL_ROOM];
    const char *name = cli_goal_name(&t->study.metric), *edge = "";
    if (!t->chosen) {
        snprintf(text, CLI_REASON_ROOM, t->count ? "Every rate diverged." : "No rate was tried to its end.");
        return text;
    }
    cli_goal_text(&t->study.metric, t->best->goal.mean, NAN, best);
    cli_goal_text(&t->study.metric, t->chosen->goal.mean, NAN, own);
    if (t->count > 1 && (t->best == t->tries || t->best == t->tries + t->count - 1))
        edge = ". The best is at the edge of what was tried: a larger --budget may find a better one";
    if (t->chosen == t->best)
        snprintf(text, CLI_REASON_ROOM, "It has the best test %.40s, %s; no smaller rate tried is within "
                 "%.3g %% of it%s.", name, best, 100 * t->margin, edge);
    else
        snprintf(text, CLI_REASON_ROOM, "It is the smallest rate tried whose test %.40s, %s, is within "
                 "%.3g %% of the best, %s at %.2g%s.", name, own, 100 * t->margin, best, t->best->rate, edge);
    return text;
}

/* What the search is about stays behind; a setting is spelled as a flag. */
char *cli_tune_line(const cli_tuning *t)
{
    static const char *const ours[] = { "budget", "seeds", "margin", "range-steps", "output", "json",
                                        "optimizer" };
    char *text = NULL, number[CLI_NUMBER_ROOM];
    size_t size = 0;
    const cli_args *args = t->args;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        cli_no_memory();
        return NULL;
    }
    fputs("eden train", out);
    for (size_t i = 0; i < args->operand_count; i++) cli_shell_word(out, args->operands[i]);
    fprintf(out, " --optimizer %s --lr %s", t->settings.name, cli_print_number(t->chosen->rate, number));
    for (size_t i = 0; i < args->setting_count; i++) {
        fputs(" --", out);
        for (const char *s = args->settings[i].name; *s; s++) fputc(*s == '_' ? '-' : *s, out);
        if (args->settings[i].value) cli_shell_word(out, args->settings[i].value);
    }
    for (size_t i = 0; i < args->option_count; i++) {
        int left = 0;
        for (size_t k = 0; k < sizeof ours / sizeof *ours; k++)
            left |= !strcmp(args->options[i].name, ours[k]);
        if (left) continue;
        fprintf(out, " --%s", args->options[i].name);
        if (args->options[i].value) cli_shell_word(out, args->options[i].value);
    }
    return cli_close_text(out, &text);
}

/* ---- tables -------------------------------------------------------------------------------- */

/* Two rows a decade, and the last. */
static void tell_range(const cli_tuning *t, FILE *out)
{
    char text[CLI_REASON_ROOM];
    const cli_range *r = &t->range;
    const cli_style style = cli_style_of(out);
    fprintf(out, "%sRANGE TEST%s  one run of %llu steps; the rate rises from %g to %g\n\n%s%8s  %10s%s\n",
            style.bold, style.off, (unsigned long long)r->steps, CLI_RANGE_LOW, CLI_RANGE_HIGH, style.bold,
            "RATE", "LOSS", style.off);
    double next = 0;
    for (size_t i = 0; i < r->count; i++) {
        const cli_range_point *p = &r->points[i];
        const int inside = r->found && p->rate >= r->low && p->rate <= r->high;
        if (p->rate < next && i + 1 < r->count) continue;
        fprintf(out, "%8.1e  %10.4g%s\n", p->rate, p->smooth, inside ? "  |" : "");
        next = p->rate * 3.16;
    }
    if (isfinite(r->exploded)) fprintf(out, "%8.1e  %10s\n", r->exploded, "exploded");
    fputc('\n', out);
    cli_wrap(out, 0, 0, WIDTH, cli_tune_range_text(t, text));
    fputc('\n', out);
}

static void heading(const lab_metric *m, char head[40], char unit[16])
{
    snprintf(head, 40, "%.38s", m->name ? cli_goal_name(m) : "TEST LOSS");
    for (char *s = head; *s; s++)
        if (*s >= 'a' && *s <= 'z') *s = (char)(*s - 'a' + 'A');
    snprintf(unit, 16, "%.15s", cli_goal_unit(m));
}

static void tell_search(const cli_tuning *t, FILE *out)
{
    char head[40], unit[16], cell[CLI_GOAL_ROOM], loss[32];
    const lab_metric *m = &t->study.metric;
    const cli_style style = cli_style_of(out);
    heading(m, head, unit);
    size_t runs = 0;
    for (size_t i = 0; i < t->count; i++) runs += t->tries[i].runs;
    fprintf(out, "\n%sSEARCH%s  %zu run%s of %llu epoch%s each\n\n%s%9s  %15s  %10s  %8s%s\n", style.bold,
            style.off, runs, runs == 1 ? "" : "s", (unsigned long long)t->study.config.epochs,
            t->study.config.epochs == 1 ? "" : "s", style.bold, "RATE", head, "TRAIN LOSS", "DIVERGED",
            style.off);
    if (*unit) fprintf(out, "%s%9s  %15s%s\n", style.dim, "", unit, style.off);
    for (size_t i = 0; i < t->count; i++) {
        const cli_rate_try *try = &t->tries[i];
        snprintf(loss, sizeof loss, isfinite(try->train_loss.mean) ? "%.4g" : "-", try->train_loss.mean);
        fprintf(out, "%9.2g  %15s  %10s  %5zu/%zu%s\n", try->rate,
                cli_goal_text(m, try->goal.mean, t->seeds > 1 ? try->goal.spread : NAN, cell), loss,
                try->diverged, try->runs, try == t->chosen ? "  *" : "");
    }
    if (t->seeds > 1)
        fprintf(out, "\n+- is the standard deviation over the %zu seeds.\n", t->seeds);
}

void cli_tune_tell(const cli_tuning *t, FILE *out)
{
    char text[CLI_REASON_ROOM];
    tell_range(t, out);
    if (!t->count) return;
    tell_search(t, out);
    fputc('\n', out);
    if (!t->chosen) return;
    const int column = fprintf(out, "Recommended: lr %.3g. ", t->chosen->rate);
    cli_wrap(out, 0, column, WIDTH, cli_tune_reason(t, text));
    char *line = cli_tune_line(t);
    if (line) fprintf(out, "\n\n  %s\n", line);
    free(line);
}

/* ---- for other programs -------------------------------------------------------------------- */

static json_t *whole(uint64_t value) { return json_integer((json_int_t)value); }

/* What cannot be complete becomes NULL, which cli_json_print() tells. */
static void push(json_t **array, json_t *item)
{
    if (!json_array_append_new(*array, item)) return;
    json_decref(*array);
    *array = NULL;
}

static json_t *range_json(const cli_tuning *t)
{
    char text[CLI_REASON_ROOM];
    const cli_range *r = &t->range;
    json_t *curve = json_array();
    for (size_t i = 0; i < r->count; i++)
        push(&curve, json_pack("{s:o, s:o, s:o}", "lr", cli_json_number(r->points[i].rate), "loss",
                               cli_json_number(r->points[i].loss), "smoothed",
                               cli_json_number(r->points[i].smooth)));
    return json_pack("{s:o, s:b, s:o, s:b, s:o, s:o, s:o, s:s, s:o}", "steps", whole(r->steps),
                     "complete", r->complete, "exploded_at", cli_json_number(r->exploded), "fell",
                     r->found, "start", cli_json_number(r->complete ? r->start : NAN), "low",
                     cli_json_number(r->complete ? r->low : NAN), "high",
                     cli_json_number(r->complete ? r->high : NAN), "reason",
                     cli_tune_range_text(t, text), "curve", curve);
}

static json_t *tries_json(const cli_tuning *t)
{
    char name[64];
    json_t *array = json_array();
    snprintf(name, sizeof name, "test_%.50s", cli_goal_name(&t->study.metric));
    for (char *s = name; *s; s++) *s = *s == ' ' ? '_' : *s;
    for (size_t i = 0; i < t->count; i++) {
        const cli_rate_try *try = &t->tries[i];
        push(&array, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "lr", cli_json_number(try->rate), name,
                               cli_json_number(try->goal.mean), "deviation",
                               isfinite(try->goal.mean) ? cli_json_number(try->goal.spread) : json_null(),
                               "train_loss", cli_json_number(try->train_loss.mean), "runs",
                               whole(try->runs), "diverged", whole(try->diverged)));
    }
    return array;
}

static json_t *recommended(const cli_tuning *t)
{
    char text[CLI_REASON_ROOM];
    if (!t->chosen) return json_null();
    char *line = cli_tune_line(t);
    json_t *json = line ? json_pack("{s:o, s:s, s:o}", "lr", cli_json_number(t->chosen->rate), "reason",
                                    cli_tune_reason(t, text), "command", cli_json_text(line))
                        : NULL;
    free(line);
    return json;
}

int cli_tune_json(const cli_tuning *t, const char *stopped)
{
    const cli_study *s = &t->study;
    json_t *all = json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "command",
        "tune", "version", eden_version(), "task", cli_json_text(s->task), "data", cli_json_text(s->data),
        "network", cli_json_text(s->network), "optimizer", cli_json_text(t->settings.name), "usual_lr",
        cli_json_number(t->usual), "batch", whole(s->config.batch), "epochs", whole(s->config.epochs),
        "seed", whole(s->config.seed), "seeds", whole(t->seeds), "budget", whole(t->budget), "margin",
        cli_json_number(t->margin), "range", range_json(t), "tries", tries_json(t), "recommended",
        recommended(t), "stopped", stopped ? json_string(stopped) : json_null());
    return cli_json_print(all, stdout, 2);
}
