/* test_rules.c - what each rule says of itself, against the record tests/rules.txt, as
 * tests/symbols.txt is one of names: settings with their defaults and ranges, what
 * excludes or needs what, slots, presets. A change there is a change of the interface,
 * to be made on purpose: test_rules print > tests/rules.txt
 */
#include <eden/core.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 32, MOST = 1 << 16 };

static char text[MOST];
static size_t used;

#define SAY(...) (used += (size_t)snprintf(text + used, MOST - used, __VA_ARGS__))

static void say_hyper(const eden_hyper *h)
{
    static const char *const kinds[] = { "real", "flag", "choice" };
    SAY("  %s %s = %.10g in %c%g, %g%c%s%s\n", kinds[h->kind], h->name, h->initial, h->low_open ? '(' : '[', h->low,
        h->high, h->high_open ? ')' : ']', h->choices ? ": " : "", h->choices ? h->choices : "");
}

static void say_slot(const eden_slot *slot)
{
    static const char *const kinds[] = { "weights", "gradient", "state", "scratch", "sum" };
    static const char *const shapes[] = { "full", "row", "column", "one", "each matrix" };
    SAY("  %s %s %s%s if %s\n", kinds[slot->kind], slot->name, shapes[slot->shape], slot->square ? " square" : "",
        slot->when);
}

static const char fine[] = "fine";

/* What the rule says to settings that do not go together, or ones outside their range. */
static const char *verdict(const eden_rule *rule, const double *hypers, size_t *culprit)
{
    const char *why = NULL;
    if (!eden_rule_check(rule, hypers, culprit, &why)) return fine;
    return why ? why : "";
}

static void say_verdict(const eden_rule *rule, const double *hypers, const char *base, size_t i)
{
    size_t culprit = 0;
    const char *why = verdict(rule, hypers, &culprit);
    if (!*why || why == fine) return;
    SAY("  %s %s = %g: %s, %s\n", base, eden_rule_hyper(rule, i)->name, hypers[i],
        eden_rule_hyper(rule, culprit)->name, why);
}

/* Settings that are defaults, or none of them 0. */
static void begin(const eden_rule *rule, int none_zero, double *base)
{
    const eden_hyper *h;
    if (eden_rule_defaults(rule, base, ROOM)) exit(2);
    for (size_t i = 0; none_zero && (h = eden_rule_hyper(rule, i)); i++)
        if (h->kind == EDEN_REAL && h->initial == 0) base[i] = 0.125;
}

/* Each setting changed alone. */
static void say_verdicts(const eden_rule *rule, int none_zero)
{
    static const double tries[] = { 0, 0.5, 1, 2 };
    double base[ROOM], hypers[ROOM];
    begin(rule, none_zero, base);
    for (size_t i = 0; eden_rule_hyper(rule, i); i++)
        for (size_t k = 0; k < sizeof tries / sizeof *tries; k++) {
            memcpy(hypers, base, sizeof hypers);
            hypers[i] = tries[k];
            say_verdict(rule, hypers, none_zero ? "none 0," : "default,", i);
        }
}

/* A switch or a choice changed, and another setting to 0 or 1: where the verdict is that of
 * neither alone. */
static void say_pair(const eden_rule *rule, int none_zero, size_t i, size_t k)
{
    double base[ROOM], hypers[ROOM];
    size_t culprit = 0;
    begin(rule, none_zero, base);
    for (int value = 0; value < 2; value++) {
        const double changed = base[i] != 0 ? 0 : 1;
        memcpy(hypers, base, sizeof hypers);
        hypers[k] = value;
        const char *second = verdict(rule, hypers, &culprit);
        hypers[i] = changed;
        const char *both = verdict(rule, hypers, &culprit);
        hypers[k] = base[k];
        size_t other;
        if (!*both || strcmp(both, second) == 0 || strcmp(both, verdict(rule, hypers, &other)) == 0) continue;
        SAY("  %s %s = %g, %s = %d: %s\n", none_zero ? "none 0," : "default,", eden_rule_hyper(rule, i)->name, changed,
            eden_rule_hyper(rule, k)->name, value, both);
    }
}

static void say_pairs(const eden_rule *rule, int none_zero)
{
    for (size_t i = 0; eden_rule_hyper(rule, i); i++)
        for (size_t k = 0; eden_rule_hyper(rule, k); k++)
            if (eden_rule_hyper(rule, i)->kind != EDEN_REAL && i != k) say_pair(rule, none_zero, i, k);
}

static void say_rule(const eden_rule *rule)
{
    const eden_hyper *h;
    const eden_slot *slot;
    const eden_preset *preset;
    SAY("%s, %u\n", eden_rule_name(rule), eden_rule_year(rule));
    for (size_t i = 0; (h = eden_rule_hyper(rule, i)); i++) say_hyper(h);
    for (size_t i = 0; (slot = eden_rule_slot(rule, i)); i++) say_slot(slot);
    for (size_t i = 0; (preset = eden_rule_preset(rule, i)); i++)
        SAY("  preset %s, %u: %s\n", preset->name, preset->year, preset->settings);
    say_verdicts(rule, 0);
    say_verdicts(rule, 1);
    say_pairs(rule, 0);
    say_pairs(rule, 1);
}

/* The number of the first line that differs, or 0. */
static size_t first_difference(const char *a, const char *b)
{
    size_t line = 1;
    for (; *a && *a == *b; a++, b++) line += *a == '\n';
    return *a == *b ? 0 : line;
}

int main(int argc, char **argv)
{
    static char record[MOST];
    for (size_t r = 0; r < eden_rule_count(); r++) say_rule(eden_rule_at(r));
    if (used >= MOST) return 2;
    if (argc == 2 && strcmp(argv[1], "print") == 0) return fputs(text, stdout) == EOF;
    FILE *in = fopen(EDEN_SOURCE_DIR "/tests/rules.txt", "r");
    if (!in) return 2;
    const size_t count = fread(record, 1, MOST - 1, in);
    fclose(in);
    record[count] = 0;
    const size_t line = first_difference(text, record);
    if (line) printf("tests/rules.txt:%zu: a rule says something else; if on purpose, print the record anew\n", line);
    return line != 0;
}
