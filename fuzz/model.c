/* model.c - a small optimizer with everything a checkpoint can hold. */
#include "fuzz/model.h"

#include <stdio.h>
#include <string.h>

#include "fuzz/fuzz.h"

static void add_tensors(fuzz_model *m, uint32_t variant)
{
    eden_tensor w = eden_matrix(m->w, m->w_grad, 2, 3);
    eden_tensor h = EDEN_TENSOR_INIT, frozen = eden_vector(m->frozen, NULL, 2);
    frozen.flags = EDEN_FROZEN;
    h.data = m->h;
    h.grad = m->h_grad;
    h.dtype = variant == 1 ? EDEN_F16 : EDEN_BF16;
    h.grad_dtype = EDEN_BF16;
    h.state_dtype = variant == 1 ? EDEN_BF16 : EDEN_Q8;
    h.rounding = variant == 0 ? EDEN_STOCHASTIC : variant == 1 ? EDEN_MASTER : EDEN_KAHAN;
    h.ndim = 1;
    h.shape[0] = 4;
    fuzz_check(!eden_add_tensor(m->optimizer, "w", &w, NULL, NULL)
                   && !eden_add_tensor(m->optimizer, "h", &h, "n", NULL)
                   && !eden_add_tensor(m->optimizer, "still", &frozen, NULL, NULL),
               "tensors can be added");
}

void fuzz_model_make(fuzz_model *m, uint32_t variant)
{
    static const char *const rules[FUZZ_VARIANTS] = { "adamw", "nesterov", "adafactor", "lamb" };
    static const char *const others[FUZZ_VARIANTS] = { "lamb", "adam", "rmsprop", "adagrad" };
    eden_config config = EDEN_CONFIG_INIT;
    memset(m, 0, sizeof *m);
    for (int i = 0; i < 6; i++) m->w[i] = (float)i / 4, m->w_grad[i] = (float)(3 - i) / 8;
    for (int i = 0; i < 4; i++) m->h[i] = 0x3f00, m->h_grad[i] = 0x3e80;
    config.threads = 1;
    config.seed = 7 * variant;
    config.average = variant == 3 ? EDEN_NO_AVERAGE : variant == 2 ? EDEN_SWA : EDEN_EMA;
    config.average_decay = config.average == EDEN_EMA ? 0.9 : 0;
    config.loss_scale = variant == 0 ? 1024 : 0;
    config.nonfinite = variant == 1 ? EDEN_SKIP : EDEN_REFUSE;
    config.clip_norm = variant == 3 ? 0.5 : 0;
    fuzz_check(!eden_optimizer_create(&m->optimizer, rules[variant], &config, NULL)
                   && !eden_add_group(m->optimizer, "n", others[variant], "lr=0.01", NULL),
               "an optimizer can be made");
    add_tensors(m, variant);
    fuzz_check(!eden_schedule(m->optimizer, "n", "lr", "warmup(5) * plateau(0.5)", NULL)
                   && !eden_set_note(m->optimizer, "epoch", "3", NULL),
               "an optimizer can be set");
    for (int i = 0; i < 3; i++)
        fuzz_check(!eden_step(m->optimizer, NULL), "a step can be taken");
    fuzz_check(!eden_report(m->optimizer, 1.5, NULL), "a loss can be reported");
}

void fuzz_model_free(fuzz_model *model) { eden_optimizer_destroy(model->optimizer); }

static uint64_t hash_group(uint64_t hash, const eden_optimizer *optimizer, const char *group)
{
    const eden_rule *rule = eden_group_rule(optimizer, group);
    for (size_t i = 0; eden_rule_hyper(rule, i); i++) {
        double value = 0;
        eden_get(optimizer, group, eden_rule_hyper(rule, i)->name, &value, NULL);
        hash = fuzz_hash(hash, &value, sizeof value);
    }
    double value = 0;
    eden_get_at(optimizer, group, "lr", 4, &value, NULL);
    return fuzz_hash(hash, &value, sizeof value);
}

uint64_t fuzz_model_hash(const fuzz_model *m)
{
    eden_optimizer *o = m->optimizer;
    float values[16];
    uint64_t count = 0, hash = fuzz_hash(0, m->w, sizeof m->w);
    hash = fuzz_hash(hash, m->h, sizeof m->h);
    hash = fuzz_hash(hash, m->frozen, sizeof m->frozen);
    const uint64_t counts[] = { eden_steps(o), eden_skipped(o), eden_state_bytes(o) };
    hash = fuzz_hash(hash, counts, sizeof counts);
    const double reals[] = { eden_grad_norm(o), eden_loss_scale(o) };
    hash = fuzz_hash(hash, reals, sizeof reals);
    for (size_t i = 0; eden_tensor_name(o, i); i++) {
        const char *name = eden_tensor_name(o, i), *group = strcmp(name, "h") ? NULL : "n";
        if (!eden_tensor_steps(o, name, &count, NULL)) hash = fuzz_hash(hash, &count, sizeof count);
        for (size_t s = 0; eden_rule_slot(eden_group_rule(o, group), s); s++)
            if (!eden_get_state(o, name, eden_rule_slot(eden_group_rule(o, group), s)->name, values, 16,
                                &count, NULL))
                hash = fuzz_hash(hash, values, (size_t)count * sizeof values[0]);
        if (!eden_get_average(o, name, values, 16, &count, NULL))
            hash = fuzz_hash(hash, values, (size_t)count * sizeof values[0]);
    }
    const char *note = eden_note(o, "epoch");
    if (note) hash = fuzz_hash(hash, note, strlen(note));
    return hash_group(hash_group(hash, o, NULL), o, "n");
}

const char *fuzz_model_save(const fuzz_model *model)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/checkpoint", fuzz_folder());
    fuzz_check(!eden_save(model->optimizer, path, 0, NULL), "an optimizer can be saved");
    return path;
}
