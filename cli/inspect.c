/* inspect.c - `eden inspect`: read a file, compare its checksums, print it. */
#include "cli/inspect.h"

#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"

/* ---- reading ---------------------------------------------------------------------- */

static int is_summed(const cli_inspected *all) { return eden_file_value(all->file, "eden.sum") != NULL; }

/* A damaged tensor is noted, so that the others are seen; anything else is told. */
static int inspect_tensor(cli_inspected *all, size_t i, int verify)
{
    cli_inspected_tensor *t = &all->tensors[i];
    eden_error error;
    eden_file_tensor entry = EDEN_FILE_TENSOR_INIT;
    uint64_t shape[CLI_DIMS];
    eden_file_look(all->file, i, &entry, shape);
    all->bytes += entry.bytes;
    if (!verify) return CLI_OK;
    const eden_status status = cli_measure(all->file, i, entry.dtype, t, &error);
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

/* ---- the command ------------------------------------------------------------------------ */

static int tell_damage(const cli_inspected *all, size_t first)
{
    eden_file_tensor entry = EDEN_FILE_TENSOR_INIT;
    uint64_t shape[CLI_DIMS];
    eden_file_look(all->file, first, &entry, shape);
    return cli_fail(CLI_DATA, "'%.200s': %zu of %zu tensors are damaged, first '%.200s'", all->path,
                    all->damaged, all->count, entry.name);
}

int cli_inspect(const cli_args *args)
{
    cli_inspected all = { .path = args->operands[0] };
    int code = inspect(&all, !cli_has(args, "no-verify"));
    if (!code && cli_has(args, "json"))
        cli_inspect_print_json(&all);
    else if (!code)
        cli_inspect_print(&all);
    for (size_t i = 0; !code && all.damaged && i < all.count; i++)
        if (all.tensors[i].checked == CLI_DAMAGED) code = tell_damage(&all, i);
    free(all.tensors);
    eden_file_close(all.file);
    return code;
}
