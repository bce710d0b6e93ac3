/* model.h - small networks with forward and backward, on CBLAS.
 *
 * Work is split over fixed blocks of a batch, and blocks are added in order, so
 * the number of threads changes no bit. Another processor may, since a CBLAS picks
 * its products by it.
 *
 * The loss is the mean cross-entropy of a softmax, or for a regression the mean
 * squared error. A layer that batch normalization follows has no bias. */
#ifndef LAB_MODEL_H
#define LAB_MODEL_H

#include <eden/checkpoint.h>
#include <eden/eden.h>

#include "lab/data.h"
#include "lab/ranks.h"
#include "lab/real.h"
#include "lab/storage.h"

typedef struct lab_model lab_model;

typedef struct {
    const char *kind;    /* "logistic", "mlp", "cnn" or "resnet"               */
    const char *widths;  /* mlp: "256,128"; channels of a cnn: "16,32", of a
                            resnet: "16,32,64"; NULL: these                    */
    const char *norm;    /* "none", "batch" or "layer"; NULL: batch for a cnn
                            and a resnet, none for the others                  */
    double dropout;      /* before the last layer, 0 to below 1; < 0: 0.2 for an
                            mlp, 0.25 for a cnn, 0 for the others              */
    uint64_t seed;       /* of initial weights and of dropout                  */
    uint32_t threads;    /* 0: one a core                                      */
} lab_model_config;

/* A model for the shape of `data`. Fails with EDEN_E_NAME for an unknown kind or
 * norm and EDEN_E_VALUE or EDEN_E_SHAPE for the rest, each with its sentence. */
eden_status lab_model_create(lab_model **model, const lab_model_config *config,
                             const lab_data *data, eden_error *error);
void lab_model_destroy(lab_model *model);

/* One line, such as "mlp 64-128-64-10, 17,226 weights"; the text lives with the model. */
const char *lab_model_describe(const lab_model *model);
uint64_t lab_model_weights(const lab_model *model);

/* Is there address space for its matrix products? To be asked once in a process, after
 * what else takes much memory and before the first product. */
eden_status lab_model_fits(const lab_model *model, eden_error *error);

/* The network computes in float32. Weights and gradients that are stored in 16 bits lie
 * beside its own: store() makes room for them, once and before register(), and rounds
 * the weights, so that the network has what is stored; narrow_grads() goes before
 * an optimizer's step, and widen() after whatever changes the stored weights.
 * All of these do nothing where all is float32. */
eden_status lab_model_store(lab_model *model, const lab_storage *storage, eden_error *error);
void lab_model_narrow_grads(lab_model *model);
void lab_model_widen(lab_model *model);

/* The gradients that lab_model_train() adds to. */
void lab_model_zero_grads(lab_model *model);

/* Give every tensor to an optimizer: matrices to the group "default", biases and
 * norms to the group named `vectors` (NULL: "default"), running means frozen. After
 * a failure the optimizer may hold some of them. */
eden_status lab_model_register(lab_model *model, eden_optimizer *optimizer,
                               const char *vectors, eden_error *error);

/* The same with the head, which is the last layer with weights, apart from the body. */
typedef struct {
    const char *body, *body_vectors, *head, *head_vectors; /* groups; NULL: "default" */
} lab_model_groups;
eden_status lab_model_register_parts(lab_model *model, eden_optimizer *optimizer,
                                     const lab_model_groups *groups, eden_error *error);

/* Take the body's weights and running means over from a model of the same network, or
 * from a checkpoint, whose tensors may have another type; those that are not there or have
 * another shape stay as they are, and *report has the sum. Before store(). */
void lab_model_take_body(lab_model *model, const lab_model *from);
eden_status lab_model_load_body(lab_model *model, const char *path, eden_load_report *report,
                                eden_error *error);

/* Forward and backward on `count` rows of `x`; adds to the gradients. Dropout
 * masks are a function of (seed, step). label or target as in lab_split. *loss
 * is the mean, *correct how many were classified right (0 for a regression). */
eden_status lab_model_train(lab_model *model, const float *x, const int32_t *label,
                            const float *target, uint64_t count, uint64_t step,
                            double *loss, uint64_t *correct, eden_error *error);

/* From now on what is trained on is a part of a batch: there are `before` rows before it, and
 * the gradient is of the sum of its losses divided by `over`; 0 is a whole batch. With `ranks`
 * that have the other parts, statistics are those of the whole batch, and a part may have no
 * rows. */
void lab_model_part(lab_model *model, uint64_t before, double over, const lab_ranks *ranks);

/* Do layers look at all rows of a batch? Then a part by itself is another thing. */
int lab_model_needs_whole(const lab_model *model);

/* The sum of all parts' gradients so far is in `sum`, with room for as many values as it
 * returns: add those there are, and zero them, or with `last` put the sum in their place.
 * With a sum of NULL it only counts. */
uint64_t lab_model_add_part(lab_model *model, lab_real *sum, int first, int last);

/* The same without gradients, dropout or running statistics, for a whole split. */
eden_status lab_model_eval(lab_model *model, const lab_split *split, double *loss,
                           uint64_t *correct, eden_error *error);

/* What the layers before the loss make of `count` rows, outside training; the outputs are
 * the model's until it is next used. */
eden_status lab_model_outputs(lab_model *model, const float *x, uint64_t count,
                              const lab_real **outputs, eden_error *error);

/* Forward and backward for the slopes of the mean loss by the rows, which are the model's
 * until it is next used; its gradients stay as they are. Only where a network's config
 * asks for slopes. */
eden_status lab_model_slopes(lab_model *model, const lab_real *x, uint64_t count, uint64_t step,
                             double *loss, const lab_real **slopes, eden_error *error);

#endif
