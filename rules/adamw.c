/* AdamW: Adam with the weight decay taken out of the gradient.
 *
 * Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019,
 * arXiv:1711.05101, algorithm 2. The paper scales the decay by the schedule's
 * multiplier alone, which is decay = scheduled with lr_max the rate at its peak;
 * most frameworks scale it by the learning rate, which is the default here.
 */
#define RULE         adamw
#define RULE_TITLE   "adaptive moments with decoupled weight decay"
#define RULE_PAPER   "Loshchilov and Hutter, ICLR 2019, arXiv:1711.05101"
#define RULE_YEAR    2017
#define RULE_FORMULA                                                            \
    "m = beta1*m + (1 - beta1)*g        mh = m/(1 - beta1^t)\n"                 \
    "v = beta2*v + (1 - beta2)*g^2      vh = v/(1 - beta2^t)\n"                 \
    "p -= lr*(mh/(sqrt(vh) + eps) + weight_decay*p)\n"                          \
    "scheduled:  p -= lr*mh/(sqrt(vh) + eps) + (lr/lr_max)*weight_decay*p\n"

#define RULE_HYPERS(REAL, FLAG, CHOICE)                                                \
    REAL(lr, 1e-3, AT_LEAST(0), "step size")                                           \
    REAL(beta1, 0.9, FRACTION, "decay of the mean, per step")                          \
    REAL(beta2, 0.999, FRACTION, "decay of the mean square, per step")                 \
    REAL(eps, 1e-8, AT_LEAST(0), "added to the root mean square")                      \
    REAL(eps_root, 0, AT_LEAST(0), "added under the root")                             \
    FLAG(eps_uncorrected, 0, "add eps to the root of v before its correction")         \
    FLAG(bias_correction, 1, "divide by 1 - beta^t")                                   \
    CHOICE(amsgrad, OFF, 3, "off,raw,corrected", "divide by the largest mean square so far") \
    REAL(weight_decay, 1e-2, AT_LEAST(0), "pull towards zero")                         \
    CHOICE(decay, DECOUPLED, 2, "decoupled,scheduled", "times lr, or times lr/lr_max") \
    REAL(lr_max, 0, AT_LEAST(0), "lr at the schedule's peak, for decay = scheduled")

#define RULE_SLOTS(STATE, SQUARE, SCRATCH, SUM)                                     \
    STATE(m, FULL, 1, "running mean of the gradient")                       \
    SQUARE(v, FULL, 1, "running mean of its square")                        \
    SQUARE(top, FULL, h.amsgrad != OFF, "largest mean square so far")

#define RULE_NEEDS(NEED)                                                          \
    NEED(eps_uncorrected, h.bias_correction != 0 && h.eps != 0,                        \
         "bias_correction = 1 and eps above 0")                                   \
    NEED(decay, h.weight_decay != 0, "weight_decay above 0")                      \
    NEED(lr_max, h.decay == SCHEDULED, "decay = scheduled")

#define RULE_REFUSES(REFUSE)                                                         \
    REFUSE(eps_uncorrected, h.eps_uncorrected != 0 && h.amsgrad == CORRECTED,             \
           "amsgrad = corrected leaves no uncorrected root to add eps to; use amsgrad = raw") \
    REFUSE(lr_max, h.decay == SCHEDULED && h.lr_max == 0, "decay = scheduled wants lr_max above 0")

#define RULE_PRESETS(PRESET)

#define RULE_PEERS(PEER, CLASS)                                                              \
    CLASS("PyTorch", "torch.optim.AdamW", "", "amsgrad=True is amsgrad=raw",          \
          "lr, betas=(beta1, beta2), eps, weight_decay, amsgrad=amsgrad[off, raw]",   \
          "step=t, exp_avg=m, exp_avg_sq=v, max_exp_avg_sq=top")                      \
    PEER("optax", "optax.adamw", "weight_decay=1e-4", "lr has no default there")      \
    PEER("apex", "apex.optimizers.FusedAdam", "weight_decay=0", "adam_w_mode is on there by default") \
    PEER("DeepSpeed", "DeepSpeedCPUAdam", "weight_decay=0", "amsgrad is accepted and ignored there") \
    PEER("optimi", "optimi.AdamW", "beta2=0.99,eps=1e-6",                             \
         "decouple_lr is decay=scheduled; its stored moments are already corrected")

#include "engine/rule_begin.h"

enum { OFF, RAW, CORRECTED };
enum { DECOUPLED, SCHEDULED };

typedef struct {
    real beta1, gain1, beta2, gain2, fix2, eps, eps_root, rate, keep;
    int raw;
} consts;

EDEN_INLINE consts prepare(hypers h, uint64_t t, eden_extent x)
{
    const double bc1 = h.bias_correction != 0 ? 1 - power(h.beta1, t) : 1;
    const double bc2 = h.bias_correction != 0 ? 1 - power(h.beta2, t) : 1;
    consts k;
    (void)x;
    k.beta1 = (real)h.beta1;
    k.gain1 = (real)(1 - h.beta1);
    k.beta2 = (real)h.beta2;
    k.gain2 = (real)(1 - h.beta2);
    k.fix2 = (real)(1 / bc2);
    k.eps = (real)(h.eps_uncorrected != 0 ? h.eps / root2(bc2) : h.eps);
    k.eps_root = (real)h.eps_root;
    k.rate = (real)(h.lr / bc1);
    k.keep = (real)(1 - (h.decay == SCHEDULED ? h.lr / h.lr_max : h.lr) * h.weight_decay);
    k.raw = h.amsgrad == RAW;
    return k;
}

EDEN_INLINE elem moments(elem e, consts k)
{
    e.m = k.beta1 * e.m + k.gain1 * e.g;
    e.v = k.beta2 * e.v + k.gain2 * (e.g * e.g);
    return e;
}

EDEN_INLINE elem advance(elem e, consts k, real vh)
{
    e.p = k.keep * e.p - k.rate * over(e.m, root(vh + k.eps_root) + k.eps);
    return e;
}

EDEN_INLINE elem update(elem e, consts k)
{
    e = moments(e, k);
    return advance(e, k, k.fix2 * e.v);
}

EDEN_INLINE elem update_top(elem e, consts k)
{
    e = moments(e, k);
    e.top = greatest(k.raw ? e.v : k.fix2 * e.v, e.top);
    return advance(e, k, k.raw ? k.fix2 * e.top : e.top);
}

#define RULE_PASSES(PASS)                                                               \
    PASS(STEP, update, FULL, h.amsgrad == OFF, SLOTS4(p, g, m, v), SLOTS3(p, m, v))     \
    PASS(STEP, update_top, FULL, h.amsgrad != OFF, SLOTS5(p, g, m, v, top), SLOTS4(p, m, v, top))

#include "engine/rule_end.h"
