/* eden/eden.h - optimizers for neural networks, in C.
 *
 * Eden is to a C program what torch.optim is to PyTorch. You own the weights
 * and the gradients; Eden owns the optimizer's state and updates the weights.
 * A whole program, which the tests compile and run (examples/loop.c):
 *
 *     #include <eden/eden.h>
 *     #include <stdio.h>
 *
 *     int main(void)
 *     {
 *         float w[2] = { 0, 0 }, grad[2];
 *         eden_error error;
 *         eden_optimizer *opt = NULL;
 *         eden_tensor tensor = eden_vector(w, grad, 2);
 *         if (eden_optimizer_create(&opt, "adam", NULL, &error) ||
 *             eden_set(opt, NULL, "lr", 0.1, &error) ||
 *             eden_add_tensor(opt, "w", &tensor, NULL, &error))
 *             return fprintf(stderr, "%s\n", error.text), 1;
 *         for (int i = 0; i < 500; i++) {
 *             if (eden_zero_grad(opt, &error)) break;
 *             grad[0] += 2 * (w[0] - 3);          (the gradient of your loss)
 *             grad[1] += 2 * (w[1] + 1);
 *             if (eden_step(opt, &error)) break;
 *         }
 *         printf("%.3f %.3f\n", w[0], w[1]);
 *         eden_optimizer_destroy(opt);
 *     }
 *
 * The conventions stand at the top of eden/core.h. Four more hold here:
 *
 *   Errors   every call that can fail ends in `eden_error *error`, which may be
 *            NULL. On failure it holds the status and a sentence that names the
 *            culprit and the mend. On success it is not written.
 *   Threads  one optimizer is used by one thread at a time; different ones are
 *            independent. A step uses the threads of eden_config.
 *   Callbacks  a function that you hand over (a schedule, `run`, `tell`) is called
 *            within a call. It may ask the optimizer and not change it: calls that
 *            would are refused (EDEN_E_ORDER; only eden_get_at(), which several threads
 *            may ask at once, does not tell), as are eden_get_state() and
 *            eden_get_average(). It must not destroy the optimizer, and must return:
 *            no longjmp() out of it.
 *   Names    tensors, groups, rules, settings and slots are found by name, in a
 *            program as in a checkpoint, never by order. A name is 1 to 255
 *            bytes of UTF-8 without control characters, U+0000 to U+001F and
 *            U+007F to U+009F. A tensor cannot be called "__metadata__".
 */
#ifndef EDEN_EDEN_H
#define EDEN_EDEN_H

#include <eden/core.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct eden_optimizer eden_optimizer;

typedef struct {
    uint32_t status;  /* eden_status                                           */
    char text[508];   /* one sentence, UTF-8, zero-terminated, cut at a character,
                         with '?' for control characters and marks of direction */
} eden_error;

/* ---- creating ----------------------------------------------------------- */

/* What a step does when a gradient is NaN or infinite, or so large that its
 * square is not a float (above 1.8e19 after scaling). */
typedef enum {
    EDEN_REFUSE = 0, /* eden_step() fails with EDEN_E_GRADIENT, names the tensor
                        and the element, and nothing has changed               */
    EDEN_SKIP,       /* eden_step() succeeds, changes nothing, and counts one
                        more in eden_skipped()                                 */
    EDEN_APPLY       /* no look, no extra read of the gradients; NaN spreads   */
} eden_nonfinite;

/* Averages of the weights over the steps, which often do better than the last
 * weights; see eden_swap_average(). */
typedef enum {
    EDEN_NO_AVERAGE = 0,
    EDEN_EMA, /* a mean in which each step counts average_decay times the next */
    EDEN_SWA  /* the plain mean                                                */
} eden_average;

/* Threads of your own: call task(i, job) once for each i in [0, tasks), in any
 * order, from any threads, and return when all have returned. */
typedef void (*eden_run)(void *pool, size_t tasks, void (*task)(size_t i, void *job), void *job);

