/* problem_text.c - a transformer that learns which byte comes next. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lab/options.h"
#include "lab/problem.h"
#include "lab/random.h"
#include "lab/text.h"
#include "lab/transformer.h"

/* What random numbers under a run's seed are for. */
enum { PLACE = 0x706c, SAMPLE = 0x736d };

/* An epoch is so many batches, each of sequences from anywhere; between epochs so many
 * sequences of the test text are measured, and so many at a time. */
enum { EPOCH = LAB_TEXT_EPOCH, MEASURED = 192, PIECE = 24 };

typedef struct {
    lab_problem base;
    const lab_text *text;
    uint64_t size, context;   /* sequences in a batch, places in a sequence     */
    uint64_t seed;
    float *x;                 /* a batch, or a piece of the test text           */
    int32_t *next;
} text_problem;

/* ---- creating --------------------------------------------------------------------- */

static void destroy(lab_problem *problem)
{
    text_problem *p = (text_problem *)problem;
    lab_model_destroy(problem->model);
    free(p->x);
    free(p->next);
    free(p);
}

/* The network as the options say, and what it wants of the text. */
static eden_status read_config(const lab_config *config, const lab_text *text,
                               lab_transformer_config *network, eden_error *error)
{
    *network = (lab_transformer_config){ .layers = 4, .heads = 4, .width = 128, .context = 64,
                                         .dropout = config->model.dropout,
                                         .seed = config->model.seed,
                                         .threads = config->model.threads };
    const lab_option options[] = { { "context", &network->context }, { "heads", &network->heads },
                                   { "layers", &network->layers }, { "width", &network->width },
                                   { NULL, NULL } };
    if (network->dropout < 0) network->dropout = 0;
    const eden_status status = lab_options_read(config->task, options, error);
    if (status) return status;
    if (strcmp(config->model.kind, "transformer") != 0)
        return lab_fail(error, EDEN_E_NAME, "'%.80s' is no model for a text: there is transformer",
                        config->model.kind);
    if (config->model.widths || config->model.norm)
        return lab_fail(error, EDEN_E_VALUE, "a transformer has one width, and layer norm: widths and "
                        "norm say nothing to it");
    if (text->train <= network->context)
        return lab_fail(error, EDEN_E_SHAPE, "%s has %llu bytes to learn from (9 of 10), and with a "
                        "context of %llu it needs at least %llu; choose a smaller context", text->name,
                        (unsigned long long)text->train, (unsigned long long)network->context,
                        (unsigned long long)network->context + 1);
    return EDEN_OK;
}

static eden_status allocate(text_problem *p, eden_error *error)
{
    uint64_t rows = 0;
    const uint64_t sequences = p->size > PIECE ? p->size : PIECE;
    const int fits = !__builtin_mul_overflow(sequences, p->context, &rows) && rows <= INT32_MAX;
    if (fits) p->x = calloc((size_t)rows, sizeof *p->x);
    if (fits) p->next = calloc((size_t)rows, sizeof *p->next);
    if (p->x && p->next) return EDEN_OK;
    return lab_fail(error, EDEN_E_MEMORY, "no memory for a batch of %llu sequences of %llu bytes",
                    (unsigned long long)p->size, (unsigned long long)p->context);
}

static eden_status create(lab_problem **out, const lab_config *config, const void *source,
                          eden_error *error)
{
    const lab_text *text = source;
    lab_transformer_config network;
    *out = NULL;
    eden_status status = read_config(config, text, &network, error);
    if (status) return status;
    text_problem *p = calloc(1, sizeof *p);
    if (!p) return lab_fail(error, EDEN_E_MEMORY, "no memory for a run");
    p->text = text;
    p->size = config->batch;
    p->context = network.context;
    p->seed = config->seed;
    status = allocate(p, error);
    if (!status) status = lab_transformer_create(&p->base.model, &network, error);
    if (status) {
        destroy(&p->base);
        return status;
    }
    p->base = (lab_problem){ .kind = &lab_language, .data = text->name, .hash = text->hash,
                             .network = lab_model_describe(p->base.model),
                             .weights = lab_model_weights(p->base.model), .batches = EPOCH,
                             .samples_test = 1, .perplexity = 1, .model = p->base.model,
                             .metric = { .name = "perplexity", .unit = "", .scale = 1,
                                         .decimals = 3, .loss_unit = "nats a byte" } };
    *out = &p->base;
    return EDEN_OK;
}

/* ---- learning and measuring --------------------------------------------------------- */

/* `count` bytes from `from`, and those one further, as rows from `row`. */
static void take(text_problem *p, uint64_t row, uint64_t from, uint64_t count)
{
    const unsigned char *bytes = p->text->bytes + from;
    for (uint64_t i = 0; i < count; i++) {
        p->x[row + i] = (float)bytes[i];
        p->next[row + i] = bytes[i + 1];
    }
}

