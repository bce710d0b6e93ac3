/* bench_run.c - steps and plain loops in turn, so that both meet the same machine. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/bench.h"

enum { STRIP = 1024, MOST_ROUNDS = 200, LEAST_ROUNDS = 5, MOST_LOOPS = 8 };

typedef struct {
    const bench_case *c;
    eden_optimizer *optimizer;
    unsigned char *weights, *grads;
    bench_traffic traffic;
    unsigned char *stream[BENCH_STREAMS]; /* memory of the plain loops, by slot */
    double time[MOST_LOOPS + 1][MOST_ROUNDS]; /* the loops', then the step's    */
} bench;

static size_t width_of(uint32_t dtype)
{
    return dtype == EDEN_F32 ? 4 : dtype == EDEN_Q8 ? 1 : 2;
}

/* Zeroed, so that every page is there before it is timed. */
static unsigned char *memory(uint64_t bytes)
{
    unsigned char *at = aligned_alloc(4096, (size_t)((bytes + 4096) / 4096 * 4096));
    if (at) memset(at, 0, (size_t)bytes);
    return at;
}

/* ---- what a step has to move -------------------------------------------------------- */

/* With what is kept beside them. */
static size_t weights_width(const bench_case *c)
{
    switch (c->rounding) {
    case EDEN_SPLIT:
    case EDEN_KAHAN: return 2 * width_of(c->dtype);
    case EDEN_MASTER: return sizeof(float);
    default: return width_of(c->dtype);
    }
}

static size_t slot_width(const bench_case *c, size_t s)
{
    const eden_slot *slot = eden_rule_slot(c->settings->rule, s);
    if (slot->kind == EDEN_GRAD) return width_of(c->grad_dtype);
    if (slot->kind == EDEN_PARAM) return weights_width(c);
    return slot->kind == EDEN_STATE ? width_of(c->state_dtype) : sizeof(float);
}

static int add_stream(bench *b, bench_pass *pass, size_t s, size_t width, int writes)
{
    if (s >= BENCH_STREAMS || pass->streams == BENCH_STREAMS) return 0;
    if (!b->stream[s]) b->stream[s] = memory(b->c->count * width + STRIP * 4);
    if (!b->stream[s]) return 0;
    pass->width[pass->streams] = width;
    pass->writes[pass->streams] = writes;
    pass->at[pass->streams++] = b->stream[s];
    return 1;
}

static int add_pass(bench *b, uint32_t reads, uint32_t writes)
{
    bench_pass *pass = &b->traffic.pass[b->traffic.passes++];
    *pass = (bench_pass){ 0 };
    for (size_t s = 0; (reads | writes) >> s; s++) {
        if (!((reads | writes) >> s & 1)) continue;
        if (!add_stream(b, pass, s, slot_width(b->c, s), writes >> s & 1)) return 0;
    }
    /* Masters are copied to the weights that the model sees. */
    return b->c->rounding != EDEN_MASTER || !(writes & 1) ||
           add_stream(b, pass, BENCH_STREAMS - 1, width_of(b->c->dtype), 1);
}

/* The passes of the rule; before them a look at the gradients if that is asked for.
 * A gradient that is zeroed is written by the last pass that reads it. */
static int find_traffic(bench *b, eden_extent extent)
{
    const uint32_t grad = 2;
    const cli_settings *settings = b->c->settings;
    uint32_t reads, writes, last = UINT32_MAX;
    for (uint32_t i = 0; eden_rule_traffic(settings->rule, i, settings->values, extent, &reads, &writes); i++)
        if (reads & grad) last = i;
    if ((b->c->check || b->c->clip_norm > 0) && !add_pass(b, grad, 0)) return 0;
    for (uint32_t i = 0; eden_rule_traffic(settings->rule, i, settings->values, extent, &reads, &writes); i++) {
        if (b->traffic.passes == BENCH_PASSES) return 0;
        if (!add_pass(b, reads, writes | (b->c->zero_grad && i == last ? grad : 0))) return 0;
    }
    return 1;
}

