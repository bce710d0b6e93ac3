/* report_page.c - the report as one page that needs no other file and no network. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/clean.h"
#include "cli/machine.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/shell.h"

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1c1e21;--soft:#5c636d;--paper:#fff;--card:#f5f6f8;"
    "--line:#dfe2e7;--best:#0a6b4a}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6e6e6;--soft:#a2a9b4;--paper:#16181c;"
    "--card:#1f2227;--line:#343941;--best:#5fd3a4}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;padding:2.5rem 1.25rem 4rem;max-width:78rem;background:var(--paper);"
    "color:var(--ink);font:1rem/1.6 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',"
    "sans-serif}\n"
    "h1{font-size:1.75rem;line-height:1.25;margin:0 0 .5rem;letter-spacing:-.01em}\n"
    "h2{font-size:1.15rem;margin:2.5rem 0 .75rem}h3{font-size:1rem;margin:1.5rem 0 .5rem}\n"
    "p,ul{max-width:46rem;margin:.4rem 0}\n"
    ".soft,figcaption,.unit{color:var(--soft)}\n"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.5rem .75rem;text-align:right;border-bottom:1px solid var(--line);"
    "white-space:nowrap}\n"
    "th:first-child,td:first-child{text-align:left;padding-left:0;font-weight:600}\n"
    "thead th{font-size:.85rem;vertical-align:bottom;line-height:1.3}\n"
    ".unit{display:block;font-weight:400}\n"
    "tr.control td{color:var(--soft)}\n"
    "td.best{color:var(--best);font-weight:600}\n"
    "figure{margin:0}img{display:block;max-width:100%;height:auto}\n"
    "figcaption{font-size:.9rem;margin-top:.5rem;max-width:46rem}\n"
    "pre{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.75rem "
    "1rem;white-space:pre-wrap;overflow-wrap:anywhere;font-size:.9rem}\n"
    "@media(max-width:54rem){\n"
    "body{padding-top:1.5rem}thead{display:none}table,tbody{display:block}\n"
    "tr{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));column-gap:1rem;"
    "padding:.75rem 0;border-bottom:1px solid var(--line)}\n"
    "td{display:flex;justify-content:space-between;gap:.5rem;border:0;padding:.1rem 0;"
    "font-size:.9rem;white-space:normal}td.best{font-weight:400}\n"
    "td:first-child{grid-column:1/-1;font-size:1.05rem}\n"
    "td[data-name]::before{content:attr(data-name);color:var(--soft);font-weight:400}\n"
    "td.none{display:none}}\n"
    "@media(max-width:34rem){tr{grid-template-columns:1fr}}\n"
    "@media print{body{max-width:none;padding:0}}\n";

/* Text that may hold anything, as HTML text or as an attribute's value. */
void cli_report_escape(FILE *out, const char *text)
{
    while (*text) {
        const size_t length = cli_character(text);
        switch (*text) {
        case '&': fputs("&amp;", out); break;
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        case '"': fputs("&quot;", out); break;
        case '\'': fputs("&#39;", out); break;
        case '\n': fputc('\n', out); break;
        default:
            if (length)
                fwrite(text, 1, length, out);
            else
                fputc('?', out);
        }
        text += length ? length : 1;
    }
}

/* ---- the pictures, as data in the page ---------------------------------------------- */

static void base64(FILE *in, FILE *out)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char b[3];
    size_t n;
    while ((n = fread(b, 1, 3, in)) > 0) {
        if (n < 2) b[1] = 0;
        if (n < 3) b[2] = 0;
        fputc(digit[b[0] >> 2], out);
        fputc(digit[(b[0] & 3) << 4 | b[1] >> 4], out);
        fputc(n > 1 ? digit[(b[1] & 15) << 2 | b[2] >> 6] : '=', out);
        fputc(n > 2 ? digit[b[2] & 63] : '=', out);
    }
}

static int inlined(const cli_picture *picture, int tall, int dark, FILE *out)
{
    FILE *drawing = tmpfile();
    if (!drawing)
        return cli_fail(cli_code(errno, CLI_IO), "cannot make a temporary file for a picture: %s",
                        strerror(errno));
    int code = cli_draw(picture, (cli_look){ 1, tall, dark }, drawing);
    rewind(drawing);
    fputs("data:image/svg+xml;base64,", out);
    if (!code) base64(drawing, out);
    if (!code && ferror(drawing)) code = cli_fail(CLI_IO, "cannot read a picture back");
    fclose(drawing);
    return code;
}

/* A screen shows the one of four that suits its width and its colours. */
int cli_report_pictures(const cli_picture *picture, const char *alternative, FILE *out)
{
    int code = CLI_OK;
    fputs("<figure>\n<picture>\n", out);
    for (int i = 0; !code && i < 3; i++) {
        fprintf(out, "<source media=\"%s\" srcset=\"",
                i == 0   ? "(max-width:46rem) and (prefers-color-scheme:dark)"
                : i == 1 ? "(max-width:46rem)"
                         : "(prefers-color-scheme:dark)");
        code = inlined(picture, i < 2, i != 1, out);
        fputs("\">\n", out);
    }
    fputs("<img alt=\"", out);
    cli_report_escape(out, alternative);
    fputs("\" src=\"", out);
    if (!code) code = inlined(picture, 0, 0, out);
    fputs("\">\n</picture>\n", out);
    return code;
}

