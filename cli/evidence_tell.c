/* evidence_tell.c - what was found, as text and as JSON. */
#include <math.h>
#include <string.h>

#include "cli/evidence.h"
#include "cli/json.h"
#include "cli/output.h"

const char *cli_verdict_text(cli_verdict verdict)
{
    static const char *const text[] = { "undecided", "holds", "does not hold", "not run" };
    return text[verdict];
}

const char *cli_side_text(const lab_claim *claim, int side, char text[64])
{
    const char *words = claim->side[side];
    if (*words == '-') words += strcspn(words, " ") + 1;
    /* Options that say how to measure are no part of the name. */
    const char *end = strstr(words, " --params");
    snprintf(text, 64, "%.*s", end ? (int)(end - words) : 63, words);
    return text;
}

/* " (lr 0.1)", with a mark at an edge; "" without a search. */
const char *cli_rate_text(const cli_evidence *e, int side, char text[64])
{
    *text = '\0';
    if (isfinite(e->rate[side])) snprintf(text, 64, " (lr %.2g%s)", e->rate[side], e->edge[side] ? ", edge" : "");
    return text;
}

/* "1 claim holds" */
const char *cli_count_text(size_t count, const char *one, const char *many, char text[64])
{
    snprintf(text, 64, "%zu %s", count, count == 1 ? one : many);
    return text;
}

const char *cli_effect_text(const cli_evidence *e, char text[CLI_EFFECT_ROOM])
{
    const cli_finding *f = &e->finding;
    const cli_measure *m = cli_measure_find(e->claim->measure);
    const char *format = m->ratio ? "%.3g" : "%+.3g";
    char effect[32], low[32], high[32];
    snprintf(effect, sizeof effect, format, f->effect);
    snprintf(low, sizeof low, format, f->low);
    snprintf(high, sizeof high, format, f->high);
    if (f->verdict == CLI_NOT_RUN)
        snprintf(text, CLI_EFFECT_ROOM, "needs %s", e->missing ? e->missing : "its data");
    else if (!isfinite(f->effect))
        snprintf(text, CLI_EFFECT_ROOM, "%zu and %zu runs diverged", f->diverged[0], f->diverged[1]);
    else if (f->same)
        snprintf(text, CLI_EFFECT_ROOM, "%s %s: the same in every run, as at a ceiling", effect, m->unit);
    else if (f->low < f->high)
        snprintf(text, CLI_EFFECT_ROOM, "%s %s [%s, %s]", effect, m->unit, low, high);
    else
        snprintf(text, CLI_EFFECT_ROOM, "%s %s", effect, m->unit);
    return text;
}

void cli_evidence_table(const cli_evidence *all, size_t count, FILE *out)
{
    const cli_style style = cli_style_of(out);
    size_t verdicts[4] = { 0 };
    char effect[CLI_EFFECT_ROOM], first[64], second[64], rate[2][64], hold[64], fail[64], line[600];
    for (size_t i = 0; i < count; i++) {
        const cli_evidence *e = &all[i];
        const cli_measure *m = cli_measure_find(e->claim->measure);
        verdicts[e->finding.verdict]++;
        fprintf(out, "%s%-24s%s%s\n  ", style.bold, e->claim->id, style.off,
                cli_verdict_text(e->finding.verdict));
        cli_wrap(out, 2, 2, 79, e->claim->sentence);
        snprintf(line, sizeof line, "%s: %.60s%s against %.60s%s, %s", m->what,
                 cli_side_text(e->claim, 0, first), cli_rate_text(e, 0, rate[0]),
                 cli_side_text(e->claim, 1, second), cli_rate_text(e, 1, rate[1]), cli_effect_text(e, effect));
        fprintf(out, "\n  %s", style.dim);
        cli_wrap(out, 2, 2, 79, line);
        fprintf(out, "%s\n\n", style.off);
    }
    fprintf(out, "%s, %s, %zu undecided, %zu not run\n",
            cli_count_text(verdicts[CLI_HOLDS], "holds", "hold", hold),
            cli_count_text(verdicts[CLI_FAILS], "does not hold", "do not hold", fail), verdicts[CLI_UNDECIDED],
            verdicts[CLI_NOT_RUN]);
}

static json_t *as_json(const cli_evidence *e)
{
    const lab_claim *c = e->claim;
    const cli_finding *f = &e->finding;
    json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:[s, s], s:s, s:s}", "claim", c->id, "topic", c->topic,
                             "sentence", c->sentence, "line", e->line, "sides", c->side[0], c->side[1],
                             "measure", c->measure, "verdict", cli_verdict_text(f->verdict));
    if (!json) return NULL;
    const struct {
        const char *name;
        double value;
    } numbers[] = { { "first", f->side[0] }, { "second", f->side[1] }, { "effect", f->effect },
                    { "low", f->low },       { "high", f->high } };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        json_object_set_new(json, numbers[i].name,
                            cli_json_number(f->verdict == CLI_NOT_RUN ? (double)NAN : numbers[i].value));
    json_object_set_new(json, "bound", cli_json_number(c->bound));
    json_object_set_new(json, "first_lr", cli_json_number(e->rate[0]));
    json_object_set_new(json, "second_lr", cli_json_number(e->rate[1]));
    json_object_set_new(json, "runs", json_integer((json_int_t)f->runs));
    json_object_set_new(json, "rates_searched", json_integer((json_int_t)e->searched));
    json_object_set_new(json, "search_seeds", json_integer((json_int_t)e->search_seeds));
    json_object_set_new(json, "at_edge", json_pack("[b, b]", e->edge[0], e->edge[1]));
    return json;
}

int cli_evidence_json(const cli_evidence *all, size_t count, int quick, size_t seeds)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) json_array_append_new(list, as_json(&all[i]));
    return cli_json_print(json_pack("{s:s, s:s, s:b, s:I, s:o}", "command", "evidence", "version",
                                    eden_version(), "quick", quick, "seeds", (json_int_t)seeds, "claims",
                                    list), stdout, 2);
}