static double bytes_moved(const bench_traffic *traffic)
{
    double bytes = 0;
    for (size_t k = 0; k < traffic->passes; k++)
        for (size_t s = 0; s < traffic->pass[k].streams; s++)
            bytes += (double)traffic->pass[k].width[s] * (traffic->pass[k].writes[s] ? 2 : 1);
    return bytes;
}

/* ---- the optimizer ---------------------------------------------------------------------- */

static void fill(unsigned char *at, uint32_t dtype, uint64_t count)
{
    const float f = 1e-3f;
    const uint16_t bf16 = 0x3a83, f16 = 0x1419; /* about the same */
    for (uint64_t i = 0; i < count; i++) {
        if (dtype == EDEN_F32) memcpy(at + i * 4, &f, 4);
        else memcpy(at + i * 2, dtype == EDEN_BF16 ? &bf16 : &f16, 2);
    }
}

/* A matrix with the columns asked for, or as square as powers of two make it. */
static eden_tensor tensor_of(const bench *b, uint64_t k)
{
    const bench_case *c = b->c;
    const uint64_t begin = c->count * k / c->tensors, end = c->count * (k + 1) / c->tensors;
    eden_tensor t = EDEN_TENSOR_INIT;
    uint64_t cols = 1;
    t.data = b->weights + begin * width_of(c->dtype);
    t.grad = b->grads + begin * width_of(c->grad_dtype);
    t.flags = EDEN_GRAD_WRITABLE;
    t.dtype = c->dtype;
    t.grad_dtype = c->grad_dtype;
    t.state_dtype = c->state_dtype;
    t.rounding = c->rounding;
    t.ndim = 2;
    while (!c->cols && cols * cols < end - begin && (end - begin) % (cols * 2) == 0) cols *= 2;
    if (c->cols) cols = c->cols;
    t.shape[0] = (end - begin) / cols;
    t.shape[1] = cols;
    return t;
}

static int create(bench *b, eden_extent *extent)
{
    const bench_case *c = b->c;
    eden_config config = EDEN_CONFIG_INIT;
    eden_error error = { 0 };
    char name[32];
    b->weights = memory(c->count * width_of(c->dtype));
    b->grads = memory(c->count * width_of(c->grad_dtype));
    char *text = cli_settings_text(c->settings);
    if (!b->weights || !b->grads || !text) {
        free(text);
        return cli_no_memory();
    }
    fill(b->grads, c->grad_dtype, c->count);
    fill(b->weights, c->dtype, c->count);
    config.threads = c->threads;
    config.nonfinite = c->check ? EDEN_REFUSE : EDEN_APPLY;
    config.zero_grad = (uint32_t)c->zero_grad;
    config.clip_norm = c->clip_norm;
    eden_status status = eden_optimizer_create(&b->optimizer, c->settings->name, &config, &error);
    if (!status) status = eden_set_text(b->optimizer, NULL, text, &error);
    free(text);
    for (uint64_t k = 0; k < c->tensors && !status; k++) {
        const eden_tensor t = tensor_of(b, k);
        snprintf(name, sizeof name, "t%llu", (unsigned long long)k);
        if (k == 0) *extent = (eden_extent){ t.shape[0] * t.shape[1], t.shape[0], t.shape[1], 0 };
        status = eden_add_tensor(b->optimizer, name, &t, NULL, &error);
    }
    return status ? cli_fail_eden(&error, CLI_RUNNING) : CLI_OK;
}

