/* memory_world.h - an optimizer with something of everything, and all that can be seen
 * of it as bytes. Include after scratch.h. */
#ifndef TEST_MEMORY_WORLD_H
#define TEST_MEMORY_WORLD_H

enum { ROWS = 40, COLS = 30, WIDE = ROWS * COLS, HALF = 300, SEEN = 1 << 18 };

typedef struct {
    eden_optimizer *o, *other;
    eden_file *file;
    eden_writer *writer;
    float w[WIDE], g[WIDE], b[HALF], out[WIDE];
    uint16_t h[HALF], gh[HALF], copy[WIDE];
    double value;
    uint64_t count;
} world;

static inline void must(eden_status status, const eden_error *e)
{
    if (status) fail_msg("status %d: %s", status, e->text);
}

#define MUST(call)                  \
    do {                            \
        eden_error e = { 0, "" };   \
        must(call, &e);             \
    } while (0)

static inline double down(uint64_t step, void *context)
{
    (void)context;
    return 1 / (double)step;
}

/* A matrix with a copy in 16 bits, and a vector in 16 bits with master weights. */
static inline void add_tensors(world *m)
{
    eden_tensor t = eden_matrix(m->w, m->g, ROWS, COLS);
    t.copy = m->copy, t.copy_dtype = EDEN_BF16;
    MUST(eden_add_tensor(m->o, "w", &t, NULL, &e));
    t = eden_vector(NULL, NULL, HALF);
    t.data = m->h, t.grad = m->gh;
    t.dtype = t.grad_dtype = EDEN_BF16, t.state_dtype = EDEN_Q8, t.rounding = EDEN_MASTER;
    MUST(eden_add_tensor(m->o, "h", &t, "group", &e));
}

static inline void gradients(world *m)
{
    for (int i = 0; i < WIDE; i++) m->g[i] = (float)(i * 37 % 41) / 8 - 2;
    for (int i = 0; i < HALF; i++) m->gh[i] = (uint16_t)(0x3f00 + i % 90);
}

/* `rule` NULL: the usual one. */
static inline world *world_make(const char *rule, const eden_config *config)
{
    world *m = calloc(1, sizeof *m);
    assert_non_null(m);
    for (int i = 0; i < WIDE; i++) m->w[i] = (float)(i % 17) / 4 - 2;
    for (int i = 0; i < HALF; i++) m->h[i] = (uint16_t)(0x3f00 + i % 97);
    gradients(m);
    MUST(eden_optimizer_create(&m->o, rule ? rule : "adam", config, &e));
    MUST(eden_add_group(m->o, "group", NULL, NULL, &e));
    MUST(eden_set_note(m->o, "note", "a note", &e));
    if (eden_rule_hyper_index(eden_group_rule(m->o, NULL), "lr") != SIZE_MAX) {
        MUST(eden_set(m->o, "group", "lr", 0.02, &e));
        MUST(eden_schedule(m->o, NULL, "lr", "warmup(3) * plateau(patience=1)", &e));
    }
    add_tensors(m);
    return m;
}

static inline void world_step(world *m)
{
    gradients(m);
    MUST(eden_step(m->o, &e));
}

static inline void world_free(world *m)
{
    eden_optimizer_destroy(m->o);
    eden_optimizer_destroy(m->other);
    eden_file_close(m->file);
    eden_writer_destroy(m->writer);
    free(m);
}

/* ---- all that can be seen ------------------------------------------------------------ */

typedef struct {
    unsigned char *bytes;
    size_t length;
} picture;

static inline void see(picture *p, const void *data, size_t bytes)
{
    assert_true(p->length + bytes <= SEEN);
    memcpy(p->bytes + p->length, data, bytes);
    p->length += bytes;
}

static inline void see_file(picture *p, const char *path)
{
    size_t n = 0;
    struct stat s;
    const int there = stat(path, &s) == 0;
    see(p, &there, sizeof there);
    if (!there) return;
    unsigned char *bytes = fetch(path, &n);
    see(p, bytes, n);
    free(bytes);
}

/* Arrays, and what a checkpoint would hold; or that it is refused, and why. */
static inline picture world_see(world *m)
{
    picture p = { malloc(SEEN), 0 };
    assert_non_null(p.bytes);
    see_file(&p, at("p"));
    see_file(&p, at("p.old"));
    see(&p, m->w, sizeof m->w);
    see(&p, m->g, sizeof m->g);
    see(&p, m->b, sizeof m->b);
    see(&p, m->h, sizeof m->h);
    see(&p, m->gh, sizeof m->gh);
    see(&p, m->copy, sizeof m->copy);
    for (uint32_t parts = EDEN_WEIGHTS; parts <= EDEN_OPTIM; parts++) {
        eden_error e;
        memset(&e, 0, sizeof e);
        unlink(at("seen"));
        const eden_status status = eden_save(m->o, at("seen"), parts, &e);
        see(&p, &status, sizeof status);
        see_file(&p, at("seen"));
        if (status) see(&p, e.text, strlen(e.text));
    }
    if (m->writer) {
        MUST(eden_writer_write(m->writer, at("seen"), &e));
        see_file(&p, at("seen"));
    }
    const int is[2] = { m->other != NULL, m->file != NULL };
    see(&p, is, sizeof is);
    return p;
}

/* And what a call gave back. */
static inline picture world_see_all(world *m)
{
    picture p = world_see(m);
    see(&p, m->out, sizeof m->out);
    see(&p, &m->value, sizeof m->value);
    see(&p, &m->count, sizeof m->count);
    return p;
}

static inline int same(const picture *a, const picture *b)
{
    return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

#endif
