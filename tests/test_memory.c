/* test_memory.c - every call for memory fails, once and for ever after, in every function
 * of the public headers: the status says so, nothing has changed, nothing is lost, and
 * the same call succeeds afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <eden/safetensors.h>

#include "tests/failing_memory.h"
#include "tests/scratch.h"
#include "tests/memory_world.h"

/* Thousands of files are saved here, and no disk is in question. */
int fsync(int fd) { return fd < 0; }

/* ---- the calls ------------------------------------------------------------------------- */

static eden_status act_create(world *m, eden_error *e)
{
    eden_config c = EDEN_CONFIG_INIT;
    c.threads = 3;
    return eden_optimizer_create(&m->other, "lamb", &c, e);
}

static eden_status act_set(world *m, eden_error *e) { return eden_set(m->o, NULL, "lr", 0.5, e); }
static eden_status act_text(world *m, eden_error *e) { return eden_set_text(m->o, "group", "lr=0.1, eps=1e-7", e); }
static eden_status act_group(world *m, eden_error *e) { return eden_add_group(m->o, "third", "lion", "lr=0.01", e); }
static eden_status act_get(world *m, eden_error *e) { return eden_get(m->o, "group", "lr", &m->value, e); }
static eden_status act_get_at(world *m, eden_error *e) { return eden_get_at(m->o, NULL, "lr", 2, &m->value, e); }

static eden_status act_add(world *m, eden_error *e)
{
    const eden_tensor t = eden_vector(m->b, NULL, HALF);
    return eden_add_tensor(m->o, "b", &t, "group", e);
}

static eden_status act_grad(world *m, eden_error *e) { return eden_set_grad(m->o, "w", NULL, e); }
static eden_status act_zero(world *m, eden_error *e) { return eden_zero_grad(m->o, e); }
static eden_status act_step(world *m, eden_error *e) { return eden_step(m->o, e); }
static eden_status act_step_tensor(world *m, eden_error *e) { return eden_step_tensor(m->o, "w", e); }
static eden_status act_ahead(world *m, eden_error *e) { return eden_lookahead_begin(m->o, e); }
static eden_status act_back(world *m, eden_error *e) { return eden_lookahead_end(m->o, e); }
static eden_status act_swap(world *m, eden_error *e) { return eden_swap_average(m->o, e); }

static eden_status act_average(world *m, eden_error *e)
{
    return eden_get_average(m->o, "w", m->out, WIDE, &m->count, e);
}

static eden_status act_schedule(world *m, eden_error *e)
{
    return eden_schedule(m->o, "group", "lr", "sequence(warmup(5) * cosine(9), 10, step(3), 4, wsd(1,2,3))", e);
}

static eden_status act_custom(world *m, eden_error *e)
{
    return eden_schedule_custom(m->o, NULL, "eps", down, NULL, e);
}

static eden_status act_report(world *m, eden_error *e) { return eden_report(m->o, 3, e); }

static eden_status act_value(world *m, eden_error *e)
{
    return eden_schedule_value("multistep(0.5, 2, 4, 6) * linear(10)", 5, &m->value, e);
}

static eden_status act_save(world *m, eden_error *e) { return eden_save(m->o, at("p"), 0, e); }
static eden_status act_save_weights(world *m, eden_error *e) { return eden_save(m->o, at("p"), EDEN_WEIGHTS, e); }
static eden_status act_load(world *m, eden_error *e) { return eden_load(m->o, at("p"), 0, e); }
static eden_status act_load_weights(world *m, eden_error *e) { return eden_load(m->o, at("p"), EDEN_WEIGHTS, e); }

static eden_status load_as(world *m, uint32_t parts, eden_error *e)
{
    eden_load_report report = EDEN_LOAD_REPORT_INIT;
    const eden_status status = eden_load_as(m->o, at("p"), parts, &report, e);
    m->count = report.loaded;
    return status;
}

static eden_status act_load_part(world *m, eden_error *e) { return load_as(m, EDEN_PARTIAL, e); }
static eden_status act_convert(world *m, eden_error *e) { return load_as(m, EDEN_WEIGHTS | EDEN_CONVERT, e); }
static eden_status act_note(world *m, eden_error *e) { return eden_set_note(m->o, "another", "text", e); }
static eden_status act_renote(world *m, eden_error *e) { return eden_set_note(m->o, "note", "text", e); }

static eden_status act_state(world *m, eden_error *e)
{
    return eden_get_state(m->o, "h", "m", m->out, WIDE, &m->count, e);
}

static eden_status act_steps(world *m, eden_error *e) { return eden_tensor_steps(m->o, "w", &m->count, e); }
static eden_status act_data(world *m, eden_error *e) { return eden_set_data(m->o, "w", m->out, e); }
static eden_status act_set_steps(world *m, eden_error *e) { return eden_set_tensor_steps(m->o, "w", 9, e); }

