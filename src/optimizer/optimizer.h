/* optimizer.h - what an optimizer is made of; for src/optimizer and src/checkpoint. */
#ifndef EDEN_OPTIMIZER_H
#define EDEN_OPTIMIZER_H

#include <eden/eden.h>

#include "engine/stage.h"
#include "optimizer/schedule.h"
#include "optimizer/threads.h"

#define EDEN_MAX_NAME 255
#define EDEN_NOTES_MOST 50000000 /* bytes of all notes, of the 100,000,000 that a header may have */

/* One setting of one group: a value it was given, and what moves it. */
typedef struct {
    double value;                /* meaningful if is_set                      */
    int is_set;                  /* else inherited                            */
    int has_schedule;            /* this group's own; else inherited          */
    eden_schedule_node schedule; /* freed by eden_schedule_clear()            */
} eden_setting;

/* Group 0 is the defaults and is called "default". */
typedef struct {
    char *name;
    const eden_rule *rule;      /* never NULL; equal to group 0's if inherited */
    const eden_preset *preset;  /* whose settings stand under the group's own  */
    int own_rule;               /* was it given a rule of its own?             */
    eden_setting *settings;     /* one for each of the rule's hyperparameters  */
    double base[EDEN_MAX_HYPERS];   /* resolved values before schedules        */
    double struc[EDEN_MAX_HYPERS];  /* base, for deciding what exists: a setting
                                       that a schedule replaces counts as not 0 */
    double now[EDEN_MAX_HYPERS];    /* after schedules, for the step being taken */
} eden_group;

/* What is kept for a tensor, by number: the slots of its rule, then what the way
 * its weights are stored asks for. */
enum {
    EDEN_ARRAY_MASTER = EDEN_MAX_SLOTS, /* float32 weights                     */
    EDEN_ARRAY_LOST,                    /* what rounding took from each weight */
    EDEN_ARRAY_AVERAGE,                 /* of the weights; while they are swapped
                                           and float32, the weights           */
    EDEN_ARRAYS
};

/* All zero: there is none. An 8-bit array's scales follow it in its memory. */
typedef struct {
    void *data;
    uint64_t count;
    uint32_t codec;
    uint32_t lent;              /* the memory is the caller's and not to be freed */
} eden_array;

typedef struct {
    char *name;
    eden_tensor tensor;
    eden_extent extent;
    size_t group;               /* index                                      */
    uint64_t steps;             /* taken by this tensor                       */
    uint64_t hash;              /* of the name                                */
    eden_array array[EDEN_ARRAYS];
    size_t item;                /* its number in the plan, unless frozen      */
    int early;                  /* updated in the step that is open           */
    uint64_t first, last;       /* elements whose state is here: all, or a shard */
    int ahead;                  /* at its look-ahead point                    */
    int averages;               /* it is to have an average                   */
    uint64_t averaged;          /* steps in its average                       */
    void *aside;                /* while swapped: its 16-bit weights, its copy */
} eden_entry;

typedef struct { char *key, *value; } eden_text_pair;

typedef struct eden_plan eden_plan;

enum {
    EDEN_STALE_VALUES = 1, /* values of settings                              */
    EDEN_STALE_PLAN = 2    /* tensors, groups, memory, schedules              */
};

struct eden_optimizer {
    eden_config config;
    size_t isa;
    eden_group *groups;   size_t group_count;
    eden_entry *tensors;  size_t tensor_count;
    size_t *index;        size_t index_room;   /* hash of tensor names          */
    size_t next_grad;       /* the tensor after that of the last eden_set_grad() */
    int moved;              /* a gradient is elsewhere than when it was looked at */
    eden_text_pair *notes; size_t note_count;
    uint64_t steps, skipped;
    uint32_t pending;       /* micro-batches gathered so far                  */
    int refused;            /* the last step was, because of a gradient       */
    int looking_ahead;      /* between lookahead_begin and the step           */
    int early;              /* the next step is open: a tensor has taken it   */
    int swapped;            /* the averages are where the weights were        */
    double grad_norm;
    double loss_scale;      /* now; 1 if it is off                            */
    uint32_t good;          /* steps in a row since it changed                */
    int busy;               /* a function of the caller's is being called     */
    int stale;              /* what changed since the plan; bits, 0 is nothing */
    struct eden_backend *backend; /* NULL: this process is all there is        */
    uint64_t *cuts; size_t cut_count; /* of tensors: where each rank's shard begins, and the end */
    uint64_t cut_version, refreshes;
    eden_error broken;      /* status not 0: ranks have lost each other in a step */
    eden_plan *plan;
    eden_threads *threads;  /* Eden's own pool, or NULL                       */
};

/* ---- groups.c ---------------------------------------------------------------- */

/* Index of a group by name; NULL is group 0. SIZE_MAX if there is none. */
size_t eden_find_group(const eden_optimizer *o, const char *name);

eden_status eden_new_group(eden_optimizer *o, const char *name, const char *rule,
                           eden_error *error);
void eden_free_group(eden_group *group);

/* The schedule that moves a setting of a group, its own or inherited, or NULL. */
const eden_schedule_node *eden_schedule_of(const eden_optimizer *o, const eden_group *group,
                                           size_t hyper);

/* Fill base and struc of every group, and check what settings mean together. */
eden_status eden_resolve(eden_optimizer *o, eden_error *error);

/* Fill `now` of every group for step s, and check what schedules made of it. */
eden_status eden_schedule_all(eden_optimizer *o, uint64_t s, eden_error *error);

/* ---- loss_scale.c ---------------------------------------------------------------- */

eden_status eden_check_loss_scale(const eden_config *config, eden_error *error);

/* Can the scale be this? */
int eden_is_loss_scale(double scale);

