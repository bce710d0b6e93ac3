/* AdaGrad: a rate for each weight that falls as its gradients add up.
 *
 * Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online Learning and
 * Stochastic Optimization", JMLR 12, 2011, with the diagonal of the matrix.
 */
#define RULE         adagrad
#define RULE_TITLE   "rates that fall as squared gradients add up"
#define RULE_PAPER   "Duchi, Hazan and Singer, JMLR 12, 2011"
#define RULE_YEAR    2011
#define RULE_FORMULA                                            \
    "s += g^2                                (s starts at initial)\n" \
    "p -= lr/(1 + (t-1)*lr_decay) * g/(sqrt(s) + eps)\n"        \
    "inside:  ... * g/sqrt(s + eps)\n"

#define RULE_HYPERS(REAL, FLAG, CHOICE)                                          \
    REAL(lr, 1e-2, AT_LEAST(0), "step size")                                     \
    REAL(eps, 1e-10, AT_LEAST(0), "keeps the divisor from zero")                 \
    CHOICE(eps_place, OUTSIDE, 2, "outside,inside", "of the square root")        \
    REAL(initial, 0, AT_LEAST(0), "where the sum starts")                        \
    REAL(lr_decay, 0, AT_LEAST(0), "lr falls as 1/(1 + (t-1)*lr_decay)")         \
    REAL(weight_decay, 0, AT_LEAST(0), "pull towards zero")                      \
    CHOICE(decay, COUPLED, 2, "coupled,decoupled", "into the gradient, or apart and times lr")

#define RULE_SLOTS(STATE, SQUARE, SCRATCH, SUM) \
    SQUARE(s, FULL, 1, "sum of squared gradients")

#define RULE_NEEDS(NEED)                               \
    NEED(eps_place, h.eps != 0, "eps above 0")         \
    NEED(decay, h.weight_decay != 0, "weight_decay above 0")
#define RULE_REFUSES(REFUSE)
#define RULE_PRESETS(PRESET)

#define RULE_PEERS(PEER, CLASS)                                                              \
    CLASS("PyTorch", "torch.optim.Adagrad", "",                                       \
          "initial_accumulator_value is `initial`; the rest as there",                \
          "lr, lr_decay, weight_decay, initial_accumulator_value=initial, eps", "step=t, sum=s") \
    PEER("optax", "optax.adagrad", "eps=1e-7,eps_place=inside,initial=0.1", "lr has no default there") \
    PEER("apex", "apex.optimizers.FusedAdagrad", "", "adagrad_w_mode is decay=decoupled")

#include "engine/rule_begin.h"

enum { OUTSIDE, INSIDE };
enum { COUPLED, DECOUPLED };

typedef struct {
    real rate, outside, inside, start, coupled, keep, most;
} consts;

EDEN_INLINE consts prepare(hypers h, uint64_t t, eden_extent x)
{
    const double rate = h.lr / (1 + (double)(t - 1) * h.lr_decay);
    consts k;
    (void)x;
    k.rate = (real)rate;
    k.outside = h.eps_place == OUTSIDE ? (real)h.eps : 0;
    k.inside = h.eps_place == INSIDE ? (real)h.eps : 0;
    k.most = LARGEST_SQUARE;
    k.start = t == 1 ? (real)h.initial : 0;
    k.coupled = h.decay == COUPLED ? (real)h.weight_decay : 0;
    k.keep = h.decay == DECOUPLED ? (real)(1 - rate * h.weight_decay) : 1;
    return k;
}

EDEN_INLINE elem update(elem e, consts k)
{
    const real g = e.g + k.coupled * e.p;
    e.s = least(k.most, (e.s + k.start) + g * g);
    e.p = k.keep * e.p - k.rate * over(g, root(e.s + k.inside) + k.outside);
    return e;
}

#define RULE_PASSES(PASS) \
    PASS(STEP, update, FULL, 1, SLOTS3(p, g, s), SLOTS2(p, s))

#include "engine/rule_end.h"
