/* eden/core.h - what an optimizer is, and one step of it on your own memory.
 *
 * An optimizer here is a *rule*: named hyperparameters, named state slots, and
 * a short list of passes over a tensor. The library ships a table of rules and
 * one driver that runs any of them; nothing in this header knows about Adam.
 *
 * This half of the interface is the library `eden-core`. It is freestanding:
 * it needs no libc beyond memcpy and memset, allocates nothing, starts no
 * threads, reads no environment and keeps no state. Programs that train whole
 * models want eden/eden.h, which includes this file.
 *
 * Conventions, here and in eden/eden.h
 *
 *   Sizes      are in elements unless the name ends in _bytes.
 *   Steps      are uint64_t and count from 1.
 *   Settings   (hyperparameters) are double; tensors are computed in float.
 *   Ownership  what `create` returns is freed by the matching `destroy`, and
 *              destroying NULL is fine. Memory you pass in stays yours. Every
 *              `const` pointer handed out to descriptors lives as long as the
 *              program.
 *   Failure    is an eden_status other than EDEN_OK. Outputs and state are
 *              then as they were before the call.
 *   Structs    that you fill begin with `size`, set by their initializer
 *              macro, so that later versions can add fields at the end. What
 *              an older library does not know has to be zero there: a field
 *              that is set is refused (EDEN_E_ARGUMENT), not ignored.
 *   Bits       the same inputs give the same bits for any instruction set, any
 *              compiler and any number of threads (NaN payloads aside).
 *   Floating   the caller's rounding mode, flush-to-zero setting and exception
 *   point      flags neither change a result nor are changed by a call.
 */
#ifndef EDEN_CORE_H
#define EDEN_CORE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define EDEN_API __attribute__((visibility("default")))
#else
#define EDEN_API
#endif

#define EDEN_VERSION_MAJOR 0
#define EDEN_VERSION_MINOR 1
#define EDEN_VERSION_PATCH 0
#define EDEN_VERSION "0.1.0"

EDEN_API const char *eden_version(void); /* of the library that was linked */

/* ---- status ----------------------------------------------------------- */

typedef enum {
    EDEN_OK = 0,
    EDEN_E_ARGUMENT,  /* a pointer is NULL, a size is wrong, a flag is unknown  */
    EDEN_E_NAME,      /* a name is unknown, empty, too long or taken            */
    EDEN_E_VALUE,     /* a setting is outside its range, or would have no effect */
    EDEN_E_SHAPE,     /* a shape is empty where it may not be, or overflows     */
    EDEN_E_DTYPE,     /* this slot cannot be stored in that dtype or device     */
    EDEN_E_MEMORY,    /* an allocation failed                                   */
    EDEN_E_WORKSPACE, /* the workspace is missing, too small or misaligned      */
    EDEN_E_GRADIENT,  /* a gradient is not finite, or its square would not be   */
    EDEN_E_ORDER,     /* the call does not fit the moment, for example saving
                         between the two halves of a step                       */
    EDEN_E_OVERFLOW,  /* a step count is at its end                             */
    EDEN_E_IO,        /* the system refused to open, read or write              */
    EDEN_E_FORMAT,    /* a file is malformed or damaged                         */
    EDEN_E_MISMATCH   /* a file is well formed but belongs to something else    */
} eden_status;

EDEN_API const char *eden_status_text(eden_status status); /* never NULL */

/* ---- what a rule is made of ------------------------------------------- */

typedef struct eden_rule eden_rule;

typedef enum { EDEN_REAL, EDEN_FLAG, EDEN_CHOICE } eden_hyper_kind;

/* One hyperparameter. Ranges are checked after conversion to float as well:
 * beta1 = 1 - 1e-8 becomes 1.0f and so lies outside [0, 1). */
typedef struct {
    const char *name;    /* also the flag and the keyword of every binding     */
    const char *doc;     /* half a sentence                                    */
    double initial;      /* the default                                        */
    double low, high;    /* the range; high may be infinite, values never are  */
    uint32_t low_open;   /* 1: low itself is outside                           */
    uint32_t high_open;  /* 1: high itself is outside                          */
    uint32_t kind;       /* eden_hyper_kind; a FLAG takes 0 and 1              */
    const char *choices; /* CHOICE: "coupled,decoupled" for 0, 1; else NULL    */
} eden_hyper;

typedef enum {
    EDEN_PARAM,   /* the weights, updated in place                           */
    EDEN_GRAD,    /* the gradient, only read                                 */
    EDEN_STATE,   /* kept between steps, part of a checkpoint                */
    EDEN_SCRATCH, /* lives for one step, in the workspace                    */
    EDEN_SUM      /* double; added to by one pass, read by later ones        */
} eden_slot_kind;

