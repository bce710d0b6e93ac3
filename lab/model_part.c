/* model_part.c - batches of which a model sees a part at a time. */
#include "lab/model_inside.h"

#include <string.h>

void lab_model_part(lab_model *m, uint64_t before, double over, const lab_ranks *ranks)
{
    m->part_before = before;
    m->part_over = over;
    m->ranks = ranks;
}

int lab_model_needs_whole(const lab_model *m)
{
    for (uint32_t i = 0; i < m->layers; i++)
        if (m->layer[i].kind->forward_join) return 1;
    return 0;
}

uint64_t lab_model_add_part(lab_model *m, lab_real *sum, int first, int last)
{
    const size_t bytes = (size_t)m->learned * sizeof *sum;
    if (!sum) return m->learned;
    if (first) memcpy(sum, m->grads, bytes);
    else
        for (uint64_t i = 0; i < m->learned; i++) sum[i] += m->grads[i];
    if (last) memcpy(m->grads, sum, bytes);
    else memset(m->grads, 0, bytes);
    return m->learned;
}
