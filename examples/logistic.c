/* Logistic regression on handwritten digits, with everything a real run has:
 * groups, a schedule, clipping, and a checkpoint from which it continues.
 *
 *     cc logistic.c $(pkg-config --cflags --libs eden) -lz -lm
 *     ./a.out digits.csv.gz digits.safetensors
 *
 * Run it twice: the second run continues where the first one stopped.
 */
#include <eden/eden.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

enum { PIXELS = 64, CLASSES = 10, EXAMPLES = 1797, TRAIN = 1500, BATCH = 50, EPOCHS = 10 };

static float x[EXAMPLES][PIXELS];
static int label[EXAMPLES];

static float weight[CLASSES][PIXELS], weight_grad[CLASSES][PIXELS];
static float bias[CLASSES], bias_grad[CLASSES];

/* Read lines of 64 values from 0 to 16 and a label; returns 1 if all were there. */
static int read_digits(const char *path)
{
    gzFile file = gzopen(path, "rb");
    char line[1024];
    int n = 0;
    for (; file && n < EXAMPLES && gzgets(file, line, sizeof line); n++) {
        char *at = line;
        for (int j = 0; j < PIXELS; j++, at++) x[n][j] = (float)strtol(at, &at, 10) / 16;
        label[n] = (int)strtol(at, NULL, 10);
        if (label[n] < 0 || label[n] >= CLASSES) break;
    }
    if (file) gzclose(file);
    return n == EXAMPLES;
}

/* Probabilities of the classes for example n; returns the likeliest. */
static int predict(int n, double p[CLASSES])
{
    double sum = 0, top = -INFINITY;
    int best = 0;
    for (int c = 0; c < CLASSES; c++) {
        p[c] = bias[c];
        for (int j = 0; j < PIXELS; j++) p[c] += (double)weight[c][j] * x[n][j];
        if (p[c] > top) top = p[best = c];
    }
    for (int c = 0; c < CLASSES; c++) sum += p[c] = exp(p[c] - top);
    for (int c = 0; c < CLASSES; c++) p[c] /= sum;
    return best;
}

/* Add the gradient of the mean cross-entropy of one batch; returns that mean. */
static double forward_backward(int first)
{
    double loss = 0, p[CLASSES];
    for (int n = first; n < first + BATCH; n++) {
        predict(n, p);
        loss -= log(p[label[n]]) / BATCH;
        for (int c = 0; c < CLASSES; c++) {
            const float d = (float)(p[c] - (c == label[n])) / BATCH;
            for (int j = 0; j < PIXELS; j++) weight_grad[c][j] += d * x[n][j];
            bias_grad[c] += d;
        }
    }
    return loss;
}

static double test_accuracy(void)
{
    double p[CLASSES];
    int right = 0;
    for (int n = TRAIN; n < EXAMPLES; n++) right += predict(n, p) == label[n];
    return 100.0 * right / (EXAMPLES - TRAIN);
}

/* The optimizer: decay for the weights, none for the bias; the learning rate
 * warms up and then falls along a cosine; gradients are clipped together. */
static eden_optimizer *create(eden_error *error)
{
    eden_optimizer *opt = NULL;
    eden_config config = EDEN_CONFIG_INIT;
    eden_tensor w = eden_matrix(*weight, *weight_grad, CLASSES, PIXELS);
    eden_tensor b = eden_vector(bias, bias_grad, CLASSES);
    config.clip_norm = 1;
    if (eden_optimizer_create(&opt, "adamw", &config, error) ||
        eden_set_text(opt, NULL, "lr=0.05, weight_decay=0.1", error) ||
        eden_schedule(opt, NULL, "lr", "warmup(30) * cosine(600, end=0.1)", error) ||
        eden_add_group(opt, "no_decay", NULL, "weight_decay=0", error) ||
        eden_add_tensor(opt, "weight", &w, NULL, error) ||
        eden_add_tensor(opt, "bias", &b, "no_decay", error)) {
        eden_optimizer_destroy(opt);
        return NULL;
    }
    return opt;
}

/* Train from the optimizer's step on, for some epochs. */
static eden_status train(eden_optimizer *opt, eden_error *error)
{
    const uint64_t steps = TRAIN / BATCH, end = eden_steps(opt) + EPOCHS * steps;
    double loss = 0;
    while (eden_steps(opt) < end) {
        const int batch = (int)(eden_steps(opt) % steps);
        if (eden_zero_grad(opt, error)) return (eden_status)error->status;
        loss += forward_backward(batch * BATCH) / (double)steps;
        if (eden_step(opt, error)) return (eden_status)error->status;
        if (eden_steps(opt) % steps) continue;
        printf("epoch %2d: loss %.4f, test accuracy %.1f %%\n", (int)(eden_steps(opt) / steps),
               loss, test_accuracy());
        loss = 0;
    }
    return EDEN_OK;
}

int main(int argc, char **argv)
{
    eden_error error;
    if (argc != 3) return fprintf(stderr, "usage: %s DIGITS.CSV.GZ CHECKPOINT\n", argv[0]), 2;
    if (!read_digits(argv[1])) return fprintf(stderr, "%s: not the digits\n", argv[1]), 1;

    eden_optimizer *opt = create(&error);
    int failed = opt == NULL;
    FILE *before = fopen(argv[2], "rb");
    if (before) {
        fclose(before);
        failed = failed || eden_load(opt, argv[2], 0, &error);
    }
    failed = failed || train(opt, &error) || eden_save(opt, argv[2], 0, &error);
    if (failed) fprintf(stderr, "%s\n", error.text);
    eden_optimizer_destroy(opt);
    return failed;
}
