/* settings.h - hyperparameters as text, and sentences about them. */
#ifndef EDEN_SETTINGS_H
#define EDEN_SETTINGS_H

#include "engine/rule.h"

#include <eden/eden.h>

/* Refuse a value outside its range: "adamw: beta2 = 1.5 is outside [0, 1)". */
eden_status eden_check_value(const eden_rule *rule, size_t hyper, double value, eden_error *error);

/* Read "lr=0.1, nesterov=1, decay=coupled". values[h] and given[h] = 1 are written
 * for what is named; on failure some may be. A name given twice is refused. */
eden_status eden_parse_settings(const eden_rule *rule, const char *text, double *values,
                                unsigned char *given, eden_error *error);

/* EDEN_E_NAME for a name that is no hyperparameter, offering the nearest one. */
eden_status eden_unknown_setting(const eden_rule *rule, const char *name, size_t length,
                                 eden_error *error);

/* "[0, 1)", or "off, raw, corrected". `text` has room for 64. */
const char *eden_show_range(const eden_hyper *hyper, char text[64]);

/* A value as a person writes it: a choice by name. `text` is EDEN_NUMBER_ROOM. */
const char *eden_show_value(const eden_rule *rule, size_t hyper, double value, char *text);

/* The rule or preset whose name is nearest, or NULL if none is near. */
const char *eden_nearest_rule(const char *name);

#endif
