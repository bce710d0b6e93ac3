/* merge.c - `eden merge`: one file of a folder that many ranks saved. */
#include <dirent.h>
#include <eden/safetensors.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/merge.h"
#include "cli/lock.h"
#include "cli/output.h"
#include "cli/place.h"
#include "lab/problem.h"

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
        if (!data[i]) return lab_fail(error, EDEN_E_MEMORY, "out of memory");
        status = eden_file_read(file, i, data[i], t.bytes, error);
        if (!status) status = eden_writer_tensor(writer, t.name, t.dtype, t.ndim, t.shape, data[i], error);
    }
    return status;
}

eden_status cli_merge_files(const char *from, const char *to, eden_error *error)
{
    eden_file *file = NULL;
    eden_writer *writer = NULL;
    eden_status status = eden_file_open(&file, from, error);
    const size_t count = status ? 0 : eden_file_count(file);
    void **data = calloc(count + 1, sizeof *data);
    if (!status) status = data ? eden_writer_create(&writer, error) : lab_fail(error, EDEN_E_MEMORY, "out of memory");
    if (!status) status = eden_writer_keep(writer, 1, error);
    if (!status) status = collect(file, writer, data, count, error);
    if (!status) status = eden_writer_write(writer, to, error);
    eden_writer_destroy(writer);
    for (size_t i = 0; data && i < count; i++) free(data[i]);
    free(data);
    eden_file_close(file);
    return status;
}

/* What ranks write into a folder, and no more. */
static void remove_known(const char *folder, const char *begins)
{
    const struct dirent *entry;
    char path[4096];
    DIR *d = opendir(folder);
    while (d && (entry = readdir(d))) {
        if (strncmp(entry->d_name, begins, strlen(begins)) != 0
            || (size_t)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= sizeof path)
            continue;
        if (!strcmp(begins, "generation-")) remove_known(path, "rank-");
        else unlink(path);
    }
    if (d) closedir(d);
    rmdir(folder); /* stays if something else is in it */
}

void cli_merge_remove(const char *folder)
{
    remove_known(folder, "manifest.safetensors");
    remove_known(folder, "generation-");
}

int cli_merge(const cli_args *args)
{
    const char *from = args->operands[0], *to = args->operands[1];
    cli_lock lock = { { NULL, 0 }, { NULL, 0 } };
    eden_error error = { 0, "" };
    eden_file *file = NULL;
    int code = cli_replaceable("FILE", to);
    if (!code && eden_file_open(&file, from, &error)) code = cli_fail_eden(&error, CLI_READING);
    if (!code) code = cli_lock_take(&lock, to);
    if (!code && cli_merge_files(from, to, &error))
        code = error.status == EDEN_E_MEMORY ? cli_no_memory()
                                             : cli_fail_eden(&error, error.status == EDEN_E_IO ? CLI_WRITING : CLI_READING);
    cli_lock_release(&lock);
    eden_file_close(file);
    return code;
}
