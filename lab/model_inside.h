/* model_inside.h - a model from the inside, for its own files and for tests. */
#ifndef LAB_MODEL_INSIDE_H
#define LAB_MODEL_INSIDE_H

#include "lab/layer.h"
#include "lab/model.h"
#include "lab/workers.h"

enum { LAB_MOST_LAYERS = 208 };

/* Rows of a large matrix that get their gradient in one product. */
enum { LAB_PART_ROWS = 128 };

/* One thing to do with each block, and then one with them all, of which either
 * may be absent. */
typedef struct {
    lab_layer *layer;
    lab_block_step *each;
    lab_batch_step *join;
} lab_model_step;

/* The steps of a forward, or of a forward and a backward, in their order. */
typedef struct {
    lab_model_step step[6 * LAB_MOST_LAYERS];
    uint32_t steps;
} lab_program;

struct lab_model {
    uint32_t layers;
    lab_layer layer[LAB_MOST_LAYERS]; /* the last is the loss                  */
    lab_program train, eval;
    uint64_t seed, features, classes;
    uint64_t weights;                 /* without padding and running statistics */
    uint64_t summed, learned, all;    /* values, padding included: those whose gradients
                                         are summed over blocks, all that learn, and
                                         running statistics too                */
    uint64_t parts;                   /* products that make the others         */
    lab_real *values, *grads;
    lab_storage storage;
    uint16_t *stored, *stored_grads;  /* what the optimizer gets instead of these,
                                         at the same places; or NULL           */
    uint64_t work;                    /* multiplications for a row, forward    */
    uint64_t least_rows, most_blocks; /* how a batch is cut,                   */
    uint64_t unit;                    /* and what is not cut: a sequence; 0: none is */
    int given;                        /* the loss needs neither labels nor targets */
    int slopes;                       /* d_input is wanted                     */
    uint64_t tokens;                  /* features are whole and below; 0: any  */
    lab_workers *workers;
    const lab_loops *loops;
    lab_batch batch;
    uint64_t part_before;             /* of lab_model_part()                   */
    double part_over;
    const lab_ranks *ranks;
    /* Buffers for batches of up to `rows` rows. */
    uint64_t rows;
    void *space;
    lab_real *input, *d_input, *block_grads, *scratch;
    uint64_t scratch_count;           /* for one worker                        */
    char text[256];
};

/* Fill in layers and limits from the config; allocates nothing but what layers
 * own themselves. */
eden_status lab_model_build(lab_model *model, const lab_model_config *config,
                            const lab_data *data, eden_error *error);

/* "128,64" behind the `count` widths that are there, up to `most`. */
eden_status lab_model_read_widths(const char *text, uint64_t *widths, uint32_t most,
                                  uint32_t *count, eden_error *error);

/* Add a layer, for a family's function to fill in. */
lab_layer *lab_model_next(lab_model *model);

/* When all layers are there: where tensors are, limits and programs. Blocks have
 * `least_rows` rows where there are so many. 0 if there are too many weights. */
int lab_model_complete(lab_model *model, uint64_t least_rows);
eden_status lab_model_too_large(eden_error *error);

/* "826,880 weights" behind what is at `at`, in what is there up to `end`. */
void lab_model_count_text(uint64_t weights, char *at, const char *end);

/* Threads and weights for a model that is built. With a status other than EDEN_OK, and
 * after a failure, the model is destroyed; else it is *out. */
eden_status lab_model_ready(lab_model **out, lab_model *model, uint32_t threads,
                            eden_status status, eden_error *error);

/* The number of the last layer that has tensors. */
uint32_t lab_model_head(const lab_model *model);

/* Give one tensor to an optimizer. */
eden_status lab_model_add_tensor(const lab_model *model, const lab_tensor *tensor,
                                 eden_optimizer *optimizer, const char *group, eden_error *error);

/* Refuse an optimizer, or 16 bits, for a build that does not compute in float. */
eden_status lab_model_no_float(eden_error *error);

/* Allocate and start the weights. */
eden_status lab_model_start(lab_model *model, eden_error *error);

/* Have buffers for a batch of `rows`; those there are stay on failure. */
eden_status lab_model_reserve(lab_model *model, uint64_t rows, eden_error *error);

/* How a batch of `count` rows is cut. */
void lab_model_cut(const lab_model *model, uint64_t count, uint64_t *blocks,
                   uint64_t *block_rows);

#endif
