/* registry.c - the table of rules, and questions about it. */
#include "engine/driver.h"

/* Made by the build from the names in rules/:
 * #define EDEN_RULES(X) X(adagrad) X(adam) ... */
#include "rules.inc"

#define X(name) extern const eden_rule eden_rule_##name;
EDEN_RULES(X)
#undef X

static const eden_rule *const table[] = {
#define X(name) &eden_rule_##name,
    EDEN_RULES(X)
#undef X
};

static int same(const char *a, const char *b)
{
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

const char *eden_version(void) { return EDEN_VERSION; }

size_t eden_rule_count(void) { return sizeof table / sizeof *table; }

const eden_rule *eden_rule_at(size_t i) { return i < eden_rule_count() ? table[i] : NULL; }

const eden_rule *eden_rule_find(const char *name, const eden_preset **preset)
{
    if (preset) *preset = NULL;
    for (size_t i = 0; name && i < eden_rule_count(); i++) {
        if (same(table[i]->name, name)) return table[i];
        for (size_t k = 0; k < table[i]->preset_count; k++) {
            if (!same(table[i]->presets[k].name, name)) continue;
            if (preset) *preset = &table[i]->presets[k];
            return table[i];
        }
    }
    return NULL;
}

const char *eden_rule_name(const eden_rule *rule) { return rule ? rule->name : NULL; }
const char *eden_rule_title(const eden_rule *rule) { return rule ? rule->title : NULL; }
const char *eden_rule_paper(const eden_rule *rule) { return rule ? rule->paper : NULL; }
const char *eden_rule_formula(const eden_rule *rule) { return rule ? rule->formula : NULL; }
uint32_t eden_rule_year(const eden_rule *rule) { return rule ? rule->year : 0; }

const eden_hyper *eden_rule_hyper(const eden_rule *rule, size_t i)
{
    return rule && i < rule->hyper_count ? &rule->hypers[i] : NULL;
}

const eden_slot *eden_rule_slot(const eden_rule *rule, size_t i)
{
    return rule && i < rule->slot_count ? &rule->slots[i] : NULL;
}

const eden_preset *eden_rule_preset(const eden_rule *rule, size_t i)
{
    return rule && i < rule->preset_count ? &rule->presets[i] : NULL;
}

const eden_peer *eden_rule_peer(const eden_rule *rule, size_t i)
{
    return rule && i < rule->peer_count ? &rule->peers[i] : NULL;
}

size_t eden_rule_hyper_index(const eden_rule *rule, const char *name)
{
    for (size_t i = 0; rule && name && i < rule->hyper_count; i++)
        if (same(rule->hypers[i].name, name)) return i;
    return SIZE_MAX;
}

/* ---- checking settings --------------------------------------------------------- */

eden_status eden_rule_defaults(const eden_rule *rule, double *hypers, size_t count)
{
    if (!rule || !hypers || count < rule->hyper_count) return EDEN_E_ARGUMENT;
    for (size_t i = 0; i < rule->hyper_count; i++) hypers[i] = rule->hypers[i].initial;
    return EDEN_OK;
}

static int inside(const eden_hyper *h, double value)
{
    const int above = h->low_open ? value > h->low : value >= h->low;
    const int below = h->high_open ? value < h->high : value <= h->high;
    return above && below; /* a NaN is neither */
}

/* As a float too, rounded as a step would round it. */
static int allows(const eden_hyper *h, double value)
{
    if (!inside(h, value)) return 0;
    if (h->kind != EDEN_REAL) return value == (double)(uint32_t)value;
    if (value > (double)FLT_MAX) return 0;
    return inside(h, (double)(float)value);
}

int eden_rule_allows(const eden_rule *rule, size_t hyper, double value)
{
    eden_float_env saved;
    if (!rule || hyper >= rule->hyper_count) return 0;
    eden_float_enter(&saved);
    const int allowed = allows(&rule->hypers[hyper], value);
    eden_float_leave(&saved);
    return allowed;
}

static eden_status check(const eden_rule *rule, const double *hypers, size_t *index, const char **why)
{
    size_t culprit = 0;
    const char *reason = NULL;
    for (; culprit < rule->hyper_count; culprit++)
        if (!allows(&rule->hypers[culprit], hypers[culprit])) goto refused;
    const uint32_t excluded = rule->refused(hypers), unmet = rule->needs_unmet(hypers);
    for (size_t i = 0; i < rule->refusal_count; i++) {
        culprit = rule->refusals[i].hyper, reason = rule->refusals[i].why;
        if (excluded >> i & 1) goto refused;
    }
    for (size_t i = 0; i < rule->need_count; i++) {
        culprit = rule->needs[i].hyper, reason = rule->needs[i].why;
        if ((unmet >> i & 1) && hypers[culprit] != rule->hypers[culprit].initial) goto refused;
    }
    return EDEN_OK;
refused:
    if (index) *index = culprit;
    if (why) *why = reason;
    return EDEN_E_VALUE;
}

eden_status eden_rule_check(const eden_rule *rule, const double *hypers, size_t *index,
                            const char **why)
{
    eden_float_env saved;
    if (!rule || !hypers) return EDEN_E_ARGUMENT;
    eden_float_enter(&saved);
    const eden_status status = check(rule, hypers, index, why);
    eden_float_leave(&saved);
    return status;
}
