#include "cli/finetune.h"

#include <math.h>
#include <string.h>

#include "cli/names.h"
#include "cli/settings.h"
#include "lab/options.h"

static const double USUAL_BODY = 0.1;
enum { USUAL_EXAMPLES = 100 };

int cli_finetune_is(const cli_args *args) { return !strcmp(args->operands[0], "finetune"); }

int cli_finetune_options(const cli_args *args)
{
    if (cli_has(args, "scratch") && cli_has(args, "from"))
        return cli_usage(args->command, "--scratch begins with nothing, and --from with a checkpoint");
    if (cli_has(args, "scratch") && cli_has(args, "body-rate"))
        return cli_usage(args->command, "--body-rate does nothing with --scratch, where all layers are new");
    if (cli_has(args, "from") && cli_has(args, "resume"))
        return cli_usage(args->command, "--from does nothing with --resume, whose checkpoint has all weights");
    return CLI_OK;
}

int cli_finetune_load(const cli_args *args, cli_source *source)
{
    source->kind = &lab_finetune;
    source->transfer = (lab_transfer){ &source->data, cli_text(args, "from", NULL), 0 };
    source->at = &source->transfer;
    return source->transfer.from ? cli_can_read(source->transfer.from, 0) : CLI_OK;
}

/* What is learned, as far as it has a shape and a size. */
static lab_data view(const lab_data *data, uint64_t examples)
{
    const uint32_t old = lab_transfer_old(data);
    lab_data few = *data;
    few.classes -= old;
    few.train.count = examples;
    few.test.count = 0;
    for (uint64_t i = 0; i < data->test.count; i++)
        few.test.count += data->test.label[i] >= (int32_t)old;
    return few;
}

int cli_finetune_config(const cli_args *args, const cli_source *source, lab_config *config,
                        cli_config_texts *texts)
{
    const uint64_t examples = cli_count(args, "examples", USUAL_EXAMPLES);
    const double body = cli_real(args, "body-rate", USUAL_BODY);
    const lab_data few = view(&source->data, examples);
    const int code = cli_task_config(args, &few, config, texts->schedule);
    if (config->batch > examples) config->batch = examples;
    snprintf(texts->options, sizeof texts->options, "body=%llu,examples=%llu,scratch=%d",
             (unsigned long long)(cli_has(args, "scratch") ? LAB_BODY_UNIT
                                                           : llround(body * LAB_BODY_UNIT)),
             (unsigned long long)examples, cli_has(args, "scratch"));
    config->task = texts->options;
    return code;
}

const char *cli_finetune_describe(const cli_source *source, uint64_t examples, char *text)
{
    const lab_data few = view(&source->data, examples);
    return cli_task_describe(&few, text);
}

int cli_finetune_check(const cli_args *args, const char *theirs, cli_refuse_option refuse,
                       const void *context)
{
    uint64_t body = 0, examples = 0, scratch = 0;
    char have[CLI_NUMBER_ROOM];
    const lab_option options[] = { { "body", &body }, { "examples", &examples },
                                   { "scratch", &scratch }, { NULL, NULL } };
    if (!theirs || lab_options_read(theirs, options, NULL)) return CLI_OK;
    const double share = (double)body / LAB_BODY_UNIT, rate = cli_real(args, "body-rate", share);
    if (cli_has(args, "scratch") && !scratch)
        return refuse(context, "scratch", "", "a body that was trained before");
    if (cli_has(args, "body-rate") && scratch)
        return refuse(context, "body-rate", cli_text(args, "body-rate", ""), "--scratch");
    if ((uint64_t)llround(rate * LAB_BODY_UNIT) != body)
        return refuse(context, "body-rate", cli_text(args, "body-rate", ""),
                      cli_print_number(share, have));
    if (cli_count(args, "examples", examples) == examples) return CLI_OK;
    snprintf(have, sizeof have, "%llu", (unsigned long long)examples);
    return refuse(context, "examples", cli_text(args, "examples", ""), have);
}
