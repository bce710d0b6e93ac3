/* Adafactor: Adam's second moment, kept as one row and one column.
 *
 * Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory
 * Cost", ICML 2018, arXiv:1804.04235, algorithms 4 to 6.
 *
 * For a matrix of R x C weights the state is R + C numbers, running means of the
 * squared gradients, and the second moment of an element is r*c over the mean of
 * r. Its inverse root is the product of a factor a row and a factor a column,
 * computed once each: cheaper than a root an element, and r*c, which underflows
 * for small gradients, is never formed. Vectors keep a full second moment. A tensor of
 * several matrices has factors for each; norms of weights and updates are the tensor's.
 */
#define RULE         adafactor
#define RULE_TITLE   "adaptive rates with sublinear memory"
#define RULE_PAPER   "Shazeer and Stern, ICML 2018, arXiv:1804.04235"
#define RULE_YEAR    2018
#define RULE_FORMULA                                                                \
    "beta = 1 - t^-decay_rate\n"                                                    \
    "r = beta*r + (1 - beta)*row_mean(g^2 + eps1)\n"                                \
    "c = beta*c + (1 - beta)*col_mean(g^2 + eps1)\n"                                \
    "u = g/sqrt(r*c/mean(r))                    (vectors: g/sqrt(v))\n"             \
    "u = u/max(1, rms(u)/clip)\n"                                                   \
    "a = max(eps2, rms(p)) * min(lr, 1/sqrt(t)) (scale_parameter, relative_step)\n" \
    "p -= a*u                                   (beta1: a running mean of a*u)\n"

#define RULE_HYPERS(REAL, FLAG, CHOICE)                                                 \
    REAL(lr, 1e-2, AT_LEAST(0), "step size; its cap with relative_step")                \
    FLAG(relative_step, 1, "the step falls as 1/sqrt(t) once that is below lr")         \
    FLAG(scale_parameter, 1, "multiply the step by the weights' root mean square")      \
    REAL(decay_rate, 0.8, ABOVE_UP_TO(0, 1), "memory grows as 1 - t^-decay_rate")       \
    REAL(eps1, 1e-30, AT_LEAST(0), "keeps the divisor from zero")                       \
    CHOICE(eps1_mode, ADDED, 2, "added,clamped", "to squared gradients, or the least root") \
    REAL(eps2, 1e-3, AT_LEAST(0), "least scale of the weights")                         \
    REAL(clip, 1, AT_LEAST(0), "largest root mean square of an update; 0: none")        \
    REAL(beta1, 0, FRACTION, "decay of a running mean of updates; 0: none")             \
    REAL(weight_decay, 0, AT_LEAST(0), "pull towards zero")                             \
    CHOICE(decay, BY_LR, 3, "lr,step,plain", "times lr, times the scaled step, or alone") \
    REAL(min_factored, 1, AT_LEAST(1), "matrices with a shorter side are not factored")

#define FACTORED ((x.matrices || x.rows > 1) && (double)(x.rows < x.cols ? x.rows : x.cols) >= h.min_factored)

#define RULE_SLOTS(STATE, SQUARE, SCRATCH, SUM)                                          \
    SQUARE(r, ROW, FACTORED, "running mean of g^2 along each row")               \
    SQUARE(c, COL, FACTORED, "running mean of g^2 down each column")             \
    SQUARE(v, FULL, !FACTORED, "running mean of g^2")                            \
    STATE(m, FULL, h.beta1 != 0, "running mean of updates")                      \
    SUM(row2, ROW, FACTORED, "sum of g^2 along each row")                        \
    SUM(col2, COL, FACTORED, "sum of g^2 down each column")                      \
    SUM(all_r, EACH, FACTORED, "sum of r, for each matrix")                      \
    SUM(p2, ONE, 1, "squared norm of the weights")                               \
    SUM(u2, ONE, 1, "squared norm of the unclipped update")                      \
    SCRATCH(fr, ROW, FACTORED, "the row's factor of the inverse root")           \
    SCRATCH(fc, COL, FACTORED, "the column's factor of the inverse root")        \
    SCRATCH(step, ONE, 1, "what the unclipped update is multiplied by")          \
    SCRATCH(keep, ONE, 1, "what decay leaves of the weights")

