/* merge.c - `eden merge`: one file of a folder that many ranks saved. */
#include <eden/safetensors.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/lock.h"
#include "cli/output.h"
#include "cli/place.h"

/* All of a file in a writer, which needs the data until it has written: *data is freed by
 * the caller in any case. */
static eden_status collect(eden_file *file, eden_writer *writer, void **data, size_t count, eden_error *error)
{
    eden_status status = EDEN_OK;
    const char *key;
    for (size_t i = 0; !status && (key = eden_file_key(file, i)); i++)
        status = eden_writer_text(writer, key, eden_file_value(file, key), error);
    for (size_t i = 0; i < count && !status; i++) {
        eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
        status = eden_file_at(file, i, &t, error);
        if (status) break;
        data[i] = malloc((size_t)t.bytes + 1);
        if (!data[i]) return error->text[0] = 0, error->status = EDEN_E_MEMORY, EDEN_E_MEMORY;
        status = eden_file_read(file, i, data[i], t.bytes, error);
        if (!status) status = eden_writer_tensor(writer, t.name, t.dtype, t.ndim, t.shape, data[i], error);
    }
    return status;
}

static int merge(eden_file *file, const char *to)
{
    eden_error error = { 0, "" };
    eden_writer *writer = NULL;
    const size_t count = eden_file_count(file);
    void **data = calloc(count + 1, sizeof *data);
    if (!data) return cli_no_memory();
    int code = CLI_OK;
    if (eden_writer_create(&writer, &error) || eden_writer_keep(writer, 1, &error) ||
        collect(file, writer, data, count, &error))
        code = error.status == EDEN_E_MEMORY ? cli_no_memory() : cli_fail_eden(&error, CLI_READING);
    else if (eden_writer_write(writer, to, &error)) code = cli_fail_eden(&error, CLI_WRITING);
    eden_writer_destroy(writer);
    for (size_t i = 0; i < count; i++) free(data[i]);
    free(data);
    return code;
}

int cli_merge(const cli_args *args)
{
    const char *from = args->operands[0], *to = args->operands[1];
    cli_lock lock = { { NULL, 0 }, { NULL, 0 } };
    eden_error error;
    eden_file *file = NULL;
    int code = cli_replaceable("FILE", to);
    if (!code && eden_file_open(&file, from, &error)) code = cli_fail_eden(&error, CLI_READING);
    if (!code) code = cli_lock_take(&lock, to);
    if (!code) code = merge(file, to);
    cli_lock_release(&lock);
    eden_file_close(file);
    return code;
}