/* What a slot holds a value for: each element, each row, each column, the tensor, or
 * each of its matrices. */
typedef enum { EDEN_FULL, EDEN_ROW, EDEN_COL, EDEN_ONE, EDEN_EACH } eden_shape;

/* What a rule remembers or adds up for a tensor. */
typedef struct {
    const char *name; /* also the last part of the checkpoint key              */
    const char *doc;
    const char *when; /* the condition on settings under which the slot
                         exists, as C text for people; "1" if always           */
    uint32_t kind;    /* eden_slot_kind */
    uint32_t shape;   /* eden_shape     */
    uint32_t square;  /* 1: never negative, as a mean of squares               */
} eden_slot;

/* A name that stands for a rule with other defaults, usable wherever a rule's
 * name is: "nesterov" is the rule "sgd" with momentum=0.9,nesterov=1. */
typedef struct {
    const char *name, *title, *paper;
    const char *settings; /* "name=value,name=value" over the rule's defaults  */
    const char *formula;  /* the update it makes, as text                      */
    uint32_t year;        /* of the paper; lists are sorted by it              */
} eden_preset;

/* How a well-known library's optimizer is spelled with this rule. */
typedef struct {
    const char *peer;     /* "PyTorch", "optax", "apex", ...                   */
    const char *name;     /* "torch.optim.AdamW"                               */
    const char *settings; /* what reproduces it, over the rule's defaults      */
    const char *note;     /* remaining differences, or ""                      */
    /* Of a class that bindings offer under its own names, else NULL: its arguments in
     * order, and what it calls the slots, and t if it keeps a count of each tensor's steps.
     *     "lr, eps"                     settings of that name
     *     "d=clip"                      another name;  "-clip" for one of opposite sign
     *     "betas=(beta1, beta2)"        several in one
     *     "amsgrad=amsgrad[off, raw]"   the choices that false and true stand for
     *     "eps1?"                       None is taken, and means the weights' machine epsilon */
    const char *arguments;
    const char *state;    /* "step=t, exp_avg=m, exp_avg_sq=v"                  */
} eden_peer;

/* Rules in the order of their file names; NULL past the end. */
EDEN_API size_t eden_rule_count(void);
EDEN_API const eden_rule *eden_rule_at(size_t i);

/* The rule that `name` stands for, or NULL. If `name` is a preset's, *preset is
 * that preset, else NULL; `preset` itself may be NULL. */
EDEN_API const eden_rule *eden_rule_find(const char *name, const eden_preset **preset);

/* Of a rule that is NULL: NULL, 0 or EDEN_E_ARGUMENT, here and below. */
EDEN_API const char *eden_rule_name(const eden_rule *rule);
EDEN_API const char *eden_rule_title(const eden_rule *rule);   /* a few words  */
EDEN_API const char *eden_rule_paper(const eden_rule *rule);   /* the reference */
EDEN_API const char *eden_rule_formula(const eden_rule *rule); /* lines of text */
EDEN_API uint32_t eden_rule_year(const eden_rule *rule);       /* of the paper */

/* The i-th of each list, or NULL past the end. */
EDEN_API const eden_hyper *eden_rule_hyper(const eden_rule *rule, size_t i);
EDEN_API const eden_slot *eden_rule_slot(const eden_rule *rule, size_t i);
EDEN_API const eden_preset *eden_rule_preset(const eden_rule *rule, size_t i);
EDEN_API const eden_peer *eden_rule_peer(const eden_rule *rule, size_t i);

/* The index of a hyperparameter, or SIZE_MAX if the rule has none so named. */
EDEN_API size_t eden_rule_hyper_index(const eden_rule *rule, const char *name);

/* ---- extents, dtypes, instruction sets --------------------------------- */

/* The shape of a tensor as a rule sees it: one matrix with `matrices` 0, and count =
 * rows * cols. A tensor of one dimension or none is 1 x count then, and factored rules
 * do not factor it. Or so many matrices of rows x cols, one behind the other, which
 * factored rules factor each by itself, those of one row as well. */
typedef struct {
    uint64_t count, rows, cols;
    uint64_t matrices;
} eden_extent;

/* How numbers are stored; everything is computed in float. EDEN_Q8 is 8 bits with a
 * scale for each 256 values, and only for state: the error is at most 1/32 of a
 * value, or 2^-11 of the largest of its 256 (2^-19 for mean squares) if that is
 * more. Mean squares that are to be EDEN_F16 are kept in EDEN_BF16, whose range
 * they need, and a mean too large for EDEN_F16 stays at 65504. Conversions round to
 * nearest, ties to even. */
