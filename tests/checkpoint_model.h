/* checkpoint_model.h - a small model to save and load, and files to compare. */
#ifndef EDEN_TESTS_CHECKPOINT_MODEL_H
#define EDEN_TESTS_CHECKPOINT_MODEL_H

#include <eden/safetensors.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/bits.h"
#include "ok.h"

/* A call fails with a status and a sentence that has this part. */
#define REFUSED(call, want, part)                                                          \
    do {                                                                                   \
        eden_error e_ = { 0, "" };                                                         \
        if ((call) != (want)) fail_msg("%s: %u '%s'", #call, e_.status, e_.text);          \
        if (!strstr(e_.text, part)) fail_msg("'%s' does not contain '%s'", e_.text, part); \
    } while (0)

/* ---- files ------------------------------------------------------------------------ */

static char folder[64];

static inline int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/eden-checkpoint-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static inline const char *file(const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static inline int remove_folder(void **state)
{
    static const char *const names[] = { "a", "b", "c", "d", "changed", "before", "after" };
    char old[32];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        unlink(file(names[i]));
        snprintf(old, sizeof old, "%s.old", names[i]);
        unlink(file(old));
    }
    return rmdir(folder);
}

static inline unsigned char *read_file(const char *path, size_t *size)
{
    FILE *in = fopen(path, "rb");
    if (!in) fail_msg("%s is not there", path);
    unsigned char *data = malloc(1 << 20);
    assert_non_null(data);
    *size = fread(data, 1, 1 << 20, in);
    assert_true(*size < 1 << 20);
    fclose(in);
    return data;
}

static inline void same_files(const char *a, const char *b, const char *what)
{
    size_t n, m;
    unsigned char *x = read_file(a, &n), *y = read_file(b, &m);
    const int same = n == m && memcmp(x, y, n) == 0;
    free(x);
    free(y);
    if (!same) fail_msg("%s: the files differ", what);
}

/* A test with a folder to itself. */
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

/* ---- the model ----------------------------------------------------------------------- */

enum { W = 30, K = 24, B = 5, MEAN = 4 };

typedef struct {
    eden_optimizer *o;
    float w[W], gw[W], k[K], gk[K], b[B], gb[B], mean[MEAN];
    uint64_t micro; /* calls of train_once(), which decide the gradients */
} model;

static inline void add(model *m, const char *name, float *data, float *grad, uint32_t flags,
                       const char *group, uint32_t ndim, uint64_t d0, uint64_t d1, uint64_t d2)
{
    eden_tensor t = EDEN_TENSOR_INIT;
    t.data = data;
    t.grad = grad;
    t.flags = flags;
    t.ndim = ndim;
    t.shape[0] = d0, t.shape[1] = d1, t.shape[2] = d2;
    t.split = ndim > 2 ? 2 : 0;
    OK(eden_add_tensor(m->o, name, &t, group, error));
}

/* A matrix, a tensor split after two dimensions in a group that inherits, a vector in
 * a group of its own rule, one that is frozen and one that is empty. */
static inline void create(model *m, const char *rule, const char *other_rule,
                          const eden_config *config)
{
    memset(m, 0, sizeof *m);
    OK(eden_optimizer_create(&m->o, rule, config, error));
    OK(eden_add_group(m->o, "no decay", NULL, NULL, error));
    if (eden_rule_hyper_index(eden_group_rule(m->o, NULL), "lr") != SIZE_MAX)
        OK(eden_set_text(m->o, "no decay", "lr=0.0123", error));
    OK(eden_add_group(m->o, "its \"own\".rule", other_rule, NULL, error));
    for (int i = 0; i < W; i++) m->w[i] = (float)(i % 7 - 3) / 4;
    for (int i = 0; i < K; i++) m->k[i] = (float)(i % 5 - 2) / 3;
    for (int i = 0; i < B; i++) m->b[i] = (float)i / 7;
    for (int i = 0; i < MEAN; i++) m->mean[i] = (float)i;
    add(m, "layer.0/w", m->w, m->gw, EDEN_GRAD_WRITABLE, NULL, 2, 6, 5, 0);
    add(m, "100% \"k\"@x", m->k, m->gk, EDEN_GRAD_WRITABLE, "no decay", 3, 2, 3, 4);
    add(m, "b\xc3\xa9\\", m->b, m->gb, EDEN_GRAD_WRITABLE, "its \"own\".rule", 1, B, 0, 0);
    add(m, "mean", m->mean, NULL, EDEN_FROZEN, NULL, 1, MEAN, 0, 0);
    add(m, "empty", NULL, NULL, 0, NULL, 2, 3, 0, 0);
}

static inline void destroy(model *m) { eden_optimizer_destroy(m->o); }

static inline void gradient(float *g, const float *p, int n, uint64_t seed)
{
    for (int i = 0; i < n; i++)
        g[i] += 0.25f * p[i] + (float)(mix(seed * 1000 + (uint64_t)i) % 201) / 400 - 0.25f;
}

/* One micro-batch. The vector's gradient is absent in every third step. */
static inline eden_status train_once(model *m, eden_error *e)
{
    const uint64_t step = eden_steps(m->o) + 1;
    OK(eden_set_grad(m->o, "b\xc3\xa9\\", step % 3 ? m->gb : NULL, error));
    OK(eden_zero_grad(m->o, error));
    eden_lookahead_begin(m->o, NULL); /* refused by all but one setting of one rule */
    gradient(m->gw, m->w, W, m->micro * 3);
    gradient(m->gk, m->k, K, m->micro * 3 + 1);
    gradient(m->gb, m->b, B, m->micro * 3 + 2);
    m->micro++;
    const eden_status status = eden_step(m->o, e);
    m->mean[m->micro % MEAN] += 0.5f;
    return status ? status : eden_report(m->o, (double)(mix(m->micro) % 100), e);
}

static inline void train(model *m, uint64_t steps)
{
    const uint64_t end = eden_steps(m->o) + steps;
    for (int calls = 0; eden_steps(m->o) < end; calls++) {
        OK(train_once(m, error));
        assert_true(calls < 1000);
    }
}

/* ---- a file with one thing changed --------------------------------------------------- */

typedef struct {
    const char *key, *value; /* metadata to add or replace; value NULL removes        */
    const char *drop;        /* an entry to leave out, or                             */
    const char *entry;       /* to write differently: under `name`, as `dtype`, as    */
    const char *name, *dtype;/* one dimension if `flat`; or new if there is none such */
    int flat;
} change;

static inline void copy_entries(eden_file *in, eden_writer *out, const change *c, void **kept)
{
    int met = 0;
    for (size_t i = 0; i < eden_file_count(in); i++) {
        eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
        OK(eden_file_at(in, i, &t, error));
        kept[i] = calloc((size_t)t.bytes + 1, 1);
        OK(eden_file_read(in, i, kept[i], t.bytes, error));
        if (c->drop && strcmp(t.name, c->drop) == 0) continue;
        const int it = c->entry && strcmp(t.name, c->entry) == 0;
        const uint64_t count = t.bytes / 4;
        met |= it;
        OK(eden_writer_tensor(out, it && c->name ? c->name : t.name,
                              it && c->dtype ? c->dtype : t.dtype, it && c->flat ? 1 : t.ndim,
                              it && c->flat ? &count : t.shape, kept[i], error));
    }
    const uint64_t one = 1;
    static const float value = 1;
    if (c->entry && !met) OK(eden_writer_tensor(out, c->entry, "F32", 1, &one, &value, error));
}

/* Write `from` to file("changed") so; the writer makes the checksums right again. */
static inline const char *changed(const char *from, change c)
{
    eden_file *in = NULL;
    eden_writer *out = NULL;
    const char *key, *path = file("changed");
    OK(eden_file_open(&in, from, error));
    OK(eden_writer_create(&out, error));
    void **kept = calloc(eden_file_count(in) + 1, sizeof *kept);
    copy_entries(in, out, &c, kept);
    for (size_t i = 0; (key = eden_file_key(in, i)); i++) {
        if (strncmp(key, "eden.sum", 8) == 0 || (c.key && strcmp(key, c.key) == 0)) continue;
        OK(eden_writer_text(out, key, eden_file_value(in, key), error));
    }
    if (c.key && c.value) OK(eden_writer_text(out, c.key, c.value, error));
    OK(eden_writer_write(out, path, error));
    for (size_t i = 0; i < eden_file_count(in); i++) free(kept[i]);
    free(kept);
    eden_writer_destroy(out);
    eden_file_close(in);
    return path;
}

#endif
