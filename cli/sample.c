#include "cli/sample.h"

#include <string.h>

#include "cli/json.h"
#include "cli/ranks.h"
#include "cli/sheet.h"

enum { BYTES = 500 };

int cli_sample(cli_training *t, json_t *json)
{
    eden_error error = { 0, "" };
    lab_sample sample;
    int code = CLI_OK;
    const lab_sample_config config = { .count = cli_count(t->args, "sample", BYTES),
                                       .temperature = cli_real(t->args, "temperature", 0.8),
                                       .seed = t->config.seed };
    if (!lab_run_problem(t->run)->kind->sample || !config.count) return CLI_OK;
    if (t->data.kind == &lab_adversarial) return cli_sheet(t);
    if (lab_run_sample(t->run, &config, &sample, &error)) {
        lab_sample_free(&sample);
        return cli_fail_eden(&error, CLI_RUNNING);
    }
    if (!cli_ranks_lead()) return CLI_OK;
    cli_clean_text(sample.text, sample.length);
    if (json) {
        if (json_object_set_new(json, "sample", cli_json_text(sample.text))) code = cli_no_memory();
    } else {
        fprintf(t->out, "%-10s%llu bytes at a temperature of %g\n\n%s\n", "sample",
                (unsigned long long)config.count, config.temperature, sample.text);
    }
    lab_sample_free(&sample);
    return code;
}
