/* evidence_page.c - what was found, as Markdown with a picture of the intervals. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/draft.h"
#include "cli/evidence.h"
#include "cli/gnuplot.h"
#include "cli/machine.h"
#include "cli/output.h"

/* ---- the picture ---------------------------------------------------------------------- */

/* An interval belongs into the picture if it is of a ratio that chance decides. */
static int is_drawn(const cli_evidence *e)
{
    const cli_finding *f = &e->finding;
    return e->finding.verdict != CLI_NOT_RUN && cli_measure_find(e->claim->measure)->ratio &&
           f->low < f->high && isfinite(f->low) && isfinite(f->high);
}

static void points(const cli_evidence *all, size_t count, size_t rows, cli_verdict verdict, FILE *script)
{
    size_t row = rows;
    for (size_t i = 0; i < count; i++) {
        if (!is_drawn(&all[i])) continue;
        const cli_finding *f = &all[i].finding;
        if (f->verdict == verdict)
            fprintf(script, "%.6g %zu %.6g %.6g\n", f->effect, row, f->low, f->high);
        row--;
    }
    fputs("NaN 0 NaN NaN\ne\n", script);
}

static void script_of(const cli_evidence *all, size_t count, size_t rows, FILE *script)
{
    size_t row = rows;
    fprintf(script, "set terminal svg size 900,%zu font 'Helvetica,14' background '#ffffff'\n", 110 + 24 * rows);
    fprintf(script, "set logscale x 2\nset yrange [0.4:%zu.6]\nset xtics nomirror\nset border 1 lc rgb '#5c636d'\n"
                    "set grid x lc rgb '#dfe2e7'\nset key outside top center horizontal\nset ytics (", rows);
    for (size_t i = 0; i < count; i++) {
        if (!is_drawn(&all[i])) continue;
        fputs(row < rows ? ", " : "", script);
        cli_gnuplot_quote(script, all[i].claim->id);
        fprintf(script, " %zu", row--);
    }
    fputs(") scale 0\nset xlabel 'first side divided by the second, with its interval of 95 %'\n"
          "set arrow from 1, graph 0 to 1, graph 1 nohead lc rgb '#1c1e21' dt 2\n"
          "plot '-' using 1:2:3:4 with xerrorbars lw 2 pt 7 ps 0.8 lc rgb '#0072b2' title 'holds', "
          "'-' using 1:2:3:4 with xerrorbars lw 2 pt 5 ps 0.8 lc rgb '#d55e00' title 'does not hold', "
          "'-' using 1:2:3:4 with xerrorbars lw 2 pt 6 ps 0.8 lc rgb '#777777' title 'undecided'\n", script);
    points(all, count, rows, CLI_HOLDS, script);
    points(all, count, rows, CLI_FAILS, script);
    points(all, count, rows, CLI_UNDECIDED, script);
}

static int picture(const cli_evidence *all, size_t count, size_t rows, FILE *out)
{
    char *text = NULL;
    size_t size = 0;
    FILE *script = open_memstream(&text, &size);
    if (!script) return cli_no_memory();
    script_of(all, count, rows, script);
    if (!cli_close_text(script, &text)) return CLI_SYSTEM;
    const int code = cli_gnuplot_run(text, out);
    free(text);
    return code;
}

/* ---- the page --------------------------------------------------------------------------- */

/* In a cell of a table. */
static void cell(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|') fputc('\\', out);
        fputc(*text, out);
    }
}

static void row_of(const cli_evidence *e, FILE *out)
{
    char effect[CLI_EFFECT_ROOM], side[64], rate[64];
    const cli_measure *m = cli_measure_find(e->claim->measure);
    fprintf(out, "| `%s` | ", e->claim->id);
    cell(out, e->claim->sentence);
    fprintf(out, " | `%s` | %s: `%s`%s", e->line, m->what, cli_side_text(e->claim, 0, side),
            cli_rate_text(e, 0, rate));
    fprintf(out, " against `%s`%s", cli_side_text(e->claim, 1, side), cli_rate_text(e, 1, rate));
    fprintf(out, " | %zu | %s | **%s** |\n", e->finding.runs, cli_effect_text(e, effect),
            cli_verdict_text(e->finding.verdict));
}

/* The line that made the page, but for what does not change it; a folder has another name
 * elsewhere. */
