/* calls.c - an optimizer, the memory of its tensors, and every call on it. */
#include "fuzz/calls.h"

#include <stdio.h>
#include <string.h>

/* Names and texts to draw from: most of them right, so that calls get far. */
static const char *const rules[] = { "sgd", "momentum", "nesterov", "adam", "adamw", "lamb", "lion",
                                     "adagrad", "rmsprop", "adafactor", "none" };
static const char *const tensors[] = { "a", "b", "c", "d", "e", "" };
static const char *const groups[] = { NULL, "default", "g", "h", "x" };
static const char *const settings[] = { "lr", "weight_decay", "momentum", "beta1", "beta2", "eps",
                                        "lookahead", "nesterov", "amsgrad", "none" };
static const char *const texts[] = { "lr=0.1", "weight_decay=0.1,lr=1e-3", "beta1=0.5, beta2=0.5",
                                     "lookahead=1", "momentum=0.9", "lr=nan", "", "lr" };
static const char *const schedules[] = { "cosine(9)", "warmup(3)*plateau(0.5,1)", NULL, "linear(5",
                                         "absolute(wsd(1,2,3)*0.1)" };
static const char *const slots[] = { "m", "v", "r", "c", "b", "s", "top", "master", "lost", "none" };
#define PICK(input, list) ((list)[fuzz_below((input), sizeof(list) / sizeof((list)[0]))])

static void run_in_turn(void *pool, size_t tasks, void (*task)(size_t i, void *job), void *job)
{
    (void)pool;
    while (tasks-- > 0) task(tasks, job);
}

int fuzz_world_make(fuzz_world *world, fuzz_input *input)
{
    eden_config config = EDEN_CONFIG_INIT;
    memset(world, 0, sizeof *world);
    for (int t = 0; t < FUZZ_TENSORS; t++)
        for (int i = 0; i < FUZZ_COUNT; i++) {
            world->w[t][i] = (float)(t * 7 + i % 5) / 8;
            world->grad[t][i] = (float)(i % 7 - 3) / 16;
        }
    const char *rule = PICK(input, rules);
    const uint8_t choice = fuzz_byte(input), more = fuzz_byte(input);
    config.threads = 1;
    if (choice & 1) config.run = run_in_turn;
    config.nonfinite = (choice >> 1) % 3;
    config.accumulate = choice & 8 ? 2 : 0;
    config.zero_grad = choice >> 4 & 1;
    config.maximize = choice >> 5 & 1;
    config.clip_norm = choice & 64 ? 0.25 : 0;
    config.clip_value = choice & 128 ? 0.1 : 0;
    config.average = more % 3;
    config.average_decay = config.average == EDEN_EMA ? 0.5 : 0;
    config.loss_scale = more & 16 ? 256 : 0;
    config.loss_scale_window = more & 16 && more & 32 ? 2 : 0;
    return !eden_optimizer_create(&world->optimizer, rule, &config, NULL);
}

void fuzz_world_free(fuzz_world *world) { eden_optimizer_destroy(world->optimizer); }

/* ---- what can be seen ------------------------------------------------------------------ */

static uint64_t hash_text(uint64_t hash, const char *text)
{
    return text ? fuzz_hash(hash, text, strlen(text) + 1) : fuzz_hash(hash, "", 0);
}

static uint64_t hash_group(uint64_t hash, const eden_optimizer *o, const char *group)
{
    const eden_rule *rule = eden_group_rule(o, group);
    hash = hash_text(hash, eden_rule_name(rule));
    for (size_t i = 0; eden_rule_hyper(rule, i); i++) {
        double value = 0;
        eden_get(o, group, eden_rule_hyper(rule, i)->name, &value, NULL);
        hash = fuzz_hash(hash, &value, sizeof value);
    }
    double value = 0;
    eden_get_at(o, group, "lr", 3, &value, NULL);
    return fuzz_hash(hash, &value, sizeof value);
}

/* What a first step allocates may stay when it fails: zeros read as no state. */
static uint64_t hash_values(uint64_t hash, const float *values, uint64_t count)
{
    static const float zero[FUZZ_COUNT];
    if (!memcmp(values, zero, (size_t)count * sizeof *values)) return fuzz_hash(hash, "0", 1);
    return fuzz_hash(hash, values, (size_t)count * sizeof *values);
}