/* ---- the table ------------------------------------------------------------------------- */

/* "TRAIN LOSS" as "Train loss". */
static void name_of_column(const cli_row *heads, int i, char text[CLI_CELL])
{
    snprintf(text, CLI_CELL, "%s", heads->cell[i]);
    for (int k = i == CLI_COLUMNS - 1 ? CLI_CELL : 1; k < CLI_CELL && text[k]; k++)
        if (text[k] >= 'A' && text[k] <= 'Z') text[k] = (char)(text[k] - 'A' + 'a');
}

/* Cells say "+-" for what a page can write. */
static void cell_text(FILE *out, const char *text)
{
    const char *mark = strstr(text, "+-");
    char first[200];
    if (!mark) {
        cli_report_escape(out, text);
        return;
    }
    snprintf(first, sizeof first, "%.*s", (int)(mark - text), text);
    cli_report_escape(out, first);
    fputs("&plusmn;", out);
    cli_report_escape(out, mark + 2);
}

static double best_test(const cli_comparison *c)
{
    double best = NAN;
    for (size_t i = 0; i < c->count; i++) {
        const double test = cli_summarize(c, &c->entries[i]).test.mean;
        if (lab_goal_better(&c->study.metric, test, best)) best = test;
    }
    return best;
}

static void row(const cli_comparison *c, const cli_entry *entry, double best, FILE *out)
{
    cli_row heads, units, cells;
    char name[CLI_CELL];
    cli_compare_heads(c, &heads, &units);
    cli_compare_row(c, entry, &cells);
    const cli_summary s = cli_summarize(c, entry);
    const double test = s.test.mean;
    if (strstr(cells.cell[CLI_STEPS], "/"))
        snprintf(cells.cell[CLI_STEPS], CLI_CELL, "%zu of %zu seeds reached", s.reached, c->seeds);
    fputs(entry == &c->control ? "<tr class=\"control\">" : "<tr>", out);
    for (int i = 0; i < CLI_COLUMNS; i++) {
        const char *kind = i == CLI_TEST && test == best    ? " class=\"best\""
                           : !strcmp(cells.cell[i], "-")    ? " class=\"none\""
                                                            : "";
        fprintf(out, "<td%s", kind);
        if (i) {
            name_of_column(&heads, i, name);
            fputs(" data-name=\"", out);
            cli_report_escape(out, name);
            /* "Steps to 95 %" is one phrase, and "Train loss". */
            const char *joint = i == CLI_STEPS || i == CLI_TRAIN ? " " : ", ";
            if (*units.cell[i]) fputs(joint, out), cli_report_escape(out, units.cell[i]);
            fputc('"', out);
        }
        fputc('>', out);
        cell_text(out, cells.cell[i]);
        fputs("</td>", out);
    }
    fputs("</tr>\n", out);
}

static void table(const cli_comparison *c, FILE *out)
{
    cli_row heads, units;
    char name[CLI_CELL];
    const double best = best_test(c);
    cli_compare_heads(c, &heads, &units);
    fputs("<table>\n<thead><tr>", out);
    for (int i = 0; i < CLI_COLUMNS; i++) {
        name_of_column(&heads, i, name);
        fputs("<th scope=\"col\">", out);
        cli_report_escape(out, name);
        fputs("<span class=\"unit\">", out);
        cli_report_escape(out, units.cell[i]);
        fputs("</span></th>", out);
    }
    fputs("</tr></thead>\n<tbody>\n", out);
    row(c, &c->control, best, out);
    for (size_t i = 0; i < c->count; i++) row(c, &c->entries[i], best, out);
    fputs("</tbody>\n</table>\n", out);
}

/* ---- words ----------------------------------------------------------------------------- */

static void about(const cli_comparison *c, FILE *out)
{
    char *text = cli_compare_about(c);
    for (char *s = text, *end; s && *s; s = end + (*end == '\n')) {
        end = s + strcspn(s, "\n");
        fputs("<p class=\"soft\">", out);
        const char kept = *end;
        *end = '\0';
        cli_report_escape(out, s);
        *end = kept;
        fputs("</p>\n", out);
    }
    free(text);
}

static void notes(const cli_comparison *c, FILE *out)
{
    char *text = cli_compare_notes(c);
    for (char *s = text; s && *s;) {
        const size_t length = strcspn(s, "\n");
        s[length] = '\0';
        fputs("<p>", out);
        cell_text(out, s);
        fputs("</p>\n", out);
        s += length + 1;
    }
    free(text);
}

