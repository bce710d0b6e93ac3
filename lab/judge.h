/* judge.h - a classifier of images, trained here on real ones, that looks at others. It is
 * the same for every run on the same data: what it finds can be compared. */
#ifndef LAB_JUDGE_H
#define LAB_JUDGE_H

#include "lab/data.h"

typedef struct lab_judge lab_judge;

/* Takes about a second for 1,437 images of 8 x 8. `data` must outlive the judge. */
eden_status lab_judge_create(lab_judge **judge, const lab_data *data, uint32_t threads,
                             eden_error *error);
void lab_judge_destroy(lab_judge *judge);

typedef struct {
    double confident;  /* share that have a class with a chance over 0.8        */
    double least;      /* share of the class that is found least                */
    double agreeing;   /* share of those that are of the class in `label`       */
    double distance;   /* Frechet distance to the test set, by what the last hidden
                          layer makes of them                                   */
} lab_verdict;

/* On `count` images from 0 to 1. The distance is left out unless `whole` is 1. */
eden_status lab_judge_look(lab_judge *judge, const float *x, const int32_t *label, uint64_t count,
                           int whole, lab_verdict *verdict, eden_error *error);

#endif
