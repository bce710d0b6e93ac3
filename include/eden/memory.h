/* eden/memory.h - memory of your own for what an optimizer keeps; part of eden/eden.h.
 *
 * For programs, such as bindings to other languages, that keep what an optimizer
 * remembers in arrays of their own. Eden then keeps none of it: what you write there
 * is what the next step goes on from. These calls wait while a step is open, weights
 * are at their look-ahead point or averages are swapped. What must not overlap is
 * checked by the next step, save or load, as for a new tensor.
 */
#ifndef EDEN_MEMORY_H
#define EDEN_MEMORY_H

#include <eden/eden.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The weights are here now: as many as before, in the same dtype. What is kept beside
 * them stays ("master" and "lost" below), so move the weights with their values; with
 * EDEN_MASTER other values are overwritten by the next step. The copy is not written. */
EDEN_API eden_status eden_set_data(eden_optimizer *optimizer, const char *tensor, void *data,
                                   eden_error *error);

/* How a tensor's state is stored under the settings of now. State with a value for each
 * weight is in state_dtype, but squares in EDEN_BF16 where that is EDEN_F16; all other
 * state is floats. EDEN_Q8 is `count` codes of a byte and, from the next multiple of
 * 64 bytes, a float scale for each 256 of them. */
typedef struct {
    size_t size;        /* sizeof(eden_layout)                                 */
    uint64_t count;     /* values; 0: it does not exist under these settings   */
    uint64_t bytes;     /* of all of it, scales included                       */
    uint32_t dtype;     /* eden_dtype                                          */
    uint32_t shape;     /* eden_shape                                          */
} eden_layout;

#define EDEN_LAYOUT_INIT { sizeof(eden_layout), 0, 0, 0, 0 }

/* Ask for the layout of a state slot; or of "master", the float32 weights of
 * EDEN_MASTER, or "lost", what EDEN_SPLIT and EDEN_KAHAN keep in as many bits as the
 * weights have. Allocates no state, so it can be asked before the first step. */
EDEN_API eden_status eden_state_layout(eden_optimizer *optimizer, const char *tensor,
                                       const char *slot, eden_layout *layout, eden_error *error);

/* Keep this state in your memory from now on. `bytes` are those of eden_state_layout(),
 * and the memory is aligned to the element, that of EDEN_Q8 to 4 bytes. What it holds
 * is taken as the state: zeros where nothing was learned yet, and the weights for
 * "master". Before the first step Eden then allocates none. A load writes into it,
 * eden_state_bytes() counts it, and a call with what is set already costs next to
 * nothing. The averages of config.average cannot be kept so.
 *
 * It must outlive the optimizer or the next eden_set_state() of the same state.
 * `memory` NULL: Eden keeps the state itself again, beginning with the values of now;
 * `bytes` is not looked at. If settings, set or loaded, change the layout, the next
 * step, save or load lets the memory go and Eden keeps its own, from zeros. */
EDEN_API eden_status eden_set_state(eden_optimizer *optimizer, const char *tensor, const char *slot,
                                    void *memory, uint64_t bytes, eden_error *error);

/* Write a tensor's state from floats, rounded as a step stores it; `count` is that of
 * eden_state_layout(). It allocates the state, if Eden keeps it and there is none yet. */
EDEN_API eden_status eden_put_state(eden_optimizer *optimizer, const char *tensor, const char *slot,
                                    const float *values, uint64_t count, eden_error *error);

/* Say how many steps the tensor has taken, which goes with its state: corrections for
 * the zeros it began from, and the chances of EDEN_STOCHASTIC, follow from it.
 * eden_steps() becomes at least this. A file with state other than zeros and no step
 * taken would not load again. */
EDEN_API eden_status eden_set_tensor_steps(eden_optimizer *optimizer, const char *tensor,
                                           uint64_t steps, eden_error *error);

#ifdef __cplusplus
}
#endif

#endif
