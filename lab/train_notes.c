/* train_notes.c - what a checkpoint knows about the run it belongs to. */
#include "lab/train_run.h"

#include <eden/safetensors.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTE_ROOM LAB_FIELD_ROOM
#define IN_FILE "eden.note." /* how the library spells a note in the metadata */
#define FORMAT "1"

/* ---- the fields of a config as notes -------------------------------------------------- */

/* One field: its note, its name in a sentence, where it stands and what it is. A
 * resume must agree in all that are `same`. A WORD has no note if it is the first, and SOME, a
 * COUNT32, if there are none. */
typedef struct {
    const char *key, *name;
    enum { TEXT, COUNT, COUNT32, SOME, REAL, WORD } kind;
    size_t offset;
    int same;
    const char *words;
} field;

#define FIELD(member) offsetof(lab_config, member)
static const field fields[] = {
    { "lab.optimizer", "optimizer", TEXT, FIELD(optimizer), 1, NULL },
    { "lab.settings", "settings", TEXT, FIELD(settings), 1, NULL },
    { "lab.no_decay", "no_decay", TEXT, FIELD(no_decay), 1, NULL },
    { "lab.schedule", "schedule", TEXT, FIELD(schedule), 1, NULL },
    { "lab.warmup", "warmup", COUNT, FIELD(warmup), 1, NULL },
    { "lab.batch", "batch", COUNT, FIELD(batch), 1, NULL },
    { "lab.epochs", "epochs", COUNT, FIELD(epochs), 0, NULL },
    { "lab.clip_norm", "clip_norm", REAL, FIELD(clip_norm), 1, NULL },
    { "lab.accumulate", "accumulate", COUNT32, FIELD(accumulate), 1, NULL },
    { "lab.parts", "parts", SOME, FIELD(parts), 1, NULL },
    { "lab.average", "average", TEXT, FIELD(average), 1, NULL },
    { "lab.seed", "seed", COUNT, FIELD(seed), 1, NULL },
    { "lab.model", "model", TEXT, FIELD(model.kind), 1, NULL },
    { "lab.widths", "widths", TEXT, FIELD(model.widths), 1, NULL },
    { "lab.norm", "norm", TEXT, FIELD(model.norm), 1, NULL },
    { "lab.dropout", "dropout", REAL, FIELD(model.dropout), 1, NULL },
    { "lab.model_seed", "model seed", COUNT, FIELD(model.seed), 1, NULL },
    { "lab.task", "task", TEXT, FIELD(task), 1, NULL },
    { "lab.dtype", "dtype", WORD, FIELD(storage.dtype), 1, LAB_DTYPES },
    { "lab.grad_dtype", "grad_dtype", WORD, FIELD(storage.grad_dtype), 1, LAB_DTYPES },
    { "lab.state_dtype", "state_dtype", WORD, FIELD(storage.state_dtype), 1, LAB_STATE_DTYPES },
    { "lab.rounding", "rounding", WORD, FIELD(storage.rounding), 1, LAB_ROUNDINGS },
};
enum { FIELDS = sizeof fields / sizeof *fields };

/* A field's text, in `room` if it is no text; NULL for a text that is not set. */
static const char *field_text(const field *f, const lab_config *config, char room[NOTE_ROOM])
{
    const void *at = (const char *)config + f->offset;
    uint64_t count = 0;
    if (f->kind == TEXT) return *(const char *const *)at;
    if (f->kind == REAL) {
        lab_write_number(*(const double *)at, room);
        return room;
    }
    count = f->kind == COUNT ? *(const uint64_t *)at : *(const uint32_t *)at;
    if (f->kind == WORD) return count ? lab_word(f->words, (uint32_t)count, room) : NULL;
    if (f->kind == SOME && !count) return NULL;
    snprintf(room, NOTE_ROOM, "%llu", (unsigned long long)count);
    return room;
}

/* The other way; 1 if the text makes sense. */
static int set_field(const field *f, lab_config *config, const char *text)
{
    void *at = (char *)config + f->offset;
    uint64_t count = 0;
    if (f->kind == TEXT) {
        *(const char **)at = text;
        return 1;
    }
    if (f->kind == WORD) return !text || lab_word_place(f->words, text, at);
    if (!text) return f->kind == SOME;
    if (f->kind == REAL) return lab_read_number(text, at);
    if (!lab_read_count(text, f->kind == COUNT ? UINT64_MAX : UINT32_MAX, &count)) return 0;
    if (f->kind == COUNT)
        *(uint64_t *)at = count;
    else
        *(uint32_t *)at = (uint32_t)count;
    return 1;
}

/* ---- a checkpoint from the outside ------------------------------------------------------ */

