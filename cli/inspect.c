/* inspect.c - `eden inspect`: read a file, compare its checksums, print it. */
#include "cli/inspect.h"

#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/json.h"
#include "cli/output.h"

/* ---- reading ---------------------------------------------------------------------- */

static int is_summed(const cli_inspected *all) { return eden_file_value(all->file, "eden.sum") != NULL; }

/* A damaged tensor is noted, so that the others are seen; anything else is told. */
static int inspect_tensor(cli_inspected *all, size_t i, int verify)
{
    cli_inspected_tensor *t = &all->tensors[i];
    eden_error error;
    t->entry = (eden_file_tensor)EDEN_FILE_TENSOR_INIT;
    if (eden_file_at(all->file, i, &t->entry, &error)) return cli_fail_eden(&error, CLI_READING);
    all->bytes += t->entry.bytes;
    if (!verify) return CLI_OK;
    const eden_status status = cli_measure(all->file, i, t, &error);
    if (status == EDEN_E_FORMAT && is_summed(all)) {
        t->checked = CLI_DAMAGED;
        t->measured = 0;
        all->damaged++;
        return CLI_OK;
    }
    t->checked = is_summed(all) ? CLI_MATCHES : CLI_WITHOUT;
    return status ? cli_fail_eden(&error, CLI_READING) : CLI_OK;
}

static int inspect(cli_inspected *all, int verify)
{
    eden_error error;
    int code = CLI_OK;
    if (eden_file_open(&all->file, all->path, &error)) return cli_fail_eden(&error, CLI_READING);
    all->count = eden_file_count(all->file);
    all->tensors = calloc(all->count + 1, sizeof *all->tensors);
    if (!all->tensors) return cli_no_memory();
    for (size_t i = 0; i < all->count && !code; i++) code = inspect_tensor(all, i, verify);
    all->checked = !is_summed(all) ? CLI_WITHOUT
                   : all->damaged  ? CLI_DAMAGED
                   : verify        ? CLI_MATCHES
                                   : CLI_UNREAD;
    return code;
}

/* ---- JSON ----------------------------------------------------------------------------- */

static json_t *checked_json(cli_checked checked)
{
    static const char *const words[] = { "not compared", "none", "match", "damaged" };
    return json_string(words[checked]);
}

/* JSON's integers here end at 2^63 - 1; an empty tensor may have a longer side. */
static json_t *count_json(uint64_t count)
{
    return count <= INT64_MAX ? json_integer((json_int_t)count) : json_real((double)count);
}

static json_t *tensor_json(const cli_inspected_tensor *t)
{
    json_t *shape = json_array();
    for (uint32_t d = 0; d < t->entry.ndim; d++)
        json_array_append_new(shape, count_json(t->entry.shape[d]));
    json_t *json = json_pack("{s:o, s:s, s:o, s:I, s:o}", "name", cli_json_text(t->entry.name), "dtype",
                             t->entry.dtype, "shape", shape, "bytes", (json_int_t)t->entry.bytes,
                             "checksum", checked_json(t->checked));
    if (!json || !t->measured) return json;
    json_object_set_new(json, "min", t->numbers ? cli_json_exact(t->least) : json_null());
    json_object_set_new(json, "max", t->numbers ? cli_json_exact(t->most) : json_null());
    json_object_set_new(json, "nan", count_json(t->nans));
    json_object_set_new(json, "infinite", count_json(t->infinities));
    return json;
}

static json_t *whole_json(const cli_inspected *all)
{
    const char *key;
    json_t *metadata = json_object(), *tensors = json_array();
    for (size_t i = 0; (key = eden_file_key(all->file, i)); i++)
        json_object_set_new(metadata, key, cli_json_text(eden_file_value(all->file, key)));
    for (size_t i = 0; i < all->count; i++)
        if (json_array_append_new(tensors, tensor_json(&all->tensors[i]))) {
            json_decref(tensors);
            tensors = NULL;
            break;
        }
    return json_pack("{s:o, s:o, s:I, s:o, s:o}", "file", cli_json_text(all->path), "checksums",
                     checked_json(all->checked), "bytes", (json_int_t)all->bytes, "metadata", metadata,
                     "tensors", tensors);
}

/* ---- the command ------------------------------------------------------------------------ */

int cli_inspect(const cli_args *args)
{
    cli_inspected all = { .path = args->operands[0] };
    int code = inspect(&all, !cli_has(args, "no-verify"));
    if (!code && cli_has(args, "json"))
        code = cli_json_print(whole_json(&all), stdout, 2);
    else if (!code)
        cli_inspect_print(&all);
    for (size_t i = 0; !code && all.damaged && i < all.count; i++)
        if (all.tensors[i].checked == CLI_DAMAGED)
            code = cli_fail(CLI_DATA, "'%.200s': %zu of %zu tensors are damaged, first '%.200s'", all.path,
                            all.damaged, all.count, all.tensors[i].entry.name);
    free(all.tensors);
    eden_file_close(all.file);
    return code;
}
