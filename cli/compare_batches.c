/* compare_batches.c - the batch sizes of `eden compare --batches`, one after another. */
#include "cli/compare_batches.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/clean.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/ranks.h"
#include "cli/report.h"

/* ---- what is asked ------------------------------------------------------------------- */

/* The line with --batch in place of --batches. `size` is at most a word. */
static int one_size(cli_args *each, const cli_args *args, const char *size, size_t length)
{
    *each = *args;
    char *word = strndup(size, length);
    each->options = calloc(args->option_count + 1, sizeof *each->options);
    each->option_count = 0;
    if (!each->options || !word) {
        free(word);
        return cli_no_memory();
    }
    each->options[each->option_count++] = (cli_value){ "batch", word };
    for (size_t i = 0; i < args->option_count; i++)
        if (strcmp(args->options[i].name, "batches") != 0) each->options[each->option_count++] = args->options[i];
    return CLI_OK;
}

static int check_size(const cli_batches *b, const char *size)
{
    uint64_t count;
    if (strcmp(size, "all") != 0 && (!cli_read_count(size, &count) || !count))
        return cli_usage(b->args->command, "--batches: '%.60s' is no batch size, nor all", size);
    for (size_t i = 0; i + 1 < b->count; i++)
        if (!strcmp(cli_text(&b->each[i], "batch", ""), size))
            return cli_usage(b->args->command, "--batches names %.60s twice", size);
    return CLI_OK;
}

static int read_sizes(cli_batches *b)
{
    int code = CLI_OK;
    if (cli_has(b->args, "batch"))
        return cli_usage(b->args->command, "--batch and --batches contradict one another");
    for (const char *s = cli_text(b->args, "batches", ""); !code; s++) {
        const size_t length = strcspn(s, ",");
        if (b->count == CLI_BATCHES)
            return cli_usage(b->args->command, "--batches has more than %d sizes", (int)CLI_BATCHES);
        code = one_size(&b->each[b->count], b->args, s, length);
        b->count += b->each[b->count].options != NULL;
        if (!code) code = check_size(b, cli_text(&b->each[b->count - 1], "batch", ""));
        s += length;
        if (!*s) break;
    }
    if (!code && b->count < 2)
        code = cli_usage(b->args->command, "--batches wants at least two sizes, such as 32,128,all");
    return code;
}

static int prepare(cli_batches *b)
{
    int code = read_sizes(b);
    for (size_t i = 0; !code && i < b->count; i++) {
        b->of[i].args = &b->each[i];
        code = cli_compare_prepare(&b->of[i]);
        for (size_t k = 0; !code && k < i; k++)
            if (b->of[k].study.config.batch == b->of[i].study.config.batch)
                code = cli_usage(b->args->command, "--batches names %llu twice: it is all there is",
                                 (unsigned long long)b->of[i].study.config.batch);
    }
    return code;
}

/* ---- running and telling ------------------------------------------------------------- */

static int run(cli_batches *b)
{
    int code = CLI_OK;
    for (size_t i = 0; !code && i < b->count && !cli_interrupt(); i++) {
        char label[64];
        snprintf(label, sizeof label, "batch %llu, ", (unsigned long long)b->of[i].study.config.batch);
        code = cli_compare_all(&b->of[i], label);
        b->done += !code && !cli_interrupt();
    }
    return code;
}

static int tell(const cli_batches *b, const char *report)
{
    const int json = cli_has(b->args, "json");
    int code = CLI_OK;
    if (json)
        code = cli_batches_json(b);
    else if (b->done)
        cli_batches_table(b, stdout);
    fflush(stdout);
    if (!code && cli_interrupt())
        return cli_fail(128 + cli_interrupt(), "stopped by %s; what is told was complete%s",
                        cli_interrupt_name(cli_interrupt()), report ? ", and no report was written" : "");
    if (!code && report) code = cli_batches_report(b, report);
    if (!code && report && !json) cli_put(stdout, "\nReport: ", report, "/index.html\n");
    return code;
}

static int compare(cli_batches *b)
{
    int made = 0;
    const char *report = cli_text(b->args, "report", NULL);
    int code = prepare(b);
    if (!cli_ranks_lead()) report = NULL;
    if (!code && report) code = cli_report_spares(b->args, report);
    if (!code && report) code = cli_report_check(report, &made);
    if (!code && !cli_has(b->args, "json")) cli_batches_about(b, stdout);
    code = cli_ranks_agree(code);
    if (!code) {
        cli_interrupt_catch();
        code = run(b);
    }
    if (!code) code = tell(b, report);
    if (code && made) rmdir(report);
    return code;
}

int cli_compare_batches(const cli_args *args)
{
    cli_batches *b = calloc(1, sizeof *b);
    if (!b) return cli_no_memory();
    b->args = args;
    const int code = compare(b);
    for (size_t i = 0; i < b->count; i++) {
        cli_compare_free(&b->of[i]);
        free((void *)(uintptr_t)b->each[i].options[0].value);
        free(b->each[i].options);
    }
    free(b);
    return code;
}