struct lab_saved {
    eden_file *file; /* stays open: the texts are its own */
    lab_config config;
    const char *data, *hash, *network;
    uint64_t step, loss_rows, best_epoch;
    double loss_sum, test_loss, test_accuracy, best;
};

static const char *note(const eden_file *file, const char *key)
{
    char whole[NOTE_ROOM];
    snprintf(whole, sizeof whole, IN_FILE "%s", key);
    return eden_file_value(file, whole);
}

/* A number from low to high, or NaN where nothing was measured yet. */
static int real_note(const eden_file *file, const char *key, double low, double high, int unmeasured,
                     double *value)
{
    const char *text = note(file, key);
    if (!text || !lab_read_number(text, value)) return 0;
    return isnan(*value) ? unmeasured : isfinite(*value) && *value >= low && *value <= high;
}

static int count_note(const eden_file *file, const char *key, uint64_t *value)
{
    const char *text = note(file, key);
    return text && lab_read_count(text, UINT64_MAX, value);
}

/* What the run has measured; the first note that makes no sense, or NULL. */
static const char *read_measured(lab_saved *saved)
{
    const eden_file *file = saved->file;
    if (!count_note(file, "lab.step", &saved->step)) return "lab.step";
    /* Rows of the epoch so far, of which the first step has one at least. */
    if (!count_note(file, "lab.loss_rows", &saved->loss_rows) || saved->loss_rows > UINT32_MAX
        || !saved->loss_rows != !saved->step)
        return "lab.loss_rows";
    if (!real_note(file, "lab.loss_sum", -DBL_MAX, DBL_MAX, 0, &saved->loss_sum)) return "lab.loss_sum";
    if (!real_note(file, "lab.test_loss", -DBL_MAX, DBL_MAX, 1, &saved->test_loss)) return "lab.test_loss";
    if (!real_note(file, "lab.test_accuracy", -DBL_MAX, DBL_MAX, 1, &saved->test_accuracy))
        return "lab.test_accuracy";
    /* Before the first evaluation there is neither. */
    saved->best = NAN;
    if (!note(file, "lab.best_epoch") && !note(file, "lab.best")) return NULL;
    if (!count_note(file, "lab.best_epoch", &saved->best_epoch) || !saved->best_epoch) return "lab.best_epoch";
    return real_note(file, "lab.best", -DBL_MAX, DBL_MAX, 1, &saved->best) ? NULL : "lab.best";
}

static eden_status read_saved(lab_saved *saved, const char *path, eden_error *error)
{
    const eden_file *file = saved->file;
    const char *format = note(file, "lab.format"), *bad = NULL;
    int fine = 1;
    if (!format)
        return lab_fail(error, EDEN_E_MISMATCH,
                        "'%.200s' is not the checkpoint of a training run", path);
    if (strcmp(format, FORMAT) != 0)
        return lab_fail(error, EDEN_E_MISMATCH, "'%.200s' was saved by another version, in format "
                        "'%.20s' instead of '" FORMAT "'", path, format);
    for (size_t i = 0; i < FIELDS; i++)
        if (!set_field(&fields[i], &saved->config, note(file, fields[i].key))) bad = fields[i].key;
    saved->data = note(file, "lab.data");
    saved->hash = note(file, "lab.hash");
    saved->network = note(file, "lab.network");
    if (!saved->data || !saved->hash || !saved->network)
        bad = !saved->data ? "lab.data" : !saved->hash ? "lab.hash" : "lab.network";
    if (!bad) bad = lab_bad_note(&saved->config);
    if (!bad) bad = read_measured(saved);
    const eden_status status = bad ? EDEN_OK : lab_check_settings(&saved->config, &fine, error);
    if (status) return status;
    if (!fine) bad = "lab.settings";
    if (bad)
        return lab_fail(error, EDEN_E_FORMAT, "'%.200s' is damaged: its note %s makes no sense",
                        path, bad);
    return EDEN_OK;
}

eden_status lab_saved_open(lab_saved **out, const char *path, eden_error *error)
{
    *out = NULL;
    lab_saved *saved = calloc(1, sizeof *saved);
    if (!saved) return lab_fail(error, EDEN_E_MEMORY, "no memory for a checkpoint");
    eden_status status = eden_file_open(&saved->file, path, error);
    if (!status) status = read_saved(saved, path, error);
    if (status) {
        lab_saved_close(saved);
        return status;
    }
    *out = saved;
    return EDEN_OK;
}

const lab_config *lab_saved_config(const lab_saved *saved) { return &saved->config; }
const char *lab_saved_data(const lab_saved *saved) { return saved->data; }
uint64_t lab_saved_step(const lab_saved *saved) { return saved->step; }

void lab_saved_close(lab_saved *saved)
{
    if (!saved) return;
    eden_file_close(saved->file);
    free(saved);
}

