/* compare_table.c - a comparison as cells of a table, and the table as text. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/clean.h"
#include "cli/compare.h"
#include "cli/output.h"
#include "cli/storage.h"
#include "cli/task.h"

enum { WIDTH = 79 };

static void set(char cell[CLI_CELL], const char *text) { snprintf(cell, CLI_CELL, "%s", text); }

void cli_compare_heads(const cli_comparison *c, cli_row *heads, cli_row *units)
{
    static const char *const names[CLI_COLUMNS] = { "OPTIMIZER", "TRAIN LOSS", "ACCURACY",
                                                    "STEPS TO", "STEP", "UPDATE", "STATE", "LR" };
    static const char *const under[CLI_COLUMNS] = { "", "", "%", "", "ms", "% of step", "B/weight",
                                                    "" };
    for (int i = 0; i < CLI_COLUMNS; i++) {
        set(heads->cell[i], names[i]);
        set(units->cell[i], under[i]);
    }
    if (!c->data.classes) {
        set(heads->cell[2], "TEST LOSS");
        set(units->cell[2], "");
    }
    if (!(c->target > 0))
        set(units->cell[3], "target");
    else if (c->data.classes)
        snprintf(units->cell[3], CLI_CELL, "%.4g %%", 100 * c->target);
    else
        snprintf(units->cell[3], CLI_CELL, "%.4g", c->target);
}

static void number(char cell[CLI_CELL], const char *format, double value)
{
    if (isfinite(value))
        snprintf(cell, CLI_CELL, format, value);
    else
        set(cell, "-");
}

static void test_cell(const cli_comparison *c, cli_mean test, char cell[CLI_CELL])
{
    const double unit = c->data.classes ? 100 : 1;
    if (!isfinite(test.mean))
        set(cell, "-");
    else if (c->seeds > 1)
        snprintf(cell, CLI_CELL, c->data.classes ? "%.2f +- %.2f" : "%.3g +- %.1g",
                 unit * test.mean, unit * test.spread);
    else
        snprintf(cell, CLI_CELL, c->data.classes ? "%.2f" : "%.4g", unit * test.mean);
}

void cli_compare_row(const cli_comparison *c, const cli_entry *entry, cli_row *row)
{
    const cli_summary s = cli_summarize(c, entry);
    const int control = entry == &c->control;
    set(row->cell[0], entry->name);
    number(row->cell[1], "%.4g", s.train_loss.mean);
    test_cell(c, s.test, row->cell[2]);
    number(row->cell[3], "%.0f", control ? NAN : s.steps.mean);
    if (s.diverged == c->seeds)
        set(row->cell[1], "diverged");
    else if (s.diverged)
        snprintf(row->cell[1], CLI_CELL, "diverged %zu/%zu", s.diverged, c->seeds);
    if (s.diverged) set(row->cell[3], "-");
    number(row->cell[4], "%.3f", 1000 * s.seconds);
    number(row->cell[5], "%.1f", 100 * s.share);
    number(row->cell[6], "%.3g", control ? NAN : s.state_bytes);
    number(row->cell[7], "%.3g", entry->lr);
}

char *cli_compare_about(const cli_comparison *c)
{
    char data[CLI_TASK_ROOM], *text = NULL, seeds[64], storage[CLI_STORAGE_ROOM];
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return NULL;
    const unsigned long long seed = c->config.seed;
    if (c->seeds > 1)
        snprintf(seeds, sizeof seeds, "seeds %llu to %llu", seed, seed + c->seeds - 1);
    else
        snprintf(seeds, sizeof seeds, "seed %llu", seed);
    cli_put(out, "", c->data.name, ": ");
    fprintf(out, "%s\n%s; %llu epoch%s of %llu steps, batch %llu, %s",
            cli_task_describe(&c->data, data), c->network, (unsigned long long)c->config.epochs,
            c->config.epochs == 1 ? "" : "s", (unsigned long long)c->epoch_steps,
            (unsigned long long)c->config.batch, seeds);
    if (!cli_storage_is_plain(&c->config.storage))
        fprintf(out, "; %s", cli_storage_text(&c->config.storage, storage));
    return cli_close_text(out, &text);
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
    if (c->config.average)
        fprintf(out, "Tests are of averaged weights, %s.\n", c->config.average);
    return cli_close_text(out, &text);
}

/* ---- as text ---------------------------------------------------------------------------- */

static void widen(size_t width[CLI_COLUMNS], const cli_row *row)
{
    for (int i = 0; i < CLI_COLUMNS; i++)
        if (strlen(row->cell[i]) > width[i]) width[i] = strlen(row->cell[i]);
}

static void print_row(FILE *out, const size_t width[CLI_COLUMNS], const char *gap,
                      const cli_row *row)
{
    int last = CLI_COLUMNS - 1;
    while (last > 0 && !*row->cell[last]) last--; /* no blanks at the end of a line */
    fprintf(out, "%-*s", (int)width[0], row->cell[0]);
    for (int i = 1; i <= last; i++) fprintf(out, "%s%*s", gap, (int)width[i], row->cell[i]);
}

void cli_compare_table(const cli_comparison *c, FILE *out)
{
    const cli_style style = cli_style_of(out);
    cli_row heads, units, row;
    size_t width[CLI_COLUMNS] = { 0 }, total = 2 * (CLI_COLUMNS - 1);
    cli_compare_heads(c, &heads, &units);
    widen(width, &heads);
    widen(width, &units);
    for (size_t i = 0; i <= c->count; i++) {
        const cli_entry *entry = i ? &c->entries[i - 1] : &c->control;
        if (!cli_entry_complete(c, entry)) continue;
        cli_compare_row(c, entry, &row);
        widen(width, &row);
    }
    for (int i = 0; i < CLI_COLUMNS; i++) total += width[i];
    const char *gap = total > WIDTH ? " " : "  ";
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
    char *notes = cli_compare_notes(c);
    if (notes && *notes) fprintf(out, "\n%s", notes);
    free(notes);
}
