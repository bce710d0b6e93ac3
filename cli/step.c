#include "cli/step.h"

#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/settings.h"

/* What decides results is the state file's; the rest must be as in a fresh one. */
static void read_config(const eden_file *state, eden_config *config)
{
    const char *maximize = eden_file_value(state, "eden.maximize");
    const char *value = eden_file_value(state, "eden.clip_value");
    const char *norm = eden_file_value(state, "eden.clip_norm");
    const char *seed = eden_file_value(state, "eden.seed");
    config->maximize = maximize && !strcmp(maximize, "1");
    if (value) cli_read_number(value, &config->clip_value);
    if (norm) cli_read_number(norm, &config->clip_norm);
    if (seed) cli_read_count(seed, &config->seed);
}

/* Does a state keep anything for a weight? It does not for one that was never to be
 * trained, such as a running mean. */
static int is_kept(const eden_file *state, const char *name)
{
    const size_t length = strlen(name);
    for (size_t i = 0; i < eden_file_count(state); i++) {
        eden_file_tensor entry = EDEN_FILE_TENSOR_INIT;
        if (!eden_file_at(state, i, &entry, NULL) && !strncmp(entry.name, name, length)
            && entry.name[length] == '@')
            return 1;
    }
    return 0;
}

static int create(eden_optimizer **optimizer, const cli_args *args, const char *state,
                  cli_weights *weights, cli_groups *groups)
{
    eden_error error;
    eden_config config = EDEN_CONFIG_INIT;
    config.threads = (uint32_t)cli_count(args, "threads", 0);
    if (state && eden_file_open(&groups->state, state, &error))
        return cli_fail_eden(&error, CLI_READING);
    if (state) read_config(groups->state, &config);
    if (eden_optimizer_create(optimizer, args->operands[0], &config, &error))
        return cli_fail_eden(&error, CLI_RUNNING);
    int code = cli_step_storage(args, groups->state, weights);
    if (!code) code = cli_groups_make(groups, weights, *optimizer);
    if (code) return code;
    for (size_t i = 0; i < weights->count; i++) {
        const cli_weight *weight = &weights->list[i];
        eden_tensor tensor = EDEN_TENSOR_INIT;
        if (!cli_weight_is_float(weight)) continue;
        tensor.data = weight->data;
        tensor.grad = weight->grad;
        tensor.dtype = weight->storage.dtype;
        tensor.grad_dtype = weight->storage.grad_dtype;
        tensor.state_dtype = weight->storage.state_dtype;
        tensor.rounding = weight->storage.rounding;
        if (!weight->grad && state && !is_kept(groups->state, weight->entry.name))
            tensor.flags = EDEN_FROZEN;
        tensor.ndim = weight->entry.ndim;
        tensor.split = weight->split;
        for (uint32_t d = 0; d < tensor.ndim; d++) tensor.shape[d] = weight->entry.shape[d];
        if (eden_add_tensor(*optimizer, weight->entry.name, &tensor, weight->group, &error))
            return cli_fail_eden(&error, CLI_READING);
    }
    return CLI_OK;
}

/* What a file says first, and over it what the command line says. */
static int prepare(eden_optimizer *optimizer, const char *state, const cli_settings *settings,
                   const cli_groups *groups)
{
    eden_error error;
    if (state && eden_load(optimizer, state, EDEN_OPTIM, &error))
        return cli_fail_eden(&error, CLI_READING);
    char *text = cli_settings_text(settings);
    if (!text) return cli_no_memory();
    const eden_status status = *text ? eden_set_text(optimizer, NULL, text, &error) : EDEN_OK;
    free(text);
    return status ? cli_fail_eden(&error, CLI_RUNNING) : cli_groups_set(groups, optimizer);
}

static int take_steps(eden_optimizer *optimizer, uint64_t count)
{
    eden_error error;
    eden_status status = EDEN_OK;
    for (uint64_t i = 0; !status && i < count; i++) status = eden_step(optimizer, &error);
    if (status == EDEN_E_ORDER)
        return cli_fail(CLI_USAGE, "gradients of a look-ahead point cannot come from a file; "
                                   "leave out that setting");
    return status ? cli_fail_eden(&error, CLI_RUNNING) : CLI_OK;
}

static int step(const cli_args *args, const cli_step_files *files, const cli_settings *settings,
                cli_groups *groups)
{
    cli_weights weights;
    eden_optimizer *optimizer = NULL;
    int code = cli_weights_read(&weights, files->params, files->grads);
    if (!code) code = create(&optimizer, args, files->state, &weights, groups);
    if (!code) code = prepare(optimizer, files->state, settings, groups);
    if (!code) code = cli_step_check_state(args, &weights, optimizer);
    if (!code) code = take_steps(optimizer, cli_count(args, "repeat", 1));
    if (!code) code = cli_step_publish(files, &weights, optimizer);
    eden_optimizer_destroy(optimizer);
    cli_weights_free(&weights);
    return code;
}

int cli_step(const cli_args *args)
{
    cli_settings settings;
    cli_groups groups = { 0 };
    cli_step_files files = { 0 };
    int code = cli_settings_create(&settings, args->operands[0]);
    if (!code) code = cli_settings_from(&settings, args);
    /* Beside a state file's settings they may mean something else. */
    if (!code && !cli_has(args, "state")) code = cli_settings_check(&settings, args->command);
    if (!code) code = cli_groups_read(&groups, args, args->operands[0]);
    if (!code) code = cli_step_files_read(&files, args);
    if (!code) code = step(args, &files, &settings, &groups);
    cli_step_files_free(&files);
    cli_groups_free(&groups);
    cli_settings_free(&settings);
    return code;
}
