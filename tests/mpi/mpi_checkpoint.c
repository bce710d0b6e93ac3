/* mpi_checkpoint.c - what W ranks save, any number loads, to the bits of a run that was
 * never interrupted; and merged it is the file that one process would have saved.
 *
 * All ordered pairs of 1 to W ranks save and load, on communicators of the first ranks.
 * usage: mpi_checkpoint [CASES] */
#include <eden/safetensors.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/mpi/folder.h"

enum { LONG = 40000, ROWS = 300, COLS = 130, MANY = 12, BEFORE = 2, AFTER = 2 };

typedef struct { float w[LONG], m[ROWS * COLS], f[5], s[MANY]; uint16_t h[33000], c[33000]; } arrays;
typedef struct { arrays x, g; eden_optimizer *o; } side;
static side ours, alone;

static const struct { const char *rule, *settings; uint32_t state, rounding; int average; } cases[] = {
    { "adam", "amsgrad=raw", EDEN_F32, EDEN_MASTER, 1 }, { "adafactor", "beta1=0.9", EDEN_BF16, EDEN_SPLIT, 1 },
    { "lamb", "lr=0.1", EDEN_Q8, EDEN_KAHAN, 0 },        { "lion", "lr=0.1", EDEN_Q8, EDEN_STOCHASTIC, 0 },
};
enum { CASES = sizeof cases / sizeof *cases };

static void add(side *s, size_t k)
{
    eden_tensor t = eden_vector(s->x.w, s->g.w, LONG);
    memset(&s->x, 0, sizeof s->x);
    for (int i = 0; i < LONG; i++) s->x.w[i] = coarse((uint64_t)i);
    for (int i = 0; i < ROWS * COLS; i++) s->x.m[i] = coarse((uint64_t)i + 9);
    for (int i = 0; i < MANY; i++) s->x.s[i] = coarse((uint64_t)i + 3);
    t.state_dtype = cases[k].state;
    OK(eden_add_tensor(s->o, "w", &t, NULL, error));
    t = eden_matrix(s->x.m, s->g.m, ROWS, COLS);
    t.state_dtype = cases[k].state == EDEN_Q8 ? EDEN_Q8 : EDEN_BF16;
    OK(eden_add_tensor(s->o, "m", &t, NULL, error));
    t = eden_vector(s->x.f, NULL, 5);
    t.flags = EDEN_FROZEN;
    OK(eden_add_tensor(s->o, "frozen \"one\"", &t, NULL, error));
    t = eden_vector(NULL, NULL, 33000);
    t.data = s->x.h, t.grad = s->g.h, t.copy = s->x.c;
    t.dtype = t.grad_dtype = EDEN_BF16, t.copy_dtype = EDEN_F16;
    if (cases[k].rounding != EDEN_SPLIT) t.copy = NULL, t.copy_dtype = 0; /* else a load does not make the step's */
    t.rounding = cases[k].rounding;
    t.state_dtype = cases[k].state;
    OK(eden_add_tensor(s->o, "h", &t, NULL, error));
    for (int i = 0; i < MANY; i++) {
        char name[8];
        t = eden_vector(s->x.s + i, s->g.s + i, i ? 1 : 0);
        snprintf(name, sizeof name, "s%d", i);
        OK(eden_add_tensor(s->o, name, &t, NULL, error));
    }
}

static void gradients(side *s, int step)
{
    const uint64_t seed = (uint64_t)step * 31;
    for (int i = 0; i < LONG; i++) s->g.w[i] = coarse(seed + (uint64_t)i);
    for (int i = 0; i < ROWS * COLS; i++) s->g.m[i] = coarse(seed + (uint64_t)i + 1);
    for (int i = 0; i < MANY; i++) s->g.s[i] = coarse(seed + (uint64_t)i + 2);
    static float h[33000];
    for (int i = 0; i < 33000; i++) h[i] = coarse(seed + (uint64_t)i + 4);
    eden_convert(s->g.h, EDEN_BF16, h, EDEN_F32, 33000);
}

static void create(eden_optimizer **o, MPI_Comm comm, size_t k)
{
    eden_config config = EDEN_CONFIG_INIT;
    eden_mpi_config mpi = EDEN_MPI_CONFIG_INIT;
    mpi.timeout = 60;
    config.threads = 1, config.seed = 11, config.clip_norm = 20;
    config.average = cases[k].average ? EDEN_SWA : EDEN_NO_AVERAGE;
    if (comm == MPI_COMM_NULL) OK(eden_optimizer_create(o, cases[k].rule, &config, error));
    else OK(eden_mpi_optimizer_create(o, comm, cases[k].rule, &config, &mpi, error));
    OK(eden_set_text(*o, NULL, cases[k].settings, error));
    OK(eden_schedule(*o, NULL, "lr", "cosine(10)", error));
}

