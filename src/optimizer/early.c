/* early.c - one tensor's part of a step, before the others' gradients are there. */
#include "optimizer/shard.h"
#include "optimizer/text.h"

eden_status eden_not_busy(const eden_optimizer *o, const char *call, eden_error *error)
{
    if (!o->busy) return EDEN_OK;
    return eden_fail(error, EDEN_E_ORDER, "%s: called by a function that this optimizer is calling, a schedule, "
                     "config.run or a report's tell(); call it when that one has returned", call);
}

eden_status eden_not_early(const eden_optimizer *o, const char *call, eden_error *error)
{
    const eden_status status = eden_not_busy(o, call, error);
    if (status || !o->early) return status;
    return eden_fail(error, EDEN_E_ORDER, "%s: step %llu is open, since eden_step_tensor() has updated some "
                     "tensors; complete it with eden_step() first", call, (unsigned long long)o->steps + 1);
}

/* What has to see all gradients before any weight moves. */
static eden_status check_config(const eden_optimizer *o, eden_error *error)
{
    if (o->config.loss_scale > 0)
        return eden_fail(error, EDEN_E_ARGUMENT, "eden_step_tensor: config.loss_scale skips a step whose "
                         "gradients overflow, and this tensor could not go back; step as a whole");
    if (o->config.clip_norm > 0)
        return eden_fail(error, EDEN_E_ARGUMENT, "eden_step_tensor: config.clip_norm needs the norm of all "
                         "gradients first; use clip_value, or step as a whole");
    if (o->config.nonfinite != EDEN_APPLY)
        return eden_fail(error, EDEN_E_ARGUMENT, "eden_step_tensor: a bad gradient found later could not undo "
                         "this tensor's update; config.nonfinite has to be EDEN_APPLY");
    return EDEN_OK;
}

static eden_status check_tensor(const eden_optimizer *o, const eden_entry *entry, eden_error *error)
{
    const eden_tensor *t = &entry->tensor;
    if (t->flags & EDEN_FROZEN)
        return eden_fail(error, EDEN_E_ARGUMENT, "eden_step_tensor: '%s' is frozen and takes no steps", entry->name);
    if (entry->early)
        return eden_fail(error, EDEN_E_ORDER, "eden_step_tensor: '%s' has been updated in step %llu already; "
                         "complete it with eden_step()", entry->name, (unsigned long long)o->steps + 1);
    if (!t->grad)
        return eden_fail(error, EDEN_E_ARGUMENT, "eden_step_tensor: '%s' has no gradient; say where it is with "
                         "eden_set_grad()", entry->name);
    if (o->config.zero_grad && !(t->flags & EDEN_GRAD_WRITABLE))
        return eden_fail(error, EDEN_E_ARGUMENT, "eden_step_tensor: the gradient of '%s' is read-only; add it "
                         "with EDEN_GRAD_WRITABLE or zero it yourself", entry->name);
    if (o->steps == UINT64_MAX)
        return eden_fail(error, EDEN_E_OVERFLOW, "the optimizer has taken 2^64 - 1 steps, the most there are");
    return EDEN_OK;
}

/* Open the step: what its first tensor prepares for all. */
static eden_status open_step(eden_optimizer *o, eden_error *error)
{
    eden_status status = eden_refresh(o, error);
    if (!status) status = eden_schedule_all(o, o->steps + 1, error);
    if (!status && eden_has_lookahead(o))
        status = eden_fail(error, EDEN_E_ARGUMENT, "eden_step_tensor: lookahead = 1 moves all weights before any "
                           "gradient is there; step as a whole");
    if (status) return status;
    for (size_t g = 0; g < o->group_count; g++) o->plan->latest[g] = 0;
    o->early = 1;
    return EDEN_OK;
}

static eden_status step_tensor(eden_optimizer *o, const char *name, eden_error *error)
{
    eden_entry *entry = NULL;
    eden_status status = eden_not_busy(o, "eden_step_tensor", error);
    if (!status) status = eden_find_entry(o, name, &entry, error);
    if (!status) status = eden_not_sharded(o, "eden_step_tensor", error);
    if (!status && !o->early) status = eden_not_ahead(o, "eden_step_tensor", error);
    if (!status) status = check_config(o, error);
    if (!status) status = check_tensor(o, entry, error);
    if (status || o->pending + 1 < o->config.accumulate) return status;
    if (!o->early) status = open_step(o, error);
    if (status) return status;
    const eden_grad_scale scale = eden_step_scale(o);
    eden_run_item(o, entry->item, &scale);
    entry->early = 1;
    return EDEN_OK;
}

eden_status eden_step_tensor(eden_optimizer *o, const char *tensor, eden_error *error)
{
    eden_float_env saved;
    if (!o) return eden_fail(error, EDEN_E_ARGUMENT, "eden_step_tensor: optimizer is NULL");
    eden_float_enter(&saved);
    const eden_status status = step_tensor(o, tensor, error);
    eden_float_leave(&saved);
    return status;
}
