/* train_resume.c - what a resumed run takes from its checkpoint, and from the line. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/clean.h"
#include "cli/names.h"
#include "cli/place.h"
#include "cli/merge.h"
#include "cli/ranks.h"
#include "cli/sheet.h"
#include "cli/train.h"

/* ---- the line by itself --------------------------------------------------------------- */

static int same_file(const char *a, const char *b)
{
    struct stat x, y;
    if (!a || !b) return 0;
    if (!strcmp(a, b)) return 1;
    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The checkpoint that was there before `path`, if it is whole; to be freed. */
static char *whole_older(const char *path, uint64_t *step)
{
    eden_error error = { 0, "" };
    const size_t room = strlen(path) + sizeof ".old";
    char *older = malloc(room);
    if (older) snprintf(older, room, "%s.old", path);
    const eden_status status = older ? lab_saved_check(older, step, &error) : EDEN_E_MEMORY;
    if (!status) return older;
    if (status == EDEN_E_MEMORY) cli_no_memory(); /* it may be whole after all */
    free(older);
    return NULL;
}

int cli_train_refuse(const char *path, int code, const char *why)
{
    uint64_t step = 0;
    char *older = whole_older(path, &step);
    if (!older) return cli_fail(code, "%.600s", why);
    cli_fail(code, "%.500s; '%.200s', the one before it, is whole and holds step %llu: rename it to "
             "go on from there", why, older, (unsigned long long)step);
    free(older);
    return code;
}

/* An output and what is read. */
static int check_inputs(const cli_training *t, const cli_output *output)
{
    static const char *const kept[] = { "", ".old", NULL };
    const cli_command *command = t->args->command;
    const cli_file from = { "from", cli_text(t->args, "from", NULL), cli_one_file };
    const cli_file resume = { "resume", t->resume, kept };
    const char *name = output->files.option;
    const int saves = !strcmp(name, "save") || !strcmp(name, "best");
    char *path = NULL;
    int code = cli_output_spares(output, &from, command);
    /* A run may go on in the file that it resumes. */
    if (!code && !saves) code = cli_output_spares(output, &resume, command);
    for (size_t i = 0; !code && cli_task_file(t->args, i, &path); i++) {
        const cli_file data = { "data", path, cli_one_file };
        code = path ? cli_output_spares(output, &data, command) : cli_no_memory();
        free(path);
    }
    return code ? code : cli_output_no_lock(output, command);
}

/* Each output of a run, its locks and what it keeps, against the other ones, the data and
 * the checkpoint. */
static int check_apart(const cli_training *t, const char *log, const char *const *log_files)
{
    enum { SAVE, BEST, LOG, SHEET, OUTPUTS };
    const cli_command *command = t->args->command;
    const cli_file resumed = { "resume", t->resume, cli_one_file };
    cli_output all[OUTPUTS];
    int codes[OUTPUTS] = { cli_output_of(&all[SAVE], "save", t->save.path, cli_saved_files),
                           cli_output_of(&all[BEST], "best", t->best.path, cli_saved_files),
                           cli_output_of(&all[LOG], "log", log, log_files),
                           cli_output_of(&all[SHEET], "sheet", cli_text(t->args, "sheet", NULL), cli_one_file) };
    int code = CLI_OK;
    for (size_t i = 0; i < OUTPUTS; i++) code = code ? code : codes[i];
    for (size_t i = 0; i < OUTPUTS; i++)
        for (size_t k = 0; !code && k < i; k++) code = cli_outputs_apart(&all[i], &all[k], command);
    for (size_t i = SAVE; !code && i <= BEST; i++) code = cli_files_apart(&all[i].locks, &resumed, command);
    for (size_t i = 0; !code && i < OUTPUTS; i++) code = check_inputs(t, &all[i]);
    for (size_t i = 0; i < OUTPUTS; i++) cli_output_free(&all[i]);
    return code;
}

/* Where a lock could be made, so can the file; and a file made to see whether it can be
 * must not stay behind under the name of a checkpoint. */
static int lock_output(cli_lock *lock, const char *path)
{
    struct stat about;
    if (!path || !cli_ranks_lead()) return CLI_OK;
    const int code = cli_lock_take(lock, path);
    return code || lstat(path, &about) ? code : cli_can_create(path);
}

static int check_outputs(cli_training *t)
{
    struct stat about;
    cli_kept *const kept[] = { &t->save, &t->best };
    const char *log = cli_text(t->args, "log", NULL);
    const int device = log && !stat(log, &about) && !S_ISREG(about.st_mode);
    int code = cli_sheet_check(t->args);
    if (!code) code = check_apart(t, log, device ? cli_one_file : cli_logged_files);
    for (size_t i = 0; !code && i < sizeof kept / sizeof *kept; i++)
        if (kept[i]->path && !stat(kept[i]->path, &about) && !S_ISREG(about.st_mode))
            code = cli_fail(CLI_CANT_CREATE, "cannot create '%.200s': it is no ordinary file", kept[i]->path);
    for (size_t i = 0; !code && i < sizeof kept / sizeof *kept; i++)
        code = lock_output(&kept[i]->lock, kept[i]->path);
    if (!code && device) return cli_ranks_lead() ? cli_can_create(log) : CLI_OK;
    return code ? code : lock_output(&t->log_lock, log);
}

/* --continue: from the file of --save if it is there, else from the start; from the one
 * before it if that file is torn or has gone. One of another version is no torn file. */
static int find_resume(cli_training *t)
{
    uint64_t step = 0;
    struct stat about;
    eden_error error = { 0, "" };
    const int there = !stat(t->save.path, &about);
    const eden_status status = there ? lab_saved_check(t->save.path, &step, &error) : EDEN_OK;
    if (status == EDEN_E_MEMORY) return cli_no_memory();
    if (there && status != EDEN_E_FORMAT) {
        t->resume = t->save.path;
        return CLI_OK;
    }
    t->older = whole_older(t->save.path, &step);
    if (!t->older && cli_lacked_memory()) return CLI_SYSTEM;
    if (!t->older && there) return cli_fail(CLI_DATA, "%.600s", error.text);
    if (!t->older) return CLI_OK;
    if (!there) snprintf(error.text, sizeof error.text, "'%.200s' is not there", t->save.path);
    cli_warn("%.500s; going on from step %llu of '%.200s', the one before it", error.text,
             (unsigned long long)step, t->older);
    t->resume = t->older;
    return CLI_OK;
}

int cli_train_check(cli_training *t)
{
    static const char *const idle[] = { "save", "best", "log", "log-every", "epochs", "early-stop" };
    const cli_args *args = t->args;
    int code = cli_task_name(args, &t->task);
    if (code) return code;
    t->save = (cli_kept){ .path = cli_text(args, "save", NULL), .step = UINT64_MAX };
    t->best = (cli_kept){ .path = cli_text(args, "best", NULL), .step = UINT64_MAX };
    t->resume = cli_text(args, "resume", NULL);
    if (cli_has(args, "continue") && (!t->save.path || t->resume))
        return cli_usage(args->command, t->save.path ? "--continue and --resume exclude each other"
                                                : "--continue needs --save FILE, to continue from");
    t->out = cli_has(args, "json") ? cli_people() : stdout;
    t->log.every = cli_count(args, "log-every", 1);
    if (cli_has(args, "log-every") && !cli_has(args, "log"))
        return cli_usage(args->command, "--log-every does nothing without --log");
    if (cli_has(args, "eval") && !t->resume)
        return cli_usage(args->command, "--eval needs --resume FILE, the checkpoint to measure");
    for (size_t i = 0; cli_has(args, "eval") && i < sizeof idle / sizeof *idle; i++)
        if (cli_has(args, idle[i]))
            return cli_usage(args->command, "--%s does nothing with --eval", idle[i]);
    code = check_outputs(t);
    if (!code && cli_has(args, "continue")) code = find_resume(t);
    /* What is gone on from is read, and refused if it is no checkpoint. */
    const int read = t->resume && (t->older || same_file(t->resume, t->save.path));
    if (!code && !read) code = cli_replaceable("save", t->save.path);
    return code || same_file(t->resume, t->best.path) ? code : cli_replaceable("best", t->best.path);
}

/* ---- against the checkpoint ----------------------------------------------------------- */

static int refuse(const void *context, const char *option, const char *given, const char *theirs)
{
    const cli_training *t = context;
    return cli_usage(t->args->command, "--%s%s%.60s contradicts the checkpoint, which has %.80s",
                     option, *given ? " " : "", given, theirs);
}

static int check_text(const cli_training *t, const char *option, const char *theirs)
{
    const char *given = cli_text(t->args, option, NULL);
    if (!given || (theirs && !strcmp(given, theirs))) return CLI_OK;
    return refuse(t, option, given, theirs ? theirs : "the default");
}

static int check_number(const cli_training *t, const char *option, double theirs, double off)
{
    double given = theirs;
    char text[CLI_NUMBER_ROOM] = "the default";
    if (!cli_has(t->args, option)) return CLI_OK;
    cli_read_number(cli_text(t->args, option, ""), &given);
    if (given == theirs) return CLI_OK;
    if (theirs != off) cli_print_number(theirs, text);
    return refuse(t, option, cli_text(t->args, option, ""), text);
}

static int check_word(const cli_training *t, const char *option, const char *words, uint32_t theirs)
{
    char word[LAB_WORD_ROOM];
    return check_text(t, option, lab_word(words, theirs, word));
}

static int check_settings(const cli_training *t)
{
    cli_settings given = { 0 };
    char a[64], b[64], option[64];
    int code = cli_settings_create(&given, t->config.optimizer);
    if (!code) code = cli_settings_from(&given, t->args);
    for (size_t i = 0; !code && i < given.count; i++) {
        const eden_hyper *hyper = eden_rule_hyper(given.rule, i);
        if (!given.given[i] || given.values[i] == t->settings.values[i]) continue;
        snprintf(option, sizeof option, "%s", hyper->name);
        code = refuse(t, option, cli_value_text(hyper, given.values[i], a),
                      cli_value_text(hyper, t->settings.values[i], b));
    }
    cli_settings_free(&given);
    return code;
}

static int check_options(const cli_training *t)
{
    const lab_config *c = &t->config;
    int code = check_text(t, "optimizer", c->optimizer);
    if (!code) code = check_text(t, "schedule", c->schedule);
    if (!code) code = check_text(t, "model", c->model.kind);
    if (!code) code = check_text(t, "widths", c->model.widths);
    if (!code) code = check_text(t, "norm", c->model.norm);
    if (!code) code = check_number(t, "dropout", c->model.dropout, -1);
    if (!code) code = check_number(t, "warmup", (double)c->warmup, 0);
    if (!code) code = check_number(t, "batch", (double)c->batch, 0);
    if (!code) code = check_number(t, "clip", c->clip_norm, 0);
    if (!code) code = check_number(t, "accumulate", c->accumulate, 0);
    if (!code) code = check_number(t, "parts", c->parts, 0);
    if (!code && cli_has(t->args, "rate-scaling"))
        code = cli_usage(t->args->command, "--rate-scaling does nothing to a run that is resumed, whose "
                         "rate is in the checkpoint");
    if (!code) code = check_text(t, "average", c->average);
    if (!code) code = cli_source_check(t->args, c->task, refuse, t);
    if (!code) code = check_number(t, "seed", (double)c->seed, -1);
    if (!code) code = check_word(t, "dtype", LAB_DTYPES, c->storage.dtype);
    if (!code) code = check_word(t, "grad-dtype", LAB_DTYPES, c->storage.grad_dtype);
    if (!code) code = check_word(t, "state-dtype", LAB_STATE_DTYPES, c->storage.state_dtype);
    if (!code) code = check_word(t, "rounding", LAB_ROUNDINGS, c->storage.rounding);
    if (!code && cli_has(t->args, "no-decay") && !c->no_decay)
        code = refuse(t, "no-decay", "", "decay for all");
    return code ? code : check_settings(t);
}

int cli_train_resume(cli_training *t)
{
    eden_error error = { 0, "" };
    struct stat about;
    char missing[300];
    if (stat(t->resume, &about) && errno == ENOENT) {
        snprintf(missing, sizeof missing, "cannot read '%.200s': %s", t->resume, strerror(errno));
        return cli_train_refuse(t->resume, CLI_NO_INPUT, missing);
    }
    int code = cli_can_read(t->resume, cli_merge_is_folder(t->resume));
    if (code) return code;
    if (lab_saved_open(&t->saved, t->resume, &error))
        return error.status == EDEN_E_FORMAT ? cli_train_refuse(t->resume, CLI_DATA, error.text)
                                             : cli_fail_eden(&error, CLI_READING);
    t->config = *lab_saved_config(t->saved);
    if (!eden_rule_find(t->config.optimizer, NULL))
        return cli_fail(CLI_DATA, "'%.200s' wants the optimizer '%.60s', which this eden does not "
                        "have", t->resume, t->config.optimizer);
    code = cli_settings_create(&t->settings, t->config.optimizer);
    t->settings.file = t->resume;
    if (!code && t->config.settings) code = cli_settings_list(&t->settings, NULL, t->config.settings);
    if (!code) code = cli_settings_check(&t->settings, NULL);
    if (!code) code = check_options(t);
    t->source = "from the checkpoint";
    t->config.threads = (uint32_t)cli_count(t->args, "threads", 0);
    t->config.model.threads = t->config.threads;
    const uint64_t before = t->config.epochs;
    t->config.epochs = cli_count(t->args, "epochs", before);
    if (!code && t->config.epochs < before)
        code = cli_usage(t->args->command, "--epochs %llu contradicts the checkpoint, which has "
                         "%llu; a resumed run can only be longer",
                         (unsigned long long)t->config.epochs, (unsigned long long)before);
    return code;
}

/* ---- how to go on ------------------------------------------------------------------------ */

/* A word as a shell reads it. */
static void quoted(FILE *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-./,:=+@%";
    if (*word && !word[strspn(word, plain)]) {
        fprintf(out, " %s", word);
        return;
    }
    const char *s = word;
    while (cli_harmless(s)) s += cli_harmless(s);
    if (*s) {
        /* Byte by byte, so that no terminal obeys it or turns it round. */
        fputs(" $'", out);
        for (; *word; word++) fprintf(out, "\\%03o", (unsigned)(unsigned char)*word);
        fputc('\'', out);
        return;
    }
    fputs(" '", out);
    for (; *word; word++) fputs(*word == '\'' ? "'\\''" : (char[]){ *word, '\0' }, out);
    fputc('\'', out);
}

void cli_train_print_resume(const cli_training *t)
{
    static const char *const kept[] = { "label", "target", "save", "best", "early-stop", "log", "log-every",
                                        "threads", "timeout", "sample", "temperature", "sheet" };
    const cli_args *args = t->args;
    if (cli_ranks()) fprintf(t->out, "  mpirun -n %lu eden train", (unsigned long)cli_ranks()->ranks);
    else fputs("  eden train", t->out);
    for (size_t i = 0; i < args->operand_count; i++) quoted(t->out, args->operands[i]);
    fputs(" --resume", t->out);
    quoted(t->out, t->save.path);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        if (!cli_has(args, kept[i])) continue;
        fprintf(t->out, " --%s", kept[i]);
        quoted(t->out, cli_text(args, kept[i], ""));
    }
    if (cli_has(args, "json")) fputs(" --json", t->out);
    fputc('\n', t->out);
}
