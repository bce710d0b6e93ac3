/* commands.h - what each command runs; commands.c has the table. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/args.h"

int cli_list(const cli_args *args);
int cli_show(const cli_args *args);
int cli_train(const cli_args *args);
int cli_compare(const cli_args *args);
int cli_tune(const cli_args *args);
int cli_step(const cli_args *args);
int cli_inspect(const cli_args *args);
int cli_merge(const cli_args *args);
int cli_plot(const cli_args *args);
int cli_trace(const cli_args *args);
int cli_advise(const cli_args *args);
int cli_evidence_command(const cli_args *args);
int cli_bench(const cli_args *args);
int cli_help(const cli_args *args);
int cli_generate(const cli_args *args);

/* Help for one command, or with NULL the overview. */
void cli_print_help(FILE *out, const cli_command *command);
void cli_print_man(FILE *out);
void cli_print_completion(FILE *out);

/* "{usual}" and "{old}" in a text as the default and the oldest optimizer; the caller
 * frees it, NULL without memory. */
char *cli_fill_in(const char *text);

/* "--model NAME" or "-o, --output FILE" into `text`, which is returned. */
#define CLI_SPELLING_ROOM 80
const char *cli_spelling(const cli_option *option, char text[CLI_SPELLING_ROOM]);

#endif
