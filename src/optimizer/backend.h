/* backend.h - an optimizer of which each of several processes, its ranks, runs a part.
 *
 * Every rank has the same tensors. A pass over all elements of a tensor is cut into
 * pieces (src/engine/driver.h), and each rank runs those of its shard: a range of whole
 * pieces of each tensor. What the pieces added up is exchanged, and every rank folds
 * all of it in the order of the pieces, so that W ranks make the bits of one. Passes
 * over rows, columns and single values run on every rank alike. State with a value for
 * each element exists for the shard alone; the rest is small and everywhere.
 *
 * A library that carries bytes between ranks fills an eden_backend and attaches it to a
 * new optimizer; this header is all that it sees of the inside. It is not installed and
 * may change with any version. */
#ifndef EDEN_BACKEND_H
#define EDEN_BACKEND_H

#include <eden/eden.h>

typedef struct eden_backend eden_backend;

struct eden_backend {
    uint32_t rank, ranks;
    uint32_t counts; /* micro-batches that one eden_step() stands for          */
    uint32_t every;  /* 1: begin() is wanted for those that only count, too    */

    /* All ranks call these at the same point. One that fails has to fail on every
     * rank. `mine` is what this rank has to say: if it or any rank's is a failure, all
     * return one, and *error of this rank holds its own. */
    eden_status (*agree)(eden_backend *backend, eden_optimizer *o, eden_status mine, eden_error *error);

    /* The same without a look at settings and weights. */
    eden_status (*vote)(eden_backend *backend, eden_status mine, eden_error *error);

    /* Agree, then make one gradient of all ranks': each needs its shard of it. `last`:
     * the step follows, and this call is not one that only counts. */
    eden_status (*begin)(eden_backend *backend, eden_optimizer *o, int last, eden_status mine,
                         eden_error *error);

    /* Bring bytes[r] bytes from every rank r, one behind the other, to `all`; those of
     * this rank are at `mine`. */
    eden_status (*exchange)(eden_backend *backend, const void *mine, void *all, const uint64_t *bytes,
                            eden_error *error);

    /* Weights and copies are new on this rank's shard: bring them to all. */
    eden_status (*end)(eden_backend *backend, eden_optimizer *o, eden_error *error);

    void (*destroy)(eden_backend *backend);
};

/* Before any tensor is added. The optimizer then owns the backend. */
EDEN_API eden_status eden_attach_backend(eden_optimizer *o, eden_backend *backend, eden_error *error);
EDEN_API eden_backend *eden_backend_of(const eden_optimizer *o); /* or NULL */

/* Tensor i as it was added, with its gradient of now; and its elements. */
EDEN_API uint64_t eden_backend_tensor(const eden_optimizer *o, size_t i, eden_tensor *tensor);

/* As eden_convert(), for arrays that do not overlap; without its look at the processor,
 * which takes longer than a thousand numbers do. */
EDEN_API void eden_backend_convert(const eden_optimizer *o, void *to, uint32_t to_dtype, const void *from,
                                   uint32_t from_dtype, uint64_t count);

/* Rank r has elements [eden_shard_at(o, i, r), eden_shard_at(o, i, r + 1)) of tensor i, as
 * of the last refresh; a frozen tensor is no one's. */
EDEN_API uint64_t eden_shard_at(const eden_optimizer *o, size_t i, uint32_t rank);

/* Index of a tensor by name, or SIZE_MAX. */
EDEN_API size_t eden_backend_find(const eden_optimizer *o, const char *name);

/* Will the next eden_step() step, with the settings and tensors of the last? */
EDEN_API int eden_backend_steps_next(const eden_optimizer *o);

/* Micro-batches of an unfinished step that have been counted; and was the last step refused
 * for a gradient, without eden_zero_grad() since? */
EDEN_API uint32_t eden_backend_pending(const eden_optimizer *o);
EDEN_API int eden_backend_refused(const eden_optimizer *o);

/* Numbers that change with the shards, and whenever settings or tensors may have. */
EDEN_API uint64_t eden_shard_version(const eden_optimizer *o);
EDEN_API uint64_t eden_settings_version(const eden_optimizer *o);

/* Parts of a checkpoint, see src/checkpoint/file.h: may it be saved now; this rank's file
 * in FOLDER/generation-GENERATION, and its checksum; and by one rank, when all have theirs,
 * the manifest with all checksums. eden_load() of that folder, or of a file, is called
 * by all ranks, of which each takes its shard; if one cannot, nothing changes on any. */
#define EDEN_SHARD_SUM 24
EDEN_API eden_status eden_save_ready(eden_optimizer *o, const char *folder, eden_error *error);
EDEN_API eden_status eden_save_shard(eden_optimizer *o, const char *folder, uint64_t generation,
                                     char sum[EDEN_SHARD_SUM], eden_error *error);
EDEN_API eden_status eden_save_manifest(eden_optimizer *o, const char *folder, uint64_t generation,
                                        const char (*sums)[EDEN_SHARD_SUM], eden_error *error);

/* Tell what ranks must have in common, a key and a value at a time, in an order that is the
 * same everywhere. */
typedef eden_status (*eden_tell)(void *context, const char *key, const char *value, eden_error *error);
enum {
    EDEN_TELL_SETTINGS = 1, /* and tensors: the same until eden_settings_version() changes */
    EDEN_TELL_COUNTS = 2,   /* and all else that steps and eden_report() move        */
    EDEN_TELL_VALUES = 4    /* settings as schedules made them for the step that is being taken */
};
EDEN_API eden_status eden_describe(const eden_optimizer *o, int what, eden_tell tell, void *context,
                                   eden_error *error);

/* A hash of counts, and with `values` of these, bit by bit: for every step. */
EDEN_API uint64_t eden_hash_counts(const eden_optimizer *o, int values);

#endif