/* Take steps [from, to), the same gradients on every rank. */
static void steps(side *s, int from, int to)
{
    for (int step = from; step < to; step++) {
        gradients(s, step);
        OK(eden_step(s->o, error));
    }
}

static int same_bytes(const char *a, const char *b)
{
    FILE *f = fopen(a, "rb"), *g = fopen(b, "rb");
    int x = f && g ? 0 : -2, y = 0;
    while (x >= 0 && x == y) x = getc(f), y = getc(g);
    if (f) fclose(f);
    if (g) fclose(g);
    return x == -1 && y == -1;
}

/* The folder as one file, and that is the one of the optimizer that was alone. */
static void check_merged(const char *folder, const char *merged, const char *single)
{
    eden_file *file = NULL;
    eden_writer *w = NULL;
    const char *key;
    char *room[128];
    size_t n = 0;
    OK(eden_file_open(&file, folder, error));
    OK(eden_writer_create(&w, error));
    for (size_t i = 0; (key = eden_file_key(file, i)); i++) OK(eden_writer_text(w, key, eden_file_value(file, key), error));
    CHECK(eden_file_count(file) <= 128, "%zu entries", eden_file_count(file));
    for (n = 0; n < eden_file_count(file); n++) {
        eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
        OK(eden_file_at(file, n, &t, error));
        room[n] = malloc(t.bytes + 1);
        OK(eden_file_read(file, n, room[n], t.bytes, error));
        OK(eden_writer_tensor(w, t.name, t.dtype, t.ndim, t.shape, room[n], error));
    }
    OK(eden_writer_write(w, merged, error));
    while (n) free(room[--n]);
    eden_writer_destroy(w);
    eden_file_close(file);
    CHECK(same_bytes(merged, single), "'%s' merged is not '%s'", folder, single);
}

static void check_weights(const char *what, int from, int to)
{
    const unsigned char *a = (const unsigned char *)&ours.x, *b = (const unsigned char *)&alone.x;
    size_t at = 0;
    while (at < sizeof ours.x && a[at] == b[at]) at++;
    CHECK(at == sizeof ours.x, "%s %s: byte %zu of the arrays differs, saved by %d, loaded by %d ranks",
          eden_rule_name(eden_group_rule(alone.o, NULL)), what, at, from, to);
}

/* A communicator of the first n ranks, or MPI_COMM_NULL elsewhere. */
static MPI_Comm first_ranks(int n)
{
    MPI_Comm comm;
    MPI_Comm_split(MPI_COMM_WORLD, my_rank() < n ? 0 : MPI_UNDEFINED, my_rank(), &comm);
    return comm;
}

static void one_pair(size_t k, int from, int to, const char *place)
{
    char folder[512], merged[512], single[512];
    snprintf(folder, sizeof folder, "%s/%s", place, cases[k].rule);
    snprintf(merged, sizeof merged, "%s/merged", place);
    snprintf(single, sizeof single, "%s/single", place);
    MPI_Comm comm = first_ranks(from);
    create(&alone.o, MPI_COMM_NULL, k);
    add(&alone, k);
    steps(&alone, 0, BEFORE);
    if (comm != MPI_COMM_NULL) {
        create(&ours.o, comm, k);
        add(&ours, k);
        steps(&ours, 0, BEFORE);
        check_weights("before", from, to);
        OK(eden_mpi_save(ours.o, folder, error));
        eden_optimizer_destroy(ours.o);
        MPI_Comm_free(&comm);
    }
    if (my_rank() == 0) {
        OK(eden_save(alone.o, single, 0, error));
        check_merged(folder, merged, single);
    }
    all_here();
    comm = first_ranks(to);
    if (comm != MPI_COMM_NULL) {
        create(&ours.o, comm, k);
        add(&ours, k);
        memset(ours.x.w, my_rank(), 100); /* ranks differ before they load */
        OK(eden_mpi_load(ours.o, from == to ? single : folder, error));
        check_weights("loaded", from, to);
        steps(&alone, BEFORE, BEFORE + AFTER);
        steps(&ours, BEFORE, BEFORE + AFTER);
        check_weights("continued", from, to);
        for (int turn = 0; turn < 2 && cases[k].average; turn++) {
            OK(eden_swap_average(ours.o, error));
            OK(eden_swap_average(alone.o, error));
            check_weights(turn ? "returned" : "averaged", from, to);
        }
        eden_optimizer_destroy(ours.o);
        MPI_Comm_free(&comm);
    }
    eden_optimizer_destroy(alone.o);
    all_here();
}

