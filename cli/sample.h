/* sample.h - what a trained problem makes, for people and programs. */
#ifndef CLI_SAMPLE_H
#define CLI_SAMPLE_H

#include "cli/train.h"

/* Make the sample that the line asks for, print it to t->out, or with --json keep it for
 * the document as "sample". Returns the exit code of a failure, which has been told. */
int cli_sample(cli_training *t, json_t *json);

#endif
