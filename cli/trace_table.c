/* trace_table.c - paths over a surface as a table and as JSON. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "cli/json.h"
#include "cli/output.h"
#include "cli/trace.h"

enum { WIDTH = 79, COLUMNS = 7, CELL = 32, LABEL = 24 };

typedef struct {
    char cell[COLUMNS][CELL]; /* the first is the label, which stands apart */
} row;

const char *cli_trace_place(const double w[2], char text[CLI_PLACE_ROOM])
{
    snprintf(text, CLI_PLACE_ROOM, "(%.4g, %.4g)", w[0], w[1]);
    return text;
}

/* ---- the surfaces --------------------------------------------------------------------- */

void cli_trace_surfaces(FILE *out)
{
    const cli_style style = cli_style_of(out);
    const lab_surface *surface;
    fprintf(out, "%s%-12s %s%s\n", style.bold, "SURFACE", "WHAT IT SHOWS", style.off);
    for (size_t i = 0; (surface = lab_surface_at(i)) != NULL; i++)
        fprintf(out, "%-12s %s\n", surface->name, surface->shows);
}

/* Add an item; what cannot be complete becomes NULL, which cli_json_print() tells. */
static void push(json_t **array, json_t *item)
{
    if (!json_array_append_new(*array, item)) return;
    json_decref(*array);
    *array = NULL;
}

static json_t *whole(uint64_t value) { return json_integer((json_int_t)value); }
static json_t *or_null(uint64_t value) { return value ? whole(value) : json_null(); }

static json_t *pair(const double w[2])
{
    return json_pack("[o, o]", cli_json_number(w[0]), cli_json_number(w[1]));
}

static json_t *about(const lab_surface *surface)
{
    json_t *minima = json_array();
    for (size_t i = 0; i < surface->minimum_count; i++) push(&minima, pair(surface->minima[i]));
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "name", surface->name, "formula",
                     surface->formula, "shows", surface->shows, "start", pair(surface->start),
                     "minima", minima, "near", cli_json_number(surface->near), "noise",
                     cli_json_number(surface->noise), "steps", whole(surface->steps));
}

int cli_trace_surfaces_json(void)
{
    json_t *all = json_array();
    const lab_surface *surface;
    for (size_t i = 0; (surface = lab_surface_at(i)) != NULL; i++) push(&all, about(surface));
    return cli_json_print(all, stdout, 2);
}

/* ---- as text ---------------------------------------------------------------------------- */

static void number(char cell[CELL], const char *format, double value)
{
    if (isfinite(value))
        snprintf(cell, CELL, format, value);
    else
        snprintf(cell, CELL, "-");
}

static void count(char cell[CELL], uint64_t value)
{
    snprintf(cell, CELL, "%llu", (unsigned long long)value);
}

static row row_of(const cli_path *path)
{
    row r = { { "" } };
    const lab_trace *trace = &path->trace;
    const lab_trace_point *end = &trace->points[trace->count - 1];
    snprintf(r.cell[0], CELL, "%.31s", path->label);
    number(r.cell[1], "%.3g", path->lr);
    number(r.cell[2], "%.2g", end->loss);
    number(r.cell[3], "%.2g", end->distance);
    if (trace->diverged_at) {
        snprintf(r.cell[2], CELL, "diverged");
        snprintf(r.cell[3], CELL, "-");
    }
    if (trace->reached_at)
        count(r.cell[4], trace->reached_at);
    else
        snprintf(r.cell[4], CELL, "-");
    number(r.cell[5], "%.3g", trace->length);
    count(r.cell[6], trace->turns);
    return r;
}

static void widen(int width[COLUMNS], const row *r)
{
    for (int i = 0; i < COLUMNS; i++)
        if (!(i == 0 && strlen(r->cell[0]) > LABEL) && (int)strlen(r->cell[i]) > width[i])
            width[i] = (int)strlen(r->cell[i]);
}

/* A long label has a line of its own. */
static void print_row(FILE *out, const int width[COLUMNS], const row *r, const char *label)
{
    if (strlen(label) > LABEL) {
        cli_wrap(out, 2, 0, WIDTH, label);
        fprintf(out, "\n%-*s", width[0], "");
    } else {
        fprintf(out, "%-*s", width[0], label);
    }
    for (int i = 1; i < COLUMNS; i++) fprintf(out, "  %*s", width[i], r->cell[i]);
    fputc('\n', out);
}

