/* shard.h - this rank's part of a step; without a backend it is the whole. */
#ifndef EDEN_SHARD_H
#define EDEN_SHARD_H

#include "optimizer/backend.h"
#include "optimizer/plan.h"

/* Cut every tensor into shards and give entries theirs. Settings are resolved. On
 * failure nothing has changed. */
eden_status eden_cut_tensors(eden_optimizer *o, eden_error *error);

/* Room to exchange what the pieces of any wave add up, if there is a backend; 0 without
 * memory. */
int eden_make_room_for_sums(const eden_optimizer *o, eden_plan *plan);

/* Bring together what the pieces of the pass being run added up, of items [begin, end);
 * 0 if that failed, and then the optimizer is broken. */
int eden_exchange_sums(eden_optimizer *o, size_t begin, size_t end);

/* The same for the scans of all gradients, of which there are `count`. */
int eden_exchange_scans(eden_optimizer *o);

/* The first of all ranks' bad gradients: item, element, value. */
typedef struct { uint64_t item, element; double value; } eden_bad_gradient;
void eden_first_of_ranks(eden_optimizer *o, eden_bad_gradient *bad);

/* Zero the gradients outside this rank's shard. */
void eden_zero_others(const eden_optimizer *o);

/* Refuse what a rank cannot do alone, naming the call. */
eden_status eden_not_sharded(const eden_optimizer *o, const char *call, eden_error *error);

/* What ended an exchange for good, if anything did. */
eden_status eden_not_broken(const eden_optimizer *o, eden_error *error);

/* Weights have moved on this rank's shard: bring them to all. */
eden_status eden_share_weights(eden_optimizer *o, eden_error *error);

#endif
