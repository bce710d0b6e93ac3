/* problem_finetune.c - new classes of images, learned from a few examples by a network that
 * has learned others. The lower half of the classes is the old ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/options.h"
#include "lab/problem.h"
#include "lab/random.h"

/* What random numbers under a run's seed are for. */
enum { EXAMPLES = 0x6678 };

/* How the old classes are learned: in batches of BATCH, over whole epochs that come to at
 * least STEPS steps. */
enum { BATCH = 32, STEPS = 230 };

typedef struct {
    lab_problem base;
    lab_problem *inner;       /* the few examples, as any others                 */
    lab_data few;             /* new classes, numbered from 0; its own memory    */
    uint64_t examples, body, scratch; /* as the options say                      */
    char data[100], start[400];
} finetune;

static void destroy(lab_problem *problem)
{
    finetune *f = (finetune *)problem;
    if (f->inner) f->inner->kind->destroy(f->inner);
    lab_data_free(&f->few);
    free(f);
}

/* ---- choosing examples ----------------------------------------------------------------- */

static uint64_t count_between(const lab_split *split, int32_t from, int32_t to)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < split->count; i++) n += split->label[i] >= from && split->label[i] < to;
    return n;
}

/* Examples of classes from `from` to below `to`, as classes from 0: so many of each class as
 * `quota` has left, in the order of `row`; or all, without them. */
static eden_status choose(lab_split *to, const lab_split *all, uint64_t features, int32_t from,
                          int32_t end, uint64_t count, const uint32_t *row, uint64_t *quota,
                          eden_error *error)
{
    to->x = calloc((size_t)count * (size_t)features, sizeof *to->x);
    to->label = calloc((size_t)count, sizeof *to->label);
    if (!to->x || !to->label)
        return lab_fail(error, EDEN_E_MEMORY, "no memory for %llu examples", (unsigned long long)count);
    for (uint64_t k = 0; k < all->count && to->count < count; k++) {
        const uint64_t i = row ? row[k] : k;
        const int32_t label = all->label[i];
        if (label < from || label >= end || (quota && !quota[label - from])) continue;
        if (quota) quota[label - from]--;
        memcpy(to->x + to->count * features, all->x + i * features, (size_t)features * sizeof *to->x);
        to->label[to->count++] = label - from;
    }
    return EDEN_OK;
}

/* The rows in an order drawn by the seed. */
static uint32_t *draw_order(uint64_t count, uint64_t seed)
{
    const uint64_t key = lab_random_key(seed, EXAMPLES);
    uint32_t *row = count <= UINT32_MAX ? calloc((size_t)count, sizeof *row) : NULL;
    for (uint64_t i = 0; row && i < count; i++) {
        const uint64_t k = lab_random_below(key, i, i + 1);
        row[i] = row[k];
        row[k] = (uint32_t)i;
    }
    return row;
}

static lab_data shape_of(const lab_data *data, uint32_t classes)
{
    lab_data part = *data;
    part.classes = classes;
    part.train = part.test = (lab_split){ 0, NULL, NULL, NULL };
    return part;
}

/* As many of each class as can be, and the first classes one more. */
static eden_status choose_few(finetune *f, const lab_data *data, uint64_t seed, eden_error *error)
{
    const int32_t first = (int32_t)lab_transfer_old(data), end = (int32_t)data->classes;
    const uint64_t classes = data->classes - (uint64_t)first;
    f->few = shape_of(data, (uint32_t)classes);
    if (f->examples < classes)
        return lab_fail(error, EDEN_E_VALUE, "examples = %llu leave some of the %llu new classes "
                        "without any", (unsigned long long)f->examples, (unsigned long long)classes);
    uint64_t *quota = calloc((size_t)classes, sizeof *quota);
    uint32_t *row = draw_order(data->train.count, seed);
    eden_status status = quota && row ? EDEN_OK
                                      : lab_fail(error, EDEN_E_MEMORY, "no memory for the examples");
    for (uint64_t c = 0; !status && c < classes; c++) {
        const int32_t class = first + (int32_t)c;
        const uint64_t there = count_between(&data->train, class, class + 1);
        quota[c] = f->examples / classes + (c < f->examples % classes);
        if (quota[c] > there)
            status = lab_fail(error, EDEN_E_VALUE, "examples = %llu take %llu of each new class, and "
                              "class %d has %llu", (unsigned long long)f->examples,
                              (unsigned long long)quota[c], class, (unsigned long long)there);
    }
    if (!status)
        status = choose(&f->few.train, &data->train, data->features, first, end, f->examples, row,
                        quota, error);
    if (!status)
        status = choose(&f->few.test, &data->test, data->features, first, end,
                        count_between(&data->test, first, end), NULL, NULL, error);
    free(quota);
    free(row);
    return status;
}