static uint64_t hash_tensor(uint64_t hash, eden_optimizer *o, const char *name)
{
    float values[FUZZ_COUNT];
    uint64_t count = 0;
    hash = hash_text(hash, name);
    if (!eden_tensor_steps(o, name, &count, NULL)) hash = fuzz_hash(hash, &count, sizeof count);
    for (size_t r = 0; r < eden_rule_count(); r++)
        for (size_t s = 0; eden_rule_slot(eden_rule_at(r), s); s++) {
            const eden_slot *slot = eden_rule_slot(eden_rule_at(r), s);
            if (slot->kind != EDEN_STATE) continue;
            const eden_status status = eden_get_state(o, name, slot->name, values, FUZZ_COUNT, &count, NULL);
            hash = status ? fuzz_hash(hash, "0", 1) : hash_values(hash, values, count);
        }
    const eden_status status = eden_get_average(o, name, values, FUZZ_COUNT, &count, NULL);
    return status ? fuzz_hash(hash, "0", 1) : hash_values(hash, values, count);
}

uint64_t fuzz_world_hash(const fuzz_world *world)
{
    eden_optimizer *o = world->optimizer;
    uint64_t hash = fuzz_hash(0, world->w, sizeof world->w + sizeof world->grad + sizeof world->copy);
    hash = fuzz_hash(hash, world->other, sizeof world->other);
    const uint64_t counts[] = { eden_steps(o), eden_skipped(o), eden_tensor_count(o) };
    const double reals[] = { eden_grad_norm(o), eden_loss_scale(o) };
    hash = fuzz_hash(hash, counts, sizeof counts);
    hash = fuzz_hash(hash, reals, sizeof reals);
    for (size_t i = 0; eden_tensor_name(o, i); i++) hash = hash_tensor(hash, o, eden_tensor_name(o, i));
    for (size_t i = 1; i < sizeof groups / sizeof groups[0]; i++) hash = hash_group(hash, o, groups[i]);
    return hash_text(hash_group(hash, o, NULL), eden_note(o, "key"));
}

/* ---- calls ------------------------------------------------------------------------------- */

static eden_status add_tensor(fuzz_world *world, fuzz_input *input, eden_error *error)
{
    eden_tensor tensor = EDEN_TENSOR_INIT;
    const uint32_t which = fuzz_below(input, FUZZ_TENSORS);
    const uint8_t choice = fuzz_byte(input), dtypes = fuzz_byte(input);
    tensor.data = world->w[which];
    tensor.grad = choice & 1 ? NULL : world->grad[which];
    tensor.copy = choice & 2 ? world->copy[which] : NULL;
    tensor.copy_dtype = choice & 2 ? EDEN_BF16 : 0;
    tensor.dtype = choice & 4 ? dtypes % 4 : EDEN_F32;
    tensor.grad_dtype = choice & 8 ? dtypes / 4 % 3 : EDEN_F32;
    tensor.state_dtype = choice & 16 ? dtypes / 16 % 5 : EDEN_F32;
    tensor.rounding = choice & 4 ? dtypes / 32 % 6 : EDEN_NEAREST;
    tensor.flags = (choice & 32 ? 0 : EDEN_GRAD_WRITABLE) | (choice >= 224 ? EDEN_FROZEN : 0) |
                   (dtypes & 128 ? EDEN_MATRICES : 0);
    tensor.ndim = fuzz_below(input, 4);
    for (uint32_t i = 0; i < tensor.ndim; i++) tensor.shape[i] = fuzz_below(input, 3 + (i == 0));
    if (tensor.ndim && fuzz_byte(input) == 255) tensor.shape[0] = fuzz_word(input);
    /* Memory that a shape runs beyond is the caller's mistake and not to be seen. */
    uint64_t count = 1;
    for (uint32_t i = 0; i < tensor.ndim; i++)
        if (__builtin_mul_overflow(count, tensor.shape[i], &count)) count = UINT64_MAX;
    const char *name = PICK(input, tensors), *group = PICK(input, groups);
    if (count > FUZZ_COUNT && count < UINT64_MAX) tensor.data = NULL;
    return eden_add_tensor(world->optimizer, name, &tensor, group, error);
}

