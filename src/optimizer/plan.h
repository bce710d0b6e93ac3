/* plan.h - what a plan is made of; for plan.c, memory.c, run.c and update.c. */
#ifndef EDEN_PLAN_H
#define EDEN_PLAN_H

#include "engine/driver.h"
#include "engine/scan.h"
#include "optimizer/optimizer.h"

/* One tensor that is updated. */
typedef struct {
    eden_job job;
    eden_storage storage;
    size_t entry;      /* which tensor                                         */
    size_t pass;       /* the pass being run, or SIZE_MAX                      */
    size_t own;        /* the first of its pieces that is run here             */
    int active;        /* takes part in the program being run                  */
    int begins_wave;
} eden_item;

struct eden_plan {
    eden_item *items;  size_t count;
    unsigned char *consts;  /* EDEN_MAX_CONSTS for each item                   */
    size_t *first;          /* first piece of each item in the current round   */
    size_t *latest;         /* by group: the item that last prepared constants */
    eden_scan *scans;  size_t chunks;
    void *work;
    unsigned char *mine, *all; /* sums on their way to other ranks, and theirs  */
    uint64_t *bytes;        /* from each                                        */
    struct eden_span *written; size_t written_count; /* see eden_check_overlaps() */
};

/* ---- memory.c ---------------------------------------------------------------- */

/* Arrays that do not exist yet and should, in the order that eden_settle_state()
 * puts them in place. 0 without memory: then none is left. */
int eden_allocate_state(const eden_optimizer *o, eden_array **fresh, size_t *count);
void eden_settle_state(eden_optimizer *o, const eden_array *fresh);

/* Refuse ways to store a tensor that its rule cannot have. */
eden_status eden_check_storage(const eden_optimizer *o, eden_error *error);

/* Weights and state may overlap nothing; gradients, which are only read, may share. What
 * steps write is given back in order, to be freed; of that gradients are looked for that
 * have moved since. */
eden_status eden_check_overlaps(const eden_optimizer *o, struct eden_span **written, size_t *count,
                                eden_error *error);
eden_status eden_check_gradients(const eden_optimizer *o, eden_error *error);

#endif