eden_status lab_saved_check(const char *path, uint64_t *step, eden_error *error)
{
    lab_saved *saved;
    eden_status status = lab_saved_open(&saved, path, error);
    if (status) return status;
    for (size_t i = 0; !status && i < eden_file_count(saved->file); i++)
        status = eden_file_visit(saved->file, i, NULL, NULL, error);
    *step = saved->step;
    lab_saved_close(saved);
    return status;
}

/* ---- saving and loading ------------------------------------------------------------------ */

static void hash_text(uint64_t hash, char text[NOTE_ROOM])
{
    snprintf(text, NOTE_ROOM, "%016llx", (unsigned long long)hash);
}

static eden_status set_count(lab_run *run, const char *key, uint64_t value, eden_error *error)
{
    char text[NOTE_ROOM];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    return eden_set_note(run->optimizer, key, text, error);
}

static eden_status set_real(lab_run *run, const char *key, double value, eden_error *error)
{
    char text[LAB_NUMBER_ROOM];
    lab_write_number(value, text);
    return eden_set_note(run->optimizer, key, text, error);
}

eden_status lab_run_save(lab_run *run, const char *path, eden_error *error)
{
    char text[NOTE_ROOM];
    const lab_progress *p = &run->progress;
    eden_optimizer *o = run->optimizer;
    if (run->failed)
        return lab_fail(error, EDEN_E_ORDER, "a step of this run has failed; it cannot be saved");
    hash_text(run->problem->hash, text);
    eden_status status = eden_set_note(o, "lab.format", FORMAT, error);
    if (!status) status = eden_set_note(o, "lab.data", run->problem->data, error);
    if (!status) status = eden_set_note(o, "lab.hash", text, error);
    if (!status)
        status = eden_set_note(o, "lab.network", run->problem->network, error);
    for (size_t i = 0; !status && i < FIELDS; i++)
        status = eden_set_note(o, fields[i].key, field_text(&fields[i], &run->config, text), error);
    if (!status) status = set_count(run, "lab.step", p->step, error);
    if (!status) status = set_count(run, "lab.loss_rows", run->loss_rows, error);
    if (!status) status = set_real(run, "lab.loss_sum", run->loss_sum, error);
    if (!status) status = set_real(run, "lab.test_loss", p->test_loss, error);
    if (!status) status = set_real(run, "lab.test_accuracy", p->test_accuracy, error);
    if (!status && p->best_epoch) status = set_count(run, "lab.best_epoch", p->best_epoch, error);
    if (!status && p->best_epoch) status = set_real(run, "lab.best", p->best, error);
    const lab_ranks *ranks = run->config.ranks;
    status = lab_ranks_agree(ranks, status, error);
    if (status) return status;
    return ranks ? ranks->save(o, path, error) : eden_save(o, path, 0, error);
}

static eden_status differs(const char *path, const char *name, const char *theirs,
                           const char *ours, eden_error *error)
{
    return lab_fail(error, EDEN_E_MISMATCH, "'%.160s' is the checkpoint of another run, with %s "
                    "%.80s instead of %.80s", path, name, theirs, ours);
}

/* Numbers as people write them, and what has no note. */
static const char *for_people(const field *f, const char *text, char room[NOTE_ROOM])
{
    double value = 0;
    if (!text) return f->kind == WORD ? lab_word(f->words, 0, room) : "none";
    if (f->kind != REAL || !lab_read_number(text, &value)) return text;
    snprintf(room, NOTE_ROOM, "%g", value);
    return room;
}

const char *lab_config_field(const lab_config *config, size_t i, const char **text, char room[NOTE_ROOM])
{
    char own[NOTE_ROOM];
    if (i >= FIELDS) return NULL;
    const char *exact = field_text(&fields[i], config, own);
    *text = exact == own ? strcpy(room, exact) : for_people(&fields[i], exact, room);
    return fields[i].name;
}

static eden_status compare(const lab_run *run, const lab_saved *saved, const char *path,
                           eden_error *error)
{
    char a[NOTE_ROOM], b[NOTE_ROOM], hash[NOTE_ROOM];
    hash_text(run->problem->hash, hash);
    if (strcmp(saved->data, run->problem->data) != 0)
        return differs(path, "data", saved->data, run->problem->data, error);
    if (strcmp(saved->hash, hash) != 0)
        return lab_fail(error, EDEN_E_MISMATCH, "'%.160s' was trained on other data: the contents "
                        "of %s have changed", path, run->problem->data);
    for (size_t i = 0; i < FIELDS; i++) {
        const char *theirs = field_text(&fields[i], &saved->config, a);
        const char *ours = field_text(&fields[i], &run->config, b);
        if (!fields[i].same || (!theirs && !ours)) continue;
        if (theirs && ours && !strcmp(theirs, ours)) continue;
        char c[NOTE_ROOM], d[NOTE_ROOM];
        return differs(path, fields[i].name, for_people(&fields[i], theirs, c),
                       for_people(&fields[i], ours, d), error);
    }
    if (strcmp(saved->network, run->problem->network) != 0)
        return differs(path, "network", saved->network, run->problem->network, error);
    if (saved->step > run->progress.steps)
        return lab_fail(error, EDEN_E_MISMATCH, "'%.160s' has taken %llu steps, more than the %llu "
                        "of this run; raise epochs", path, (unsigned long long)saved->step,
                        (unsigned long long)run->progress.steps);
    return EDEN_OK;
}