/* ---- how it begins --------------------------------------------------------------------- */

/* Train on the old classes to the end, and take the body over. */
static eden_status learn_old(lab_model *model, const lab_data *old, const lab_config *config,
                             eden_error *error)
{
    const uint64_t epoch = (old->train.count - 1) / BATCH + 1, epochs = (STEPS - 1) / epoch + 1;
    char schedule[64];
    lab_run *run = NULL;
    int done = 0;
    snprintf(schedule, sizeof schedule, "cosine(%llu, end=0.01)", (unsigned long long)(epoch * epochs));
    const char *optimizer = lab_task_optimizer("pretrain");
    const lab_config recipe = { .optimizer = optimizer, .epochs = epochs, .batch = BATCH,
                                .settings = lab_task_settings("pretrain", optimizer),
                                .schedule = schedule, .seed = config->seed,
                                .threads = config->threads, .model = config->model };
    eden_status status = lab_run_create(&run, &recipe, old, error);
    while (!status && !done) status = lab_run_step(run, &done, error);
    if (!status) lab_model_take_body(model, lab_run_model(run));
    lab_run_destroy(run);
    return status;
}

static eden_status pretrain(finetune *f, const lab_data *data, const lab_config *config,
                            eden_error *error)
{
    const int32_t end = (int32_t)lab_transfer_old(data);
    const uint64_t count = count_between(&data->train, 0, end);
    lab_data old = shape_of(data, (uint32_t)end);
    eden_status status = choose(&old.train, &data->train, data->features, 0, end, count, NULL, NULL,
                                error);
    if (!status)
        status = choose(&old.test, &data->test, data->features, 0, end,
                        count_between(&data->test, 0, end), NULL, NULL, error);
    if (!status) status = learn_old(f->inner->model, &old, config, error);
    lab_data_free(&old);
    snprintf(f->start, sizeof f->start, "trained on %llu examples of classes 0 to %d; a new head",
             (unsigned long long)count, (int)end - 1);
    return status;
}

static eden_status load(finetune *f, const char *path, eden_error *error)
{
    eden_load_report r = EDEN_LOAD_REPORT_INIT;
    const eden_status status = lab_model_load_body(f->inner->model, path, &r, error);
    if (status) return status;
    const uint64_t all = r.loaded + r.missing + r.different;
    char *at = f->start, *end = f->start + sizeof f->start;
    at += snprintf(at, (size_t)(end - at), "%llu of the body's %llu tensors from '%.200s'",
                   (unsigned long long)r.loaded, (unsigned long long)all, path);
    const struct {
        uint64_t count;
        const char *what;
    } parts[] = { { r.converted, " converted from another type" },
                  { r.different, " there in another shape and left new" },
                  { r.missing, " not there and left new" },
                  { r.extra, " of the file's not used" } };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].count)
            at += snprintf(at, (size_t)(end - at), ", %llu%s", (unsigned long long)parts[i].count,
                           parts[i].what);
    snprintf(at, (size_t)(end - at), "; a new head");
    return EDEN_OK;
}

/* ---- creating -------------------------------------------------------------------------- */

static eden_status read_config(finetune *f, const lab_config *config, const lab_transfer *source,
                               eden_error *error)
{
    const lab_data *data = source->data;
    const lab_option options[] = { { "body", &f->body }, { "examples", &f->examples },
                                   { "scratch", &f->scratch }, { NULL, NULL } };
    f->body = LAB_BODY_UNIT / 10;
    f->examples = 100;
    const eden_status status = lab_options_read(config->task, options, error);
    if (status) return status;
    if (f->body > LAB_BODY_UNIT)
        return lab_fail(error, EDEN_E_VALUE, "the body's rate is at most that of the head");
    if (data->classes < 4 || data->height == 1)
        return lab_fail(error, EDEN_E_SHAPE, "%s is no set of images of at least 4 classes, of which "
                        "half can be new", data->name);
    if (!strcmp(config->model.kind, "logistic"))
        return lab_fail(error, EDEN_E_NAME, "logistic has one layer, and no body to keep: choose mlp, "
                        "cnn or resnet");
    const int32_t old = (int32_t)lab_transfer_old(data), end = (int32_t)data->classes;
    if (!count_between(&data->test, old, end)
        || !count_between(&data->train, 0, old) || !count_between(&data->test, 0, old))
        return lab_fail(error, EDEN_E_SHAPE, "%s lacks examples of classes 0 to %d, or of the others",
                        data->name, (int)old - 1);
    return EDEN_OK;
}

