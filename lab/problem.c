/* problem.c - what problems with models of model.h share. */
#include "lab/problem.h"

#include <stdlib.h>

enum { MOST = 2 };

/* Model `i` of a problem, or NULL. */
static lab_model *model_at(const lab_problem *p, int i)
{
    return p->model ? (i ? NULL : p->model) : p->part[i];
}

/* To be asked once in a process, and the room is the same for all. */
eden_status lab_problem_fits(const lab_problem *p, eden_error *error)
{
    return lab_model_fits(model_at(p, 0), error);
}

eden_status lab_problem_store(lab_problem *p, const lab_storage *storage, eden_error *error)
{
    eden_status status = EDEN_OK;
    for (int i = 0; i < MOST && !status && model_at(p, i); i++)
        status = lab_model_store(model_at(p, i), storage, error);
    return status;
}

void lab_problem_zero_grads(lab_problem *p)
{
    for (int i = 0; i < MOST && model_at(p, i); i++) lab_model_zero_grads(model_at(p, i));
}

void lab_problem_narrow_grads(lab_problem *p)
{
    for (int i = 0; i < MOST && model_at(p, i); i++) lab_model_narrow_grads(model_at(p, i));
}

void lab_problem_widen(lab_problem *p)
{
    for (int i = 0; i < MOST && model_at(p, i); i++) lab_model_widen(model_at(p, i));
}

uint64_t lab_problem_add_part(lab_problem *p, lab_real *sum, int first, int last)
{
    uint64_t count = 0;
    for (int i = 0; i < MOST && model_at(p, i); i++)
        count += lab_model_add_part(model_at(p, i), sum ? sum + count : NULL, first, last);
    return count;
}

int lab_problem_needs_whole(const lab_problem *p)
{
    for (int i = 0; i < MOST && model_at(p, i); i++)
        if (lab_model_needs_whole(model_at(p, i))) return 1;
    return 0;
}

eden_status lab_problem_add(lab_problem *p, eden_optimizer *optimizer, const char *vectors,
                            eden_error *error)
{
    eden_status status = EDEN_OK;
    for (int i = 0; i < MOST && !status && model_at(p, i); i++)
        status = lab_model_register(model_at(p, i), optimizer, vectors, error);
    return status;
}

void lab_sample_free(lab_sample *sample)
{
    free(sample->text);
    free(sample->pixels);
    *sample = (lab_sample){ 0 };
}
