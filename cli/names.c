#include "cli/names.h"

#include <stdlib.h>
#include <string.h>

#include "cli/output.h"

static int older(const void *left, const void *right)
{
    const cli_name *a = left, *b = right;
    if (a->year != b->year) return a->year < b->year ? -1 : 1;
    return strcmp(a->name, b->name);
}

cli_name *cli_names(size_t *count)
{
    size_t room = 0, n = 0;
    for (size_t i = 0; i < eden_rule_count(); i++) {
        room++;
        for (size_t k = 0; eden_rule_preset(eden_rule_at(i), k); k++) room++;
    }
    cli_name *names = calloc(room ? room : 1, sizeof *names);
    if (!names) {
        cli_no_memory();
        return NULL;
    }
    for (size_t i = 0; i < eden_rule_count(); i++) {
        const eden_rule *rule = eden_rule_at(i);
        const eden_preset *preset;
        names[n++] = (cli_name){ eden_rule_name(rule), eden_rule_title(rule),
                                 eden_rule_paper(rule), eden_rule_formula(rule),
                                 eden_rule_year(rule), rule, NULL };
        for (size_t k = 0; (preset = eden_rule_preset(rule, k)) != NULL; k++)
            names[n++] = (cli_name){ preset->name, preset->title, preset->paper,
                                     preset->formula, preset->year, rule, preset };
    }
    qsort(names, n, sizeof *names, older);
    *count = n;
    return names;
}

const char *cli_oldest_name(void)
{
    size_t count;
    cli_name *names = cli_names(&count);
    const char *name = names && count ? names[0].name : "NAME";
    free(names);
    return name;
}

/* ---- the nearest word ------------------------------------------------------------ */

enum { LONGEST = 40 };

static int same_letter(char a, char b)
{
    return a == b || ((a == '-' || a == '_') && (b == '-' || b == '_'));
}

/* Edits that turn a into b: insert, delete, replace, swap two neighbours. */
static size_t edits(const char *a, size_t n, const char *b, size_t m)
{
    size_t d[LONGEST + 1][LONGEST + 1];
    for (size_t i = 0; i <= n; i++)
        for (size_t j = 0; j <= m; j++) {
            if (!i || !j) {
                d[i][j] = i + j;
                continue;
            }
            const int same = same_letter(a[i - 1], b[j - 1]);
            size_t best = d[i - 1][j - 1] + !same;
            if (d[i - 1][j] + 1 < best) best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best) best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) && same_letter(a[i - 2], b[j - 1])
                && d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    return d[n][m];
}

void cli_nearest_try(cli_nearest *nearest, const char *candidate)
{
    const size_t n = strnlen(nearest->word, LONGEST + 1), m = strlen(candidate);
    if (!n || n > LONGEST || m > LONGEST) return;
    const size_t longer = n > m ? n : m;
    size_t distance = edits(nearest->word, n, candidate, m);
    /* A beginning of the word is as good as one typing error. */
    if (n >= 3 && n < m && !strncmp(nearest->word, candidate, n)) distance = 1;
    if (distance > 1 + longer / 4 || distance >= longer) return;
    if (nearest->best && distance >= nearest->distance) return;
    nearest->best = candidate;
    nearest->distance = distance;
}

const char *cli_nearest_hint(const cli_nearest *nearest, const char *before,
                             char text[CLI_HINT_ROOM])
{
    text[0] = '\0';
    if (nearest->best)
        snprintf(text, CLI_HINT_ROOM, "; did you mean '%s%s'?", before, nearest->best);
    return text;
}

int cli_unknown_optimizer(const char *name)
{
    char hint[CLI_HINT_ROOM];
    size_t count;
    cli_nearest nearest = { name, NULL, 0 };
    cli_name *names = cli_names(&count);
    if (!names) return cli_no_memory();
    for (size_t i = 0; i < count; i++) cli_nearest_try(&nearest, names[i].name);
    free(names);
    return cli_fail(CLI_USAGE, "unknown optimizer '%.80s'%s", name,
                    nearest.best ? cli_nearest_hint(&nearest, "", hint)
                                 : "; 'eden list' shows all");
}
