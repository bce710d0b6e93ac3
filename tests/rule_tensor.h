/* rule_tensor.h - one tensor, its state and its workspace at the level of rules. */
#ifndef EDEN_TESTS_RULE_TENSOR_H
#define EDEN_TESTS_RULE_TENSOR_H

#include <eden/core.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 32 };

/* A tensor with its state, and what its values are called in the file. */
typedef struct {
    eden_rule_call call;
    double hypers[ROOM];
    size_t arrays; /* the weights, then the state */
    const char *name[ROOM];
    uint64_t length[ROOM];
    float *array[ROOM], *state[ROOM], *grad;
} tensor;

static inline void tensor_free(tensor *x)
{
    for (size_t i = 0; i < x->arrays; i++) free(x->array[i]);
    free(x->grad);
    free(x->call.work);
}

static inline void tensor_add(tensor *x, const char *name, uint64_t length)
{
    x->name[x->arrays] = name;
    x->length[x->arrays] = length;
    x->array[x->arrays] = calloc((size_t)length, sizeof(float));
    assert_non_null(x->array[x->arrays++]);
}

static inline void tensor_init(tensor *x, const eden_rule *rule, const double *hypers, eden_extent extent)
{
    memset(x, 0, sizeof *x);
    memcpy(x->hypers, hypers, sizeof x->hypers);
    x->call = (eden_rule_call)EDEN_RULE_CALL_INIT;
    x->call.rule = rule;
    x->call.hypers = x->hypers;
    x->call.extent = extent;
    tensor_add(x, "p", extent.count);
    const eden_slot *slot;
    for (size_t s = 0; (slot = eden_rule_slot(rule, s)) != NULL; s++) {
        const uint64_t length = eden_rule_slot_length(rule, s, hypers, extent);
        if (slot->kind == EDEN_STATE && length) tensor_add(x, slot->name, length);
    }
    for (size_t i = 1; i < x->arrays; i++) x->state[i - 1] = x->array[i];
    x->grad = calloc((size_t)extent.count, sizeof(float));
    x->call.param = x->array[0];
    x->call.grad = x->grad;
    x->call.state = x->state;
    x->call.states = x->arrays - 1;
    x->call.work_bytes = eden_rule_work_bytes(rule, hypers, extent);
    if (x->call.work_bytes)
        assert_int_equal(posix_memalign(&x->call.work, 64, (size_t)x->call.work_bytes), 0);
    assert_non_null(x->grad);
}

static inline void tensor_step(tensor *x, uint64_t t)
{
    size_t index = 0;
    x->call.step = t;
    const eden_status status = eden_rule_step(&x->call, &index);
    if (status) fail_msg("eden_rule_step: %s, index %zu", eden_status_text(status), index);
}

#endif
