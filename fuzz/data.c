/* data.c - what every reader of data sets promises. */
#include "fuzz/data.h"

#include <math.h>
#include <string.h>

#include "fuzz/fuzz.h"

static void check_split(const lab_data *data, const lab_split *split)
{
    for (uint64_t i = 0; i < split->count * data->features; i++)
        fuzz_check(isfinite(split->x[i]), "features are finite");
    for (uint64_t i = 0; split->label && i < split->count; i++)
        fuzz_check(split->label[i] >= 0 && (uint32_t)split->label[i] < data->classes,
                   "labels are classes");
    for (uint64_t i = 0; split->target && i < split->count; i++)
        fuzz_check(isfinite(split->target[i]), "targets are finite");
}

void fuzz_data_is_sound(const lab_data *data, const eden_error *error, eden_status status)
{
    if (status) {
        static const lab_data none;
        fuzz_check(error->status == (uint32_t)status && error->text[0]
                       && memchr(error->text, 0, sizeof error->text),
                   "a failure has a sentence");
        fuzz_check(!data->train.x && !data->test.x && data->features == none.features,
                   "nothing is left of a failure");
        return;
    }
    fuzz_check(data->train.count > 0 && data->test.count > 0, "both parts have examples");
    fuzz_check(data->features == (uint64_t)data->channels * data->height * data->width,
               "features are channels x height x width");
    fuzz_check((data->classes > 0) == (data->train.label != NULL), "classes have labels");
    check_split(data, &data->train);
    check_split(data, &data->test);
}
