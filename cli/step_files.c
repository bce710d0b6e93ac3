/* step_files.c - the files of `eden step`, before anything is read. */
#include <string.h>

#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/place.h"
#include "cli/step.h"

/* Weights and state may be updated in place, or made again from those before the last;
 * nothing else that is read may be overwritten. */
static int check_apart(const cli_step_files *f, const cli_output *out, const cli_output *state_out,
                       const cli_command *command)
{
    const cli_file params = { "params", f->params, cli_one_file }, grads = { "grads", f->grads, cli_one_file };
    const cli_file state = { "state", f->state, cli_one_file };
    int code = cli_outputs_apart(out, state_out, command);
    if (!code) code = cli_output_spares(out, &grads, command);
    if (!code) code = cli_output_spares(out, &state, command);
    if (!code) code = cli_output_spares(state_out, &params, command);
    if (!code) code = cli_output_spares(state_out, &grads, command);
    if (!code) code = cli_files_apart(&out->locks, &params, command);
    if (!code) code = cli_files_apart(&state_out->locks, &state, command);
    if (!code) code = cli_output_no_lock(out, command);
    return code ? code : cli_output_no_lock(state_out, command);
}

static int check_collisions(const cli_step_files *f, const cli_command *command)
{
    cli_output out, state_out;
    int code = cli_output_of(&out, "out", f->out, cli_saved_files);
    const int other = cli_output_of(&state_out, "state-out", f->state_out, cli_saved_files);
    if (!code) code = other ? other : check_apart(f, &out, &state_out, command);
    cli_output_free(&out);
    cli_output_free(&state_out);
    return code;
}

/* Nobody may write there from before the files are read until the new ones are in place. */
static int lock(cli_step_files *files)
{
    cli_interrupt_end();
    const int code = cli_lock_take(&files->out_lock, files->out);
    return code || !files->state_out ? code : cli_lock_take(&files->state_lock, files->state_out);
}

int cli_step_files_read(cli_step_files *files, const cli_args *args)
{
    static const char *const needed[] = { "params", "grads", "out" };
    for (size_t i = 0; i < 3; i++)
        if (!cli_has(args, needed[i]))
            return cli_usage(args->command, "eden step needs --%s FILE", needed[i]);
    *files = (cli_step_files){
        .params = cli_text(args, "params", NULL), .grads = cli_text(args, "grads", NULL),
        .state = cli_text(args, "state", NULL),   .out = cli_text(args, "out", NULL),
        .state_out = cli_text(args, "state-out", NULL),
    };
    int code = check_collisions(files, args->command);
    if (!code) code = cli_can_read(files->params, 0);
    if (!code) code = cli_can_read(files->grads, 0);
    if (!code && files->state) code = cli_can_read(files->state, 0);
    if (!code) code = cli_can_replace(files->out);
    if (!code && files->state_out) code = cli_can_replace(files->state_out);
    if (!code) code = cli_replaceable("out", files->out);
    if (!code) code = cli_replaceable("state-out", files->state_out);
    return code ? code : lock(files);
}

void cli_step_files_free(cli_step_files *files)
{
    cli_lock_release(&files->out_lock);
    cli_lock_release(&files->state_lock);
}
