/* step_weights.c - the tensors that `eden step` reads and writes. */
#include <stdlib.h>
#include <string.h>

#include "cli/names.h"
#include "cli/output.h"
#include "cli/step.h"

int cli_dtype_of(const char *name, uint32_t *dtype)
{
    static const char *const names[] = { [EDEN_F32] = "F32", [EDEN_BF16] = "BF16", [EDEN_F16] = "F16" };
    for (uint32_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], name)) {
            *dtype = i;
            return 1;
        }
    return 0;
}

int cli_weight_is_float(const cli_weight *weight)
{
    uint32_t dtype;
    return weight->data && cli_dtype_of(weight->entry.dtype, &dtype);
}

/* "[2, 3]" */
static const char *shape_text(const eden_file_tensor *t, char text[EDEN_MAX_DIMS * 24])
{
    size_t n = (size_t)snprintf(text, 2, "[");
    for (uint32_t d = 0; d < t->ndim && d < EDEN_MAX_DIMS; d++)
        n += (size_t)snprintf(text + n, 23, "%s%llu", d ? ", " : "",
                              (unsigned long long)t->shape[d]);
    snprintf(text + n, 2, "]");
    return text;
}

/* All of a tensor; the caller frees it. An empty one has memory too, so that a
 * pointer tells whether it is there. */
static int read_data(eden_file *file, size_t i, const eden_file_tensor *entry, void **data)
{
    eden_error error;
    if (entry->bytes >= SIZE_MAX || !(*data = malloc((size_t)entry->bytes + 1)))
        return cli_fail(CLI_SYSTEM, "no memory for '%.200s', %llu bytes", entry->name,
                        (unsigned long long)entry->bytes);
    if (eden_file_read(file, i, *data, entry->bytes, &error))
        return cli_fail_eden(&error, CLI_READING);
    return CLI_OK;
}

/* Does a file, as checkpoints do, hold an optimizer's state as well? */
static int holds_state(const eden_file *file)
{
    const char *parts = eden_file_value(file, "eden.parts");
    return parts && strstr(parts, "optim");
}

/* In such a file everything that has no count of steps is state. */
static int is_weight(const eden_file *file, const char *name)
{
    char key[640];
    const int length = snprintf(key, sizeof key, "eden.steps.%s", name);
    return !holds_state(file) || (length < (int)sizeof key && eden_file_value(file, key));
}

static int read_params(cli_weights *weights, const char *path)
{
    eden_error error;
    size_t found = 0;
    if (eden_file_open(&weights->file, path, &error)) return cli_fail_eden(&error, CLI_READING);
    const size_t count = eden_file_count(weights->file);
    weights->list = calloc(count + 1, sizeof *weights->list);
    if (!weights->list) return cli_no_memory();
    for (; weights->count < count; weights->count++) {
        cli_weight *weight = &weights->list[weights->count];
        weight->entry = (eden_file_tensor)EDEN_FILE_TENSOR_INIT;
        if (eden_file_at(weights->file, weights->count, &weight->entry, &error))
            return cli_fail_eden(&error, CLI_READING);
        if (!is_weight(weights->file, weight->entry.name)) continue;
        const int code = read_data(weights->file, weights->count, &weight->entry, &weight->data);
        if (code) return code;
        found++;
    }
    if (!found && holds_state(weights->file))
        return cli_fail(CLI_DATA, "'%.200s' holds an optimizer's state and no weights", path);
    return CLI_OK;
}

static int no_such_weight(const cli_weights *weights, const char *name, const char *params)
{
    char hint[CLI_HINT_ROOM];
    cli_nearest nearest = { name, NULL, 0 };
    for (size_t i = 0; i < weights->count; i++)
        if (weights->list[i].data) cli_nearest_try(&nearest, weights->list[i].entry.name);
    return cli_fail(CLI_DATA, "there is a gradient for '%.200s', but no such weight in '%.200s'%s",
                    name, params, cli_nearest_hint(&nearest, "", hint));
}

/* Does a gradient fit its weight? */
static int check_pair(cli_weight *weight, const eden_file_tensor *grad)
{
    char left[EDEN_MAX_DIMS * 24], right[EDEN_MAX_DIMS * 24];
    if (!cli_weight_is_float(weight))
        return cli_fail(CLI_DATA, "the weight '%.200s' is %.20s; only F32, BF16 and F16 can be updated",
                        grad->name, weight->entry.dtype);
    if (!cli_dtype_of(grad->dtype, &weight->storage.grad_dtype))
        return cli_fail(CLI_DATA, "the gradient of '%.200s' is %.20s; convert it to F32, BF16 or F16",
                        grad->name, grad->dtype);
    if (grad->ndim != weight->entry.ndim
        || memcmp(grad->shape, weight->entry.shape, grad->ndim * sizeof *grad->shape))
        return cli_fail(CLI_DATA, "the gradient of '%.200s' has shape %s, the weight %s", grad->name,
                        shape_text(grad, left), shape_text(&weight->entry, right));
    return CLI_OK;
}

static int read_grads(cli_weights *weights, eden_file *file, const char *params)
{
    eden_error error;
    int code = CLI_OK;
    for (size_t i = 0; !code && i < eden_file_count(file); i++) {
        eden_file_tensor grad = EDEN_FILE_TENSOR_INIT;
        if (eden_file_at(file, i, &grad, &error)) return cli_fail_eden(&error, CLI_READING);
        const size_t at = eden_file_find(weights->file, grad.name);
        if (at >= weights->count || !weights->list[at].data)
            return no_such_weight(weights, grad.name, params);
        code = check_pair(&weights->list[at], &grad);
        if (!code) code = read_data(file, i, &grad, &weights->list[at].grad);
    }
    return code;
}

int cli_weights_read(cli_weights *weights, const char *params, const char *grads)
{
    eden_error error;
    eden_file *file = NULL;
    *weights = (cli_weights){ 0 };
    int code = read_params(weights, params);
    if (!code && eden_file_open(&file, grads, &error)) code = cli_fail_eden(&error, CLI_READING);
    if (!code) code = read_grads(weights, file, params);
    eden_file_close(file);
    return code;
}

void cli_weights_free(cli_weights *weights)
{
    /* The last one may have been read in part, and is not counted then. */
    for (size_t i = 0; weights->list && i <= weights->count; i++) {
        free(weights->list[i].data);
        free(weights->list[i].grad);
    }
    free(weights->list);
    eden_file_close(weights->file);
    *weights = (cli_weights){ 0 };
}

eden_status cli_weights_write(const cli_weights *weights, const char *path, eden_error *error)
{
    eden_writer *writer = NULL;
    const char *key;
    eden_status status = eden_writer_create(&writer, error);
    for (size_t i = 0; !status && (key = eden_file_key(weights->file, i)) != NULL; i++)
        /* What was said of a state does not hold for a file without it. */
        if (!holds_state(weights->file) || strncmp(key, "eden.", 5))
            status = eden_writer_text(writer, key, eden_file_value(weights->file, key), error);
    for (size_t i = 0; !status && i < weights->count; i++) {
        const eden_file_tensor *t = &weights->list[i].entry;
        if (!weights->list[i].data) continue;
        status = eden_writer_tensor(writer, t->name, t->dtype, t->ndim, t->shape,
                                    weights->list[i].data, error);
    }
    if (!status) status = eden_writer_write(writer, path, error);
    eden_writer_destroy(writer);
    return status;
}