static eden_status learn(lab_problem *problem, const lab_turn *turn, lab_sums *sums,
                         eden_error *error)
{
    text_problem *p = (text_problem *)problem;
    const uint64_t key = lab_random_key(p->seed, PLACE);
    double mean = 0;
    uint64_t right = 0, from, to;
    if (turn->batch >= EPOCH) return EDEN_OK;
    const double over = lab_turn_rows(turn, p->size, &from, &to);
    const uint64_t rows = (to - from) * p->context;
    if (!rows) return EDEN_OK;
    for (uint64_t i = from; i < to; i++)
        take(p, (i - from) * p->context, lab_random_below(key, (turn->number - 1) * p->size + i,
                                                          p->text->train - p->context), p->context);
    lab_model_part(problem->model, from * p->context, over * (double)p->context, NULL);
    const eden_status status = lab_model_train(problem->model, p->x, p->next, NULL, rows,
                                               turn->number, &mean, &right, error);
    if (status) return status;
    sums->loss += mean * (double)rows;
    sums->metric += exp(mean) * (double)rows;
    sums->rows += rows;
    return EDEN_OK;
}

/* Mean loss of `some` sequences that do not overlap and are equally far apart, of the `all`
 * that a part of the text has, from `begin` on and n places long. */
static eden_status measure(text_problem *p, uint64_t begin, uint64_t n, uint64_t all,
                           uint64_t some, double *loss, eden_error *error)
{
    double sum = 0;
    uint64_t measured = 0;
    for (uint64_t i = 0; i < some;) {
        double mean = 0;
        uint64_t right = 0, rows = 0;
        for (uint64_t k = 0; k < PIECE && i < some; k++, i++) {
            const uint64_t from = i * all / some * p->context;
            const uint64_t left = n - from < p->context ? n - from : p->context;
            take(p, rows, begin + from, left);
            rows += left;
        }
        const lab_split piece = { rows, p->x, p->next, NULL };
        const eden_status status = lab_model_eval(p->base.model, &piece, &mean, &right, error);
        if (status) return status;
        sum += mean * (double)rows;
        measured += rows;
    }
    *loss = sum / (double)measured;
    return EDEN_OK;
}

/* Sequences in n places. */
static uint64_t sequences(const text_problem *p, uint64_t n) { return (n - 1) / p->context + 1; }

static eden_status evaluate(lab_problem *problem, int whole, double *loss, double *metric,
                            eden_error *error)
{
    text_problem *p = (text_problem *)problem;
    const uint64_t n = p->text->count - p->text->train - 1, all = sequences(p, n);
    const eden_status status = measure(p, p->text->train, n, all,
                                       whole || all < MEASURED ? all : MEASURED, loss, error);
    if (!status) *metric = exp(*loss);
    return status;
}

static eden_status evaluate_train(lab_problem *problem, double *loss, eden_error *error)
{
    text_problem *p = (text_problem *)problem;
    const uint64_t n = p->text->train - 1, all = sequences(p, n);
    const uint64_t test = sequences(p, p->text->count - p->text->train - 1);
    return measure(p, 0, n, all, test < all ? test : all, loss, error);
}

/* ---- sampling ---------------------------------------------------------------------- */

/* A byte by its chance under `z` at a temperature: where the sum of the chances first
 * passes a number from 0 to 1. */
static unsigned char draw(const lab_real *z, double temperature, double number)
{
    double chance[LAB_BYTES], sum = 0, passed = 0;
    int best = 0;
    for (int i = 1; i < LAB_BYTES; i++)
        if (z[i] > z[best]) best = i;
    if (temperature <= 0) return (unsigned char)best;
    for (int i = 0; i < LAB_BYTES; i++) {
        chance[i] = exp(((double)z[i] - (double)z[best]) / temperature);
        sum += chance[i];
    }
    for (int i = 0; i < LAB_BYTES; i++) {
        passed += chance[i];
        if (passed > number * sum) return (unsigned char)i;
    }
    return (unsigned char)best;
}

/* It begins behind a new line, which is not part of it, and sees at most the last
 * `context` bytes. */
static eden_status sample(lab_problem *problem, const lab_sample_config *config,
                          lab_sample *sample, eden_error *error)
{
    text_problem *p = (text_problem *)problem;
    const uint64_t key = lab_random_key(config->seed, SAMPLE);
    sample->text = config->count < (uint64_t)1 << 30 ? malloc((size_t)config->count + 1) : NULL;
    if (!sample->text)
        return lab_fail(error, EDEN_E_MEMORY, "no memory for %llu bytes of text",
                        (unsigned long long)config->count);
    for (uint64_t i = 0; i < config->count; i++) {
        const lab_real *z;
        const uint64_t seen = i + 1 < p->context ? i + 1 : p->context;
        for (uint64_t k = 0; k < seen; k++) {
            const uint64_t back = seen - k;
            p->x[k] = back > i ? (float)'\n' : (float)(unsigned char)sample->text[i - back];
        }
        const eden_status status = lab_model_outputs(problem->model, p->x, seen, &z, error);
        if (status) return status;
        sample->text[i] = (char)draw(z + (seen - 1) * LAB_BYTES, config->temperature,
                                     lab_random_uniform(key, i));
    }
    sample->text[config->count] = '\0';
    sample->length = config->count;
    return EDEN_OK;
}

const lab_problem_kind lab_language = {
    .create = create, .destroy = destroy, .fits = lab_problem_fits, .store = lab_problem_store,
    .zero_grads = lab_problem_zero_grads, .narrow_grads = lab_problem_narrow_grads,
    .widen = lab_problem_widen, .add = lab_problem_add, .learn = learn, .evaluate = evaluate,
    .evaluate_train = evaluate_train, .sample = sample,
};