typedef enum { EDEN_F32 = 0, EDEN_BF16, EDEN_F16, EDEN_Q8 } eden_dtype;
typedef enum { EDEN_HOST = 0 } eden_device;

/* Instruction sets compiled into this library, weakest first, so that every
 * path can be tried on one machine. Number 0 runs everywhere. */
EDEN_API size_t eden_isa_count(void);
EDEN_API const char *eden_isa_name(size_t isa);  /* NULL past the end          */
EDEN_API int eden_isa_runs_here(size_t isa);     /* 1 if this machine has it   */
EDEN_API size_t eden_isa_best(void);             /* asks the CPU at each call  */

/* ---- one step of one rule ---------------------------------------------- */

/* All values that `hypers` arrays below hold come in eden_rule_hyper() order.
 *
 * Fill `hypers` (room for `count` values, at least the rule's) with defaults. */
EDEN_API eden_status eden_rule_defaults(const eden_rule *rule, double *hypers, size_t count);

/* Is one value allowed: in range, and still so as a float? */
EDEN_API int eden_rule_allows(const eden_rule *rule, size_t hyper, double value);

/* Check a whole set: every value, then what the values mean together. If it is
 * refused, *index is the culprit (EDEN_E_VALUE) and *why, where the culprit is a
 * combination, half a sentence, else NULL. Either pointer may be NULL. */
EDEN_API eden_status eden_rule_check(const eden_rule *rule, const double *hypers, size_t *index,
                                     const char **why);

/* How many values slot `slot` holds with these settings and this extent; 0 if
 * it does not exist then, or if there is no such slot. */
EDEN_API uint64_t eden_rule_slot_length(const eden_rule *rule, size_t slot, const double *hypers,
                                        eden_extent extent);

/* Bytes of STATE a tensor of this extent needs. */
EDEN_API uint64_t eden_rule_state_bytes(const eden_rule *rule, const double *hypers,
                                        eden_extent extent);

/* Bytes of workspace that eden_rule_step() needs. */
EDEN_API uint64_t eden_rule_work_bytes(const eden_rule *rule, const double *hypers,
                                       eden_extent extent);

/* Which slots with a value for each weight the i-th pass of a step reads and writes
 * under these settings: bit s stands for slot s. 0 past the last such pass. A step
 * cannot take less time than memory needs to move them. */
EDEN_API int eden_rule_traffic(const eden_rule *rule, size_t i, const double *hypers,
                               eden_extent extent, uint32_t *reads, uint32_t *writes);

/* What eden_rule_step() is to do. */
typedef struct {
    size_t size;           /* sizeof(eden_rule_call)                             */
    const eden_rule *rule;
    size_t isa;            /* from eden_isa_best(), or any that runs here        */
    const double *hypers;  /* all of the rule's                                  */
    uint64_t step;         /* this step's number for this tensor, from 1         */
    eden_extent extent;
    float grad_scale;      /* multiplies each gradient; -1 maximizes             */
    float *param;          /* extent.count values, updated                       */
    const float *grad;     /* extent.count values                                */
    float *const *state;   /* one array for each STATE slot that exists, in slot
                              order; zeros before the first step                 */
    size_t states;         /* how many `state` holds                             */
    void *work;            /* aligned to 64 bytes; NULL if none is needed        */
    uint64_t work_bytes;
} eden_rule_call;

#define EDEN_RULE_CALL_INIT { sizeof(eden_rule_call), 0, 0, 0, 1, { 0, 0, 0, 0 }, 1.0f, 0, 0, 0, 0, 0, 0 }

/* Update one tensor. On EDEN_E_VALUE, *index is the hyperparameter at fault; on
 * EDEN_E_ARGUMENT, the state array; `index` may be NULL. Gradients are taken as
 * they are: a NaN spreads. Arrays must not overlap. */
EDEN_API eden_status eden_rule_step(const eden_rule_call *call, size_t *index);

/* ---- numbers of 16 bits --------------------------------------------------- */

/* Store `count` numbers in another dtype: EDEN_F32, EDEN_BF16 or EDEN_F16, either way,
 * as a step stores them: to nearest, ties to even. What is too large becomes
 * infinite and what is too small 0; NaN stays NaN. Each array is aligned to its
 * elements. They may not overlap, except that `to` may be `from` where both have
 * elements of one size. Everything else is EDEN_E_ARGUMENT, and nothing written. */
EDEN_API eden_status eden_convert(void *to, uint32_t to_dtype, const void *from,
                                  uint32_t from_dtype, uint64_t count);

#ifdef __cplusplus
}
#endif
#endif
