/* SGD: plain, with heavy-ball momentum, and with Nesterov's in both its forms.
 *
 * Robbins and Monro 1951; Polyak 1964; Nesterov 1983; Sutskever et al., "On the
 * importance of initialization and momentum in deep learning", ICML 2013.
 *
 * `nesterov` is the form of most frameworks: a plain gradient, and the step looks
 * ahead. `lookahead` is the original: the gradient is taken at the point where
 * the momentum leads, p - lr*momentum*b. Both are one iteration seen from two
 * points. The look-ahead step needs no way back, since
 *     (p - lr*momentum*b) - lr*g = p - lr*(momentum*b + g).
 */
#define RULE         sgd
#define RULE_TITLE   "stochastic gradient descent"
#define RULE_PAPER   "Robbins and Monro, A Stochastic Approximation Method, 1951"
#define RULE_YEAR    1951
#define RULE_FORMULA                                                           \
    "plain:      p -= lr*g\n"                                                  \
    "momentum:   b = momentum*b + (1 - dampening)*g    (first step: b = g)\n"  \
    "            p -= lr*b\n"                                                  \
    "nesterov:   p -= lr*(g + momentum*b)\n"                                   \
    "lookahead:  g is taken at p - lr*momentum*b, then as momentum\n"

#define RULE_HYPERS(REAL, FLAG, CHOICE)                                                 \
    REAL(lr, 1e-2, AT_LEAST(0), "step size")                                            \
    REAL(momentum, 0, FRACTION, "decay of the velocity, per step")                      \
    REAL(dampening, 0, BETWEEN(0, 1), "share of each gradient kept out of it")          \
    FLAG(nesterov, 0, "look one momentum step ahead, from a plain gradient")            \
    FLAG(lookahead, 0, "take the gradient at the look-ahead point")                     \
    FLAG(lr_in_momentum, 0, "lr scales gradients as they enter the velocity")           \
    REAL(weight_decay, 0, AT_LEAST(0), "pull towards zero")                             \
    CHOICE(decay, COUPLED, 2, "coupled,decoupled", "into the gradient, or apart and times lr")

#define RULE_SLOTS(STATE, SQUARE, SCRATCH, SUM) \
    STATE(b, FULL, h.momentum != 0, "velocity")

#define RULE_NEEDS(NEED)                                                \
    NEED(dampening, h.momentum != 0, "momentum above 0")                \
    NEED(nesterov, h.momentum != 0, "momentum above 0")                 \
    NEED(lookahead, h.momentum != 0, "momentum above 0")                \
    NEED(lr_in_momentum, h.momentum != 0, "momentum above 0")           \
    NEED(decay, h.weight_decay != 0, "weight_decay above 0")

#define RULE_REFUSES(REFUSE)                                                              \
    REFUSE(nesterov, h.nesterov != 0 && h.dampening != 0, "nesterov wants dampening = 0")      \
    REFUSE(nesterov, h.nesterov != 0 && h.lookahead != 0, "nesterov and lookahead are two forms of one thing; choose one") \
    REFUSE(lookahead, h.lookahead != 0 && h.decay == DECOUPLED && h.weight_decay != 0,         \
           "lookahead wants decay = coupled")

#define RULE_PRESETS(PRESET)                                                              \
    PRESET("momentum", "gradient descent with heavy-ball momentum",                       \
           "Polyak, Some methods of speeding up the convergence of iteration methods, 1964", \
           "momentum=0.9", "b = momentum*b + g\np -= lr*b\n", 1964)                       \
    PRESET("nesterov", "gradient descent with Nesterov momentum",                         \
           "Nesterov, 1983; Sutskever et al., ICML 2013", "momentum=0.9,nesterov=1",      \
           "b = momentum*b + g\np -= lr*(g + momentum*b)\n"                               \
           "or with nesterov=0,lookahead=1 and eden_lookahead_begin() before the gradient:\n" \
           "b = momentum*b + g(p - lr*momentum*b)\np -= lr*b\n", 1983)

#define RULE_PEERS(PEER, CLASS)                                                                  \
    CLASS("PyTorch", "torch.optim.SGD", "lr=1e-3",                                        \
          "momentum, dampening, nesterov, weight_decay as there",                         \
          "lr, momentum, dampening, weight_decay, nesterov", "momentum_buffer=b")         \
    PEER("optax", "optax.sgd", "", "decay there is an element of the chain of its own")   \
    PEER("apex", "apex.optimizers.FusedSGD", "", "as PyTorch's")                          \
    PEER("dlib", "dlib::sgd", "momentum=0.9,lr_in_momentum=1,weight_decay=5e-4",          \
         "lr scales the gradient as it enters the velocity")                              \
    PEER("ggml", "ggml_opt_step_sgd", "weight_decay=0.01,decay=decoupled", "choose weight_decay")

#include "engine/rule_begin.h"

enum { COUPLED, DECOUPLED };

typedef struct {
    real lr, momentum, gain, coupled, keep, enter, leave;
    int nesterov;
} consts;

EDEN_INLINE consts prepare(hypers h, uint64_t t, eden_extent x)
{
    const double gain = t == 1 ? 1 : 1 - h.dampening;
    consts k;
    (void)x;
    k.lr = (real)h.lr;
    k.momentum = (real)h.momentum;
    k.gain = (real)gain;
    k.enter = (real)(h.lr_in_momentum != 0 ? h.lr * gain : gain);
    k.leave = h.lr_in_momentum != 0 ? 1 : (real)h.lr;
    k.coupled = h.decay == COUPLED ? (real)h.weight_decay : 0;
    k.keep = h.decay == DECOUPLED ? (real)(1 - h.lr * h.weight_decay) : 1;
    k.nesterov = h.nesterov != 0;
    return k;
}

EDEN_INLINE elem plain(elem e, consts k)
{
    e.p = k.keep * e.p - k.lr * (e.g + k.coupled * e.p);
    return e;
}

EDEN_INLINE elem heavy(elem e, consts k)
{
    const real g = e.g + k.coupled * e.p;
    e.b = k.momentum * e.b + k.enter * g;
    e.p = k.keep * e.p - (k.nesterov ? k.lr * g + k.leave * (k.momentum * e.b) : k.leave * e.b);
    return e;
}

/* The end of a look-ahead step: p is already where the momentum led. */
EDEN_INLINE elem arrive(elem e, consts k)
{
    const real g = e.g + k.coupled * e.p;
    e.b = k.momentum * e.b + k.enter * g;
    e.p = e.p - k.lr * (k.gain * g);
    return e;
}

EDEN_INLINE elem look(elem e, consts k)
{
    e.p = e.p - k.leave * (k.momentum * e.b);
    return e;
}

EDEN_INLINE elem unlook(elem e, consts k)
{
    e.p = e.p + k.leave * (k.momentum * e.b);
    return e;
}

#define RULE_PASSES(PASS)                                                              \
    PASS(STEP, plain, FULL, h.momentum == 0, SLOTS2(p, g), SLOTS1(p))                  \
    PASS(STEP, heavy, FULL, h.momentum != 0 && h.lookahead == 0, SLOTS3(p, g, b), SLOTS2(p, b)) \
    PASS(STEP, arrive, FULL, h.momentum != 0 && h.lookahead != 0, SLOTS3(p, g, b), SLOTS2(p, b)) \
    PASS(BEFORE, look, FULL, h.momentum != 0 && h.lookahead != 0, SLOTS2(p, b), SLOTS1(p))  \
    PASS(BACK, unlook, FULL, h.momentum != 0 && h.lookahead != 0, SLOTS2(p, b), SLOTS1(p))

#include "engine/rule_end.h"
