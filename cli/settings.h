/* settings.h - an optimizer's settings as a user gives them. */
#ifndef CLI_SETTINGS_H
#define CLI_SETTINGS_H

#include "cli/args.h"
#include "cli/output.h"

typedef struct {
    const char *name;         /* as the user wrote it: a rule's or preset's    */
    const eden_rule *rule;
    const eden_preset *preset;
    size_t count;
    double *values;           /* of every setting: the name's defaults, then the
                                 user's                                        */
    unsigned char *given;     /* 1: the user set it                            */
    const char *file;         /* the checkpoint they are of, whose fault a wrong
                                 one is; NULL: the command line                */
} cli_settings;

/* Defaults of `name`. Failures have been told; returns the exit code. Free with
 * cli_settings_free() in any case. */
int cli_settings_create(cli_settings *settings, const char *name);
void cli_settings_free(cli_settings *settings);

/* Set one from text: a number, a choice's name, nothing (NULL) for a flag. */
int cli_settings_set(cli_settings *settings, const cli_command *command, const char *name,
                     const char *text);

/* Set several, "a=1,b=name". */
int cli_settings_list(cli_settings *settings, const cli_command *command, const char *text);

/* All flags and every --set of a command line. */
int cli_settings_from(cli_settings *settings, const cli_args *args);

/* Do they make sense together? The refusal is the library's own sentence. */
int cli_settings_check(const cli_settings *settings, const cli_command *command);

/* "a=1,b=name" of those that were given; the caller frees it, NULL without
 * memory. */
char *cli_settings_text(const cli_settings *settings);

/* One value as text, choices by name; and a setting's range, "[0, 1)". */
const char *cli_value_text(const eden_hyper *hyper, double value, char text[64]);
const char *cli_range_text(const eden_hyper *hyper, char text[160]);

#endif
