/* bench.c - eden bench. */
#include <stdlib.h>

#include "cli/bench.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/storage.h"

static bench_case read_case(const cli_args *args, const cli_settings *settings,
                            const lab_storage *storage)
{
    bench_case c = { .settings = settings, .seconds = cli_real(args, "seconds", 2) };
    c.tensors = cli_count(args, "tensors", 1);
    c.cols = cli_count(args, "cols", 0);
    c.threads = (uint32_t)cli_count(args, "threads", 0);
    c.dtype = storage->dtype;
    c.grad_dtype = storage->grad_dtype;
    c.state_dtype = storage->state_dtype;
    c.rounding = storage->rounding;
    c.clip_norm = cli_real(args, "clip", 0);
    c.check = cli_has(args, "check");
    c.zero_grad = cli_has(args, "zero-grad");
    return c;
}

static void heading(const bench_case *c, const bench_result *r)
{
    const cli_style style = cli_style_of(stdout);
    printf("%s%s%s, %u thread%s, %s: %g bytes an element moved, %.3g of state kept\n\n",
           style.bold, c->settings->name, style.off, r->threads, r->threads == 1 ? "" : "s",
           eden_isa_name(eden_isa_best()), r->bytes, r->state_bytes);
    printf("%s%10s %7s %15s %6s %15s %6s%s\n", style.bold, "ELEMENTS", "STEP", "SPREAD", "GB/s",
           "PLAIN LOOP", "RATIO", style.off);
    printf("%10s %7s %15s %6s %15s %6s\n", "", "ns/el", "middle 80 %", "", "ns/el", "");
}

static void row(const bench_case *c, const bench_result *r)
{
    char spread[40], limit[40];
    snprintf(spread, sizeof spread, "%.3f-%.3f", r->step_low, r->step_high);
    snprintf(limit, sizeof limit, "%.3f-%.3f", r->limit, r->limit_high);
    printf("%10llu %7.3f %15s %6.1f %15s %6.3f\n", (unsigned long long)c->count, r->step, spread,
           r->bytes / r->step, limit, r->limit / r->step);
    fflush(stdout);
}

static json_t *as_json(const bench_case *c, const bench_result *r)
{
    return json_pack("{s:s, s:I, s:I, s:i, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:s, s:f, s:f, s:f, s:I}",
                     "optimizer", c->settings->name, "elements", (json_int_t)c->count, "tensors",
                     (json_int_t)c->tensors, "threads", (int)r->threads, "isa",
                     eden_isa_name(eden_isa_best()), "bytes_per_element", r->bytes,
                     "state_bytes_per_element", r->state_bytes, "ns_per_element", r->step,
                     "ns_low", r->step_low, "ns_high", r->step_high, "limit_ns_per_element", r->limit,
                     "limit_loop", r->loop, "limit_ns_high", r->limit_high, "gb_per_second",
                     r->bytes / r->step, "ratio", r->limit / r->step, "rounds", (json_int_t)r->rounds);
}

/* Inside the second level of cache, inside the third, and far outside. */
static size_t sizes(const cli_args *args, uint64_t size[3])
{
    size[0] = 1u << 14, size[1] = 1u << 18, size[2] = 1u << 26;
    if (!cli_has(args, "params")) return 3;
    size[0] = cli_count(args, "params", 0);
    return 1;
}

static int run_all(const cli_args *args, bench_case *c)
{
    const int json = cli_has(args, "json");
    json_t *all = json ? json_array() : NULL;
    uint64_t size[3];
    const size_t count = sizes(args, size);
    int code = CLI_OK;
    for (size_t i = 0; i < count && !code; i++) {
        bench_result result;
        c->count = size[i];
        if (c->tensors > c->count)
            code = cli_usage(args->command, "--tensors %llu is more than %llu elements",
                             (unsigned long long)c->tensors, (unsigned long long)c->count);
        if (!code && c->cols && c->count % (c->tensors * c->cols) != 0)
            code = cli_usage(args->command, "%llu elements are no %llu tensors of %llu columns",
                             (unsigned long long)c->count, (unsigned long long)c->tensors,
                             (unsigned long long)c->cols);
        if (!code) code = bench_run(c, &result);
        if (code) break;
        if (json && json_array_append_new(all, as_json(c, &result))) code = cli_no_memory();
        if (!json && i == 0) heading(c, &result);
        if (!json) row(c, &result);
    }
    if (json && !code) return cli_json_print(all, stdout, 2);
    json_decref(all);
    if (!json && !code)
        printf("\nThe plain loop moves the same bytes in as many streams and does nothing else.\n"
               "The fastest of %zu is shown, timed in turn with the step. 1 is memory's limit.\n",
               bench_loop_count());
    return code;
}

int cli_bench(const cli_args *args)
{
    cli_settings settings = { 0 };
    lab_storage storage;
    int code = cli_settings_create(&settings, args->operands[0]);
    if (!code) code = cli_settings_from(&settings, args);
    if (!code) code = cli_settings_check(&settings, args->command);
    if (!code) code = cli_storage_read(args, &storage);
    if (!code) code = cli_storage_check(&storage, &settings, args->command);
    if (!code) {
        bench_case c = read_case(args, &settings, &storage);
        code = run_all(args, &c);
    }
    cli_settings_free(&settings);
    return code;
}