/* A gradient is not finite: 1 if the scale was lowered and the step is to be skipped,
 * 0 if that is not the scale's fault. */
int eden_lower_loss_scale(eden_optimizer *o);

/* A step was taken. */
void eden_raise_loss_scale(eden_optimizer *o);

/* ---- average.c ------------------------------------------------------------------- */

eden_status eden_check_average(const eden_config *config, eden_error *error);

/* Is step s, from 1, averaged? */
int eden_averages_at(const eden_optimizer *o, uint64_t s);

/* Point the storage of a tensor at its average, if the program being run is a step
 * that joins it. */
void eden_follow_average(const eden_optimizer *o, const eden_entry *entry, eden_program program,
                         eden_storage *storage);

/* ---- tensors.c ----------------------------------------------------------------- */

/* Zero all gradients, which may be written, and forget what was pending. */
void eden_zero_all(eden_optimizer *o);

/* Refuse gradients that may not be written, naming the call. */
eden_status eden_check_writable(const eden_optimizer *o, const char *call, eden_error *error);

/* Index of a tensor, or SIZE_MAX. */
size_t eden_find_tensor(const eden_optimizer *o, const char *name);

/* The tensor that a call names. */
eden_status eden_find_entry(const eden_optimizer *o, const char *name, eden_entry **entry,
                            eden_error *error);

/* Refuse memory that is not aligned to an element of a dtype, calling it `what`. */
eden_status eden_check_aligned(const char *name, const char *what, const void *at, uint32_t dtype,
                               eden_error *error);

/* Decode an array into floats. */
void eden_read_array(const eden_optimizer *o, const eden_array *array, float *values);

/* ---- arrays.c ------------------------------------------------------------------ */

/* What array i of a tensor is to be under a rule's settings, without its memory. */
eden_array eden_array_wanted(const eden_rule *rule, const double *hypers, const eden_entry *entry,
                             size_t i);

/* Its name in a checkpoint; NULL where the rule has no such array. */
const char *eden_array_name(const eden_rule *rule, size_t i);

/* The array that is state and has this name, or EDEN_ARRAYS; never the average. */
size_t eden_find_state(const eden_rule *rule, const char *slot);

/* Its shape: the tensor's if it has a value for each weight, else [count]. */
int eden_array_is_full(const eden_rule *rule, size_t i);

uint64_t eden_array_bytes(const eden_array *array);       /* all of its memory */
uint64_t eden_array_scales(const eden_array *array);      /* how many; 0 if not 8-bit */
float *eden_array_scale(const eden_array *array);

/* Where element 0 of a tensor's array would be, if its memory began with it. */
void *eden_array_base(const eden_entry *entry, const eden_rule *rule, size_t i);

uint64_t eden_weights_bytes(const eden_entry *entry); /* of the tensor itself   */

/* Somebody else wrote a tensor's weights: what is kept beside them begins again. */
void eden_weights_changed(const eden_optimizer *o, eden_entry *entry);

/* Bring a tensor's 16-bit copy, if it has one, to its weights. */
void eden_write_copy(const eden_optimizer *o, const eden_entry *entry);

/* Zeroed memory for an array; 0 if it cannot be had. */
int eden_array_allocate(eden_array *array);

/* Free an array's memory, unless it is the caller's. */
void eden_array_free(const eden_array *array);

/* Are they there and stored alike, so that bytes can go from one to the other? */
int eden_arrays_alike(const eden_array *a, const eden_array *b);

/* The codec of a dtype; for 8-bit of a slot that is `square` or not. */
uint32_t eden_codec_of(uint32_t dtype, int square);

/* How the arrays of a tensor are stored, for the engine. */
void eden_storage_of(const eden_optimizer *o, const eden_entry *entry, eden_storage *storage);

/* ---- plan.c ---------------------------------------------------------------------- */

/* Resolve and check settings, allocate and free state so that it fits, and make
 * the plan again if anything changed. Called by whatever needs state to exist:
 * a step, a save, a load. On failure nothing has changed. */
eden_status eden_refresh(eden_optimizer *o, eden_error *error);
void eden_free_plan(eden_plan *plan);

/* Run a program over the tensors that `wants` picks. Settings must be scheduled. */
void eden_run_program(eden_optimizer *o, eden_program program,
                      int (*wants)(const eden_entry *entry), const eden_grad_scale *scale);

/* Run the step over one item of the plan. */
void eden_run_item(eden_optimizer *o, size_t item, const eden_grad_scale *scale);

/* What every gradient of a step is scaled by, its norm left aside. */
eden_grad_scale eden_step_scale(const eden_optimizer *o);

/* Look at every gradient that is there; see scan.h. `top` is that of the largest. */
typedef struct {
    double norm2;
    uint32_t top;
} eden_gradients;
eden_gradients eden_scan_gradients(eden_optimizer *o, const eden_grad_scale *scale, int want_norm);

/* The first element whose |bits| are above `above`, and its value; or the count. */
/* Of those that are scanned here. */
size_t eden_find_gradient(const eden_optimizer *o, const eden_entry *entry, uint32_t above, float *value);

/* Is a BEFORE program part of the plan? */
int eden_has_lookahead(const eden_optimizer *o);

/* Refuse a call by a function that this optimizer is calling, naming it. */
eden_status eden_not_busy(const eden_optimizer *o, const char *call, eden_error *error);

/* The same, and to go on within an open step. */
eden_status eden_not_early(const eden_optimizer *o, const char *call, eden_error *error);

/* The same, between the two halves of a step, or while weights and
 * averages are swapped, naming the call. */
eden_status eden_not_ahead(const eden_optimizer *o, const char *call, eden_error *error);

#endif
