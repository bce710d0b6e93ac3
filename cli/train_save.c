/* train_save.c - the two checkpoints of a run: the last, and that of the best evaluation. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/clean.h"
#include "cli/train.h"

#define GOAL_ROOM 128

/* The exit code of a save that failed: why can only be seen in the folder. */
static int save_code(const char *path)
{
    char *folder = strdup(path);
    if (!folder) return CLI_IO;
    char *slash = strrchr(folder, '/');
    if (slash) slash[slash == folder] = '\0';
    errno = 0;
    const int closed = access(slash ? folder : ".", W_OK | X_OK) != 0;
    const int reason = errno;
    free(folder);
    if (!closed) return CLI_IO;
    return reason == EACCES || reason == EPERM ? CLI_PERMISSION : CLI_CANT_CREATE;
}

static void write_kept(cli_training *t, cli_kept *kept, int last)
{
    eden_error error = { 0, "" };
    if (!kept->path) return;
    kept->code = CLI_OK;
    if (!lab_run_save(t->run, kept->path, &error)) {
        kept->step = lab_run_progress(t->run)->step;
        return;
    }
    cli_progress_clear(&t->progress);
    kept->code = error.status == EDEN_E_IO       ? save_code(kept->path)
                 : error.status == EDEN_E_MEMORY ? CLI_SYSTEM
                                                 : CLI_IO;
    cli_warn("%s%s", error.text, last ? "" : "; training goes on");
}

void cli_train_save(cli_training *t, int last) { write_kept(t, &t->save, last); }

/* ---- the best ------------------------------------------------------------------------- */

static uint64_t best_step(const cli_training *t)
{
    const lab_progress *p = lab_run_progress(t->run);
    return p->best_epoch * (p->steps / t->config.epochs);
}

static const char *goal_text(const lab_progress *p, char text[GOAL_ROOM])
{
    char number[CLI_METRIC_ROOM];
    const lab_metric *m = &p->metric;
    if (lab_goal_is_metric(m))
        snprintf(text, GOAL_ROOM, "%.40s %s", m->name, cli_metric_text(m, p->best, 0, number));
    else
        snprintf(text, GOAL_ROOM, "test %.40s %.4f%s%.20s", m->goal ? m->goal : "loss", p->best, *m->loss_unit ? " " : "", m->loss_unit);
    return text;
}

void cli_train_save_best(cli_training *t)
{
    const lab_progress *p = lab_run_progress(t->run);
    if (p->step == best_step(t) && t->best.step != p->step) write_kept(t, &t->best, p->step == p->steps);
}

void cli_train_find_best(cli_training *t)
{
    uint64_t step = 0;
    char text[GOAL_ROOM];
    const lab_progress *p = lab_run_progress(t->run);
    if (!t->best.path || !p->best_epoch) return;
    const eden_status status = lab_saved_check(t->best.path, &step, NULL);
    if (!status) t->best.step = step;
    cli_train_save_best(t);
    /* A run that was killed may have come further with this file than with the other. */
    if (!status && (t->best.step == best_step(t) || t->best.step > p->step)) return;
    if (t->best.step == best_step(t) || t->best.code) return;
    cli_warn("'%.200s' does not hold epoch %llu, the best so far with %s; it will hold the next that is better",
             t->best.path, (unsigned long long)p->best_epoch, goal_text(p, text));
}

void cli_train_tell_best(const cli_training *t)
{
    char text[GOAL_ROOM];
    const lab_progress *p = lab_run_progress(t->run);
    if (!p->best_epoch || !(t->best.path || t->config.early_stop)) return;
    goal_text(p, text);
    if (p->stopped_early)
        fprintf(t->out, "stopped early at epoch %llu of %llu: best was epoch %llu with %s\n",
                (unsigned long long)p->epoch, (unsigned long long)t->config.epochs,
                (unsigned long long)p->best_epoch, text);
    else
        fprintf(t->out, "%-10sepoch %llu of %llu, %s\n", "best", (unsigned long long)p->best_epoch,
                (unsigned long long)t->config.epochs, text);
}

void cli_train_tell_saved(const cli_training *t)
{
    if (t->save.path && !t->save.code) cli_put(t->out, "saved     ", t->save.path, "\n");
    if (t->best.path && t->best.step == best_step(t)) cli_put(t->out, "saved     ", t->best.path, ", the best\n");
}
