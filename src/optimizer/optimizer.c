/* optimizer.c - creating and destroying, and the notes that travel along. */
#include "optimizer/optimizer.h"

#include <stdlib.h>
#include <string.h>

#include "engine/driver.h"
#include "optimizer/backend.h"
#include "optimizer/text.h"

/* ---- instruction set --------------------------------------------------------- */

static eden_status choose_isa(eden_optimizer *o, eden_error *error)
{
    const char *source = o->config.isa ? "config.isa" : "EDEN_ISA in the environment";
    const char *cap = o->config.isa ? o->config.isa : getenv("EDEN_ISA");
    o->isa = eden_isa_best();
    if (!cap || !*cap) return EDEN_OK;

    for (size_t i = 0; i < eden_isa_count(); i++) {
        if (strcmp(cap, eden_isa_name(i)) != 0) continue;
        o->isa = i < o->isa ? i : o->isa;
        return EDEN_OK;
    }
    return eden_fail(error, EDEN_E_NAME, "%s: no instruction set is called '%.40s'; the best here is %s",
                     source, cap, eden_isa_name(o->isa));
}

/* ---- config --------------------------------------------------------------------- */

static eden_status check_config(const eden_config *c, eden_error *error)
{
    char number[EDEN_NUMBER_ROOM];
    eden_status status = eden_check_struct(c, sizeof *c, "config", "EDEN_CONFIG_INIT", error);
    if (status) return status;
    if (c->nonfinite > EDEN_APPLY)
        return eden_fail(error, EDEN_E_VALUE, "config.nonfinite = %u is none of EDEN_REFUSE, "
                         "EDEN_SKIP, EDEN_APPLY", c->nonfinite);
    if (c->threads > EDEN_MOST_THREADS)
        return eden_fail(error, EDEN_E_VALUE, "config.threads = %u is above %d", c->threads,
                         EDEN_MOST_THREADS);
    if (c->pool && !c->run)
        return eden_fail(error, EDEN_E_VALUE, "config.pool has no effect without config.run");
    if (c->maximize > 1)
        return eden_fail(error, EDEN_E_VALUE, "config.maximize = %u is neither 0 nor 1", c->maximize);
    if (c->zero_grad > 1)
        return eden_fail(error, EDEN_E_VALUE, "config.zero_grad = %u is neither 0 nor 1", c->zero_grad);
    const struct { const char *name; double value; } clips[] = {
        { "clip_value", c->clip_value }, { "clip_norm", c->clip_norm },
    };
    for (size_t i = 0; i < 2; i++) {
        if (!(clips[i].value >= 0 && clips[i].value <= (double)FLT_MAX))
            return eden_fail(error, EDEN_E_VALUE, "config.%s = %s is outside [0, %s]; 0 is off",
                             clips[i].name, eden_print_number(clips[i].value, number), "3.4e38");
        if (clips[i].value > 0 && (float)clips[i].value == 0)
            return eden_fail(error, EDEN_E_VALUE, "config.%s = %s is too small for a float, which would be 0; the "
                             "least is 1.4e-45, and 0 is off", clips[i].name,
                             eden_print_number(clips[i].value, number));
    }
    status = eden_check_loss_scale(c, error);
    return status ? status : eden_check_average(c, error);
}

eden_status eden_optimizer_create(eden_optimizer **optimizer, const char *rule,
                                  const eden_config *config, eden_error *error)
{
    const eden_config initial = EDEN_CONFIG_INIT;
    if (!optimizer || !rule)
        return eden_fail(error, EDEN_E_ARGUMENT, "eden_optimizer_create: %s is NULL",
                         optimizer ? "rule" : "optimizer");
    eden_float_env saved;
    eden_float_enter(&saved);
    eden_status status = check_config(config ? config : &initial, error);
    eden_float_leave(&saved);
    if (status) return status;

    eden_optimizer *o = eden_alloc(1, sizeof *o);
    if (!o) return eden_fail(error, EDEN_E_MEMORY, "no memory for an optimizer");
    o->config = config ? *config : initial;
    if (o->config.accumulate == 0) o->config.accumulate = 1;
    if (o->config.loss_scale > 0 && o->config.loss_scale_window == 0) o->config.loss_scale_window = 2000;
    if (o->config.average && o->config.average_start == 0) o->config.average_start = 1;
    if (o->config.average && o->config.average_every == 0) o->config.average_every = 1;
    o->loss_scale = o->config.loss_scale > 0 ? o->config.loss_scale : 1;
    o->stale = EDEN_STALE_PLAN;
    status = choose_isa(o, error);
    if (!status) status = eden_new_group(o, "default", rule, error);
    if (!status && !o->config.run) {
        o->threads = eden_threads_create(o->config.threads);
        if (!o->threads) status = eden_fail(error, EDEN_E_MEMORY, "no memory for threads");
    }
    if (status) {
        eden_optimizer_destroy(o);
        return status;
    }
    o->config.isa = NULL;
    *optimizer = o;
    return EDEN_OK;
}