static eden_status act_layout(world *m, eden_error *e)
{
    eden_layout layout = EDEN_LAYOUT_INIT;
    const eden_status status = eden_state_layout(m->o, "w", "m", &layout, e);
    m->count = layout.bytes;
    return status;
}

static eden_status act_lend(world *m, eden_error *e) { return eden_set_state(m->o, "w", "m", m->out, sizeof m->out, e); }
static eden_status act_put(world *m, eden_error *e) { return eden_put_state(m->o, "w", "m", m->out, 1200, e); }
static eden_status act_return(world *m, eden_error *e) { return eden_set_state(m->o, "w", "m", NULL, 0, e); }
static eden_status act_open(world *m, eden_error *e) { return eden_file_open(&m->file, at("p"), e); }

static eden_status act_at(world *m, eden_error *e)
{
    eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
    const eden_status status = eden_file_at(m->file, 0, &t, e);
    m->count = t.bytes;
    return status;
}

static eden_status act_read(world *m, eden_error *e)
{
    return eden_file_read(m->file, eden_file_find(m->file, "w"), m->out, sizeof m->w, e);
}

static void add_bytes(void *context, const void *piece, size_t bytes)
{
    uint64_t *sum = context;
    for (size_t i = 0; i < bytes; i++) *sum = *sum * 31 + ((const unsigned char *)piece)[i];
}

static eden_status act_visit(world *m, eden_error *e)
{
    return eden_file_visit(m->file, eden_file_find(m->file, "w"), add_bytes, &m->count, e);
}

static eden_status act_writer(world *m, eden_error *e)
{
    m->writer = NULL;
    return eden_writer_create(&m->writer, e);
}

static eden_status act_writer_text(world *m, eden_error *e) { return eden_writer_text(m->writer, "key", "text", e); }

static eden_status act_writer_tensor(world *m, eden_error *e)
{
    const uint64_t n = HALF;
    return eden_writer_tensor(m->writer, "t", "F32", 1, &n, m->b, e);
}

static eden_status act_writer_from(world *m, eden_error *e)
{
    const uint64_t n = HALF;
    return eden_writer_from(m->writer, "from", "F32", 1, &n, m->file, eden_file_find(m->file, "w"), 0, e);
}

static eden_status act_keep(world *m, eden_error *e) { return eden_writer_keep(m->writer, 1, e); }
static eden_status act_write(world *m, eden_error *e) { return eden_writer_write(m->writer, at("p"), e); }

/* ---- what comes before ------------------------------------------------------------------ */

static const eden_config plain = { .size = sizeof plain, .threads = 3 };
static const eden_config averages = { .size = sizeof averages, .threads = 3, .average = EDEN_EMA,
                                      .average_decay = 0.5, .loss_scale = 1024 };
static const eden_config applies = { .size = sizeof applies, .threads = 3, .nonfinite = EDEN_APPLY };
static const char *rule_now; /* in test_rules */

static world *fresh(void) { return world_make(rule_now, &plain); }
static world *averaging(void) { return world_make(rule_now, &averages); }
static world *applying(void) { return world_make(NULL, &applies); }

static world *stepped(void)
{
    world *m = averaging();
    world_step(m);
    gradients(m);
    return m;
}

/* With state in memory of its own. */
static world *lent(void)
{
    world *m = stepped();
    MUST(act_lend(m, &e));
    MUST(eden_get_state(m->o, "h", "master", m->b, HALF, &m->count, &e));
    MUST(eden_set_state(m->o, "h", "master", m->b, sizeof m->b, &e));
    return m;
}

static world *lent_and_saved(void)
{
    world *m = lent();
    MUST(eden_save(m->o, at("p"), 0, &e));
    world_step(m);
    return m;
}

/* The next tensor makes the index of names grow. */
static world *crowded(void)
{
    world *m = fresh();
    char name[] = "0";
    for (int i = 0; i < 6; i++, name[0]++) {
        const eden_tensor t = eden_vector(m->out + i, NULL, 1);
        MUST(eden_add_tensor(m->o, name, &t, NULL, &e));
    }
    return m;
}

static world *changed(void)
{
    world *m = stepped();
    MUST(act_group(m, &e));
    MUST(act_add(m, &e));
    MUST(eden_set_grad(m->o, "b", m->g, &e));
    return m;
}

static world *swapped(void)
{
    world *m = stepped();
    MUST(eden_swap_average(m->o, &e));
    return m;
}

static world *opened(void)
{
    world *m = applying();
    MUST(eden_step_tensor(m->o, "h", &e));
    return m;
}

static world *looking(void)
{
    world *m = world_make("momentum", &plain);
    MUST(eden_set(m->o, NULL, "lookahead", 1, &e));
    MUST(eden_lookahead_begin(m->o, &e));
    world_step(m);
    return m;
}

static world *ahead(void)
{
    world *m = looking();
    MUST(eden_lookahead_begin(m->o, &e));
    return m;
}