static void set_gradient(fuzz_world *world, fuzz_input *input)
{
    static const float values[] = { 0, 1, -0.5f, 1e-20f, 1e30f };
    float value = PICK(input, values);
    const uint8_t choice = fuzz_byte(input);
    if (choice > 250) value = (float)(0 * 1e300 * 1e300); /* NaN */
    world->grad[fuzz_below(input, FUZZ_TENSORS)][choice % FUZZ_COUNT] = value;
}

static eden_status settings_call(eden_optimizer *o, uint8_t kind, fuzz_input *input, eden_error *error)
{
    const char *group = PICK(input, groups), *name = PICK(input, settings);
    switch (kind % 6) {
    case 0: return eden_set(o, group, name, fuzz_real(input), error);
    case 1: return eden_set_text(o, group, PICK(input, texts), error);
    case 2: name = fuzz_byte(input) & 1 ? PICK(input, rules) : NULL;
            return eden_add_group(o, group, name, fuzz_byte(input) & 1 ? PICK(input, texts) : NULL, error);
    case 3: return eden_schedule(o, group, name, PICK(input, schedules), error);
    case 4: return eden_report(o, fuzz_real(input), error);
    default: return eden_set_note(o, "key", PICK(input, texts), error);
    }
}

/* The caller's memory, eden/memory.h. Its size is that of the largest layout there is. */
static eden_status memory_call(fuzz_world *world, const char *tensor, fuzz_input *input, eden_error *error)
{
    eden_optimizer *o = world->optimizer;
    const uint8_t choice = fuzz_byte(input), which = fuzz_byte(input);
    const char *slot = PICK(input, slots);
    float values[FUZZ_COUNT];
    eden_layout layout = EDEN_LAYOUT_INIT;
    void *data = which & 64 ? world->other[which % FUZZ_TENSORS] : world->w[which % FUZZ_TENSORS];
    if (choice % 6 == 0) return eden_set_data(o, tensor, which & 128 ? NULL : data, error);
    if (choice % 6 == 1) return eden_set_tensor_steps(o, tensor, which & 128 ? fuzz_word(input) : which, error);
    const eden_status status = eden_state_layout(o, tensor, slot, &layout, error);
    if (status || choice % 6 == 2) return status;
    fuzz_check(layout.count <= FUZZ_COUNT && layout.bytes <= FUZZ_LENT, "a layout is as large as its tensor");
    if (choice % 6 == 3) {
        for (size_t i = 0; i < FUZZ_COUNT; i++) values[i] = fuzz_byte(input) / 16.0f;
        return eden_put_state(o, tensor, slot, values, which & 128 ? which : layout.count, error);
    }
    void *memory = which & 64 ? NULL : world->lent[which % FUZZ_TENSORS] + (which & 32 ? 2 : 0);
    return eden_set_state(o, tensor, slot, memory, layout.bytes + (which >= 240), error);
}

eden_status fuzz_world_call(fuzz_world *world, uint8_t kind, fuzz_input *input, const char *path,
                            eden_error *error)
{
    eden_optimizer *o = world->optimizer;
    const uint8_t choice = fuzz_byte(input);
    const char *tensor = tensors[choice % 6];
    switch (kind % 17) {
    case 0: case 1: return add_tensor(world, input, error);
    case 2: case 3: return settings_call(o, choice, input, error);
    case 4: case 5: case 6: return eden_step(o, error);
    case 7: return eden_step_tensor(o, tensor, error);
    case 8: return eden_zero_grad(o, error);
    case 9: return eden_set_grad(o, tensor, choice & 128 ? NULL : world->grad[choice % FUZZ_TENSORS], error);
    case 10: return eden_lookahead_begin(o, error);
    case 11: return eden_lookahead_end(o, error);
    case 12: return eden_swap_average(o, error);
    case 13: return eden_save(o, path, choice % 4, error);
    case 15: return memory_call(world, tensor, input, error);
    case 14: return eden_load(o, path, choice % 4, error);
    default: set_gradient(world, input); return EDEN_OK;
    }
}
