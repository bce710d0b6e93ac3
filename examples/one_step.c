/* One optimizer at the level of the rule: no allocation, no threads, only the
 * library eden-core. This is what fits into a kernel, a plugin or a
 * microcontroller; everything lives in arrays of your own.
 *
 *     cc one_step.c $(pkg-config --cflags --libs eden-core)
 */
#include <eden/core.h>
#include <stdio.h>

enum { ROWS = 3, COLS = 4, COUNT = ROWS * COLS, MAX_STATES = 4, MAX_SETTINGS = 32 };

static float weights[COUNT], grad[COUNT], memory[MAX_STATES][COUNT];
static _Alignas(64) unsigned char work[65536];

/* Give each state slot that exists with these settings an array, in slot order. */
static size_t find_states(const eden_rule *rule, const double *settings, eden_extent extent,
                          float *state[MAX_STATES])
{
    size_t count = 0;
    const eden_slot *slot;
    for (size_t i = 0; (slot = eden_rule_slot(rule, i)) != NULL; i++) {
        const uint64_t length = eden_rule_slot_length(rule, i, settings, extent);
        if (slot->kind != EDEN_STATE || length == 0) continue;
        if (count == MAX_STATES || length > COUNT) return SIZE_MAX;
        printf("%s, %s: %llu values\n", slot->name, slot->doc, (unsigned long long)length);
        state[count] = memory[count];
        count++;
    }
    return count;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "lamb";
    const eden_preset *preset;
    const eden_rule *rule = eden_rule_find(name, &preset);
    if (rule == NULL) return fprintf(stderr, "no rule is called %s\n", name), 1;
    if (preset != NULL)
        return fprintf(stderr, "%s is %s with %s; try that\n", name, eden_rule_name(rule), preset->settings), 1;

    double settings[MAX_SETTINGS];
    if (eden_rule_defaults(rule, settings, MAX_SETTINGS)) return 1;
    settings[eden_rule_hyper_index(rule, "lr")] = 0.1;

    float *state[MAX_STATES];
    const eden_extent extent = { COUNT, ROWS, COLS, 0 };
    eden_rule_call call = EDEN_RULE_CALL_INIT;
    call.rule = rule;
    call.isa = eden_isa_best();
    call.hypers = settings;
    call.extent = extent;
    call.param = weights;
    call.grad = grad;
    call.state = state;
    call.states = find_states(rule, settings, extent, state);
    call.work = work;
    call.work_bytes = eden_rule_work_bytes(rule, settings, extent);
    if (call.states == SIZE_MAX || call.work_bytes > sizeof work)
        return fprintf(stderr, "%s needs more memory than there is here\n", name), 1;

    for (int i = 0; i < COUNT; i++) weights[i] = 1;
    for (call.step = 1; call.step <= 100; call.step++) {
        for (int i = 0; i < COUNT; i++) grad[i] = 2 * (weights[i] - (float)i); /* towards i */
        size_t culprit = 0;
        const eden_status status = eden_rule_step(&call, &culprit);
        if (status) return fprintf(stderr, "%s (%zu)\n", eden_status_text(status), culprit), 1;
    }
    for (int i = 0; i < COUNT; i++) printf("%.2f%c", weights[i], i % COLS == COLS - 1 ? '\n' : ' ');
    return 0;
}