/* With the files p, of two steps, and p.old. */
static world *saved(void)
{
    world *m = stepped();
    MUST(act_save(m, &e));
    world_step(m);
    MUST(act_save(m, &e));
    return m;
}

static world *to_load(void)
{
    world_free(saved());
    return averaging();
}

static world *reading(void)
{
    world *m = saved();
    MUST(eden_file_open(&m->file, at("p"), &e));
    return m;
}

static world *starting(void)
{
    world *m = saved();
    MUST(eden_writer_create(&m->writer, &e));
    return m;
}

/* With weights of other dtypes in p. */
static world *to_convert(void)
{
    static const uint64_t shape[2] = { ROWS, COLS }, half = HALF;
    static double wide[WIDE];
    world *m = starting();
    for (int i = 0; i < WIDE; i++) wide[i] = i;
    MUST(eden_writer_tensor(m->writer, "w", "F64", 2, shape, wide, &e));
    MUST(eden_writer_tensor(m->writer, "h", "F32", 1, &half, m->w, &e));
    MUST(eden_writer_write(m->writer, at("p"), &e));
    eden_writer_destroy(m->writer);
    m->writer = NULL;
    return m;
}

static world *copying(void)
{
    world *m = reading();
    MUST(eden_writer_create(&m->writer, &e));
    return m;
}

static world *copied(void)
{
    world *m = copying();
    MUST(act_writer_from(m, &e));
    return m;
}

static world *writing(void)
{
    world *m = starting();
    MUST(eden_writer_text(m->writer, "a", "b", &e));
    return m;
}

typedef struct {
    const char *covers;
    world *(*before)(void);
    eden_status (*act)(world *m, eden_error *e);
} operation;

static const operation operations[] = {
    { "eden_optimizer_create", fresh, act_create },
    { "eden_set", fresh, act_set },
    { "eden_set_text", stepped, act_text },
    { "eden_add_group", stepped, act_group },
    { "eden_get", fresh, act_get },
    { "eden_get_at", fresh, act_get_at },
    { "eden_add_tensor", stepped, act_add },
    { "eden_add_tensor", crowded, act_add },
    { "eden_set_grad", stepped, act_grad },
    { "eden_zero_grad", fresh, act_zero },
    { "eden_step", fresh, act_step },
    { "eden_step", averaging, act_step },
    { "eden_step", stepped, act_step },
    { "eden_step", changed, act_step },
    { "eden_step", opened, act_step },
    { "eden_step", ahead, act_step },
    { "eden_step_tensor", applying, act_step_tensor },
    { "eden_step_tensor", opened, act_step_tensor },
    { "eden_lookahead_begin", looking, act_ahead },
    { "eden_lookahead_end", ahead, act_back },
    { "eden_swap_average", stepped, act_swap },
    { "eden_swap_average", swapped, act_swap },
    { "eden_get_average", stepped, act_average },
    { "eden_schedule", stepped, act_schedule },
    { "eden_schedule_custom", stepped, act_custom },
    { "eden_report", stepped, act_report },
    { "eden_schedule_value", fresh, act_value },
    { "eden_save", stepped, act_save },
    { "eden_save", saved, act_save },
    { "eden_save", changed, act_save },
    { "eden_save", swapped, act_save_weights },
    { "eden_load", to_load, act_load },
    { "eden_load", saved, act_load },
    { "eden_load", to_load, act_load_weights },
    { "eden_load_as", to_load, act_load_part },
    { "eden_load_as", to_load, act_convert },
    { "eden_load_as", to_convert, act_convert },
    { "eden_set_note", fresh, act_note },
    { "eden_set_note", fresh, act_renote },
    { "eden_get_state", stepped, act_state },
    { "eden_tensor_steps", stepped, act_steps },
    { "eden_set_data", stepped, act_data },
    { "eden_set_tensor_steps", stepped, act_set_steps },
    { "eden_state_layout", fresh, act_layout },
    { "eden_set_state", stepped, act_lend },
    { "eden_put_state", fresh, act_put },
    { "eden_set_state", lent, act_return },
    { "eden_step", lent, act_step },
    { "eden_load", lent_and_saved, act_load },
    { "eden_file_open", saved, act_open },
    { "eden_file_at", reading, act_at },
    { "eden_file_read", reading, act_read },
    { "eden_file_visit", reading, act_visit },
    { "eden_writer_create", fresh, act_writer },
    { "eden_writer_text", starting, act_writer_text },
    { "eden_writer_text", writing, act_writer_text },
    { "eden_writer_tensor", starting, act_writer_tensor },
    { "eden_writer_tensor", writing, act_writer_tensor },
    { "eden_writer_from", copying, act_writer_from },
    { "eden_writer_write", copied, act_write },
    { "eden_writer_keep", writing, act_keep },
    { "eden_writer_write", writing, act_write },
};

#include "tests/memory_fail.h"

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_getters),
        cmocka_unit_test(test_complete),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