static eden_status create(lab_problem **out, const lab_config *config, const void *source,
                          eden_error *error)
{
    const lab_transfer *transfer = source;
    const lab_data *data = transfer->data;
    lab_config plain = *config;
    *out = NULL;
    finetune *f = calloc(1, sizeof *f);
    if (!f) return lab_fail(error, EDEN_E_MEMORY, "no memory for a run");
    plain.task = NULL;
    eden_status status = read_config(f, config, transfer, error);
    if (!status) status = choose_few(f, data, config->seed, error);
    if (!status) status = lab_supervised.create(&f->inner, &plain, &f->few, error);
    if (!status && transfer->from) status = load(f, transfer->from, error);
    if (!status && !transfer->from && !transfer->resumed && !f->scratch)
        status = pretrain(f, data, config, error);
    if (status) {
        destroy(&f->base);
        return status;
    }
    snprintf(f->data, sizeof f->data, "%s, classes %lu to %lu", data->name,
             (unsigned long)lab_transfer_old(data), (unsigned long)data->classes - 1);
    f->base = *f->inner;
    f->base.kind = &lab_finetune;
    f->base.data = f->data;
    f->base.hash = data->hash;
    f->base.start = *f->start ? f->start : NULL;
    *out = &f->base;
    return EDEN_OK;
}

/* ---- learning -------------------------------------------------------------------------- */

/* The head learns at the rate given and the body at a part of it. */
static eden_status add(lab_problem *problem, eden_optimizer *optimizer, const char *vectors,
                       eden_error *error)
{
    static const char body[] = "body", plain_body[] = "body_no_decay", head[] = "head";
    const finetune *f = (finetune *)problem;
    double rate = 0;
    if (f->scratch) return lab_problem_add(problem, optimizer, vectors, error);
    eden_status status = eden_get(optimizer, NULL, "lr", &rate, error);
    rate *= (double)f->body / LAB_BODY_UNIT;
    if (!status) status = eden_add_group(optimizer, body, NULL, NULL, error);
    if (!status) status = eden_set(optimizer, body, "lr", rate, error);
    if (!status && vectors) status = eden_add_group(optimizer, plain_body, NULL, "weight_decay=0", error);
    if (!status && vectors) status = eden_set(optimizer, plain_body, "lr", rate, error);
    if (!status) status = eden_add_group(optimizer, head, NULL, NULL, error);
    const lab_model_groups groups = { body, vectors ? plain_body : body, head, vectors ? vectors : head };
    return status ? status : lab_model_register_parts(problem->model, optimizer, &groups, error);
}

static eden_status learn(lab_problem *problem, const lab_turn *turn, lab_sums *sums,
                         eden_error *error)
{
    lab_problem *inner = ((finetune *)problem)->inner;
    return inner->kind->learn(inner, turn, sums, error);
}

static eden_status evaluate(lab_problem *problem, int whole, double *loss, double *metric,
                            eden_error *error)
{
    lab_problem *inner = ((finetune *)problem)->inner;
    return inner->kind->evaluate(inner, whole, loss, metric, error);
}

static eden_status evaluate_train(lab_problem *problem, double *loss, eden_error *error)
{
    lab_problem *inner = ((finetune *)problem)->inner;
    return inner->kind->evaluate_train(inner, loss, error);
}

const lab_problem_kind lab_finetune = {
    .create = create, .destroy = destroy, .fits = lab_problem_fits, .store = lab_problem_store,
    .zero_grads = lab_problem_zero_grads, .narrow_grads = lab_problem_narrow_grads,
    .widen = lab_problem_widen, .add = add, .learn = learn, .evaluate = evaluate,
    .evaluate_train = evaluate_train,
};
