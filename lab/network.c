#include "lab/network.h"

#include <stdio.h>
#include <stdlib.h>

#include "lab/data_parts.h"
#include "lab/model_inside.h"

/* Below 0 a leaky ReLU has this slope. */
#define LEAK 0.2

enum { MOST_HIDDEN = 16, LEAST_ROWS = 32 };

/* Weights begin with variance gain / in. */
static lab_shape dense(lab_model *m, const lab_network_config *c, unsigned number, lab_shape in,
                       uint64_t out, double gain)
{
    char name[32];
    lab_layer *l = lab_model_next(m);
    snprintf(name, sizeof name, "%.20s%u", c->name, number);
    lab_dense(l, name, in, out, 1, gain);
    return l->out_shape;
}

static void activation(lab_model *m, const lab_network_config *c, lab_shape in)
{
    lab_layer *l = lab_model_next(m);
    if (c->between == LAB_TANH) lab_tanh(l, in);
    if (c->between == LAB_RELU) lab_relu(l, in);
    if (c->between == LAB_LEAKY_RELU) lab_leaky_relu(l, in, LEAK);
}

static void add_layers(lab_model *m, const lab_network_config *c, const uint64_t *widths,
                       unsigned count)
{
    lab_shape in = { c->in, 1, 1 };
    for (unsigned i = 0; i < count; i++) {
        in = dense(m, c, i + 1, in, widths[i], c->between == LAB_TANH ? 1 : 2);
        activation(m, c, in);
        if (c->dropout > 0) lab_dropout(lab_model_next(m), in, c->dropout);
    }
    in = dense(m, c, count + 1, in, c->out, c->last * c->last);
    if (c->bounded) lab_tanh(lab_model_next(m), in);
    lab_given_loss(lab_model_next(m), in);
}

static void describe(lab_model *m, const lab_network_config *c, const uint64_t *widths,
                     unsigned count)
{
    char *at = m->text, *end = m->text + sizeof m->text;
    at += snprintf(at, (size_t)(end - at), "%.20s %llu", c->name, (unsigned long long)c->in);
    for (unsigned i = 0; i < count; i++)
        at += snprintf(at, (size_t)(end - at), "-%llu", (unsigned long long)widths[i]);
    snprintf(at, (size_t)(end - at), "-%llu", (unsigned long long)c->out);
}

eden_status lab_network_create(lab_model **model, const lab_network_config *c, eden_error *error)
{
    uint64_t widths[MOST_HIDDEN];
    uint32_t count = 0;
    eden_status status = lab_model_read_widths(c->widths, widths, MOST_HIDDEN, &count, error);
    if (status) return status;
    if (!(c->dropout >= 0 && c->dropout < 1))
        return data_fail(error, EDEN_E_VALUE,
                         "dropout is at least 0 and less than 1: 1 leaves nothing to learn from");
    lab_model *m = calloc(1, sizeof *m);
    if (!m) return data_fail(error, EDEN_E_MEMORY, "there is not enough memory for the model");
    m->seed = c->seed;
    m->features = c->in;
    m->given = 1;
    m->slopes = c->slopes;
    add_layers(m, c, widths, count);
    describe(m, c, widths, count);
    if (!lab_model_complete(m, LEAST_ROWS)) status = lab_model_too_large(error);
    return lab_model_ready(model, m, c->threads, status, error);
}

void lab_network_loss(lab_model *m, lab_row_loss *loss, const void *context)
{
    m->layer[m->layers - 1].row_loss = loss;
    m->layer[m->layers - 1].of_loss = context;
}

void lab_network_pair(lab_problem *problem, char text[LAB_PAIR_ROOM])
{
    lab_model *const *part = problem->part;
    problem->weights = lab_model_weights(part[0]) + lab_model_weights(part[1]);
    const int n = snprintf(text, LAB_PAIR_ROOM, "%.70s and %.70s, ", part[0]->text, part[1]->text);
    lab_model_count_text(problem->weights, text + n, text + LAB_PAIR_ROOM);
    problem->network = text;
}
