/* compare_table.c - a comparison as cells of a table, and the table as text. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/clean.h"
#include "cli/compare.h"
#include "cli/output.h"

enum { WIDTH = 79 };

static void set(char cell[CLI_CELL], const char *text) { snprintf(cell, CLI_CELL, "%s", text); }

static int has_target(const cli_comparison *c) { return isfinite(c->target); }

void cli_compare_heads(const cli_comparison *c, cli_row *heads, cli_row *units)
{
    static const char *const names[CLI_COLUMNS] = { "OPTIMIZER", "TRAIN", "TEST LOSS", "GAP",
                                                    "STEPS", "TIME", "STEP", "UPDATE", "STATE",
                                                    "LR" };
    static const char *const under[CLI_COLUMNS] = { "", "loss", "", "loss", "to target", "s",
                                                    "ms", "% step", "B/wt", "" };
    const lab_metric *m = &c->study.metric;
    for (int i = 0; i < CLI_COLUMNS; i++) {
        set(heads->cell[i], names[i]);
        set(units->cell[i], under[i]);
    }
    if (m->name) {
        char *s = heads->cell[CLI_TEST];
        for (set(s, cli_goal_name(m)); *s; s++)
            if (*s >= 'a' && *s <= 'z') *s = (char)(*s - 'a' + 'A');
        snprintf(units->cell[CLI_TEST], CLI_CELL, "%.12s", cli_goal_unit(m));
    }
    if (has_target(c))
        snprintf(units->cell[CLI_STEPS], CLI_CELL, "to %.4g%s%.12s",
                 cli_goal_scale(m) * c->target, *cli_goal_unit(m) ? " " : "", cli_goal_unit(m));
}

static void number(char cell[CLI_CELL], const char *format, double value)
{
    if (isfinite(value))
        snprintf(cell, CLI_CELL, format, value);
    else
        set(cell, "-");
}

void cli_compare_row(const cli_comparison *c, const cli_entry *entry, cli_row *row)
{
    const cli_summary s = cli_summarize(c, entry);
    const int control = entry == &c->control, aimless = control || s.diverged;
    set(row->cell[CLI_OPTIMIZER], entry->name);
    number(row->cell[CLI_TRAIN], "%.3g", s.train_loss.mean);
    cli_goal_text(&c->study.metric, s.test.mean, c->seeds > 1 ? s.test.spread : NAN,
                  row->cell[CLI_TEST]);
    if (s.diverged == c->seeds)
        set(row->cell[CLI_TRAIN], "diverged");
    else if (s.diverged)
        snprintf(row->cell[CLI_TRAIN], CLI_CELL, "diverged %zu/%zu", s.diverged, c->seeds);
    number(row->cell[CLI_GAP], "%.2g", control ? NAN : s.gap.mean);
    number(row->cell[CLI_STEPS], "%.0f", aimless ? NAN : s.steps.mean);
    if (!aimless && s.reached && s.reached < c->seeds)
        snprintf(row->cell[CLI_STEPS], CLI_CELL, "%zu/%zu seeds", s.reached, c->seeds);
    number(row->cell[CLI_TIME], "%.3g", aimless ? NAN : s.target_seconds.mean);
    number(row->cell[CLI_STEP], s.seconds < 0.01 ? "%.3f" : "%.3g", 1000 * s.seconds);
    number(row->cell[CLI_UPDATE], "%.1f", 100 * s.share);
    number(row->cell[CLI_STATE], "%.3g", control ? NAN : s.state_bytes);
    number(row->cell[CLI_RATE], "%.3g", entry->lr);
}

const char *cli_compare_seeds(const cli_comparison *c, char text[CLI_SEEDS_ROOM])
{
    const unsigned long long seed = c->study.config.seed;
    if (c->seeds > 1)
        snprintf(text, CLI_SEEDS_ROOM, "seeds %llu to %llu", seed, seed + c->seeds - 1);
    else
        snprintf(text, CLI_SEEDS_ROOM, "seed %llu", seed);
    return text;
}

char *cli_compare_about(const cli_comparison *c)
{
    char seeds[CLI_SEEDS_ROOM], *text = NULL;
    size_t size = 0;
    const lab_metric *m = &c->study.metric;
    char *about = cli_study_text(&c->study, cli_compare_seeds(c, seeds));
    FILE *out = about ? open_memstream(&text, &size) : NULL;
    if (out) {
        fputs(about, out);
        if (has_target(c))
            fprintf(out, "; target: test %s of %.4g%s%s or %s", cli_goal_name(m),
                    cli_goal_scale(m) * c->target, *cli_goal_unit(m) ? " " : "", cli_goal_unit(m), lab_goal_rises(m) ? "more" : "less");
        cli_close_text(out, &text);
    }
    free(about);
    return text;
}

char *cli_compare_notes(const cli_comparison *c)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return NULL;
    for (size_t i = 0; i < c->count; i++)
        for (size_t k = 0; k < c->seeds; k++)
            if (c->entries[i].trials[k].diverged)
                fprintf(out, "%s diverged with seed %llu at step %llu.\n", c->entries[i].name,
                        (unsigned long long)c->entries[i].trials[k].seed,
                        (unsigned long long)c->entries[i].trials[k].diverged_at);
    if (c->seeds > 1)
        fprintf(out, "+- is the standard deviation over the %zu seeds.\n", c->seeds);
    if (c->study.config.average)
        fprintf(out, "Tests are of averaged weights, %s.\n", c->study.config.average);
    return cli_close_text(out, &text);
}

/* ---- rates that were tried --------------------------------------------------------------- */

