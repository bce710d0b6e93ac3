/* rule_begin.h - from a rule's lists to its types. See rule.h. */
#include "engine/rule.h"

#ifndef EDEN_ISA
#error "compile rule files with -DEDEN_ISA=<name>"
#endif

/* Ranges for REAL. */
#define AT_LEAST(low) low, __builtin_inf(), 0, 1 /* [low, infinity)            */
#define FRACTION 0, 1, 0, 1                      /* [0, 1)                     */
#define BETWEEN(low, high) low, high, 0, 0       /* [low, high]                */
#define ABOVE_UP_TO(low, high) low, high, 1, 0   /* (low, high]                */

/* Every rule has these two slots, then its own. */
#define EACH_KIND(PARAM, GRAD, STATE, SQUARE, SCRATCH, SUM) \
    PARAM(p, FULL, 1, "the weights")                        \
    GRAD(g, FULL, 1, "the gradient")                        \
    RULE_SLOTS(STATE, SQUARE, SCRATCH, SUM)
#define EACH_SLOT(PARAM, GRAD, STATE, SCRATCH, SUM) \
    EACH_KIND(PARAM, GRAD, STATE, STATE, SCRATCH, SUM)

#define SLOT_(name, shape, when, doc) SLOT_##name,
enum { EACH_SLOT(SLOT_, SLOT_, SLOT_, SLOT_, SLOT_) SLOT_COUNT };

/* hypers: what a person sets. */
#define REAL_(name, initial, range, doc) double name;
#define FLAG_(name, initial, doc) double name;
#define CHOICE_(name, initial, count, choices, doc) double name;
typedef struct {
    RULE_HYPERS(REAL_, FLAG_, CHOICE_)
} hypers;
#undef REAL_
#undef FLAG_
#undef CHOICE_

#define REAL_(name, initial, range, doc) HYPER_##name,
#define FLAG_(name, initial, doc) HYPER_##name,
#define CHOICE_(name, initial, count, choices, doc) HYPER_##name,
enum { RULE_HYPERS(REAL_, FLAG_, CHOICE_) HYPER_COUNT };
#undef REAL_
#undef FLAG_
#undef CHOICE_

/* elem: what a pass function sees. */
#define VALUE_(name, shape, when, doc) real name;
#define TOTAL_(name, shape, when, doc) double name;
typedef struct {
    EACH_SLOT(VALUE_, VALUE_, VALUE_, VALUE_, TOTAL_)
} elem;

/* In RULE_PASSES: the slots a pass touches. */
#define SLOTS1(a) (1u << SLOT_##a)
#define SLOTS2(a, b) (SLOTS1(a) | SLOTS1(b))
#define SLOTS3(a, b, c) (SLOTS2(a, b) | SLOTS1(c))
#define SLOTS4(a, b, c, d) (SLOTS3(a, b, c) | SLOTS1(d))
#define SLOTS5(a, b, c, d, e) (SLOTS4(a, b, c, d) | SLOTS1(e))
#define SLOTS6(a, b, c, d, e, f) (SLOTS5(a, b, c, d, e) | SLOTS1(f))
