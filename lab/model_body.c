/* model_body.c - a model's body, all but its last layer, from elsewhere. */
#include "lab/data_parts.h"
#include "lab/model_inside.h"
#include "lab/rates.h"

#include <string.h>

uint32_t lab_model_head(const lab_model *m)
{
    uint32_t head = m->layers - 1;
    while (head > 0 && !m->layer[head].tensors) head--;
    return head;
}

void lab_model_take_body(lab_model *m, const lab_model *from)
{
    const uint32_t head = lab_model_head(m);
    for (uint32_t i = 0; i < head; i++)
        for (uint32_t k = 0; k < m->layer[i].tensors; k++) {
            const lab_tensor *t = &m->layer[i].tensor[k];
            memcpy(t->value, from->layer[i].tensor[k].value, t->count * sizeof *t->value);
        }
}

/* An optimizer that never takes a step knows the body alone: the file's head is no tensor of
 * its own, whatever shape it has. */
eden_status lab_model_load_body(lab_model *m, const char *path, eden_load_report *report,
                                eden_error *error)
{
    eden_optimizer *reader;
    if (sizeof(lab_real) != sizeof(float)) return lab_model_no_float(error);
    eden_status status = eden_optimizer_create(&reader, lab_default_optimizer(), NULL, error);
    if (status) return status;
    const uint32_t head = lab_model_head(m);
    for (uint32_t i = 0; !status && i < head; i++)
        for (uint32_t k = 0; !status && k < m->layer[i].tensors; k++)
            status = lab_model_add_tensor(m, &m->layer[i].tensor[k], reader, NULL, error);
    if (!status)
        status = eden_load_as(reader, path, EDEN_WEIGHTS | EDEN_PARTIAL | EDEN_CONVERT, report, error);
    eden_optimizer_destroy(reader);
    return status;
}
