/* problem_gan.c - a generator of images and the discriminator that it learns from, in one
 * optimizer, which takes a step with both at once. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lab/gan.h"
#include "lab/judge.h"
#include "lab/network.h"
#include "lab/options.h"
#include "lab/problem.h"
#include "lab/random.h"

/* What random numbers under a run's seed are for. */
enum { PLACE = 0x706c, CLASS = 0x636c, NOISE = 0x6e6f, TEST = 0x7465, SHEET = 0x7368 };

enum { EPOCH = LAB_GAN_EPOCH, TESTED = 1000 };

typedef struct {
    lab_problem base;
    const lab_data *data;
    lab_gan gan;
    lab_judge *judge;         /* NULL: there was nothing to look at yet           */
    uint64_t size, seed;
    uint32_t threads;
    float *images;            /* a batch of the data, or of what was made         */
    int32_t *label, *wanted;
    lab_fact facts[LAB_FACTS];
    char network[LAB_PAIR_ROOM];
} gan_problem;

/* ---- creating --------------------------------------------------------------------- */

static void destroy(lab_problem *problem)
{
    gan_problem *p = (gan_problem *)problem;
    lab_judge_destroy(p->judge);
    lab_gan_free(&p->gan);
    free(p->images);
    free(p->label);
    free(p->wanted);
    free(p);
}

static eden_status create_networks(gan_problem *p, const lab_config *config, eden_error *error)
{
    lab_gan_config c = { .pixels = p->data->features, .classes = p->data->classes, .noise = 32,
                         .rows = p->size > TESTED ? p->size : TESTED,
                         .widths = config->model.widths ? config->model.widths : "128,128",
                         .dropout = config->model.dropout < 0 ? 0 : config->model.dropout,
                         .seed = config->model.seed, .threads = config->model.threads };
    const lab_option options[] = { { "noise", &c.noise }, { NULL, NULL } };
    const eden_status status = lab_options_read(config->task, options, error);
    if (status) return status;
    if (!c.noise || c.noise > 65536)
        return lab_fail(error, EDEN_E_VALUE, "noise = %llu is outside 1 to 65536",
                        (unsigned long long)c.noise);
    return lab_gan_create(&p->gan, &c, error);
}

static eden_status allocate(gan_problem *p, eden_error *error)
{
    const size_t rows = (size_t)p->gan.config.rows;
    p->images = calloc(rows, (size_t)p->data->features * sizeof *p->images);
    p->label = calloc(rows, sizeof *p->label);
    p->wanted = calloc(rows, sizeof *p->wanted);
    if (p->images && p->label && p->wanted) return EDEN_OK;
    return lab_fail(error, EDEN_E_MEMORY, "no memory for a batch of %llu images",
                    (unsigned long long)rows);
}

static eden_status check(const lab_config *config, const lab_data *data, eden_error *error)
{
    if (strcmp(config->model.kind, "mlp") != 0 || config->model.norm)
        return lab_fail(error, EDEN_E_VALUE, "generator and discriminator are each an mlp without "
                        "normalization");
    if (!data->classes || !data->train.count || !data->test.count)
        return lab_fail(error, EDEN_E_SHAPE, "%s has no classes, or nothing in them", data->name);
    if (config->batch > data->train.count)
        return lab_fail(error, EDEN_E_VALUE, "batch = %llu is more than the %llu training examples",
                        (unsigned long long)config->batch, (unsigned long long)data->train.count);
    return EDEN_OK;
}

static eden_status create(lab_problem **out, const lab_config *config, const void *source,
                          eden_error *error)
{
    *out = NULL;
    eden_status status = check(config, source, error);
    gan_problem *p = status ? NULL : calloc(1, sizeof *p);
    if (!p) return status ? status : lab_fail(error, EDEN_E_MEMORY, "no memory for a run");
    p->data = source;
    p->size = config->batch;
    p->seed = config->seed;
    p->threads = config->threads;
    status = create_networks(p, config, error);
    if (!status) status = allocate(p, error);
    if (status) {
        destroy(&p->base);
        return status;
    }
    p->facts[0] = (lab_fact){ { .name = "least class", .unit = "%", .scale = 100, .decimals = 1,
                                .rises = 1 }, NAN };
    p->facts[1] = (lab_fact){ { .name = "as asked", .unit = "%", .scale = 100, .decimals = 1,
                                .rises = 1 }, NAN };
    /* Noise is taken for a digit with confidence, too: what is judged is the distance. */
    p->base = (lab_problem){ .kind = &lab_adversarial, .data = p->data->name, .hash = p->data->hash,
                             .batches = EPOCH, .facts = p->facts,
                             .part = { p->gan.generator, p->gan.discriminator },
                             .metric = { .name = "confident", .unit = "%", .scale = 100,
                                         .decimals = 1, .rises = 1,
                                         .loss_unit = "from real ones",
                                         .goal = "distance" } };
    lab_network_pair(&p->base, p->network);
    *out = &p->base;
    return EDEN_OK;
}

/* ---- learning and measuring --------------------------------------------------------- */

/* The classifier, when it is first wanted: it multiplies matrices, for which fits() has
 * been asked by then. */
static eden_status call_judge(gan_problem *p, eden_error *error)
{
    return p->judge ? EDEN_OK : lab_judge_create(&p->judge, p->data, p->threads, error);
}

