/* Signum: signSGD with momentum. A step of the same length for every weight, in
 * the direction of the sign of a running mean of its gradients.
 *
 * Bernstein et al., "signSGD: Compressed Optimisation for Non-Convex Problems",
 * ICML 2018, arXiv:1802.04434, algorithm 2.
 *
 * tests/add_rule.sh copies this file to rules/signum.c, and that is all there is
 * to adding an optimizer. Start from it for one of your own.
 */
#define RULE         signum
#define RULE_TITLE   "signs of a running mean of gradients"
#define RULE_PAPER   "Bernstein et al., ICML 2018, arXiv:1802.04434"
#define RULE_YEAR    2018
#define RULE_FORMULA                   \
    "m = beta*m + (1 - beta)*g\n"      \
    "p -= lr*(sign(m) + weight_decay*p)\n"

#define RULE_HYPERS(REAL, FLAG, CHOICE)                           \
    REAL(lr, 1e-4, AT_LEAST(0), "step size")                      \
    REAL(beta, 0.9, FRACTION, "decay of the mean, per step")      \
    REAL(weight_decay, 0, AT_LEAST(0), "pull towards zero")

#define RULE_SLOTS(STATE, SQUARE, SCRATCH, SUM) \
    STATE(m, FULL, 1, "running mean of the gradient")

#define RULE_NEEDS(NEED)
#define RULE_REFUSES(REFUSE)
#define RULE_PRESETS(PRESET)
#define RULE_PEERS(PEER, CLASS)

#include "engine/rule_begin.h"

typedef struct {
    real lr, beta, gain, keep;
} consts;

EDEN_INLINE consts prepare(hypers h, uint64_t t, eden_extent x)
{
    consts k;
    (void)t, (void)x;
    k.lr = (real)h.lr;
    k.beta = (real)h.beta;
    k.gain = (real)(1 - h.beta);
    k.keep = (real)(1 - h.lr * h.weight_decay);
    return k;
}

EDEN_INLINE elem update(elem e, consts k)
{
    e.m = k.beta * e.m + k.gain * e.g;
    e.p = k.keep * e.p - k.lr * sign(e.m);
    return e;
}

#define RULE_PASSES(PASS) \
    PASS(STEP, update, FULL, 1, SLOTS3(p, g, m), SLOTS2(p, m))

#include "engine/rule_end.h"