typedef struct {
    size_t size;         /* sizeof(eden_config)                                */
    uint32_t threads;    /* up to 256; 0: one for each core it may use         */
    uint32_t nonfinite;  /* eden_nonfinite                                     */
    uint32_t accumulate; /* micro-batches to a step, see eden_step(); 0 is 1   */
    uint32_t maximize;   /* 1: climb instead of descend                        */
    uint32_t zero_grad;  /* 1: eden_step() leaves gradients zero, in the same pass;
                            each must be writable                              */
    double clip_value;   /* each gradient into [-clip_value, clip_value]; 0: off */
    double clip_norm;    /* then all together to this Euclidean norm; 0: off   */
    uint64_t seed;       /* of stochastic rounding                             */
    const char *isa;     /* cap the instruction set by name; NULL: the
                            environment's EDEN_ISA, else the best              */
    eden_run run;        /* NULL: Eden's own threads, which sleep when idle    */
    void *pool;          /* first argument of `run`                            */
    double loss_scale;   /* what eden_loss_scale() is at first, a power of two
                            from 2^-14 to 2^32; 0: off                         */
    uint32_t loss_scale_window; /* good steps before it doubles; 0 is 2000     */
    uint32_t average;    /* eden_average; 4 bytes a weight                     */
    double average_decay; /* of EDEN_EMA, in (0, 1)                            */
    uint64_t average_start; /* the first step that is averaged; 0 is 1         */
    uint64_t average_every; /* and from there each so many-th; 0 is 1          */
} eden_config;

#define EDEN_CONFIG_INIT { sizeof(eden_config), 0, 0, 0, 0, 0, 0.0, 0.0, 0, 0, 0, 0, 0.0, 0, 0, 0.0, 0, 0 }

/* An optimizer whose groups use `rule` (a rule's name or a preset's) unless
 * they say otherwise. `config` may be NULL for all defaults. */
EDEN_API eden_status eden_optimizer_create(eden_optimizer **optimizer, const char *rule,
                                           const eden_config *config, eden_error *error);
EDEN_API void eden_optimizer_destroy(eden_optimizer *optimizer);

/* ---- settings and groups ------------------------------------------------- */

/* Set one hyperparameter of a group by name. `group` NULL means the optimizer's
 * defaults, which every group inherits field by field unless it sets the field
 * itself. The value is checked at once; what values mean together is checked
 * before the next step, so that two settings can be changed in turn. */
EDEN_API eden_status eden_set(eden_optimizer *optimizer, const char *group, const char *name,
                              double value, eden_error *error);

/* The same from text, "lr=0.1, nesterov=1, decay=coupled": all or nothing. */
EDEN_API eden_status eden_set_text(eden_optimizer *optimizer, const char *group,
                                   const char *settings, eden_error *error);

/* A group of tensors with settings of its own, over the defaults. One call
 * keeps decay away from biases and norms:
 *
 *     eden_add_group(opt, "no_decay", NULL, "weight_decay=0", &error);
 *
 * `rule` NULL inherits rule and settings. With a rule of its own a group starts
 * from that rule's defaults instead. `settings` may be NULL. */
EDEN_API eden_status eden_add_group(eden_optimizer *optimizer, const char *group,
                                    const char *rule, const char *settings, eden_error *error);

/* The value a group uses, before any schedule; and the value, schedules
 * included, that step number `step` of the optimizer uses. */
EDEN_API eden_status eden_get(const eden_optimizer *optimizer, const char *group,
                              const char *name, double *value, eden_error *error);
EDEN_API eden_status eden_get_at(const eden_optimizer *optimizer, const char *group,
                                 const char *name, uint64_t step, double *value,
                                 eden_error *error);

/* ---- tensors --------------------------------------------------------------- */

#define EDEN_MAX_DIMS 8

enum {
    EDEN_GRAD_WRITABLE = 1, /* eden_zero_grad() may write the gradient           */
    EDEN_FROZEN = 2,        /* never updated and without state, but in every
                               checkpoint: running means, frozen layers         */
    EDEN_MATRICES = 4       /* a factored rule sees a matrix in each of the last two
                               dimensions, as PyTorch's does; `split` stays 0   */
};