/* ---- timing --------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int time_steps(bench *b, uint64_t repeat, double *seconds)
{
    eden_error error = { 0 };
    const double begun = cli_now();
    for (uint64_t i = 0; i < repeat; i++)
        if (eden_step(b->optimizer, &error)) return cli_fail_eden(&error, CLI_RUNNING);
    *seconds = cli_now() - begun;
    return CLI_OK;
}

static int time_loop(const bench *b, size_t loop, uint32_t threads, uint64_t repeat, double *seconds)
{
    const double begun = cli_now();
    if (!bench_move(loop, &b->traffic, b->c->count / STRIP * STRIP, threads, repeat))
        return cli_fail(CLI_SYSTEM, "threads cannot be had");
    *seconds = cli_now() - begun;
    return CLI_OK;
}

/* One round of each; the order turns, so that none is always behind the same one. */
static int one_round(bench *b, uint32_t threads, uint64_t repeat, uint64_t round)
{
    const size_t kinds = bench_loop_count() + 1;
    int code = CLI_OK;
    for (size_t k = 0; k < kinds && !code; k++) {
        const size_t what = (k + round) % kinds;
        double *seconds = &b->time[what][round];
        code = what + 1 == kinds ? time_steps(b, repeat, seconds)
                                 : time_loop(b, what, threads, repeat, seconds);
    }
    return code;
}

static double part_of(const double *sorted, uint64_t n, double share)
{
    return sorted[(uint64_t)(share * (double)(n - 1) + 0.5)];
}

static void summarize(bench *b, bench_result *r)
{
    const size_t loops = bench_loop_count();
    const double scale = 1e9 / ((double)r->repeat * (double)b->c->count);
    size_t best = 0;
    for (size_t k = 0; k <= loops; k++) qsort(b->time[k], r->rounds, sizeof(double), by_value);
    for (size_t k = 1; k < loops; k++)
        if (part_of(b->time[k], r->rounds, 0.5) < part_of(b->time[best], r->rounds, 0.5)) best = k;
    r->loop = bench_loop_name(best);
    r->limit = part_of(b->time[best], r->rounds, 0.5) * scale;
    r->limit_low = part_of(b->time[best], r->rounds, 0.1) * scale;
    r->limit_high = part_of(b->time[best], r->rounds, 0.9) * scale;
    r->step = part_of(b->time[loops], r->rounds, 0.5) * scale;
    r->step_low = part_of(b->time[loops], r->rounds, 0.1) * scale;
    r->step_high = part_of(b->time[loops], r->rounds, 0.9) * scale;
    r->bytes = bytes_moved(&b->traffic);
    r->state_bytes = (double)eden_state_bytes(b->optimizer) / (double)b->c->count;
}

/* Warm up, see how many steps make 2 ms, then rounds until the time is over. */
static int measure(bench *b, bench_result *r)
{
    const double begun = cli_now();
    double seconds = 0;
    int code = time_steps(b, 2, &seconds);
    if (!code) code = time_steps(b, 2, &seconds);
    r->repeat = seconds > 0 ? (uint64_t)(2e-3 / (seconds / 2)) + 1 : 1000;
    r->rounds = 0;
    while (!code && r->rounds < MOST_ROUNDS &&
           (r->rounds < LEAST_ROUNDS || cli_now() - begun < b->c->seconds)) {
        code = one_round(b, r->threads, r->repeat, r->rounds);
        r->rounds++;
    }
    if (!code) summarize(b, r);
    return code;
}

int bench_run(const bench_case *c, bench_result *result)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    eden_extent extent = { 0, 0, 0, 0 };
    bench *b = calloc(1, sizeof *b);
    if (!b) return cli_no_memory();
    b->c = c;
    *result = (bench_result){ .threads = c->threads ? c->threads : cores > 0 ? (uint32_t)cores : 1 };
    int code = create(b, &extent);
    if (!code && !find_traffic(b, extent)) code = cli_no_memory();
    if (!code) code = measure(b, result);
    eden_optimizer_destroy(b->optimizer);
    for (size_t s = 0; s < BENCH_STREAMS; s++) free(b->stream[s]);
    free(b->weights);
    free(b->grads);
    free(b);
    return code;
}
