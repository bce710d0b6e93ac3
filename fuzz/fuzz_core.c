/* fuzz_core.c - any settings, extents and numbers for one step of one rule: refused, or
 * the same bits on every instruction set that runs here. */
#include "fuzz/fuzz.h"

#include <eden/core.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_HYPERS = 64, MOST_STATES = 8, COUNT = 300 };

typedef struct {
    float param[COUNT], grad[COUNT], state[MOST_STATES][COUNT];
} arrays;

static float any_float(fuzz_input *input)
{
    const uint64_t word = fuzz_word(input);
    const uint32_t half = (uint32_t)word;
    float value;
    memcpy(&value, &half, sizeof value);
    /* Mostly what a network has; the whole range of bits one time in four. */
    return word >> 62 ? (float)((double)half / 4294967296.0 - 0.5) : value;
}

/* NaN payloads may differ, so they are made one. */
static uint64_t hash_floats(uint64_t hash, const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t word;
        memcpy(&word, &values[i], sizeof word);
        if (values[i] != values[i]) word = 0x7fc00000u;
        hash = fuzz_hash(hash, &word, sizeof word);
    }
    return hash;
}

static uint64_t step(const eden_rule_call *call, const arrays *start, const size_t *lengths)
{
    static arrays a;
    float *state[MOST_STATES];
    eden_rule_call mine = *call;
    a = *start;
    for (size_t i = 0; i < MOST_STATES; i++) state[i] = a.state[i];
    mine.param = a.param;
    mine.grad = a.grad;
    mine.state = state;
    const eden_status status = eden_rule_step(&mine, NULL);
    fuzz_check(!status || !memcmp(&a, start, sizeof a), "a step that fails changes nothing");
    fuzz_check(!memcmp(a.grad, start->grad, sizeof a.grad), "a gradient is only read");
    uint64_t hash = hash_floats((uint64_t)status, a.param, (size_t)call->extent.count);
    for (size_t i = 0; i < call->states; i++) hash = hash_floats(hash, a.state[i], lengths[i]);
    fuzz_check(!memcmp(a.param + call->extent.count, start->param + call->extent.count,
                       (COUNT - (size_t)call->extent.count) * sizeof(float)),
               "nothing is written beyond a tensor");
    return hash;
}

static void run_everywhere(fuzz_input *input, const eden_rule *rule, const double *hypers)
{
    static arrays start;
    size_t lengths[MOST_STATES] = { 0 };
    const uint64_t cols = 1 + fuzz_below(input, 20), rows = 1 + fuzz_below(input, 14);
    eden_rule_call call = EDEN_RULE_CALL_INIT;
    call.rule = rule;
    call.hypers = hypers;
    call.extent = (eden_extent){ rows * cols, rows, cols, 0 };
    call.step = fuzz_byte(input) % 2 ? 1 + (uint64_t)fuzz_byte(input) : fuzz_word(input);
    call.grad_scale = fuzz_byte(input) % 2 ? 1 : any_float(input);
    memset(&start, 0, sizeof start);
    for (size_t i = 0; i < rows * cols; i++) {
        start.param[i] = any_float(input);
        start.grad[i] = any_float(input);
    }
    for (size_t s = 0; eden_rule_slot(rule, s); s++) {
        const eden_slot *slot = eden_rule_slot(rule, s);
        const uint64_t length = eden_rule_slot_length(rule, s, hypers, call.extent);
        if (slot->kind != EDEN_STATE || length == 0) continue;
        fuzz_check(call.states < MOST_STATES && length <= rows * cols, "state has its room");
        for (size_t i = 0; i < length; i++) {
            const float value = any_float(input);
            start.state[call.states][i] = slot->square && value < 0 ? -value : value;
        }
        lengths[call.states++] = (size_t)length;
    }
    call.work_bytes = eden_rule_work_bytes(rule, hypers, call.extent);
    call.work = call.work_bytes ? aligned_alloc(64, (size_t)(call.work_bytes + 63) / 64 * 64) : NULL;
    fuzz_check(!call.work_bytes || call.work, "there is memory");
    uint64_t first = 0;
    for (size_t isa = 0; isa < eden_isa_count(); isa++) {
        if (!eden_isa_runs_here(isa)) continue;
        call.isa = isa;
        const uint64_t hash = step(&call, &start, lengths);
        if (isa == 0) first = hash;
        fuzz_check(hash == first, "every instruction set gives the same bits");
    }
    free(call.work);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    double hypers[MOST_HYPERS];
    size_t count = 0, culprit = 0;
    fuzz_input input = { data, size };
    const eden_rule *rule = eden_rule_at(fuzz_below(&input, (uint32_t)eden_rule_count()));
    while (eden_rule_hyper(rule, count)) count++;
    fuzz_check(count <= MOST_HYPERS && !eden_rule_defaults(rule, hypers, count), "defaults are there");
    for (uint32_t n = fuzz_below(&input, 8); n; n--) {
        const size_t which = fuzz_below(&input, (uint32_t)count);
        hypers[which] = fuzz_real(&input);
    }
    const eden_status status = eden_rule_check(rule, hypers, &culprit, NULL);
    fuzz_check(!status || culprit < count, "a refusal has a culprit");
    if (!status) run_everywhere(&input, rule, hypers);
    return 0;
}

size_t fuzz_seed(size_t i, uint8_t *room)
{
    if (i >= 16) return 0;
    for (size_t k = 0; k < 400; k++) room[k] = (uint8_t)(k * k * 37 + i * 11 + (k >> 3) * 101);
    room[0] = (uint8_t)i;
    room[1] = i < 8 ? 0 : 3;
    return 400;
}
