/* data.h - what every reader of data sets promises. */
#ifndef FUZZ_DATA_H
#define FUZZ_DATA_H

#include "lab/data.h"

/* Success means examples that can be trained on, failure a sentence and nothing else. */
void fuzz_data_is_sound(const lab_data *data, const eden_error *error, eden_status status);

#endif