void cli_report_command(const cli_comparison *c, FILE *out)
{
    char *text = NULL, seeds[CLI_SEEDS_ROOM], machine[CLI_MACHINE_ROOM];
    size_t size = 0;
    FILE *line = open_memstream(&text, &size);
    if (!line) {
        cli_no_memory();
        return;
    }
    fputs("eden", line);
    for (int i = 0; i < c->args->count; i++) cli_shell_word(line, c->args->words[i]);
    if (cli_close_text(line, &text)) {
        fputs("<pre>", out);
        cli_report_escape(out, text);
        fprintf(out, "</pre>\n<p class=\"soft\">eden %s, %s; ", eden_version(), cli_compare_seeds(c, seeds));
        cli_report_escape(out, cli_machine_text(machine));
        fputs("</p>\n", out);
    }
    free(text);
}

static void rates(const cli_comparison *c, FILE *out)
{
    fputs("<h2>Where the learning rates come from</h2>\n<ul>\n", out);
    for (size_t i = 0; i < c->count; i++) {
        const char *source = c->entries[i].source ? c->entries[i].source : "the default";
        size_t k = 0;
        while (k < i && strcmp(c->entries[k].source ? c->entries[k].source : "the default", source))
            k++;
        if (k < i) continue; /* it has been told */
        fputs("<li>", out);
        for (k = i; k < c->count; k++) {
            const char *other = c->entries[k].source ? c->entries[k].source : "the default";
            if (strcmp(other, source)) continue;
            if (k > i) fputs(", ", out);
            cli_report_escape(out, c->entries[k].name);
        }
        fputs(": ", out);
        cli_report_escape(out, source);
        fputs("</li>\n", out);
    }
    fputs("</ul>\n", out);
}

static void tried(const cli_comparison *c, FILE *out)
{
    char *text = cli_compare_tried(c);
    if (c->budget)
        fprintf(out, "<h3>The budget</h3>\n<p>Before the runs, %zu rate%s of each optimizer, a factor of "
                     "two apart around the table's, %s tried with a seed of %s own (%llu), and the one "
                     "with the best test %s was taken. Each is followed by what it came to; * is the "
                     "one taken.</p>\n<ul>\n", c->budget, c->budget == 1 ? "" : "s",
                c->budget == 1 ? "was" : "were", c->budget == 1 ? "its" : "their",
                (unsigned long long)(c->study.config.seed + c->seeds), cli_goal_name(&c->study.metric));
    for (char *s = text; c->budget && s && *s;) {
        const size_t length = strcspn(s, "\n");
        s[length] = '\0';
        fputs("<li>", out);
        cli_report_escape(out, s);
        fputs("</li>\n", out);
        s += length + 1;
    }
    if (c->budget) fputs("</ul>\n", out);
    free(text);
}

static void explain(const cli_comparison *c, FILE *out)
{
    fputs("<p class=\"soft\">Every optimizer sees the same data in the same order and starts from "
          "the same weights. The row <em>none</em> is that network without training. ", out);
    if (c->study.source.kind->evaluate_train)
        fputs("The gap is the test loss less the loss of the training set, both measured at the end by "
              "the same weights. ", out);
    fputs("Steps and time to the target are counted to the end of the epoch that first reaches it, "
          "time in steps alone. Step is the time of one training step, update the optimizer&#39;s "
          "share of it, and state the bytes that the optimizer keeps for each weight.</p>\n", out);
}

void cli_report_head(const char *title, FILE *out)
{
    fputs("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
          "img-src data:; style-src 'unsafe-inline'\">\n<title>", out);
    cli_report_escape(out, title);
    fprintf(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n<h1>", style);
}

static void head(const cli_comparison *c, FILE *out)
{
    char title[120];
    snprintf(title, sizeof title, "Optimizers on %.90s", c->study.data);
    cli_report_head(title, out);
    fprintf(out, "%zu %s on ", c->count, c->count == 1 ? "optimizer" : "optimizers");
    cli_report_escape(out, c->study.data);
    fputs("</h1>\n", out);
    about(c, out);
}

int cli_report_page(const cli_comparison *c, const cli_picture *picture, FILE *out)
{
    char alternative[200];
    const char *goal = cli_goal_name(&c->study.metric);
    head(c, out);
    fputs("<h2>Curves</h2>\n", out);
    snprintf(alternative, sizeof alternative, "Training loss and test %.40s over the epochs, one "
             "curve for each optimizer", goal);
    const int code = cli_report_pictures(picture, alternative, out);
    fputs("<figcaption>Epoch 0 is the network before training. From then on the training loss is the "
          "mean over the epoch's batches, and the test ", out);
    cli_report_escape(out, goal);
    fputs(" is measured at the epoch's end", out);
    if (c->seeds > 1)
        fprintf(out, "; curves are means over the %zu seeds, and the bands reach from the least to the "
                     "greatest", c->seeds);
    fputs(".</figcaption>\n</figure>\n<h2>Results</h2>\n", out);
    table(c, out);
    notes(c, out);
    explain(c, out);
    rates(c, out);
    tried(c, out);
    fputs("<h2>Made by</h2>\n", out);
    cli_report_command(c, out);
    fputs("<p class=\"soft\">The folder holds this page, the curves as <code>curves.png</code> "
          "and <code>curves.svg</code>, and the numbers as <code>curves.csv</code> and "
          "<code>results.csv</code>.</p>\n</main>\n</body>\n</html>\n", out);
    return code;
}