/* What becomes of the part of a step that weights of 16 bits cannot hold. */
typedef enum {
    EDEN_NEAREST = 0, /* it is rounded away: small steps are lost               */
    EDEN_MASTER,      /* float32 weights are kept beside them: 4 bytes a weight */
    EDEN_SPLIT,       /* the 16 bits that bf16 lacks: 2 bytes, the same results */
    EDEN_STOCHASTIC,  /* rounded up or down by chance, right in the mean: no
                         bytes; a function of seed, name, step and element      */
    EDEN_KAHAN        /* what was lost joins the next step: 2 bytes             */
} eden_rounding;

/* A tensor in row-major order. The first `split` dimensions make the rows that
 * a factored rule sees and the others the columns; 0 stands for 1, so that a
 * convolution of out x in x h x w is out rows; EDEN_MATRICES has another way. */
typedef struct {
    size_t size;        /* sizeof(eden_tensor)                                 */
    void *data;         /* the weights                                         */
    void *grad;         /* the gradient, or NULL while there is none           */
    void *copy;         /* NULL, or where steps and loads also write the weights
                           in copy_dtype, for a model that computes in it      */
    uint32_t dtype;     /* of the weights: EDEN_F32, EDEN_BF16 or EDEN_F16      */
    uint32_t grad_dtype; /* of the gradient: the same three                     */
    uint32_t state_dtype; /* of state with a value for each weight: any         */
    uint32_t copy_dtype; /* EDEN_BF16 or EDEN_F16 with a copy, else 0           */
    uint32_t rounding;  /* eden_rounding of weights that are not EDEN_F32       */
    uint32_t device;    /* eden_device                                         */
    uint32_t flags;     /* EDEN_GRAD_WRITABLE, EDEN_FROZEN, EDEN_MATRICES       */
    uint32_t ndim;      /* dimensions, 0 (one value) to EDEN_MAX_DIMS          */
    uint32_t split;     /* dimensions that make the rows                       */
    uint32_t reserved;  /* 0                                                   */
    uint64_t shape[EDEN_MAX_DIMS];
} eden_tensor;

#define EDEN_TENSOR_INIT                                                              \
    { sizeof(eden_tensor), 0, 0, 0, EDEN_F32, EDEN_F32, EDEN_F32, 0, EDEN_NEAREST, EDEN_HOST, 0, \
      0, 0, 0, { 0, 0, 0, 0, 0, 0, 0, 0 } }

/* The two tensors everybody needs: float32 with a writable gradient. */
static inline eden_tensor eden_vector(float *data, float *grad, uint64_t count)
{
    eden_tensor t = EDEN_TENSOR_INIT;
    t.data = data;
    t.grad = grad;
    t.flags = EDEN_GRAD_WRITABLE;
    t.ndim = 1;
    t.shape[0] = count;
    return t;
}

static inline eden_tensor eden_matrix(float *data, float *grad, uint64_t rows, uint64_t cols)
{
    eden_tensor t = eden_vector(data, grad, rows);
    t.ndim = 2;
    t.shape[1] = cols;
    return t;
}

/* Put a tensor under the optimizer's care. Its memory must outlive the
 * optimizer and may not overlap another tensor's, which the next step, save or
 * load checks; it is not read or written here. `group` NULL is the group "default". */
EDEN_API eden_status eden_add_tensor(eden_optimizer *optimizer, const char *name,
                                     const eden_tensor *tensor, const char *group,
                                     eden_error *error);

/* Say where a tensor's gradient is now, or with NULL that there is none: then
 * eden_step() skips the tensor, its state and its count. A gradient that is
 * there and zero skips nothing; one that lies in weights or state is refused there. */
EDEN_API eden_status eden_set_grad(eden_optimizer *optimizer, const char *name, void *grad,
                                   eden_error *error);

/* ---- the training loop ----------------------------------------------------- */

/* Zero every gradient that is there; each must be writable. While micro-batches
 * of an unfinished step are being accumulated this does nothing, unless the step was
 * refused for a gradient: then it gives them up, and the count begins again. */