static void line_of(const cli_args *args, size_t seeds, const char *path, FILE *out)
{
    const char *name = strrchr(path, '/');
    fputs("`eden evidence", out);
    for (size_t i = 0; i < args->operand_count; i++) fprintf(out, " %s", args->operands[i]);
    fprintf(out, "%s --seeds %zu%s -o %s`", cli_has(args, "quick") ? " --quick" : "", seeds,
            cli_has(args, "mnist") ? " --mnist DIR" : "", name ? name + 1 : path);
}

static void summary(const cli_evidence *all, size_t count, FILE *out)
{
    size_t verdicts[4] = { 0 };
    char text[4][64];
    for (size_t i = 0; i < count; i++) verdicts[all[i].finding.verdict]++;
    fprintf(out, "%s here, %s, %s, %s.\n\n",
            cli_count_text(verdicts[CLI_HOLDS], "claim holds", "claims hold", text[0]),
            cli_count_text(verdicts[CLI_FAILS], "does not", "do not", text[1]),
            cli_count_text(verdicts[CLI_UNDECIDED], "is undecided", "are undecided", text[2]),
            cli_count_text(verdicts[CLI_NOT_RUN], "was not run", "were not run", text[3]));
}

static void preamble(const cli_args *args, const cli_evidence *all, size_t count, size_t seeds,
                     const char *path, FILE *out)
{
    char machine[CLI_MACHINE_ROOM];
    fputs("# Evidence: what is said of optimizers, and what was measured\n\nMade by ", out);
    line_of(args, seeds, path, out);
    fprintf(out, " of Eden %s on %s; `eden evidence CLAIM` runs one line again. ", eden_version(),
            cli_machine_text(machine));
    summary(all, count, out);
    fputs("Every experiment is two lines of the command that differ in one thing, run with the same seeds: "
          "the same weights to begin with, the same data in the same order. Where a rate is shown, each side "
          "searched it first, with as many rates and runs as the other and seeds that are not used again; the "
          "search looks at the same test set as the result. A side whose best rate was the smallest or largest "
          "tried went on past it, while the other tried as many more; \"edge\" marks a rate that is at the edge "
          "all the same. The effect is the mean over the seeds of the first side divided by the second "
          "(\"times\"), or of their difference, with Student's interval of 95 %. A claim holds if all of the "
          "interval is on its side, does not hold if all is on the other, and else is undecided. What nothing is "
          "left to chance in has no interval. Small networks on small data are no proof for large ones.\n\n",
          out);
}

static void page(const cli_args *args, const cli_evidence *all, size_t count, size_t seeds, const char *path,
                 const char *drawn, FILE *out)
{
    preamble(args, all, count, seeds, path, out);
    if (drawn) fprintf(out, "![The ratios with their intervals](%s)\n\n", drawn);
    const char *topic = "";
    for (size_t i = 0; i < count; i++) {
        if (strcmp(topic, all[i].claim->topic) != 0) {
            topic = all[i].claim->topic;
            fprintf(out, "%s## %s\n\n| claim | what is said | both sides | measured | runs | effect | here it |\n"
                         "|---|---|---|---|---|---|---|\n", i ? "\n" : "", topic);
        }
        row_of(&all[i], out);
    }
}

/* "docs/evidence.md" as "docs/evidence.svg"; the caller frees it. */
static char *picture_path(const char *path)
{
    const size_t length = strlen(path);
    char *other = malloc(length + 2);
    if (other) snprintf(other, length + 2, "%.*ssvg", (int)(length - 2), path);
    return other;
}

int cli_evidence_page(const cli_args *args, const cli_evidence *all, size_t count, size_t seeds,
                      const char *path)
{
    cli_draft text = { 0 }, drawing = { 0 };
    size_t rows = 0;
    char *drawn = picture_path(path);
    for (size_t i = 0; i < count; i++) rows += (size_t)is_drawn(&all[i]);
    int code = drawn ? CLI_OK : cli_no_memory();
    if (!code && rows) code = cli_draft_open(&drawing, NULL, drawn);
    if (!code && rows) code = picture(all, count, rows, drawing.file);
    if (!code && rows) code = cli_draft_close(&drawing);
    if (!code) code = cli_draft_open(&text, NULL, path);
    if (!code) {
        const char *name = strrchr(drawn, '/');
        page(args, all, count, seeds, path, rows ? (name ? name + 1 : drawn) : NULL, text.file);
        code = cli_draft_close(&text);
    }
    if (!code && rows) code = cli_draft_commit(&drawing);
    if (!code) code = cli_draft_commit(&text);
    cli_draft_discard(&drawing);
    cli_draft_discard(&text);
    free(drawn);
    return code;
}