/* A load that one rank cannot do changes nothing on any. */
static void test_refused(const char *place)
{
    char folder[512], path[700];
    snprintf(folder, sizeof folder, "%s/%s", place, cases[0].rule);
    create(&ours.o, MPI_COMM_WORLD, 0);
    add(&ours, 0);
    create(&alone.o, MPI_COMM_NULL, 0);
    add(&alone, 0);
    snprintf(path, sizeof path, "%s%s", folder, my_rank() == all_ranks() - 1 ? "-not-there" : "");
    if (all_ranks() > 1) REFUSED(eden_mpi_load(ours.o, path, error), EDEN_E_IO, "not-there");
    check_weights("a refused load", 0, 0);
    REFUSED(eden_mpi_save(ours.o, "/proc/nowhere", error), EDEN_E_IO, "/proc/nowhere");
    OK(eden_mpi_load(ours.o, folder, error));
    CHECK(eden_steps(ours.o) == BEFORE, "%llu steps", (unsigned long long)eden_steps(ours.o));
    eden_optimizer_destroy(ours.o);
    eden_optimizer_destroy(alone.o);
}

/* The disk is full for one rank: all say so, and what was committed is there. */
static void test_full(const char *place)
{
    char folder[512];
    struct rlimit saved, small;
    snprintf(folder, sizeof folder, "%s/full", place);
    create(&ours.o, MPI_COMM_WORLD, 0);
    add(&ours, 0);
    steps(&ours, 0, 1);
    OK(eden_mpi_save(ours.o, folder, error));
    steps(&ours, 1, 2);
    CHECK(getrlimit(RLIMIT_FSIZE, &saved) == 0 && signal(SIGXFSZ, SIG_IGN) != SIG_ERR, "no limit on files");
    small = saved, small.rlim_cur = 4096;
    if (my_rank() == all_ranks() - 1) setrlimit(RLIMIT_FSIZE, &small);
    REFUSED(eden_mpi_save(ours.o, folder, error), EDEN_E_IO, "full");
    setrlimit(RLIMIT_FSIZE, &saved);
    all_here();
    OK(eden_mpi_load(ours.o, folder, error));
    CHECK(eden_steps(ours.o) == 1, "%llu steps", (unsigned long long)eden_steps(ours.o));
    steps(&ours, 1, 2);
    OK(eden_mpi_save(ours.o, folder, error));
    eden_optimizer_destroy(ours.o);
}

/* The same settings, tensors and step, and other weights: on all ranks the load is refused,
 * and nothing has changed. */
static void test_different(const char *place)
{
    char folders[3][512];
    const int last = all_ranks() - 1, middle = all_ranks() > 2 ? 1 : last;
    float kept = 0;
    for (int k = 0; k < 3; k++) { /* the third one step further than the others */
        snprintf(folders[k], sizeof folders[k], "%s/different-%d", place, k);
        create(&ours.o, MPI_COMM_WORLD, 0);
        add(&ours, 0);
        steps(&ours, k, k == 2 ? k + 2 : k + 1);
        OK(eden_mpi_save(ours.o, folders[k], error));
        kept = ours.x.w[0];
        if (k < 2) eden_optimizer_destroy(ours.o);
    }
    const char *path = folders[my_rank() == last ? 1 : 0];
    REFUSED(eden_mpi_load(ours.o, path, error), EDEN_E_MISMATCH, "the ranks load different checkpoints: rank 0 has that "
            "of step 1 in generation 1 (");
    char part[128];
    snprintf(part, sizeof part, "rank %d has another, rank %d that of step 1", last, last);
    REFUSED(eden_mpi_load(ours.o, path, error), EDEN_E_MISMATCH, part);
    path = folders[my_rank() == last || my_rank() == middle ? 2 : 0];
    if (middle < last) {
        snprintf(part, sizeof part, "ranks %d and %d have another, rank %d that of step 2", middle, last, middle);
        REFUSED(eden_mpi_load(ours.o, path, error), EDEN_E_MISMATCH, part);
    }
    REFUSED(eden_mpi_load(ours.o, my_rank() == last ? NULL : folders[0], error), EDEN_E_ARGUMENT, "path");
    REFUSED(eden_mpi_save(ours.o, my_rank() == last ? NULL : folders[0], error), EDEN_E_ARGUMENT, "path");
    CHECK(eden_steps(ours.o) == 2 && ours.x.w[0] == kept, "a refused load changed something");
    OK(eden_mpi_load(ours.o, folders[0], error));
    eden_optimizer_destroy(ours.o);
}

