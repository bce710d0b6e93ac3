/* main.c - the `eden` command. */
#include <signal.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/ranks.h"
#include "lab/gemm.h"

static int run(const cli_command *command, int count, char **words)
{
    cli_args args;
    int code = cli_ranks_agree(cli_args_read(&args, command, count, words));
    cli_ranks_timeout((uint32_t)cli_count(&args, "timeout", CLI_TIMEOUT));
    if (!code && args.help)
        cli_print_help(stdout, command);
    else if (!code)
        code = command->run(&args);
    cli_args_free(&args);
    return code;
}

static int dispatch(int count, char **words)
{
    const int code = cli_ranks_join(count, words);
    if (code) return code;
    if (count < 2) return cli_usage(NULL, "no command is given");
    const char *word = words[1];
    if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "--version")) {
        if (count > 2) return cli_usage(NULL, "%s stands alone", word);
        if (word[2] == 'v')
            printf("eden %s\n", eden_version());
        else
            cli_print_help(stdout, NULL);
        return CLI_OK;
    }
    const cli_command *command = cli_command_find(word);
    if (!command && word[0] == '-')
        return cli_usage(NULL, "unknown option '%.60s' before the command", word);
    return command ? run(command, count - 1, words + 1) : cli_unknown_command(word);
}

int main(int count, char **words)
{
    int gone;
    lab_gemm_restart(words);
    cli_ranks_begin();
    /* A broken pipe and a file that may not grow are write errors like any other. */
    const int mine = signal(SIGPIPE, SIG_IGN) != SIG_IGN;
    signal(SIGXFSZ, SIG_IGN);
    cli_open_standard();
    cli_json_begin();
    int code = dispatch(count, words);
    const int output = cli_close_output(&gone);
    if (cli_lacked_memory() && code < 128) code = CLI_SYSTEM;
    code = cli_ranks_end(code);
    if (cli_lacked_memory() && code < 128) return CLI_SYSTEM;
    if (code || !gone) return code ? code : output;
    /* All is done that a reader who has gone does not need; now die of it like others. */
    if (mine) {
        signal(SIGPIPE, SIG_DFL);
        raise(SIGPIPE);
    }
    return cli_fail(CLI_IO, "cannot write the output: nobody reads it");
}
