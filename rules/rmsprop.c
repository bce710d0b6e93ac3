/* RMSprop: gradients divided by a running root mean square.
 *
 * Tieleman and Hinton, "Neural Networks for Machine Learning", lecture 6.5, 2012;
 * centered and with momentum: Graves, arXiv:1308.0850, 2013.
 *
 * Graves divides by sqrt(v - a^2 + eps). Rounding can make v - a^2 negative where
 * the gradient does not vary; it is cut at 0 here.
 */
#define RULE         rmsprop
#define RULE_TITLE   "gradients over their running root mean square"
#define RULE_PAPER   "Tieleman and Hinton, lecture 6.5, 2012; Graves, arXiv:1308.0850"
#define RULE_YEAR    2012
#define RULE_FORMULA                                                          \
    "v = alpha*v + (1 - alpha)*g^2\n"                                         \
    "u = g/sqrt(v + eps)            (outside: g/(sqrt(v) + eps))\n"           \
    "p -= lr*u\n"                                                             \
    "centered:  a = alpha*a + (1 - alpha)*g, and v - a^2 for v in u\n"        \
    "momentum:  b = momentum*b + u, p -= lr*b\n"

#define RULE_HYPERS(REAL, FLAG, CHOICE)                                              \
    REAL(lr, 1e-2, AT_LEAST(0), "step size")                                         \
    REAL(alpha, 0.9, FRACTION, "decay of the mean square, per step")                 \
    REAL(eps, 1e-8, AT_LEAST(0), "keeps the divisor from zero")                      \
    CHOICE(eps_place, INSIDE, 2, "inside,outside", "of the square root")             \
    REAL(momentum, 0, FRACTION, "decay of the velocity, per step")                   \
    FLAG(lr_in_momentum, 0, "lr scales updates as they enter the velocity")          \
    FLAG(centered, 0, "divide by the deviation instead of the root mean square")     \
    REAL(initial, 0, AT_LEAST(0), "where the mean square starts")                    \
    FLAG(bias_correction, 0, "divide running means by 1 - alpha^t")                  \
    REAL(weight_decay, 0, AT_LEAST(0), "pull towards zero")                          \
    CHOICE(decay, COUPLED, 2, "coupled,decoupled", "into the gradient, or apart and times lr")

#define RULE_SLOTS(STATE, SQUARE, SCRATCH, SUM)                                \
    SQUARE(v, FULL, 1, "running mean of the squared gradient")         \
    STATE(a, FULL, h.centered != 0, "running mean of the gradient")    \
    STATE(b, FULL, h.momentum != 0, "velocity")

#define RULE_NEEDS(NEED)                                           \
    NEED(eps_place, h.eps != 0, "eps above 0")                     \
    NEED(lr_in_momentum, h.momentum != 0, "momentum above 0")      \
    NEED(decay, h.weight_decay != 0, "weight_decay above 0")

#define RULE_REFUSES(REFUSE)                                              \
    REFUSE(bias_correction, h.bias_correction != 0 && h.initial != 0,          \
           "bias_correction assumes a mean square that starts at 0; leave initial = 0")

#define RULE_PRESETS(PRESET)

#define RULE_PEERS(PEER, CLASS)                                                                \
    CLASS("PyTorch", "torch.optim.RMSprop", "alpha=0.99,eps_place=outside",             \
          "momentum, centered, weight_decay as there",                                  \
          "lr, alpha, eps, weight_decay, momentum, centered",                           \
          "step=t, square_avg=v, grad_avg=a, momentum_buffer=b")                        \
    PEER("optax", "optax.rmsprop", "lr_in_momentum=0",                                  \
         "with momentum: lr_in_momentum=1; initial_scale is `initial`; lr has no default there") \
    PEER("timm", "timm.optim.RMSpropTF", "eps=1e-10,initial=1",                         \
         "with momentum: lr_in_momentum=1")

#include "engine/rule_begin.h"

enum { INSIDE, OUTSIDE };
enum { COUPLED, DECOUPLED };

typedef struct {
    real alpha, gain, start, fix, inside, outside, lr, momentum, enter, leave, coupled, keep;
} consts;

EDEN_INLINE consts prepare(hypers h, uint64_t t, eden_extent x)
{
    consts k;
    (void)x;
    k.alpha = (real)h.alpha;
    k.gain = (real)(1 - h.alpha);
    k.start = t == 1 ? (real)(h.alpha * h.initial) : 0;
    k.fix = h.bias_correction != 0 ? (real)(1 / (1 - power(h.alpha, t))) : 1;
    k.inside = h.eps_place == INSIDE ? (real)h.eps : 0;
    k.outside = h.eps_place == OUTSIDE ? (real)h.eps : 0;
    k.lr = (real)h.lr;
    k.momentum = (real)h.momentum;
    k.enter = h.lr_in_momentum != 0 ? (real)h.lr : 1;
    k.leave = h.lr_in_momentum != 0 ? 1 : (real)h.lr;
    k.coupled = h.decay == COUPLED ? (real)h.weight_decay : 0;
    k.keep = h.decay == DECOUPLED ? (real)(1 - h.lr * h.weight_decay) : 1;
    return k;
}

EDEN_INLINE elem squares(elem e, consts k)
{
    e.g = e.g + k.coupled * e.p;
    e.v = (k.alpha * e.v + k.start) + k.gain * (e.g * e.g);
    return e;
}

EDEN_INLINE real divided(elem e, consts k, real w)
{
    return over(e.g, root(w + k.inside) + k.outside);
}

EDEN_INLINE real spread(elem e, consts k)
{
    const real mean = k.fix * e.a;
    return greatest(k.fix * e.v - mean * mean, 0);
}

EDEN_INLINE elem glide(elem e, consts k, real u)
{
    e.b = k.momentum * e.b + k.enter * u;
    e.p = k.keep * e.p - k.leave * e.b;
    return e;
}

EDEN_INLINE elem simple(elem e, consts k)
{
    e = squares(e, k);
    e.p = k.keep * e.p - k.lr * divided(e, k, k.fix * e.v);
    return e;
}

EDEN_INLINE elem moving(elem e, consts k)
{
    e = squares(e, k);
    return glide(e, k, divided(e, k, k.fix * e.v));
}

EDEN_INLINE elem centered(elem e, consts k)
{
    e = squares(e, k);
    e.a = k.alpha * e.a + k.gain * e.g;
    e.p = k.keep * e.p - k.lr * divided(e, k, spread(e, k));
    return e;
}

EDEN_INLINE elem centered_moving(elem e, consts k)
{
    e = squares(e, k);
    e.a = k.alpha * e.a + k.gain * e.g;
    return glide(e, k, divided(e, k, spread(e, k)));
}

#define RULE_PASSES(PASS)                                                                \
    PASS(STEP, simple, FULL, h.centered == 0 && h.momentum == 0, SLOTS3(p, g, v), SLOTS2(p, v)) \
    PASS(STEP, moving, FULL, h.centered == 0 && h.momentum != 0, SLOTS4(p, g, v, b),         \
         SLOTS3(p, v, b))                                                                \
    PASS(STEP, centered, FULL, h.centered != 0 && h.momentum == 0, SLOTS4(p, g, v, a),        \
         SLOTS3(p, v, a))                                                                \
    PASS(STEP, centered_moving, FULL, h.centered != 0 && h.momentum != 0,                     \
         SLOTS5(p, g, v, a, b), SLOTS4(p, v, a, b))

#include "engine/rule_end.h"
