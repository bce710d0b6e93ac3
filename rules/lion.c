/* Lion: the sign of an interpolated momentum.
 *
 * Chen et al., "Symbolic Discovery of Optimization Algorithms", NeurIPS 2023,
 * arXiv:2302.06675, program 1. The sign of 0 is 0, so that a weight without
 * gradient and momentum stays where it is.
 */
#define RULE         lion
#define RULE_TITLE   "the sign of an interpolated momentum"
#define RULE_PAPER   "Chen et al., NeurIPS 2023, arXiv:2302.06675"
#define RULE_YEAR    2023
#define RULE_FORMULA                                               \
    "p -= lr*(sign(beta1*m + (1 - beta1)*g) + weight_decay*p)\n"   \
    "m = beta2*m + (1 - beta2)*g\n"

#define RULE_HYPERS(REAL, FLAG, CHOICE)                                            \
    REAL(lr, 1e-4, AT_LEAST(0), "step size")                                       \
    REAL(beta1, 0.9, FRACTION, "weight of the past in the direction")              \
    REAL(beta2, 0.99, FRACTION, "decay of the momentum, per step")                 \
    REAL(weight_decay, 0, AT_LEAST(0), "pull towards zero")                        \
    CHOICE(decay, DECOUPLED, 2, "decoupled,coupled", "apart and times lr, or into the gradient")

#define RULE_SLOTS(STATE, SQUARE, SCRATCH, SUM) \
    STATE(m, FULL, 1, "momentum")

#define RULE_NEEDS(NEED) \
    NEED(decay, h.weight_decay != 0, "weight_decay above 0")
#define RULE_REFUSES(REFUSE)
#define RULE_PRESETS(PRESET)

#define RULE_PEERS(PEER, CLASS)                                                          \
    CLASS("google/automl", "lion_pytorch.Lion", "", "",                           \
          "lr, betas=(beta1, beta2), weight_decay", "exp_avg=m")                    \
    PEER("optax", "optax.lion", "weight_decay=1e-3", "lr has no default there")   \
    PEER("timm", "timm.optim.Lion", "", "without its cautious option")

#include "engine/rule_begin.h"

enum { DECOUPLED, COUPLED };

typedef struct {
    real beta1, gain1, beta2, gain2, lr, coupled, keep;
} consts;

EDEN_INLINE consts prepare(hypers h, uint64_t t, eden_extent x)
{
    consts k;
    (void)t, (void)x;
    k.beta1 = (real)h.beta1;
    k.gain1 = (real)(1 - h.beta1);
    k.beta2 = (real)h.beta2;
    k.gain2 = (real)(1 - h.beta2);
    k.lr = (real)h.lr;
    k.coupled = h.decay == COUPLED ? (real)h.weight_decay : 0;
    k.keep = h.decay == DECOUPLED ? (real)(1 - h.lr * h.weight_decay) : 1;
    return k;
}

EDEN_INLINE elem update(elem e, consts k)
{
    const real g = e.g + k.coupled * e.p;
    e.p = k.keep * e.p - k.lr * sign(k.beta1 * e.m + k.gain1 * g);
    e.m = k.beta2 * e.m + k.gain2 * g;
    return e;
}

#define RULE_PASSES(PASS) \
    PASS(STEP, update, FULL, 1, SLOTS3(p, g, m), SLOTS2(p, m))

#include "engine/rule_end.h"