#define RULE_NEEDS(NEED)                                                \
    NEED(eps2, h.scale_parameter != 0, "scale_parameter = 1")           \
    NEED(eps1_mode, h.eps1 != 0, "eps1 above 0")                        \
    NEED(decay, h.weight_decay != 0, "weight_decay above 0")
#define RULE_REFUSES(REFUSE)
#define RULE_PRESETS(PRESET)

#define RULE_PEERS(PEER, CLASS)                                                                \
    CLASS("PyTorch", "torch.optim.Adafactor", "eps1=1.1920929e-7,eps1_mode=clamped",    \
          "eps1 is the dtype's there; only the last two dimensions are factored",       \
          "lr, beta2_decay=-decay_rate, eps=(eps1?, eps2), d=clip, weight_decay",       \
          "step=t, row_var=r, col_var=c, variance=v")                                   \
    PEER("Hugging Face", "transformers.Adafactor", "",                                  \
         "weight_decay with decay=step; lr=None is lr=1e-2,relative_step=1")            \
    PEER("optax", "optax.adafactor", "relative_step=0,min_factored=128",                \
         "weight_decay with decay=plain; momentum is applied before lr there")

#include "engine/rule_begin.h"

enum { ADDED, CLAMPED };
enum { BY_LR, BY_STEP, PLAIN };

typedef struct {
    double beta, gain, eps1, count, rows, cols, least_mean, rho, eps2, clip, decay;
    real beta1, gain1, most, none;
    int scaled, by_step;
} consts;

EDEN_INLINE consts prepare(hypers h, uint64_t t, eden_extent x)
{
    const int clamped = h.eps1_mode == CLAMPED && h.eps1 != 0;
    const double relative = 1 / root2((double)t);
    consts k;
    k.gain = t == 1 ? 1 : exponential(-h.decay_rate * natural_log((double)t));
    k.beta = 1 - k.gain;
    k.eps1 = clamped ? 0 : h.eps1;
    k.most = clamped ? (real)(1 / h.eps1) : __builtin_inff();
    k.none = clamped ? __builtin_inff() : 0;
    k.least_mean = clamped ? h.eps1 : 0;
    k.count = (double)x.count;
    k.rows = (double)x.rows;
    k.cols = (double)x.cols;
    k.rho = h.relative_step != 0 && relative < h.lr ? relative : h.lr;
    k.eps2 = h.eps2;
    k.clip = h.clip != 0 ? h.clip : __builtin_inf();
    k.decay = h.weight_decay * (h.decay == BY_LR ? h.lr : 1);
    k.beta1 = (real)h.beta1;
    k.gain1 = (real)(1 - h.beta1);
    k.scaled = h.scale_parameter != 0;
    k.by_step = h.decay == BY_STEP;
    return k;
}

EDEN_INLINE elem add_up(elem e, consts k)
{
    e.row2 = e.col2 = (double)e.g * e.g + k.eps1;
    e.p2 = (double)e.p * e.p;
    return e;
}

EDEN_INLINE elem mean_rows(elem e, consts k)
{
    e.r = (real)(k.beta * e.r + k.gain * (e.row2 / k.cols));
    e.all_r = e.r;
    return e;
}

EDEN_INLINE elem factor_rows(elem e, consts k)
{
    const double mean = e.all_r / k.rows;
    const double top = mean > k.least_mean ? mean : k.least_mean;
    e.fr = e.r > 0 ? (real)root2(top / e.r) : k.none;
    return e;
}

