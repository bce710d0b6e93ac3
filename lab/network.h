/* network.h - plain networks of dense layers, as models of model.h whose loss somebody
 * else computes, row by row. */
#ifndef LAB_NETWORK_H
#define LAB_NETWORK_H

#include "lab/problem.h"
#include "lab/real.h"

typedef enum { LAB_TANH, LAB_RELU, LAB_LEAKY_RELU } lab_activation;

typedef struct {
    const char *name;       /* "policy": its tensors are policy1.weight, ...     */
    uint64_t in, out;
    const char *widths;     /* of hidden layers: "64,64"                        */
    lab_activation between;
    int bounded;            /* 1: a hyperbolic tangent behind the last layer    */
    int slopes;             /* 1: lab_model_slopes() will be asked for          */
    double last;            /* what the last layer's first weights are multiplied by */
    double dropout;         /* behind each hidden layer                         */
    uint64_t seed;          /* of initial weights and of dropout                */
    uint32_t threads;       /* 0: one a core                                    */
} lab_network_config;

eden_status lab_network_create(lab_model **model, const lab_network_config *config,
                               eden_error *error);

/* The loss of a row of the batch by its outputs `z`; where `d` is not NULL, its slopes by
 * them go there. Called for different rows at the same time. */
typedef double lab_row_loss(const void *context, uint64_t row, const lab_real *z, lab_real *d);

/* What the model minimizes the mean of from now on; `context` must outlive its use. */
void lab_network_loss(lab_model *model, lab_row_loss *loss, const void *context);

/* The weights of a problem's two parts, and its line about them, in `text`. */
#define LAB_PAIR_ROOM 200
void lab_network_pair(lab_problem *problem, char text[LAB_PAIR_ROOM]);

#endif
