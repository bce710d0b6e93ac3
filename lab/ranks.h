/* ranks.h - a run on several processes, its ranks, of which each learns from a part of every
 * batch. What carries bytes between them is behind this table, so that the lab knows of no
 * library for it. A table that is NULL stands for one process alone.
 *
 * All ranks call what is here at the same point, with as much. */
#ifndef LAB_RANKS_H
#define LAB_RANKS_H

#include <eden/eden.h>

typedef struct lab_ranks lab_ranks;
struct lab_ranks {
    uint32_t rank, ranks;

    /* As eden_optimizer_create(), for an optimizer whose gradients are the mean of those of
     * all ranks; with `in_order` each eden_step() is a micro-batch of every rank, and they
     * are added in their order. */
    eden_status (*create)(eden_optimizer **optimizer, const char *rule, const eden_config *config,
                          int in_order, eden_error *error);

    /* `bytes` bytes of every rank, in their order. */
    eden_status (*gather)(const void *mine, void *all, size_t bytes, eden_error *error);

    /* One file that holds what eden_save() would write alone; and eden_load(). */
    eden_status (*save)(eden_optimizer *optimizer, const char *path, eden_error *error);
    eden_status (*load)(eden_optimizer *optimizer, const char *path, eden_error *error);

    /* Room for LAB_RANKS_WORD bytes of every rank, there from the beginning: one that had no
     * memory to hear the others would leave them waiting. */
    void *room;
};
enum { LAB_RANKS_WORD = 1024 };

static inline uint32_t lab_ranks_count(const lab_ranks *r) { return r ? r->ranks : 1; }
static inline uint32_t lab_ranks_rank(const lab_ranks *r) { return r ? r->rank : 0; }

/* All go on, or none does: then the status and the sentence are those of the first rank that
 * failed. */
eden_status lab_ranks_agree(const lab_ranks *ranks, eden_status mine, eden_error *error);

/* What every rank has to have alike: `count` names with a text each. If one differs, all fail
 * with EDEN_E_MISMATCH, and the sentence has the first that does and on which rank. */
typedef struct { const char *name, *text; } lab_alike;
eden_status lab_ranks_compare(const lab_ranks *ranks, const lab_alike *things, size_t count, eden_error *error);

/* As gather(), but a rank may have found no memory for `all`, which is then NULL: it hears the
 * others nevertheless, and fails. */
eden_status lab_ranks_gather(const lab_ranks *ranks, const void *mine, void *all, size_t bytes,
                             eden_error *error);

/* What rank 0 has, for all. */
eden_status lab_ranks_share(const lab_ranks *ranks, void *bytes, size_t count, eden_error *error);

#endif
