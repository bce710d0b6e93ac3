/* problem.c - what problems with one model share. */
#include "lab/problem.h"

#include <stdlib.h>

eden_status lab_problem_fits(const lab_problem *p, eden_error *error)
{
    return lab_model_fits(p->model, error);
}

eden_status lab_problem_store(lab_problem *p, const lab_storage *storage, eden_error *error)
{
    return lab_model_store(p->model, storage, error);
}

void lab_problem_zero_grads(lab_problem *p) { lab_model_zero_grads(p->model); }
void lab_problem_narrow_grads(lab_problem *p) { lab_model_narrow_grads(p->model); }
void lab_problem_widen(lab_problem *p) { lab_model_widen(p->model); }

eden_status lab_problem_add(lab_problem *p, eden_optimizer *optimizer, const char *vectors,
                            eden_error *error)
{
    return lab_model_register(p->model, optimizer, vectors, error);
}

void lab_sample_free(lab_sample *sample)
{
    free(sample->text);
    free(sample->pixels);
    *sample = (lab_sample){ 0 };
}
