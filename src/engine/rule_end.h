/* rule_end.h - from a rule's functions to its kernels and its descriptor. */

_Static_assert(sizeof(consts) <= EDEN_MAX_CONSTS, "consts is too large");
_Static_assert(SLOT_COUNT <= EDEN_MAX_SLOTS, "too many slots");
_Static_assert(HYPER_COUNT <= EDEN_MAX_HYPERS, "too many hyperparameters");

#include "engine/number.h"

#include "engine/kernel.h"
#include "engine/small.h"

#ifdef EDEN_DESCRIBE

#define REAL_(name, initial, range, doc) { #name, doc, initial, range, EDEN_REAL, NULL },
#define FLAG_(name, initial, doc) { #name, doc, initial, 0, 1, 0, 0, EDEN_FLAG, NULL },
#define CHOICE_(name, initial, count, choices, doc) \
    { #name, doc, initial, 0, (count) - 1, 0, 0, EDEN_CHOICE, choices },
static const eden_hyper hyper_table[] = { RULE_HYPERS(REAL_, FLAG_, CHOICE_) };
#undef REAL_
#undef FLAG_
#undef CHOICE_

#define PARAM_(name, shape, when, doc) { #name, doc, #when, EDEN_PARAM, EDEN_##shape, 0 },
#define GRAD_(name, shape, when, doc) { #name, doc, #when, EDEN_GRAD, EDEN_##shape, 0 },
#define STATE_(name, shape, when, doc) { #name, doc, #when, EDEN_STATE, EDEN_##shape, 0 },
#define SCRATCH_(name, shape, when, doc) { #name, doc, #when, EDEN_SCRATCH, EDEN_##shape, 0 },
#define SUM_(name, shape, when, doc) { #name, doc, #when, EDEN_SUM, EDEN_##shape, 0 },
#define SQUARE_(name, shape, when, doc) { #name, doc, #when, EDEN_STATE, EDEN_##shape, 1 },
static const eden_slot slot_table[] = {
    EACH_KIND(PARAM_, GRAD_, STATE_, SQUARE_, SCRATCH_, SUM_)
};

#define PASS_(program, fn, domain, when, reads, writes) \
    { #fn, #when, EDEN_##program, EDEN_##domain, reads, writes },
static const eden_pass pass_table[] = { RULE_PASSES(PASS_) };
#undef PASS_

/* The lists below may be empty, which C11 arrays may not: each ends in a row of
 * nulls that the counts leave out. */
#define PRESET_(...) { __VA_ARGS__ },
static const eden_preset preset_table[] = { RULE_PRESETS(PRESET_) { 0, 0, 0, 0, 0, 0 } };
#define PEER_(...) { __VA_ARGS__, NULL, NULL },
#define CLASS_(...) { __VA_ARGS__ },
static const eden_peer peer_table[] = { RULE_PEERS(PEER_, CLASS_) { 0, 0, 0, 0, 0, 0 } };
#define CONDITION_(hyper, when, why) { HYPER_##hyper, why },
static const eden_condition need_table[] = { RULE_NEEDS(CONDITION_) { 0, 0 } };
static const eden_condition refusal_table[] = { RULE_REFUSES(CONDITION_) { 0, 0 } };
#define COUNT_(table) (sizeof table / sizeof *table)

/* hypers is a struct of doubles, so an array of them in order is one. */
#define HYPERS_AT_(array) (*(const hypers *)(const void *)(array))
_Static_assert(sizeof(hypers) == HYPER_COUNT * sizeof(double), "hypers has padding");

#define SLOT_BIT_(name, shape, when, doc) | ((uint32_t)((when) != 0) << SLOT_##name)
static uint32_t slots_on(const double *array, eden_extent x)
{
    const hypers h = HYPERS_AT_(array);
    (void)h, (void)x;
    return 0 EACH_SLOT(SLOT_BIT_, SLOT_BIT_, SLOT_BIT_, SLOT_BIT_, SLOT_BIT_);
}

#define PASS_(program, fn, domain, when, reads, writes) bits |= (uint32_t)((when) != 0) << i++;
static uint32_t passes_on(const double *array, eden_extent x)
{
    const hypers h = HYPERS_AT_(array);
    uint32_t bits = 0;
    unsigned i = 0;
    (void)h, (void)x;
    RULE_PASSES(PASS_)
    return bits;
}
#undef PASS_

#define UNMET_(hyper, when, why) bits |= (uint32_t)!(when) << i++;
static uint32_t needs_unmet(const double *array)
{
    const hypers h = HYPERS_AT_(array);
    uint32_t bits = 0;
    unsigned i = 0;
    (void)h, (void)i;
    RULE_NEEDS(UNMET_)
    return bits;
}

#define REFUSED_(hyper, when, why) bits |= (uint32_t)((when) != 0) << i++;
static uint32_t refused(const double *array)
{
    const hypers h = HYPERS_AT_(array);
    uint32_t bits = 0;
    unsigned i = 0;
    (void)h, (void)i;
    RULE_REFUSES(REFUSED_)
    return bits;
}

static void prepare_any(void *k, const double *array, uint64_t t, eden_extent x)
{
    *(consts *)k = prepare(HYPERS_AT_(array), t, x);
}

#define X(isa)                                                     \
    extern eden_kernel *const EDEN_PASTE(eden_kernels, RULE, isa)[]; \
    extern eden_small_kernel *const EDEN_PASTE(eden_small, RULE, isa)[];
EDEN_ISAS(X)
#undef X

extern const eden_rule EDEN_PASTE(eden, rule, RULE);
const eden_rule EDEN_PASTE(eden, rule, RULE) = {
    EDEN_QUOTE(RULE), RULE_TITLE, RULE_PAPER, RULE_FORMULA, RULE_YEAR,
    hyper_table, COUNT_(hyper_table),
    slot_table, SLOT_COUNT,
    pass_table, COUNT_(pass_table),
    preset_table, COUNT_(preset_table) - 1,
    peer_table, COUNT_(peer_table) - 1,
    need_table, COUNT_(need_table) - 1,
    refusal_table, COUNT_(refusal_table) - 1,
    slots_on, passes_on, needs_unmet, refused, prepare_any,
#define X(isa) EDEN_PASTE(eden_kernels, RULE, isa),
    { EDEN_ISAS(X) },
#undef X
#define X(isa) EDEN_PASTE(eden_small, RULE, isa),
    { EDEN_ISAS(X) }
#undef X
};

#endif