/* Rows of the epoch that `step` steps have seen, where they are the examples of a set; a
 * problem that draws its batches may count others. */
static uint64_t rows_seen(const lab_run *run, uint64_t step)
{
    const uint64_t n = run->problem->examples, batch = run->config.batch;
    const uint64_t each = run->config.accumulate > 1 ? run->config.accumulate : 1;
    if (!step || batch >= n) return step ? n : 0;
    const uint64_t rows = ((step - 1) % run->epoch_steps + 1) * batch * each;
    return rows < n ? rows : n;
}

/* No share is below 0 or above 1. */
static int is_share(const lab_metric *metric, double value)
{
    return metric->scale != 100 || !(value < 0 || value > 1);
}

/* The first note that makes no sense for this run, or NULL. */
static const char *bad_for(const lab_run *run, const lab_saved *saved)
{
    const lab_metric *metric = &run->problem->metric;
    if (!is_share(metric, saved->test_accuracy)) return "lab.test_accuracy";
    if (run->problem->examples ? saved->loss_rows != rows_seen(run, saved->step)
                               : !saved->loss_rows != !saved->step)
        return "lab.loss_rows";
    if (saved->best_epoch > saved->step / run->epoch_steps) return "lab.best_epoch";
    return lab_goal_is_metric(metric) && !is_share(metric, saved->best) ? "lab.best" : NULL;
}

static void take_over(lab_run *run, const lab_saved *saved)
{
    lab_progress *p = &run->progress;
    p->step = saved->step;
    p->epoch = saved->step ? (saved->step - 1) / run->epoch_steps + 1 : 1;
    p->test_loss = saved->test_loss;
    p->test_accuracy = saved->test_accuracy;
    p->best_epoch = saved->best_epoch;
    p->best = saved->best;
    run->loss_sum = saved->loss_sum;
    run->loss_rows = saved->loss_rows;
    p->train_loss = run->loss_rows ? run->loss_sum / (double)run->loss_rows : NAN;
    p->loss = p->accuracy = NAN;
    if (!saved->step || eden_get_at(run->optimizer, NULL, "lr", saved->step, &p->lr, NULL))
        p->lr = NAN;
    p->evaluated = saved->step && saved->step % run->epoch_steps == 0;
    p->stopped_early = lab_run_stops(run);
    p->grad_norm = 0;
    p->state_bytes_per_weight =
        (double)eden_state_bytes(run->optimizer) / (double)run->problem->weights;
    run->failed = 0;
}

/* Does the checkpoint belong to this run? */
static eden_status open_saved(lab_run *run, lab_saved **saved, const char *path, eden_error *error)
{
    eden_status status = lab_saved_open(saved, path, error);
    if (status) return status;
    status = compare(run, *saved, path, error);
    const char *bad = status ? NULL : bad_for(run, *saved);
    if (!bad) return status;
    return lab_fail(error, EDEN_E_FORMAT, "'%.160s' is damaged: its note %s makes no sense", path, bad);
}

eden_status lab_run_load(lab_run *run, const char *path, eden_error *error)
{
    lab_saved *saved = NULL;
    const lab_ranks *ranks = run->config.ranks;
    eden_status status = lab_ranks_agree(ranks, open_saved(run, &saved, path, error), error);
    if (!status) {
        const lab_alike sum = { "a checkpoint of the checksum", eden_file_value(saved->file, "eden.sum") };
        status = lab_ranks_compare(ranks, &sum, 1, error);
    }
    if (!status)
        status = ranks ? ranks->load(run->optimizer, path, error) : eden_load(run->optimizer, path, 0, error);
    if (!status) run->problem->kind->widen(run->problem);
    if (!status && eden_steps(run->optimizer) != saved->step) {
        run->failed = 1; /* the weights are the file's, the place in the run is not known */
        status = lab_fail(error, EDEN_E_FORMAT, "'%.160s' is damaged: its step counts differ", path);
    }
    if (!status) take_over(run, saved);
    lab_saved_close(saved);
    return status;
}
