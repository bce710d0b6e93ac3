/* transformer.h - a decoder-only transformer on bytes, as a model of model.h whose rows
 * are places of a text: x is a byte, the label the one after it.
 *
 * Each of `layers` blocks is x + attention(norm(x)), then x + mlp(norm(x)) with a GELU
 * between `width` and four times as much; behind them a norm, and a head that shares
 * the bytes' vectors. */
#ifndef LAB_TRANSFORMER_H
#define LAB_TRANSFORMER_H

#include "lab/model.h"
#include "lab/real.h"

enum { LAB_BYTES = 256, LAB_MOST_BLOCK_LAYERS = 16, LAB_MOST_CONTEXT = 4096 };

typedef struct {
    uint64_t layers;   /* 1 to 16                                               */
    uint64_t heads;    /* a divisor of width                                    */
    uint64_t width;    /* 1 to 65536                                            */
    uint64_t context;  /* places of a sequence, 1 to 4096                       */
    double dropout;    /* of each branch before it is added, and of the vectors */
    uint64_t seed;     /* of initial weights and of dropout                     */
    uint32_t threads;  /* 0: one a core                                         */
} lab_transformer_config;

/* Rows given to the model begin on sequences of `context` rows, and only the last
 * may be short. */
eden_status lab_transformer_create(lab_model **model, const lab_transformer_config *config,
                                   eden_error *error);

#endif