EDEN_API eden_status eden_zero_grad(eden_optimizer *optimizer, eden_error *error);

/* Update the weights from the gradients. The first call, and the first after
 * tensors, groups or settings have changed, may allocate state; others do not.
 *
 * With `accumulate` = k, the first k - 1 of every k calls do nothing but count,
 * and the k-th steps with the gradients divided by k, so that the same loop
 * trains on k micro-batches at a time. Backward has to add to the gradients.
 * A refused call counts nothing: mend the gradients, or begin with eden_zero_grad().
 *
 * In this order: sum / (k * eden_loss_scale()), clip by value, clip by global norm
 * (each gradient times clip_norm / norm if norm > clip_norm), the rule. */
EDEN_API eden_status eden_step(eden_optimizer *optimizer, eden_error *error);

/* Update one tensor now, since its gradient is ready, as its part of the coming step;
 * the next eden_step() updates the others and completes that step. In any order, the
 * bits are those of the whole step. Its gradient may be gone by then: a backward pass
 * can step each tensor and use the memory again, while the weights are in the cache.
 * On micro-batches that only count it does nothing. A call costs nothing for the other
 * tensors; the first of a step prepares it, and may allocate, as eden_step() does.
 *
 * What needs all gradients before any weight moves is refused: nonfinite has to be
 * EDEN_APPLY, and clip_norm, loss_scale and a look-ahead off. From the first tensor to
 * eden_step() the step is open: counts stay, and settings, schedules, files, swaps,
 * eden_report() and eden_zero_grad() must wait. */
EDEN_API eden_status eden_step_tensor(eden_optimizer *optimizer, const char *tensor, eden_error *error);

/* Nesterov's original form wants the gradient at the point the momentum leads
 * to. With a rule's setting `lookahead`, begin() moves the weights there and
 * the next eden_step() completes the update; end() goes back instead, to within
 * one rounding of each weight. Settings and files must wait in between. */
EDEN_API eden_status eden_lookahead_begin(eden_optimizer *optimizer, eden_error *error);
EDEN_API eden_status eden_lookahead_end(eden_optimizer *optimizer, eden_error *error);

EDEN_API uint64_t eden_steps(const eden_optimizer *optimizer);   /* steps taken   */
EDEN_API uint64_t eden_skipped(const eden_optimizer *optimizer); /* by EDEN_SKIP or
        for the loss scale */
EDEN_API double eden_grad_norm(const eden_optimizer *optimizer); /* of the last step that
        measured it, without the loss scale, before clipping by norm; 0 if none did */

/* Gradients of 16 bits lose what is small. With `loss_scale`, multiply the loss by
 * this before backward; eden_step() divides it out again, exactly. It is 1 without.
 *
 * It finds its own size: a gradient that is NaN or infinite has the step skipped and
 * counted and the scale halved; `loss_scale_window` good steps in a row double it, up
 * to 2^32. At 2^-14 config.nonfinite decides instead, and at any scale if a gradient
 * is too large to square after the division. Micro-batches of a step share a scale. */
EDEN_API double eden_loss_scale(const eden_optimizer *optimizer);

/* ---- averages of the weights ------------------------------------------------ */

/* With config.average a step also updates an average of the weights, while they are
 * in the cache, from the floats it computed, before any rounding to 16 bits. It
 * changes no bit of the weights. A tensor that a step skips keeps its average and
 * its count of averagings; frozen tensors have none.
 *
 * Exchange weights and averages in place, to evaluate or to save the averages; the
 * next call returns, and then every bit is as it was. Copies follow. Tensors without
 * an average stay as they are. Weights of 16 bits, and copies, are kept aside
 * meanwhile, which takes 2 bytes each.
 *
 * In between the weights may only be read. Steps, settings and files must wait, but
 * eden_save() of EDEN_WEIGHTS alone writes the averages. */
EDEN_API eden_status eden_swap_average(eden_optimizer *optimizer, eden_error *error);

