/* model_store.c - weights and gradients of 16 bits beside those the network computes
 * with, which are their values as floats. */
#include "lab/data_parts.h"
#include "lab/model_inside.h"

#include <stdlib.h>
#include <string.h>

eden_status lab_model_no_float(eden_error *error)
{
    return data_fail(error, EDEN_E_DTYPE,
                     "this build of the model computes in float64 to be tested, and optimizers "
                     "take float32");
}

static eden_status no_number(const char *what, uint32_t dtype, eden_error *error)
{
    return data_fail(error, EDEN_E_DTYPE, "%s = %lu is not supported; use EDEN_F32, EDEN_BF16 or "
                     "EDEN_F16", what, (unsigned long)dtype);
}

eden_status lab_model_store(lab_model *m, const lab_storage *storage, eden_error *error)
{
    if (!m || !storage)
        return data_fail(error, EDEN_E_ARGUMENT, "lab_model_store() was given NULL");
    if (m->stored || m->stored_grads)
        return data_fail(error, EDEN_E_ORDER, "the model %s has its storage already", m->text);
    if (storage->dtype > EDEN_F16) return no_number("dtype", storage->dtype, error);
    if (storage->grad_dtype > EDEN_F16) return no_number("grad_dtype", storage->grad_dtype, error);
    const int weights = storage->dtype != EDEN_F32, grads = storage->grad_dtype != EDEN_F32;
    if (sizeof(lab_real) != sizeof(float) && (weights || grads)) return lab_model_no_float(error);
    m->stored = weights ? calloc((size_t)m->learned, sizeof *m->stored) : NULL;
    m->stored_grads = grads ? calloc((size_t)m->learned, sizeof *m->stored_grads) : NULL;
    if ((weights && !m->stored) || (grads && !m->stored_grads)) {
        free(m->stored);
        free(m->stored_grads);
        m->stored = m->stored_grads = NULL;
        return data_fail(error, EDEN_E_MEMORY, "there is not enough memory for the model %s", m->text);
    }
    m->storage = *storage;
    if (weights) eden_convert(m->stored, storage->dtype, m->values, EDEN_F32, m->learned);
    lab_model_widen(m);
    return EDEN_OK;
}

void lab_model_widen(lab_model *m)
{
    if (m->stored) eden_convert(m->values, EDEN_F32, m->stored, m->storage.dtype, m->learned);
}

void lab_model_narrow_grads(lab_model *m)
{
    if (m->stored_grads)
        eden_convert(m->stored_grads, m->storage.grad_dtype, m->grads, EDEN_F32, m->learned);
}

void lab_model_zero_grads(lab_model *m)
{
    memset(m->grads, 0, (size_t)m->learned * sizeof *m->grads);
}