EDEN_INLINE elem factor_cols(elem e, consts k)
{
    e.c = (real)(k.beta * e.c + k.gain * (e.col2 / k.rows));
    e.fc = e.c > 0 ? 1 / root(e.c) : k.none;
    return e;
}

EDEN_INLINE real factored(elem e, consts k)
{
    return e.g * least(e.fr * e.fc, k.most);
}

EDEN_INLINE real full(elem e, consts k)
{
    return e.g * least(e.v > 0 ? 1 / root(e.v) : k.none, k.most);
}

EDEN_INLINE elem measure(elem e, consts k)
{
    const real u = factored(e, k);
    e.u2 = (double)u * u;
    return e;
}

EDEN_INLINE elem measure_full(elem e, consts k)
{
    e.v = (real)(k.beta * e.v + k.gain * ((double)e.g * e.g + k.eps1));
    const real u = full(e, k);
    e.u2 = (double)u * u;
    e.p2 = (double)e.p * e.p;
    return e;
}

EDEN_INLINE elem decide(elem e, consts k)
{
    const double size = root2(e.p2 / k.count), update = root2(e.u2 / k.count) / k.clip;
    const double a = k.rho * (k.scaled ? (size > k.eps2 ? size : k.eps2) : 1);
    e.step = (real)(a / (update > 1 ? update : 1));
    e.keep = (real)(1 - k.decay * (k.by_step ? a : 1));
    return e;
}

EDEN_INLINE elem apply(elem e, consts k)
{
    e.p = e.keep * e.p - e.step * factored(e, k);
    return e;
}

EDEN_INLINE elem apply_full(elem e, consts k)
{
    e.p = e.keep * e.p - e.step * full(e, k);
    return e;
}

EDEN_INLINE elem glide(elem e, consts k)
{
    e.m = k.beta1 * e.m + k.gain1 * (e.step * factored(e, k));
    e.p = e.keep * e.p - e.m;
    return e;
}

EDEN_INLINE elem glide_full(elem e, consts k)
{
    e.m = k.beta1 * e.m + k.gain1 * (e.step * full(e, k));
    e.p = e.keep * e.p - e.m;
    return e;
}

#define RULE_PASSES(PASS)                                                                   \
    PASS(STEP, add_up, FULL, FACTORED, SLOTS2(p, g), SLOTS3(row2, col2, p2))                \
    PASS(STEP, mean_rows, ROW, FACTORED, SLOTS2(r, row2), SLOTS2(r, all_r))                 \
    PASS(STEP, factor_rows, ROW, FACTORED, SLOTS2(r, all_r), SLOTS1(fr))                    \
    PASS(STEP, factor_cols, COL, FACTORED, SLOTS2(c, col2), SLOTS2(c, fc))                  \
    PASS(STEP, measure, FULL, FACTORED, SLOTS3(g, fr, fc), SLOTS1(u2))                      \
    PASS(STEP, measure_full, FULL, !FACTORED, SLOTS3(p, g, v), SLOTS3(v, p2, u2))           \
    PASS(STEP, decide, ONE, 1, SLOTS2(p2, u2), SLOTS2(step, keep))                          \
    PASS(STEP, apply, FULL, FACTORED && h.beta1 == 0, SLOTS6(p, g, fr, fc, step, keep),     \
         SLOTS1(p))                                                                         \
    PASS(STEP, apply_full, FULL, !FACTORED && h.beta1 == 0, SLOTS5(p, g, v, step, keep),    \
         SLOTS1(p))                                                                         \
    PASS(STEP, glide, FULL, FACTORED && h.beta1 != 0,                                       \
         SLOTS6(p, g, fr, fc, step, keep) | SLOTS1(m), SLOTS2(p, m))                        \
    PASS(STEP, glide_full, FULL, !FACTORED && h.beta1 != 0, SLOTS6(p, g, v, m, step, keep), \
         SLOTS2(p, m))

#include "engine/rule_end.h"
