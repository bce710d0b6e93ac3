/* LAMB: Adam's direction, with a step as long as the layer deserves.
 *
 * You et al., "Large Batch Optimization for Deep Learning: Training BERT in 76
 * minutes", ICLR 2020, arXiv:1904.00962, algorithm 2 with phi(x) = x unless
 * bounded.
 *
 * Two norms of the whole tensor stand between the moments and the step, so the
 * rule has three passes; the direction is cheaper to compute twice than to keep.
 */
#define RULE         lamb
#define RULE_TITLE   "layer-wise adaptive moments for large batches"
#define RULE_PAPER   "You et al., ICLR 2020, arXiv:1904.00962"
#define RULE_YEAR    2019
#define RULE_FORMULA                                                            \
    "m = beta1*m + (1 - beta1)*g        mh = m/(1 - beta1^t)\n"                 \
    "v = beta2*v + (1 - beta2)*g^2      vh = v/(1 - beta2^t)\n"                 \
    "u = mh/(sqrt(vh) + eps) + weight_decay*p\n"                                \
    "p -= lr * norm(p)/norm(u) * u      (ratio 1 where a norm is 0)\n"

#define RULE_HYPERS(REAL, FLAG, CHOICE)                                                \
    REAL(lr, 1e-3, AT_LEAST(0), "step size, relative to the weights")                  \
    REAL(beta1, 0.9, FRACTION, "decay of the mean, per step")                          \
    REAL(beta2, 0.999, FRACTION, "decay of the mean square, per step")                 \
    REAL(eps, 1e-6, AT_LEAST(0), "added to the root mean square")                      \
    FLAG(bias_correction, 1, "divide by 1 - beta^t")                                   \
    FLAG(grad_averaging, 1, "gradients enter the mean times 1 - beta1, else whole")    \
    REAL(weight_decay, 1e-2, AT_LEAST(0), "pull towards zero")                         \
    CHOICE(decay, INSIDE, 2, "inside,decoupled", "of the direction, or apart and times lr") \
    CHOICE(adapt, ALWAYS, 2, "always,decayed", "scale all tensors, or those with decay") \
    REAL(norm_low, 0, AT_LEAST(0), "least norm of the weights in the ratio; 0: none")  \
    REAL(norm_high, 0, AT_LEAST(0), "largest norm of the weights in it; 0: none")      \
    REAL(trust_low, 0, AT_LEAST(0), "least ratio; 0: none")                            \
    REAL(trust_high, 0, AT_LEAST(0), "largest ratio; 0: none")

#define RULE_SLOTS(STATE, SQUARE, SCRATCH, SUM)                       \
    STATE(m, FULL, 1, "running mean of the gradient")         \
    SQUARE(v, FULL, 1, "running mean of its square")          \
    SUM(p2, ONE, 1, "squared norm of the weights")            \
    SUM(u2, ONE, 1, "squared norm of the direction")          \
    SCRATCH(rate, ONE, 1, "lr times the ratio of the norms")

#define RULE_NEEDS(NEED) \
    NEED(decay, h.weight_decay != 0, "weight_decay above 0")

#define RULE_REFUSES(REFUSE)                                                           \
    REFUSE(norm_low, h.norm_high != 0 && h.norm_low > h.norm_high, "norm_low is above norm_high") \
    REFUSE(trust_low, h.trust_high != 0 && h.trust_low > h.trust_high,                 \
           "trust_low is above trust_high")

#define RULE_PRESETS(PRESET)

#define RULE_PEERS(PEER, CLASS)                                                                \
    PEER("apex", "apex.optimizers.FusedLAMB", "adapt=decayed",                          \
         "add clip_norm = 1 to the optimizer; use_nvlamb is adapt=always")              \
    PEER("optax", "optax.lamb", "weight_decay=0", "lr has no default there")            \
    PEER("timm", "timm.optim.Lamb", "adapt=decayed",                                    \
         "add clip_norm = 1 to the optimizer; trust_clip is trust_high=1, decoupled_decay is decay=decoupled") \
    PEER("DeepSpeed", "FusedLamb", "eps=1e-8,weight_decay=0,bias_correction=0,trust_low=0.01,trust_high=10", \
         "its bias correction is folded into lr")

#include "engine/rule_begin.h"

enum { INSIDE, DECOUPLED };
enum { ALWAYS, DECAYED };

typedef struct {
    double lr2, norm_low, norm_high, trust_low, trust_high;
    real beta1, gain1, beta2, gain2, fix1, fix2, eps, inside, keep;
    int adapts;
} consts;

EDEN_INLINE consts prepare(hypers h, uint64_t t, eden_extent x)
{
    consts k;
    (void)x;
    k.lr2 = h.lr;
    k.norm_low = h.norm_low;
    k.norm_high = h.norm_high != 0 ? h.norm_high : __builtin_inf();
    k.trust_low = h.trust_low;
    k.trust_high = h.trust_high != 0 ? h.trust_high : __builtin_inf();
    k.beta1 = (real)h.beta1;
    k.gain1 = h.grad_averaging != 0 ? (real)(1 - h.beta1) : 1;
    k.beta2 = (real)h.beta2;
    k.gain2 = (real)(1 - h.beta2);
    k.fix1 = h.bias_correction != 0 ? (real)(1 / (1 - power(h.beta1, t))) : 1;
    k.fix2 = h.bias_correction != 0 ? (real)(1 / (1 - power(h.beta2, t))) : 1;
    k.eps = (real)h.eps;
    k.inside = h.decay == INSIDE ? (real)h.weight_decay : 0;
    k.keep = h.decay == DECOUPLED ? (real)(1 - h.lr * h.weight_decay) : 1;
    k.adapts = h.adapt == ALWAYS || h.weight_decay != 0;
    return k;
}

EDEN_INLINE real direction(elem e, consts k)
{
    return over(k.fix1 * e.m, root(k.fix2 * e.v) + k.eps) + k.inside * e.p;
}

EDEN_INLINE elem moments(elem e, consts k)
{
    e.m = k.beta1 * e.m + k.gain1 * e.g;
    e.v = k.beta2 * e.v + k.gain2 * (e.g * e.g);
    const real u = direction(e, k);
    e.p2 = (double)e.p * e.p;
    e.u2 = (double)u * u;
    return e;
}

EDEN_INLINE double within(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

EDEN_INLINE elem compare(elem e, consts k)
{
    double trust = 1;
    if (k.adapts && e.p2 > 0 && e.u2 > 0)
        trust = within(root2(e.p2), k.norm_low, k.norm_high) / root2(e.u2);
    if (k.adapts) trust = within(trust, k.trust_low, k.trust_high);
    e.rate = (real)(k.lr2 * trust);
    return e;
}

EDEN_INLINE elem apply(elem e, consts k)
{
    e.p = k.keep * e.p - e.rate * direction(e, k);
    return e;
}

#define RULE_PASSES(PASS)                                                            \
    PASS(STEP, moments, FULL, 1, SLOTS4(p, g, m, v), SLOTS4(m, v, p2, u2))           \
    PASS(STEP, compare, ONE, 1, SLOTS2(p2, u2), SLOTS1(rate))                        \
    PASS(STEP, apply, FULL, 1, SLOTS4(p, m, v, rate), SLOTS1(p))

#include "engine/rule_end.h"
