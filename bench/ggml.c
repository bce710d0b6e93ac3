/* ggml.c - AdamW steps of an installed or built ggml between two looks at the clock.
 * bench/peers.py compiles this against that ggml. */
#include <ggml-cpu.h>
#include <ggml.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

typedef struct {
    struct ggml_context *context;
    struct ggml_cgraph *graph;
    struct ggml_cplan plan;
    float *params; /* lr, beta1, beta2, eps, decay, and the two corrections */
    uint64_t step;
} bench_ggml;

__attribute__((visibility("default"))) void bench_ggml_destroy(bench_ggml *b)
{
    if (b->context) ggml_free(b->context);
    free(b->plan.work_data);
    free(b);
}

/* Over the caller's memory; the two states are ggml's. */
__attribute__((visibility("default"))) bench_ggml *bench_ggml_create(
    float *weights, float *grads, uint64_t tensors, uint64_t rows, uint64_t cols, int threads,
    const float *settings)
{
    const size_t nodes = tensors * 4 + 8;
    const size_t state = tensors * (rows * cols * sizeof(float) + 64) * 2;
    struct ggml_init_params init = {
        state + tensors * 6 * ggml_tensor_overhead() + ggml_graph_overhead_custom(nodes, false) + 65536,
        NULL, false
    };
    bench_ggml *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    b->context = ggml_init(init);
    if (!b->context) return bench_ggml_destroy(b), NULL;
    b->graph = ggml_new_graph_custom(b->context, nodes, false);
    struct ggml_tensor *params = ggml_new_tensor_1d(b->context, GGML_TYPE_F32, 7);
    b->params = params->data;
    for (int i = 0; i < 5; i++) b->params[i] = settings[i];
    for (uint64_t i = 0; i < tensors; i++) {
        struct ggml_tensor *t[4];
        for (int k = 0; k < 4; k++) {
            ggml_set_no_alloc(b->context, k < 2);
            t[k] = ggml_new_tensor_2d(b->context, GGML_TYPE_F32, (int64_t)cols, (int64_t)rows);
            if (k < 2) t[k]->data = (k ? grads : weights) + i * rows * cols;
            else ggml_set_zero(t[k]);
        }
        ggml_set_no_alloc(b->context, true);
        ggml_set_param(t[0]);
        ggml_build_forward_expand(
            b->graph, ggml_opt_step_adamw(b->context, t[0], t[1], t[2], t[3], params));
    }
    b->plan = ggml_graph_plan(b->graph, threads, NULL);
    if (b->plan.work_size) b->plan.work_data = malloc(b->plan.work_size);
    if (b->plan.work_size && !b->plan.work_data) return bench_ggml_destroy(b), NULL;
    return b;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds for so many steps, or -1. */
__attribute__((visibility("default"))) double bench_ggml_run(bench_ggml *b, uint64_t steps)
{
    const double begun = now();
    for (uint64_t i = 0; i < steps; i++) {
        b->step++;
        b->params[5] = 1.0f / (1.0f - powf(b->params[1], (float)b->step));
        b->params[6] = 1.0f / (1.0f - powf(b->params[2], (float)b->step));
        if (ggml_graph_compute(b->graph, &b->plan) != GGML_STATUS_SUCCESS) return -1;
    }
    return now() - begun;
}