/* What eden_load() alone would refuse without a word to the others. */
static void test_one_is_busy(const char *place)
{
    char folder[512];
    snprintf(folder, sizeof folder, "%s/different-0", place);
    create(&ours.o, MPI_COMM_WORLD, 0);
    add(&ours, 0);
    steps(&ours, 0, 2);
    OK(eden_swap_average(ours.o, error));
    REFUSED(eden_mpi_load(ours.o, folder, error), EDEN_E_ORDER, "averages");
    OK(eden_swap_average(ours.o, error));
    eden_optimizer_destroy(ours.o);
}

/* ---- folders that are not as they were saved ----------------------------------------- */

static void copy_file(const char *from, const char *to)
{
    FILE *in = fopen(from, "rb"), *out = in ? fopen(to, "wb") : NULL;
    CHECK(out, "cannot copy '%s'", from);
    for (int c; (c = getc(in)) != EOF;) putc(c, out);
    fclose(in);
    fclose(out);
}

static const char *within(char path[600], const char *place, const char *name)
{
    snprintf(path, 600, "%s/%s", place, name);
    return path;
}

/* All ranks load the folder, which rank 0 has changed, and refuse it. */
static void refuse(const char *folder, const char *part)
{
    all_here();
    REFUSED(eden_mpi_load(ours.o, folder, error), EDEN_E_FORMAT, part);
    all_here();
}

/* Generations 1, 2 and 3 of a folder, of which 3 is committed and 1 is gone. */
static void test_folders(const char *place)
{
    char folder[512], a[600], b[600], name[64], newest[64];
    snprintf(folder, sizeof folder, "%s/folder", place);
    snprintf(name, sizeof name, "generation-2/rank-0-of-%d.safetensors", all_ranks());
    snprintf(newest, sizeof newest, "generation-3/rank-0-of-%d.safetensors", all_ranks());
    create(&ours.o, MPI_COMM_WORLD, 0);
    add(&ours, 0);
    for (int k = 0; k < 3; k++) {
        steps(&ours, k, k + 1);
        OK(eden_mpi_save(ours.o, folder, error));
    }
    all_here();
    CHECK(access(within(a, folder, "generation-1"), F_OK) != 0, "generation 1 is still there");
    if (my_rank() == 0) {
        copy_file(within(a, folder, newest), within(b, place, "kept"));
        copy_file(within(a, folder, name), within(b, folder, newest));
    }
    refuse(folder, "the file of rank 0 is not the one");
    if (my_rank() == 0) {
        copy_file(within(b, place, "kept"), within(a, folder, newest));
        CHECK(truncate(a, 5000) == 0, "cannot cut '%s'", a);
    }
    refuse(folder, "");
    if (my_rank() == 0) copy_file(within(b, place, "kept"), within(a, folder, newest));
    all_here();
    OK(eden_mpi_load(ours.o, folder, error));
    CHECK(eden_steps(ours.o) == 3, "%llu steps", (unsigned long long)eden_steps(ours.o));
    all_here();
    if (my_rank() == 0) /* the commit before */
        copy_file(within(b, folder, "manifest.safetensors.old"), within(a, folder, "manifest.safetensors"));
    all_here();
    OK(eden_mpi_load(ours.o, folder, error));
    CHECK(eden_steps(ours.o) == 2, "%llu steps", (unsigned long long)eden_steps(ours.o));
    eden_optimizer_destroy(ours.o);
}

int main(int argc, char **argv)
{
    char place[PLACE_ROOM] = "";
    MPI_Init(&argc, &argv);
    make_place(place);
    const size_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : CASES;
    for (size_t k = 0; k < count; k++)
        for (int from = 1; from <= all_ranks(); from++)
            for (int to = 1; to <= all_ranks(); to++) one_pair(k, from, to, place);
    test_refused(place);
    test_full(place);
    test_folders(place);
    if (all_ranks() > 1) test_different(place);
    if (all_ranks() > 1) test_one_is_busy(place);
    remove_place(place);
    if (my_rank() == 0) printf("%d pairs, %zu ways to store\n", all_ranks() * all_ranks(), count);
    MPI_Finalize();
    return 0;
}