/* Copy a tensor's average, as eden_get_state() does. Not while they are swapped. */
EDEN_API eden_status eden_get_average(eden_optimizer *optimizer, const char *tensor, float *values,
                                      uint64_t room, uint64_t *count, eden_error *error);

/* ---- schedules ------------------------------------------------------------- */

/* A schedule is text: a product of functions of the step's number s = 1, 2, ...
 * It multiplies the group's value, or replaces it inside absolute(...). Each
 * function is closed-form, so nothing drifts and any step can be asked for.
 *
 *     constant(value)
 *     warmup(n, start=0)               start + (1-start)*s/n up to s = n, then 1
 *     linear(n, start=1, end=0)        from start at s = 0 to end at s = n
 *     polynomial(n, power, end=0)      end + (1-end)*(1-s/n)^power
 *     cosine(n, end=0)                 end + (1-end)*(1+cos(pi*s/n))/2
 *     cosine_restarts(n, grow=1, end=0)   the same in cycles of n, n*grow, ...
 *     step(n, factor=0.1)              factor^floor((s-1)/n)
 *     multistep(factor, n1, n2, ...)   factor^(how many n < s)
 *     exponential(factor, n=1)         factor^((s-1)/n)
 *     onecycle(n, start=0.04, peak_at=0.3, end=4e-6)
 *                                      cosine from start to 1, then to end
 *     wsd(warmup, stable, decay, end=0)   up, flat, then linearly to end
 *     inverse_sqrt(n)                  min(s/n, sqrt(n/s))
 *     plateau(factor=0.1, patience=10, threshold=1e-4, floor=0)
 *                                      reacts to eden_report()
 *     sequence(A, n, B, m, C)          A for n steps, then B from its own s = 1
 *                                      for m steps, then C
 *
 * "warmup(500) * cosine(10000, end=0.1)" is a schedule. After its end each
 * function keeps its last value. Only plateau() remembers anything.
 *
 * `group` NULL is the defaults. `schedule` NULL removes. Flags and choices cannot
 * be scheduled. */
EDEN_API eden_status eden_schedule(eden_optimizer *optimizer, const char *group,
                                   const char *name, const char *schedule, eden_error *error);

/* A schedule in code: returns the factor for a step's number. A checkpoint
 * records that there was one; set it again before loading. */
typedef double (*eden_schedule_function)(uint64_t step, void *context);
EDEN_API eden_status eden_schedule_custom(eden_optimizer *optimizer, const char *group,
                                          const char *name, eden_schedule_function function,
                                          void *context, eden_error *error);

/* Tell every plateau() schedule a loss; smaller is better. */
EDEN_API eden_status eden_report(eden_optimizer *optimizer, double loss, eden_error *error);

/* The value of a schedule's text at a step, to plot or to test it. A plateau()
 * is 1 here. */
EDEN_API eden_status eden_schedule_value(const char *schedule, uint64_t step, double *value,
                                         eden_error *error);

/* ---- looking inside ------------------------------------------------------------ */

EDEN_API size_t eden_tensor_count(const eden_optimizer *optimizer);
EDEN_API const char *eden_tensor_name(const eden_optimizer *optimizer, size_t i); /* or NULL */

/* The rule a group uses, or NULL. `group` NULL is the defaults. */
EDEN_API const eden_rule *eden_group_rule(const eden_optimizer *optimizer, const char *group);

/* Copy a state slot as floats. *count is its length; `values` NULL only asks.
 * `room` is how many floats `values` can take. */
EDEN_API eden_status eden_get_state(eden_optimizer *optimizer, const char *tensor,
                                    const char *slot, float *values, uint64_t room,
                                    uint64_t *count, eden_error *error);

/* Steps this tensor has taken: fewer than the optimizer's if it was skipped. */
EDEN_API eden_status eden_tensor_steps(const eden_optimizer *optimizer, const char *tensor,
                                       uint64_t *steps, eden_error *error);

EDEN_API uint64_t eden_state_bytes(const eden_optimizer *optimizer); /* all STATE  */

#ifdef __cplusplus
}
#endif

#include <eden/memory.h>
#include <eden/checkpoint.h>
#endif
