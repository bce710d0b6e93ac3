/* man.c - the man page and the completion, written from the tables. */
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/names.h"
#include "cli/output.h"

/* Text as troff takes it: dashes that stay dashes, no accidental requests. */
static void troff(FILE *out, const char *text)
{
    int fresh = 1;
    for (; *text; text++) {
        if (fresh && (*text == '.' || *text == '\'')) fputs("\\&", out);
        if (*text == '-')
            fputs("\\-", out);
        else if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '\'')
            fputs("\\(aq", out);
        else if (*text == '\n' && text[1] == '\n')
            fputs("\n.PP\n", out), text++;
        else
            fputc(*text, out);
        fresh = *text == '\n';
    }
}

static void filled(FILE *out, const char *text)
{
    char *full = cli_fill_in(text);
    troff(out, full ? full : text);
    free(full);
}

static void command_section(FILE *out, const cli_command *command)
{
    char spelling[CLI_SPELLING_ROOM];
    fprintf(out, ".SS eden %s ", command->name);
    troff(out, command->operands);
    fprintf(out, "\n");
    troff(out, command->about);
    fprintf(out, "\n");
    for (const cli_option *o = command->options; o->name; o++) {
        fprintf(out, ".TP\n.B ");
        troff(out, cli_spelling(o, spelling));
        fprintf(out, "\n");
        filled(out, o->doc);
        if (o->initial) {
            fprintf(out, "\n(default: ");
            filled(out, o->initial);
            fprintf(out, ")");
        }
        fprintf(out, ".\n");
    }
    fprintf(out, ".PP\nExamples:\n.PP\n.nf\n");
    filled(out, command->examples);
    fprintf(out, ".fi\n");
}

static void optimizers(FILE *out)
{
    size_t count = 0;
    cli_name *names = cli_names(&count);
    fprintf(out, ".SH OPTIMIZERS\nEach setting is a flag of\n.B \"eden train\"\nand\n"
                 ".BR \"eden step\" ,\nwith dashes or underscores.\n");
    for (size_t i = 0; names && i < count; i++) {
        const eden_hyper *hyper;
        fprintf(out, ".TP\n.B ");
        troff(out, names[i].name);
        fprintf(out, "\n");
        troff(out, names[i].title);
        fprintf(out, ".\n");
        for (size_t k = 0; !names[i].preset && (hyper = eden_rule_hyper(names[i].rule, k)) != NULL;
             k++)
            fprintf(out, "%s%s", k ? ", " : "Settings: ", hyper->name);
        if (names[i].preset) {
            fprintf(out, "The same as %s with ", eden_rule_name(names[i].rule));
            troff(out, names[i].preset->settings);
        }
        fprintf(out, ".\n");
    }
    free(names);
}

static const char tail[] =
    ".SH EXIT STATUS\n"
    ".TP\n.B 0\nsuccess\n"
    ".TP\n.B 64\nthe command line makes no sense\n"
    ".TP\n.B 65\na file is damaged or does not fit, or training diverged\n"
    ".TP\n.B 66\nan input file does not exist\n"
    ".TP\n.B 69\ngnuplot is not installed\n"
    ".TP\n.B 70\na defect of eden itself\n"
    ".TP\n.B 71\nout of memory or processes\n"
    ".TP\n.B 73\nan output file cannot be created\n"
    ".TP\n.B 74\nreading or writing broke off\n"
    ".TP\n.B 77\npermission denied\n"
    ".TP\n.B 130, 143\nstopped by Ctrl\\-C or by SIGTERM, after saving if that was asked for\n"
    ".SH ENVIRONMENT\n"
    ".TP\n.B NO_COLOR\nif not empty, nothing is coloured\n"
    ".TP\n.B EDEN_ISA\nthe instruction set to use at most; results do not depend on it\n"
    ".SH SEE ALSO\n.BR gnuplot (1)\n";

void cli_print_man(FILE *out)
{
    const cli_command *command;
    fprintf(out, ".TH EDEN 1 \"\" \"eden %s\" \"User Commands\"\n.nh\n.ad l\n", EDEN_VERSION);
    fprintf(out, ".SH NAME\neden \\- train neural networks with any optimizer, and compare them\n");
    fprintf(out, ".SH SYNOPSIS\n.nf\n");
    for (size_t i = 0; (command = cli_command_at(i)) != NULL; i++) {
        if (command->hidden) continue;
        fprintf(out, "eden %s %s%s\n", command->name, command->operands,
                command->options->name ? " [options]" : "");
    }
    fprintf(out, "eden \\-\\-version\n.fi\n.SH COMMANDS\n");
    for (size_t i = 0; (command = cli_command_at(i)) != NULL; i++)
        if (!command->hidden) command_section(out, command);
    optimizers(out);
    fputs(tail, out);
}