/* Look at what was made last, as images from 0 to 1. */
static eden_status look(gan_problem *p, uint64_t rows, int whole, lab_verdict *verdict,
                        eden_error *error)
{
    const uint64_t pixels = p->data->features, stride = pixels + p->data->classes;
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t i = 0; i < pixels; i++)
            p->images[r * pixels + i] = ((float)p->gan.made[r * stride + i] + 1) / 2;
    const eden_status status = call_judge(p, error);
    return status ? status : lab_judge_look(p->judge, p->images, p->wanted, rows, whole, verdict, error);
}

/* Images from anywhere, and classes for as many to be made, of a part of a batch. */
static void gather(gan_problem *p, uint64_t number, uint64_t from, uint64_t to)
{
    const lab_split *train = &p->data->train;
    const uint64_t place = lab_random_key(p->seed, PLACE), class = lab_random_key(p->seed, CLASS);
    const uint64_t pixels = p->data->features;
    for (uint64_t i = 0; i < to - from; i++) {
        const uint64_t at = (number - 1) * p->size + from + i;
        const uint64_t row = lab_random_below(place, at, train->count);
        memcpy(p->images + i * pixels, train->x + row * pixels, pixels * sizeof *p->images);
        p->label[i] = train->label[row];
        p->wanted[i] = (int32_t)lab_random_below(class, at, p->data->classes);
    }
}

static eden_status learn(lab_problem *problem, const lab_turn *turn, lab_sums *sums,
                         eden_error *error)
{
    gan_problem *p = (gan_problem *)problem;
    double apart = 0, taken = 0;
    lab_verdict verdict;
    uint64_t from, to;
    if (turn->batch >= EPOCH) return EDEN_OK;
    if (turn->parts > 1 && p->gan.config.dropout > 0)
        return lab_fail(error, EDEN_E_VALUE, "a discriminator with dropout learns from whole batches alone: "
                        "leave out --dropout, or the ranks and parts");
    const double over = lab_turn_rows(turn, p->size, &from, &to);
    p->gan.over = turn->parts > 1 ? over : 0;
    const uint64_t rows = to - from;
    if (!rows) return EDEN_OK;
    gather(p, turn->number, from, to);
    eden_status status = lab_gan_make(&p->gan, lab_random_key(p->seed, NOISE),
                                      (turn->number - 1) * p->size + from, p->wanted, rows, error);
    if (!status)
        status = lab_gan_learn_discriminator(&p->gan, p->images, p->label, rows, turn->number,
                                             &apart, error);
    if (!status) status = lab_gan_learn_generator(&p->gan, rows, turn->number, &taken, error);
    if (!status) status = look(p, rows, 0, &verdict, error);
    if (status) return status;
    sums->loss += (apart + taken) * (double)rows;
    sums->metric += verdict.confident * (double)rows;
    sums->rows += rows;
    return EDEN_OK;
}

/* Each class is asked for equally often. */
static eden_status evaluate(lab_problem *problem, int whole, double *loss, double *metric,
                            eden_error *error)
{
    gan_problem *p = (gan_problem *)problem;
    lab_verdict verdict;
    (void)whole;
    for (uint64_t i = 0; i < TESTED; i++) p->wanted[i] = (int32_t)(i % p->data->classes);
    eden_status status = lab_gan_make(&p->gan, lab_random_key(p->seed, TEST), 0, p->wanted, TESTED,
                                      error);
    if (!status) status = look(p, TESTED, 1, &verdict, error);
    if (status) return status;
    *loss = verdict.distance;
    *metric = verdict.confident;
    p->facts[0].value = verdict.least;
    p->facts[1].value = verdict.agreeing;
    return EDEN_OK;
}

/* As many of one class as of the next, in their order. */
static eden_status sample(lab_problem *problem, const lab_sample_config *config,
                          lab_sample *sample, eden_error *error)
{
    gan_problem *p = (gan_problem *)problem;
    const uint64_t pixels = p->data->features, stride = pixels + p->data->classes;
    if (!config->count || config->count > TESTED)
        return lab_fail(error, EDEN_E_VALUE, "%llu images are not 1 to %d",
                        (unsigned long long)config->count, (int)TESTED);
    sample->pixels = calloc((size_t)config->count, (size_t)pixels * sizeof *sample->pixels);
    if (!sample->pixels)
        return lab_fail(error, EDEN_E_MEMORY, "no memory for %llu images",
                        (unsigned long long)config->count);
    for (uint64_t i = 0; i < config->count; i++)
        p->wanted[i] = (int32_t)(i * p->data->classes / config->count);
    const eden_status status = lab_gan_make(&p->gan, lab_random_key(config->seed, SHEET), 0,
                                            p->wanted, config->count, error);
    for (uint64_t i = 0; !status && i < config->count * pixels; i++)
        sample->pixels[i] = ((float)p->gan.made[i / pixels * stride + i % pixels] + 1) / 2;
    sample->count = config->count;
    sample->height = p->data->height;
    sample->width = p->data->width;
    return status;
}

const lab_problem_kind lab_adversarial = {
    .create = create, .destroy = destroy, .fits = lab_problem_fits, .store = lab_problem_store,
    .zero_grads = lab_problem_zero_grads, .narrow_grads = lab_problem_narrow_grads,
    .widen = lab_problem_widen, .add = lab_problem_add, .learn = learn, .evaluate = evaluate,
    .sample = sample,
};
