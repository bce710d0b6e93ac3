/* eden/checkpoint.h - an optimizer and its weights in a file; part of eden/eden.h.
 *
 * A checkpoint is one safetensors file: weights under their names, state as
 * NAME@SLOT, and counts, groups, settings, schedules and notes as text in its
 * metadata. It appears under `path` whole or not at all. A run that loads it
 * continues bit for bit.
 */
#ifndef EDEN_CHECKPOINT_H
#define EDEN_CHECKPOINT_H

#include <eden/eden.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    EDEN_WEIGHTS = 1, /* the weights                                            */
    EDEN_OPTIM = 2,   /* everything else                                        */
    EDEN_PARTIAL = 4, /* for eden_load_as(): tensors may be missing or differ   */
    EDEN_CONVERT = 8  /* for eden_load_as(): weights may have another dtype     */
};

/* `parts` is EDEN_WEIGHTS, EDEN_OPTIM or both; 0 is both. The file that was there is
 * kept as PATH.old. Saving waits for whole steps: not during a look-ahead, nor within
 * an open step, nor with micro-batches pending. */
EDEN_API eden_status eden_save(eden_optimizer *optimizer, const char *path, uint32_t parts,
                               eden_error *error);

/* The optimizer must have the tensors, groups and rules of the file, and what of the
 * config decides results: names, shapes and dtypes are compared and never adapted.
 * Differences are listed together (EDEN_E_MISMATCH), and nothing changes unless
 * everything fits. Settings, schedules and notes become the file's. They are checked
 * as those of a program are; and state must be what steps can have made: finite
 * unless nonfinite is EDEN_APPLY, squares not negative, zero before the first step, no
 * tensor with more steps than the optimizer. With EDEN_REFUSE weights that come with
 * state have to be finite as well, if not frozen; weights alone are taken as they are.
 * Loading EDEN_WEIGHTS alone leaves averages as they are. */
EDEN_API eden_status eden_load(eden_optimizer *optimizer, const char *path, uint32_t parts,
                               eden_error *error);

/* What eden_load_as() did, in tensors, and who is to be told of differences. */
typedef struct {
    size_t size;        /* sizeof(eden_load_report), set by the caller          */
    uint64_t loaded;
    uint64_t converted; /* of those, from another dtype                         */
    uint64_t missing;   /* not in the file, and left as they are                */
    uint64_t different; /* there in another shape or kind, and left as they are */
    uint64_t extra;     /* in the file alone                                    */
    void (*tell)(void *context, const char *difference); /* or NULL; see below */
    void *context;      /* its first argument                                   */
} eden_load_report;

#define EDEN_LOAD_REPORT_INIT { sizeof(eden_load_report), 0, 0, 0, 0, 0, 0, 0 }

/* The same for a file that fits in part. With EDEN_PARTIAL a tensor that differs from
 * the file's keeps all it has, weights, state and count, where the
 * optimizer's steps are the file's, or that count if it is larger; and what only the file has is
 * passed over; one at least must fit, and groups, rules and config must. With
 * EDEN_CONVERT, which goes with EDEN_WEIGHTS alone since state would not continue bit
 * for bit, weights of F64, F32, BF16 or F16 are rounded to the tensor's dtype; one
 * that would become infinite is refused. `report` says what was done; on
 * failure its numbers are not written.
 *
 * A sentence has room for the first few differences. `report->tell` is called once for
 * each, whether it has the file refused, or a tensor left out or passed over: with a
 * phrase such as "tensor 'w' is [4] in the file and [2, 2] here", which lives until the
 * function returns. It may print or keep a copy of it; calls that would change the
 * optimizer are refused (EDEN_E_ORDER), and it must return. A load may still fail for
 * another reason after that. Sizes without these two fields are taken as well. */
EDEN_API eden_status eden_load_as(eden_optimizer *optimizer, const char *path, uint32_t parts,
                                  eden_load_report *report, eden_error *error);

/* Text of your own that travels in the checkpoint: an epoch, a seed. A value is UTF-8,
 * and all notes together may take 50,000,000 bytes of a file; NULL removes the note.
 * eden_note() returns NULL if there is none, else text that lives until the note
 * changes. */
EDEN_API eden_status eden_set_note(eden_optimizer *optimizer, const char *key,
                                   const char *value, eden_error *error);
EDEN_API const char *eden_note(const eden_optimizer *optimizer, const char *key);

#ifdef __cplusplus
}
#endif
#endif