static void tried_line(const cli_comparison *c, const cli_entry *entry, FILE *out)
{
    char text[CLI_GOAL_ROOM];
    size_t done = 0;
    while (done < c->budget && entry->tried[done].complete) done++;
    if (!done) return;
    fprintf(out, "%s:", entry->name);
    for (size_t i = 0; i < done; i++) {
        const cli_rate_try *try = &entry->tried[i];
        fprintf(out, "%s %.3g (%s)%s", i ? "," : "", try->rate,
                try->diverged ? "diverged" : cli_goal_text(&c->study.metric, try->goal.mean, NAN, text),
                try == entry->best ? "*" : "");
    }
    if (done == c->budget && !entry->best) fprintf(out, "; none held, so the table's rate it is");
    if (done > 1 && (entry->best == entry->tried || entry->best == entry->tried + c->budget - 1))
        fprintf(out, "; the best is at the edge");
    fputc('\n', out);
}

char *cli_compare_tried(const cli_comparison *c)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return NULL;
    for (size_t i = 0; c->budget && i < c->count; i++) tried_line(c, &c->entries[i], out);
    return cli_close_text(out, &text);
}

/* ---- as text ---------------------------------------------------------------------------- */

static void widen(size_t width[CLI_COLUMNS], const cli_row *row)
{
    for (int i = 0; i < CLI_COLUMNS; i++)
        if (strlen(row->cell[i]) > width[i]) width[i] = strlen(row->cell[i]);
}

/* A column of no width is left out. */
static void print_row(FILE *out, const size_t width[CLI_COLUMNS], const char *gap,
                      const cli_row *row)
{
    int last = CLI_COLUMNS - 1;
    /* no blanks at the end of a line */
    while (last > 0 && (!*row->cell[last] || !width[last])) last--;
    fprintf(out, "%-*s", (int)width[0], row->cell[0]);
    for (int i = 1; i <= last; i++)
        if (width[i]) fprintf(out, "%s%*s", gap, (int)width[i], row->cell[i]);
}

static size_t total(const size_t width[CLI_COLUMNS], size_t gap)
{
    size_t sum = width[0];
    for (int i = 1; i < CLI_COLUMNS; i++)
        if (width[i]) sum += gap + width[i];
    return sum;
}

/* Names, spreads and losses can be long; then the table goes without what is told least. */
static void fit(size_t width[CLI_COLUMNS], char dropped[64])
{
    static const int order[] = { CLI_UPDATE, CLI_TIME, CLI_RATE, CLI_STEP, CLI_GAP, CLI_STATE };
    static const char *const names[] = { "UPDATE", "TIME", "LR", "STEP", "GAP", "STATE" };
    *dropped = '\0';
    for (size_t i = 0; total(width, 1) > WIDTH && i < sizeof order / sizeof *order; i++) {
        const size_t used = strlen(dropped);
        snprintf(dropped + used, 64 - used, "%s%s", used ? ", " : "", names[i]);
        width[order[i]] = 0;
    }
}

static void print_notes(const cli_comparison *c, const char *dropped, FILE *out)
{
    char *tried = cli_compare_tried(c), *notes = cli_compare_notes(c);
    if (*dropped) fprintf(out, "\nNo room for %s: --json and --report tell.\n", dropped);
    if (notes && *notes) fprintf(out, "\n%s", notes);
    if (tried && *tried) fprintf(out, "\nRates tried with seed %llu, and what they came to:\n",
                                 (unsigned long long)(c->study.config.seed + c->seeds));
    for (char *s = tried; s && *s;) {
        const size_t length = strcspn(s, "\n");
        s[length] = '\0';
        cli_wrap(out, 4, 0, WIDTH, s);
        fputc('\n', out);
        s += length + 1;
    }
    free(tried);
    free(notes);
}

void cli_compare_table(const cli_comparison *c, FILE *out)
{
    const cli_style style = cli_style_of(out);
    cli_row heads, units, row;
    char dropped[64];
    size_t width[CLI_COLUMNS] = { 0 };
    cli_compare_heads(c, &heads, &units);
    widen(width, &heads);
    widen(width, &units);
    for (size_t i = 0; i <= c->count; i++) {
        const cli_entry *entry = i ? &c->entries[i - 1] : &c->control;
        if (!cli_entry_complete(c, entry)) continue;
        cli_compare_row(c, entry, &row);
        widen(width, &row);
    }
    fit(width, dropped);
    const char *gap = total(width, 2) > WIDTH ? " " : "  ";
    fputs(style.bold, out);
    print_row(out, width, gap, &heads);
    fprintf(out, "%s\n%s", style.off, style.dim);
    print_row(out, width, gap, &units);
    fprintf(out, "%s\n", style.off);
    for (size_t i = 0; i <= c->count; i++) {
        const cli_entry *entry = i ? &c->entries[i - 1] : &c->control;
        if (!cli_entry_complete(c, entry)) continue;
        cli_compare_row(c, entry, &row);
        print_row(out, width, gap, &row);
        fputc('\n', out);
    }
    print_notes(c, dropped, out);
}