void eden_optimizer_destroy(eden_optimizer *o)
{
    if (!o) return;
    eden_free_plan(o->plan);
    eden_threads_destroy(o->threads);
    for (size_t i = 0; i < o->group_count; i++) eden_free_group(&o->groups[i]);
    for (size_t i = 0; i < o->tensor_count; i++) {
        for (size_t k = 0; k < EDEN_ARRAYS; k++) eden_array_free(&o->tensors[i].array[k]);
        free(o->tensors[i].aside);
        free(o->tensors[i].name);
    }
    for (size_t i = 0; i < o->note_count; i++) {
        free(o->notes[i].key);
        free(o->notes[i].value);
    }
    if (o->backend) o->backend->destroy(o->backend);
    free(o->cuts);
    free(o->groups);
    free(o->tensors);
    free(o->index);
    free(o->notes);
    free(o);
}

/* ---- notes ------------------------------------------------------------------------ */

static size_t find_note(const eden_optimizer *o, const char *key)
{
    size_t i = 0;
    while (i < o->note_count && strcmp(o->notes[i].key, key) != 0) i++;
    return i;
}

const char *eden_note(const eden_optimizer *o, const char *key)
{
    if (!o || !key) return NULL;
    const size_t i = find_note(o, key);
    return i < o->note_count ? o->notes[i].value : NULL;
}

static void remove_note(eden_optimizer *o, size_t i)
{
    if (i == o->note_count) return;
    free(o->notes[i].key);
    free(o->notes[i].value);
    o->notes[i] = o->notes[--o->note_count];
}

/* Bytes of a text in JSON. */
static uint64_t written_bytes(const char *text)
{
    uint64_t bytes = 2;
    for (; *text; text++)
        bytes += strchr("\"\\\b\f\n\r\t", *text) ? 2 : (unsigned char)*text < 0x20 ? 6 : 1;
    return bytes;
}

/* Is this a text that a file can hold beside the other notes, of which number `i` goes? */
static eden_status check_note(const eden_optimizer *o, size_t i, const char *key, const char *value,
                              eden_error *error)
{
    if (!eden_is_utf8(value))
        return eden_fail(error, EDEN_E_VALUE, "the note '%.99s' is not UTF-8, which a file's texts have to be", key);
    uint64_t bytes = written_bytes(key) + written_bytes(value);
    for (size_t k = 0; k < o->note_count; k++)
        if (k != i) bytes += written_bytes(o->notes[k].key) + written_bytes(o->notes[k].value);
    if (bytes <= EDEN_NOTES_MOST) return EDEN_OK;
    return eden_fail(error, EDEN_E_VALUE, "with the note '%.99s' all notes would take %llu bytes in a file, and at "
                     "most %d are allowed; keep such data in a file of its own", key, (unsigned long long)bytes,
                     EDEN_NOTES_MOST);
}

eden_status eden_set_note(eden_optimizer *o, const char *key, const char *value, eden_error *error)
{
    if (!o || !key)
        return eden_fail(error, EDEN_E_ARGUMENT, "eden_set_note: %s is NULL", o ? "key" : "optimizer");
    if (!eden_name_ok(key))
        return eden_fail(error, EDEN_E_NAME, "a note's key is 1 to 255 bytes of UTF-8 without "
                                             "control characters");
    eden_status status = eden_not_busy(o, "eden_set_note", error);
    if (status) return status;
    const size_t i = find_note(o, key);
    if (!value) {
        remove_note(o, i);
        return EDEN_OK;
    }
    status = check_note(o, i, key, value, error);
    if (status) return status;
    char *text = eden_copy_text(value);
    if (text && i < o->note_count) {
        free(o->notes[i].value);
        o->notes[i].value = text;
        return EDEN_OK;
    }
    char *name = eden_copy_text(key);
    eden_text_pair *notes = text && name ? realloc(o->notes, (i + 1) * sizeof *notes) : NULL;
    if (!notes) {
        free(name);
        free(text);
        return eden_fail(error, EDEN_E_MEMORY, "no memory for the note '%s'", key);
    }
    o->notes = notes;
    o->notes[o->note_count++] = (eden_text_pair){ name, text };
    return EDEN_OK;
}

/* ---- counters --------------------------------------------------------------------- */

uint64_t eden_steps(const eden_optimizer *o) { return o ? o->steps : 0; }
uint64_t eden_skipped(const eden_optimizer *o) { return o ? o->skipped : 0; }
double eden_grad_norm(const eden_optimizer *o) { return o ? o->grad_norm : 0; }
