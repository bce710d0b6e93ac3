/* loop.c - steps of Eden between two looks at the clock. bench/peers.py compiles this
 * to a library and loads it, so that no foreign call stands between two steps. */
#include <eden/eden.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What to measure; bench/eden_side.py has the same struct. Tensors are equal parts of
 * the arrays, rows x cols elements each. */
typedef struct {
    uint64_t size; /* sizeof(bench_case) */
    uint64_t tensors, rows, cols;
    void *weights, *grads, *copy;
    const char *rule, *settings;
    double clip_norm, loss_scale;
    uint32_t threads, nonfinite, zero_grad;
    uint32_t dtype, grad_dtype, state_dtype, copy_dtype;
    uint32_t reserved;
} bench_case;

typedef struct {
    eden_optimizer *optimizer;
    eden_error error;
} bench_eden;

static size_t width_of(uint32_t dtype) { return dtype == EDEN_F32 ? 4 : 2; }

static eden_status add_tensors(bench_eden *b, const bench_case *c)
{
    eden_status status = EDEN_OK;
    char name[32];
    for (uint64_t i = 0; i < c->tensors && !status; i++) {
        const uint64_t begin = i * c->rows * c->cols;
        eden_tensor t = EDEN_TENSOR_INIT;
        t.data = (char *)c->weights + begin * width_of(c->dtype);
        t.grad = (char *)c->grads + begin * width_of(c->grad_dtype);
        if (c->copy) t.copy = (char *)c->copy + begin * width_of(c->copy_dtype);
        t.dtype = c->dtype;
        t.grad_dtype = c->grad_dtype;
        t.state_dtype = c->state_dtype;
        t.copy_dtype = c->copy ? c->copy_dtype : 0;
        t.flags = EDEN_GRAD_WRITABLE;
        t.ndim = 2;
        t.shape[0] = c->rows;
        t.shape[1] = c->cols;
        snprintf(name, sizeof name, "t%llu", (unsigned long long)i);
        status = eden_add_tensor(b->optimizer, name, &t, NULL, &b->error);
    }
    return status;
}

/* NULL with the reason in `text`. */
__attribute__((visibility("default"))) bench_eden *bench_eden_create(const bench_case *c, char *text,
                                                                     size_t room)
{
    eden_config config = EDEN_CONFIG_INIT;
    bench_eden *b = calloc(1, sizeof *b);
    if (!b || c->size != sizeof *c) {
        snprintf(text, room, b ? "bench_case differs in C and Python" : "out of memory");
        free(b);
        return NULL;
    }
    config.threads = c->threads;
    config.nonfinite = c->nonfinite;
    config.zero_grad = c->zero_grad;
    config.clip_norm = c->clip_norm;
    config.loss_scale = c->loss_scale;
    /* The gradients stay as they are, so the scale must. */
    config.loss_scale_window = c->loss_scale > 0 ? UINT32_MAX : 0;
    eden_status status = eden_optimizer_create(&b->optimizer, c->rule, &config, &b->error);
    if (!status) status = eden_set_text(b->optimizer, NULL, c->settings, &b->error);
    if (!status) status = add_tensors(b, c);
    if (status) {
        snprintf(text, room, "%s", b->error.text);
        eden_optimizer_destroy(b->optimizer);
        free(b);
        return NULL;
    }
    return b;
}

__attribute__((visibility("default"))) void bench_eden_destroy(bench_eden *b)
{
    eden_optimizer_destroy(b->optimizer);
    free(b);
}

__attribute__((visibility("default"))) const char *bench_eden_error(const bench_eden *b)
{
    return b->error.text;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds for so many steps, or -1. With `fresh`, that many bytes are put into the
 * gradients before each step, outside the time. */
__attribute__((visibility("default"))) double bench_eden_run(bench_eden *b, uint64_t steps,
                                                             void *grads, const void *fresh,
                                                             size_t bytes)
{
    double seconds = 0;
    if (!fresh) {
        const double begun = now();
        for (uint64_t i = 0; i < steps; i++)
            if (eden_step(b->optimizer, &b->error)) return -1;
        return now() - begun;
    }
    for (uint64_t i = 0; i < steps; i++) {
        memcpy(grads, fresh, bytes);
        const double begun = now();
        if (eden_step(b->optimizer, &b->error)) return -1;
        seconds += now() - begun;
    }
    return seconds;
}
