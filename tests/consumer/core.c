/* Every rule of the core takes one step from an installed tree. */
#include <eden/core.h>

int main(void)
{
    static float p[4], g[4] = { 1, -2, 3, -4 }, memory[8][4];
    static _Alignas(64) char work[1 << 16];
    float *state[8] = { memory[0], memory[1], memory[2], memory[3],
                        memory[4], memory[5], memory[6], memory[7] };
    double settings[64];

    for (size_t i = 0; i < eden_rule_count(); i++) {
        eden_rule_call call = EDEN_RULE_CALL_INIT;
        const eden_slot *slot;
        call.rule = eden_rule_at(i);
        call.hypers = settings;
        call.isa = eden_isa_best();
        call.extent.count = call.extent.cols = 4, call.extent.rows = 1;
        call.param = p, call.grad = g, call.state = state, call.work = work;
        if (eden_rule_defaults(call.rule, settings, 64)) return 1;
        for (size_t s = 0; (slot = eden_rule_slot(call.rule, s)) != NULL; s++)
            if (slot->kind == EDEN_STATE &&
                eden_rule_slot_length(call.rule, s, settings, call.extent))
                call.states++;
        call.work_bytes = eden_rule_work_bytes(call.rule, settings, call.extent);
        if (call.work_bytes > sizeof work || eden_rule_step(&call, NULL)) return 2;
        if (p[0] >= 0 || p[1] <= 0) return 3; /* downhill */
        for (int k = 0; k < 32; k++) memory[k / 4][k % 4] = 0;
        for (int k = 0; k < 4; k++) p[k] = 0;
    }
    return eden_rule_count() == 0;
}
