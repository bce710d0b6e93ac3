/* step.c - one step of one rule on the caller's memory. */
#include "engine/driver.h"

static eden_status fault(size_t *index, size_t value, eden_status status)
{
    if (index) *index = value;
    return status;
}

#define STRUCT_MOST 4096 /* bytes; a larger size is no size, and there might be no such memory */

eden_struct_fit eden_look_at_struct(const void *filled, size_t known)
{
    const unsigned char *bytes = filled;
    const size_t size = *(const size_t *)filled;
    if (size < known) return EDEN_STRUCT_SMALL;
    if (size > STRUCT_MOST) return EDEN_STRUCT_ODD;
    for (size_t i = known; i < size; i++)
        if (bytes[i]) return EDEN_STRUCT_LATER;
    return EDEN_STRUCT_FITS;
}

static int extent_ok(eden_extent x)
{
    const uint64_t matrices = x.matrices ? x.matrices : 1;
    uint64_t count, rows, cols;
    return !__builtin_mul_overflow(x.rows, x.cols, &count) && !__builtin_mul_overflow(count, matrices, &count) &&
           count == x.count && x.count <= SIZE_MAX / sizeof(double) &&
           !__builtin_mul_overflow(x.rows, matrices, &rows) && !__builtin_mul_overflow(x.cols, matrices, &cols);
}

uint64_t eden_rule_slot_length(const eden_rule *rule, size_t slot, const double *hypers,
                               eden_extent extent)
{
    if (!rule || !hypers || slot >= rule->slot_count || !(eden_slots_on(rule, hypers, extent) >> slot & 1))
        return 0;
    return eden_shape_length(rule->slots[slot].shape, extent);
}

uint64_t eden_rule_state_bytes(const eden_rule *rule, const double *hypers, eden_extent extent)
{
    uint64_t bytes = 0;
    for (size_t s = 0; rule && s < rule->slot_count; s++)
        if (rule->slots[s].kind == EDEN_STATE)
            bytes += eden_rule_slot_length(rule, s, hypers, extent) * sizeof(real);
    return bytes;
}

uint64_t eden_rule_work_bytes(const eden_rule *rule, const double *hypers, eden_extent extent)
{
    eden_job job;
    if (!rule || !hypers) return 0;
    eden_job_init(&job, rule, 0, hypers, extent);
    return eden_job_lay_out(&job, NULL);
}

static uint32_t full_slots(const eden_rule *rule, uint32_t bits)
{
    for (size_t s = 0; s < rule->slot_count; s++)
        if (rule->slots[s].shape != EDEN_FULL) bits &= ~((uint32_t)1 << s);
    return bits;
}

int eden_rule_traffic(const eden_rule *rule, size_t i, const double *hypers, eden_extent extent,
                      uint32_t *reads, uint32_t *writes)
{
    if (!rule || !hypers || !reads || !writes) return 0;
    const uint32_t on = eden_passes_on(rule, hypers, extent);
    for (size_t p = 0; p < rule->pass_count; p++) {
        const eden_pass *pass = &rule->passes[p];
        if (!(on >> p & 1) || pass->program != EDEN_STEP || pass->domain != EDEN_FULL || i-- > 0)
            continue;
        *reads = full_slots(rule, pass->reads);
        *writes = full_slots(rule, pass->writes);
        return 1;
    }
    return 0;
}

/* Point the job at the caller's arrays; refuses a missing one. */
static eden_status attach(eden_job *job, const eden_rule_call *call, size_t *index)
{
    size_t state = 0;
    for (size_t s = 0; s < job->rule->slot_count; s++) {
        const eden_slot *slot = &job->rule->slots[s];
        if (!(job->slots >> s & 1) || !eden_shape_length(slot->shape, job->extent)) continue;
        switch (slot->kind) {
        case EDEN_PARAM: job->base[s] = call->param; break;
        case EDEN_GRAD: job->base[s] = (void *)(uintptr_t)call->grad; break;
        case EDEN_STATE:
            if (state >= call->states || !call->state || !call->state[state])
                return fault(index, state, EDEN_E_ARGUMENT);
            job->base[s] = call->state[state++];
            break;
        default: break;
        }
    }
    return state == call->states ? EDEN_OK : fault(index, state, EDEN_E_ARGUMENT);
}

eden_status eden_rule_step(const eden_rule_call *call, size_t *index)
{
    eden_job job;
    eden_float_env saved;
    _Alignas(16) unsigned char consts[EDEN_MAX_CONSTS];

    if (!call || eden_look_at_struct(call, sizeof *call) != EDEN_STRUCT_FITS || !call->rule || !call->hypers || call->step == 0 ||
        call->isa >= EDEN_ISA_COUNT || (call->extent.count && (!call->param || !call->grad)))
        return fault(index, SIZE_MAX, EDEN_E_ARGUMENT);
    if (!extent_ok(call->extent)) return EDEN_E_SHAPE;
    const eden_status status = eden_rule_check(call->rule, call->hypers, index, NULL);
    if (status) return status;

    eden_job_init(&job, call->rule, call->isa, call->hypers, call->extent);
    const eden_status attached = attach(&job, call, index);
    if (attached) return attached;
    const uint64_t need = eden_job_lay_out(&job, NULL);
    if (need && (!call->work || call->work_bytes < need || (uintptr_t)call->work % 64))
        return EDEN_E_WORKSPACE;
    eden_job_lay_out(&job, call->work);

    eden_float_enter(&saved);
    call->rule->prepare(consts, call->hypers, call->step, call->extent);
    job.consts = consts;
    job.grad.pre = call->grad_scale;
    for (size_t pass = 0; pass < job.rule->pass_count; pass++) {
        if (!eden_job_has(&job, pass, EDEN_STEP)) continue;
        const size_t pieces = eden_job_pieces(&job, pass);
        for (size_t piece = 0; piece < pieces; piece++) eden_job_run(&job, pass, piece);
        eden_job_fold(&job, pass);
    }
    eden_float_leave(&saved);
    return EDEN_OK;
}
