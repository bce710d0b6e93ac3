/* fuzz_args.c - any words as a command line, read as the command reads it, up to the
 * optimizer's settings.
 *
 * The words stand one a line; the first is the command's name. */
#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/settings.h"
#include "cli/storage.h"

enum { MOST_WORDS = 40, ROOM = 8192 };

int LLVMFuzzerInitialize(int *count, char ***words);

/* Refusals are sentences on stderr. glibc lets a program replace the stream, and the
 * sanitizers write to the descriptor. */
int LLVMFuzzerInitialize(int *count, char ***words)
{
    (void)count;
    (void)words;
    stderr = fopen("/dev/null", "w");
    fuzz_check(stderr != NULL, "/dev/null can be opened");
    return 0;
}

static void check_values(const cli_settings *settings)
{
    for (size_t i = 0; i < settings->count; i++)
        fuzz_check(eden_rule_allows(settings->rule, i, settings->values[i]),
                   "a setting that was taken is within its range");
}

static void read_settings(const cli_args *args)
{
    cli_settings settings, again;
    lab_storage storage;
    const char *name = cli_text(args, "optimizer", args->operand_count ? args->operands[0] : "adamw");
    int code = cli_settings_create(&settings, name);
    if (code && settings.rule == NULL) {
        cli_settings_free(&settings);
        code = cli_settings_create(&settings, "adamw");
    }
    if (!code) code = cli_settings_from(&settings, args);
    if (!code) check_values(&settings);
    if (!code) code = cli_settings_check(&settings, args->command);
    if (!code && !cli_storage_read(args, &storage)) cli_storage_check(&storage, &settings, args->command);
    if (!code) {
        char *text = cli_settings_text(&settings);
        fuzz_check(text && !cli_settings_create(&again, settings.name)
                       && !cli_settings_list(&again, args->command, text)
                       && !memcmp(again.values, settings.values, settings.count * sizeof(double)),
                   "settings as text give the same settings");
        cli_settings_free(&again);
        free(text);
    }
    cli_settings_free(&settings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[ROOM], *words[MOST_WORDS + 1];
    int count = 0;
    cli_args args;
    const size_t length = size < ROOM - 1 ? size : ROOM - 1;
    if (length) memcpy(text, data, length);
    text[length] = '\0';
    for (char *at = text; at && count < MOST_WORDS;) {
        char *end = strchr(at, '\n');
        if (end) *end++ = '\0';
        words[count++] = at;
        at = end;
    }
    words[count] = NULL;
    const cli_command *command = cli_command_find(words[0]);
    if (!command) {
        fuzz_check(cli_unknown_command(words[0]) == CLI_USAGE, "an unknown command is refused");
        return 0;
    }
    const int code = cli_args_read(&args, command, count, words);
    fuzz_check(code == CLI_OK || code == CLI_USAGE, "a line is read or refused");
    if (!code) {
        fuzz_check(args.operand_count <= command->most, "there are no more operands than may be");
        for (const cli_option *o = command->options; o->name; o++) {
            if (o->kind == CLI_COUNT && cli_has(&args, o->name))
                fuzz_check((double)cli_count(&args, o->name, 0) >= o->low
                               && (double)cli_count(&args, o->name, 0) <= o->high,
                           "a count is within its range");
            if (o->kind == CLI_REAL && cli_has(&args, o->name))
                fuzz_check(cli_real(&args, o->name, 0) >= o->low && cli_real(&args, o->name, 0) <= o->high,
                           "a number is within its range");
        }
        if (command->settings && !args.help) read_settings(&args);
    }
    cli_args_free(&args);
    return 0;
}

size_t fuzz_seed(size_t i, uint8_t *room)
{
    static const char *const lines[] = {
        "train\ndigits\n--optimizer\nlion\n--epochs\n3\n--lr=1e-3\n--seed=7\n--quiet",
        "train\ncsv\nf.csv\n--label\na\n--set\nlr=0.1,weight_decay=0.5\nbeta1=0.9",
        "step\nadamw\n--params\np\n--grads\ng\n--out\no\n--weight-decay\n0.1\n--amsgrad",
        "step\nsgd\n--momentum=0.9\n--nesterov\n1\n--dtype=bf16\n--rounding=kahan",
        "compare\ndigits\n--report\nd\n--optimizers\nsgd,adam", "bench\nadamw\n--threads\n2",
        "list", "show\nadafactor\n--help", "help\ntrain", "plot\n--\n-x",
        "trace\nravine\n--optimizers\nsgd:lr=1,adam;lion", "trian\ndigits",
        "train\ndigits\n--epochs\n1e5\n--lr\nnan\n--batch=99999999999999999999",
        "train\ndigits\n--optimizer=adafactor\n--relative_step=1\n--state-dtype=q8\n-h",
    };
    return i < sizeof lines / sizeof lines[0] ? fuzz_seed_text(lines[i], room) : 0;
}
