/* driver.h - runs any rule over one tensor, pass by pass and piece by piece.
 *
 *     eden_job job;
 *     eden_job_init(&job, rule, isa, hypers, extent);
 *     bytes = eden_job_lay_out(&job, NULL);      then with the workspace
 *     job.base[slot] = ...                       for PARAM, GRAD and STATE
 *     for each pass of the program:
 *         for each piece, in any order, on any thread: eden_job_run()
 *         then once: eden_job_fold()
 */
#ifndef EDEN_DRIVER_H
#define EDEN_DRIVER_H

#include "engine/stage.h"

typedef struct {
    const eden_rule *rule;
    size_t isa;
    eden_extent extent;
    uint64_t first, last;            /* elements that are run here, whole pieces */
    uint32_t slots, passes;          /* bit i: slot i, pass i exists           */
    int shaped;                      /* some slot has a value a row or column  */
    eden_grad_scale grad;
    const void *consts;              /* from the rule's prepare()              */
    void *base[EDEN_MAX_SLOTS];      /* where each slot's values begin         */
    double *partial[EDEN_MAX_SLOTS]; /* what each piece adds to a SUM          */
    const eden_storage *storage;     /* NULL: floats, and nothing else to do   */
    eden_types types;
    int staged;                      /* slots are stored as no kernel takes them */
} eden_job;

void eden_job_init(eden_job *job, const eden_rule *rule, size_t isa, const double *hypers,
                   eden_extent extent);

/* Which slots and passes exist: the rule's own answer, whatever the caller's
 * floating-point environment. */
uint32_t eden_slots_on(const eden_rule *rule, const double *hypers, eden_extent extent);
uint32_t eden_passes_on(const eden_rule *rule, const double *hypers, eden_extent extent);

/* Say how slots are stored and what else is to be done; kept by the caller. */
void eden_job_store(eden_job *job, const eden_storage *storage);

/* Hand out a workspace aligned to 64 bytes for SCRATCH and SUM; with NULL only
 * measure it. UINT64_MAX if its size overflows. */
uint64_t eden_job_lay_out(eden_job *job, void *work);

/* Is pass `pass` part of this program here? */
int eden_job_has(const eden_job *job, size_t pass, eden_program program);

/* Run elements [first, last) alone in passes over FULL: whole pieces, with no SCRATCH
 * for others. Before eden_job_lay_out(). */
void eden_job_take(eden_job *job, uint64_t first, uint64_t last);

/* The piece of a pass over FULL that an element is in, and the first element of a piece;
 * past the last of one lies the number of all of the other. */
size_t eden_job_piece_of(const eden_job *job, uint64_t element);
uint64_t eden_job_piece_at(const eden_job *job, size_t piece);

/* Pieces depend on the rule and the extent alone, never on who runs them. */
size_t eden_job_pieces(const eden_job *job, size_t pass);

/* How many of them are to be run here, and the first. */
size_t eden_job_own(const eden_job *job, size_t pass, size_t *first);
void eden_job_run(const eden_job *job, size_t pass, size_t piece);
void eden_job_fold(const eden_job *job, size_t pass);

/* What pieces [begin, end) of a pass over FULL add to SUM s lies in one place. The tensor
 * is not empty. */
typedef struct { double *at; size_t count; } eden_job_sums;
eden_job_sums eden_job_sums_of(const eden_job *job, size_t s, size_t begin, size_t end);

/* Values a slot of this shape holds. */
uint64_t eden_shape_length(uint32_t shape, eden_extent extent);

/* ---- structs that a caller fills, in step.c ---------------------------------- */

/* One that begins with its size, of which `known` bytes are known here: is it too small,
 * or has it a size that none has, or something behind those bytes that is not zero? */
typedef enum { EDEN_STRUCT_FITS, EDEN_STRUCT_SMALL, EDEN_STRUCT_ODD, EDEN_STRUCT_LATER } eden_struct_fit;
eden_struct_fit eden_look_at_struct(const void *filled, size_t known);

/* ---- the floating-point environment, in cpu.c ------------------------------- */

typedef struct { uint64_t control, status; } eden_float_env;

/* Round to nearest, keep denormals, raise nothing; then as it was before. */
void eden_float_enter(eden_float_env *saved);
void eden_float_leave(const eden_float_env *saved);

#endif
