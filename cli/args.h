/* args.h - the tables of commands and options, and a command line read by them.
 *
 * Parsing, help, man page and completion all follow from these tables; the flags
 * of the optimizers' settings follow from the rules. */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <eden/eden.h>
#include <stdio.h>

typedef enum {
    CLI_SWITCH, /* takes no value                                             */
    CLI_TEXT,   /* any text that is not empty                                 */
    CLI_COUNT,  /* a whole number within low and high                         */
    CLI_REAL    /* a number within low and high                               */
} cli_kind;

/* What the shell completes a value to. */
typedef enum { CLI_NOTHING, CLI_FILES, CLI_FOLDERS, CLI_OPTIMIZERS, CLI_WORDS } cli_completion;

typedef struct {
    const char *name;    /* long form; also short if letter is not 0          */
    char letter;
    cli_kind kind;
    const char *value;   /* what help calls the value; NULL for a switch      */
    const char *doc;     /* a sentence without its point; may hold {usual}, {old} */
    const char *initial; /* the default as help tells it, or NULL             */
    double low, high;    /* of a COUNT or REAL                                */
    cli_completion completion;
    const char *words;   /* CLI_WORDS: the only values, separated by '|'; of a
                            COUNT: a word that it may be instead              */
    int many;            /* may be given several times                        */
} cli_option;

typedef struct cli_args cli_args;

typedef struct {
    const char *name, *summary;
    const char *operands;      /* as in "TASK [DATA]"                          */
    const char *about;         /* paragraphs for help and man page             */
    const char *examples;      /* lines, without prompt; {usual} and {old}
                                  stand for the default and oldest optimizer          */
    const cli_option *options; /* ended by one without a name                  */
    size_t least, most;        /* operands                                     */
    int settings;              /* 1: every optimizer's setting is a flag       */
    int hidden;                /* not in the overview                          */
    cli_completion completion; /* of the operands                              */
    const char *words;
    int (*run)(const cli_args *args);
} cli_command;

/* The i-th command in the order of the overview, or NULL past the end. */
const cli_command *cli_command_at(size_t i);
const cli_command *cli_command_find(const char *name);

/* Refuse an unknown command with the nearest name; returns the exit code. */
int cli_unknown_command(const char *name);

/* ---- what a line said ----------------------------------------------------------- */

typedef struct {
    const char *name;  /* of the option or setting, as in its table            */
    const char *value; /* NULL for a switch, and a setting without value       */
} cli_value;

struct cli_args {
    const cli_command *command;
    int count;              /* the words of the whole line, to repeat it       */
    char **words;
    cli_value *options;     size_t option_count;   /* in the order given      */
    cli_value *settings;    size_t setting_count;  /* --beta1 and its like    */
    const char **operands;  size_t operand_count;
    int help;               /* --help was given                               */
};

/* Read the words after the command's name. On failure the reason has been
 * printed; in any case free with cli_args_free(). Returns the exit code. */
int cli_args_read(cli_args *args, const cli_command *command, int count, char **words);
void cli_args_free(cli_args *args);

int cli_has(const cli_args *args, const char *option);
const char *cli_text(const cli_args *args, const char *option, const char *otherwise);
/* Its default also where an option is a word instead of a number. */
uint64_t cli_count(const cli_args *args, const char *option, uint64_t otherwise);
double cli_real(const cli_args *args, const char *option, double otherwise);

/* A line that makes no sense: the reason, and where to find help. Returns
 * CLI_USAGE. */
int cli_usage(const cli_command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* All of `text` as a plain decimal number: no spaces, no "+", no hexadecimal, no
 * "nan", nothing that overflows or vanishes. 1 if it is one. */
int cli_read_number(const char *text, double *value);
int cli_read_count(const char *text, uint64_t *value);

/* ---- the settings of all optimizers ------------------------------------------------ */

/* Every setting's name once, with the description of the first rule that has it;
 * `flag` is 1 if it takes no value in some rule, `taken` if `command` has an
 * option of that name, so that it is only reached by --set. */
typedef struct {
    const char *name, *doc;
    int flag, taken;
} cli_setting_name;

/* The caller frees the list; NULL without memory. */
cli_setting_name *cli_setting_names(const cli_command *command, size_t *count);

#endif
