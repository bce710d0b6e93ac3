/* options.h - what only some problems can be told, as the text of lab_config.task:
 * "context=64,heads=4". */
#ifndef LAB_OPTIONS_H
#define LAB_OPTIONS_H

#include <eden/eden.h>

/* A whole number; *value is left alone where the text does not have it. */
typedef struct {
    const char *name;
    uint64_t *value;
} lab_option;

/* Read all of a text (NULL: nothing) into `options`, which end in one without a name. An
 * option that is not among them is refused. */
eden_status lab_options_read(const char *text, const lab_option *options, eden_error *error);

#endif