/* ---- completion ---------------------------------------------------------------------- */

static void words(FILE *out, const char *list)
{
    for (; *list; list++) fputc(*list == '|' ? ' ' : *list, out);
}

/* What offers a value. Names of files may hold spaces, so lines are taken whole. */
static void offer(FILE *out, cli_completion completion, const char *list)
{
    const int paths = completion == CLI_FILES || completion == CLI_FOLDERS;
    if (completion == CLI_NOTHING) {
        fputs("true", out);
        return;
    }
    fprintf(out, "%smapfile -t COMPREPLY < <(compgen ",
            paths ? "compopt -o filenames 2>/dev/null; " : "");
    if (paths) {
        fputs(completion == CLI_FILES ? "-f" : "-d", out);
    } else if (completion == CLI_OPTIMIZERS) {
        fputs("-W \"$optimizers\"", out);
    } else {
        fputs("-W '", out);
        words(out, list);
        fputs("'", out);
    }
    fputs(" -- \"$word\")", out);
}

static void option_cases(FILE *out, const cli_option *options)
{
    fprintf(out, "        case $before in\n");
    for (const cli_option *o = options; o->name; o++) {
        if (o->kind == CLI_SWITCH) continue;
        fprintf(out, "        --%s", o->name);
        if (o->letter) fprintf(out, "|-%c", o->letter);
        fprintf(out, ") ");
        offer(out, o->completion, o->words);
        fprintf(out, "; return ;;\n");
    }
    fprintf(out, "        esac\n");
}

static void command_case(FILE *out, const cli_command *command)
{
    size_t count = 0;
    cli_setting_name *names = command->settings ? cli_setting_names(command, &count) : NULL;
    fprintf(out, "    %s)\n", command->name);
    option_cases(out, command->options);
    fprintf(out, "        flags='--help");
    for (const cli_option *o = command->options; o->name; o++) fprintf(out, " --%s", o->name);
    for (size_t i = 0; names && i < count; i++)
        if (!names[i].taken) fprintf(out, " --%s", names[i].name);
    fprintf(out, "'\n        if [[ $word == -* ]]; then "
                 "mapfile -t COMPREPLY < <(compgen -W \"$flags\" -- \"$word\")\n");
    if (command->completion == CLI_WORDS && command->most > 1) {
        fprintf(out, "        elif ((COMP_CWORD > 2)); then ");
        offer(out, CLI_FILES, NULL);
        fprintf(out, "\n");
    }
    fprintf(out, "        else ");
    offer(out, command->completion, command->words);
    fprintf(out, "; fi ;;\n");
    free(names);
}

void cli_print_completion(FILE *out)
{
    const cli_command *command;
    size_t count = 0;
    cli_name *names = cli_names(&count);
    fprintf(out, "# bash completion for eden\n_eden()\n{\n"
                 "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} "
                 "flags\n    local optimizers='");
    for (size_t i = 0; names && i < count; i++) fprintf(out, "%s%s", i ? " " : "", names[i].name);
    fprintf(out, "'\n    COMPREPLY=()\n"
                 "    # Bash splits --option=value at the sign.\n"
                 "    if [[ $word == = ]]; then word=\n"
                 "    elif [[ $before == = ]]; then before=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
                 "    if ((COMP_CWORD == 1)); then\n"
                 "        mapfile -t COMPREPLY < <(compgen -W '--help --version");
    for (size_t i = 0; (command = cli_command_at(i)) != NULL; i++)
        if (!command->hidden) fprintf(out, " %s", command->name);
    fprintf(out, "' -- \"$word\")\n        return\n    fi\n    case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; (command = cli_command_at(i)) != NULL; i++)
        if (!command->hidden) command_case(out, command);
    fprintf(out, "    esac\n}\ncomplete -F _eden eden\n");
    free(names);
}

int cli_generate(const cli_args *args)
{
    if (!strcmp(args->operands[0], "man"))
        cli_print_man(stdout);
    else if (!strcmp(args->operands[0], "completion"))
        cli_print_completion(stdout);
    else
        return cli_usage(args->command, "'%.60s' is none of man, completion", args->operands[0]);
    return CLI_OK;
}