static void print_about(const cli_tracing *t, FILE *out)
{
    char text[400], place[CLI_PLACE_ROOM];
    const lab_surface *s = t->surface;
    int length = snprintf(text, sizeof text, "%s: %s, from %s", s->name, s->formula,
                          cli_trace_place(s->start, place));
    if (s->noise > 0)
        length += snprintf(text + length, sizeof text - (size_t)length, ", seed %llu",
                           (unsigned long long)t->seed);
    length += snprintf(text + length, sizeof text - (size_t)length, "; %llu step%s\nMinim%s 0 at ",
                       (unsigned long long)t->steps, t->steps == 1 ? "" : "s",
                       s->minimum_count > 1 ? "a" : "um");
    for (size_t i = 0; i < s->minimum_count && length < (int)sizeof text; i++)
        length += snprintf(text + length, sizeof text - (size_t)length, "%s%s", i ? ", " : "",
                           cli_trace_place(s->minima[i], place));
    cli_wrap(out, 2, 0, WIDTH, text);
    fputs("\n\n", out);
}

static void print_notes(const cli_tracing *t, FILE *out)
{
    char text[400];
    const char *source = NULL;
    for (size_t i = 0; i < t->count; i++) {
        const cli_path *path = &t->paths[i];
        if (path->trace.diverged_at)
            fprintf(out, "%s diverged at step %llu.\n", path->label,
                    (unsigned long long)path->trace.diverged_at);
        if (!source && path->source && strcmp(path->source, "given") != 0) source = path->source;
    }
    snprintf(text, sizeof text, "STEPS TO counts until the distance is %.3g and stays below it; "
             "TURNS are the steps on the way there that go back on the one before.%s%s%s", t->surface->near,
             source ? " Rates that were not given: " : "", source ? source : "",
             source ? "." : "");
    cli_wrap(out, 0, 0, WIDTH, text);
    fputc('\n', out);
}

void cli_trace_table(const cli_tracing *t, FILE *out)
{
    const cli_style style = cli_style_of(out);
    const row heads = { { "OPTIMIZER", "LR", "LOSS", "DISTANCE", "STEPS TO", "LENGTH", "TURNS" } };
    row units = { { "" } };
    int width[COLUMNS] = { 0 };
    snprintf(units.cell[4], CELL, "%.3g", t->surface->near);
    print_about(t, out);
    widen(width, &heads);
    for (size_t i = 0; i < t->count; i++) {
        const row r = row_of(&t->paths[i]);
        widen(width, &r);
    }
    fputs(style.bold, out);
    print_row(out, width, &heads, heads.cell[0]);
    fprintf(out, "%s%s", style.off, style.dim);
    fprintf(out, "%*s%s\n", width[0] + width[1] + width[2] + width[3] + width[4] + 8,
            units.cell[4], style.off);
    for (size_t i = 0; i < t->count; i++) {
        const row r = row_of(&t->paths[i]);
        print_row(out, width, &r, t->paths[i].label);
    }
    fputc('\n', out);
    print_notes(t, out);
}

/* ---- as JSON ---------------------------------------------------------------------------- */

static json_t *one(const cli_path *path)
{
    const lab_trace *trace = &path->trace;
    const lab_trace_point *end = &trace->points[trace->count - 1];
    json_t *places = json_array(), *losses = json_array();
    for (size_t i = 0; i < trace->count; i++) {
        push(&places, pair(trace->points[i].w));
        push(&losses, cli_json_number(trace->points[i].loss));
    }
    return json_pack("{s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
                     cli_json_text(path->name), "settings", cli_json_text(path->settings), "lr",
                     cli_json_number(path->lr), "lr_source", path->source, "diverged_at",
                     or_null(trace->diverged_at), "loss", cli_json_number(end->loss), "distance",
                     cli_json_number(end->distance), "reached_at", or_null(trace->reached_at),
                     "length", cli_json_number(trace->length), "turns", whole(trace->turns),
                     "path", places, "losses", losses);
}

int cli_trace_json(const cli_tracing *t)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < t->count; i++) push(&rows, one(&t->paths[i]));
    /* One line: a path has hundreds of numbers. */
    return cli_json_print(json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "command", "trace",
                                    "version", eden_version(), "surface", about(t->surface),
                                    "steps", whole(t->steps), "seed",
                                    t->surface->noise > 0 ? whole(t->seed) : json_null(),
                                    "optimizers", rows),
                          stdout, 0);
}
