/* driver.c - a main for fuzz targets without libFuzzer: any compiler, any sanitizer.
 *
 * usage: TARGET [--runs N] [--from N]   run N mutations of the seeds, the first is number --from
 *        TARGET --seeds FOLDER          write the seeds as files
 *        TARGET FILE...                 run these files
 *
 * First come the seeds, all that begin as a seed does, and every seed with one bit
 * changed (--from leaves that out), then mutations. Mutation number n is a function of n
 * alone, so what ended the program is repeated by the number it prints. */
#include "fuzz/fuzz.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_SEEDS = 64, ROOM = FUZZ_SEED_ROOM + 1024, EDGE = 1024, SHORT = 256, SECONDS = 20 };

/* libFuzzer calls it, and so do we, where a target has one. */
extern int LLVMFuzzerInitialize(int *count, char ***words) __attribute__((weak));
extern void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static uint8_t seeds[MOST_SEEDS][FUZZ_SEED_ROOM];
static size_t sizes[MOST_SEEDS], seed_count;
static char what[200] = "at the start"; /* is being run, for whoever ends the program */

static void tell(void)
{
    if (write(2, "fuzz: ", 6) < 0 || write(2, what, strlen(what)) < 0 || write(2, "\n", 1) < 0) {}
}

static void tell_and_end(int number)
{
    tell();
    signal(number, SIG_DFL);
    raise(number);
}

/* The target sees a block of exactly this size, so that one byte beyond is noticed. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1);
    if (!exact) {
        tell();
        exit(71);
    }
    memcpy(exact, data, size);
    alarm(SECONDS);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

/* ---- mutation ------------------------------------------------------------------------ */

/* splitmix64 (Steele, Lea and Flood 2014). */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static size_t below(uint64_t *state, size_t n) { return n ? (size_t)(draw(state) % n) : 0; }

/* Put `count` bytes at `at`; what does not fit is left out. */
static size_t insert(uint8_t *data, size_t size, size_t at, const uint8_t *bytes, size_t count)
{
    if (size + count > ROOM) count = ROOM - size;
    memmove(data + at + count, data + at, size - at);
    memcpy(data + at, bytes, count);
    return size + count;
}

static size_t mutate_once(uint8_t *data, size_t size, uint64_t *state)
{
    static const char digits[] = "0123456789,.-+eE\"{}[]()=:\n\r\t ;@/";
    static const uint8_t edges[] = { 0, 1, 0x7f, 0x80, 0xff, 0xfe, 0x20, 0x0a };
    uint8_t piece[64];
    const size_t at = below(state, size + 1), kind = below(state, 9);
    const size_t left = size - at, count = 1 + below(state, sizeof piece);
    const size_t from = below(state, seed_count), start = below(state, sizes[from]);
    if (kind == 0 && left) data[at] ^= (uint8_t)(1u << below(state, 8));
    if (kind == 1 && left) data[at] = edges[below(state, sizeof edges)];
    if (kind == 2 && left) data[at] = (uint8_t)digits[below(state, sizeof digits - 1)];
    if (kind == 3 && left) data[at] = (uint8_t)draw(state);
    if (kind == 4) {
        for (size_t i = 0; i < sizeof piece; i++) piece[i] = (uint8_t)draw(state);
        size = insert(data, size, at, piece, count / 8);
    }
    if (kind == 5) {
        const size_t cut = count < left ? count : left;
        memmove(data + at, data + at + cut, left - cut);
        size -= cut;
    }
    if (kind == 6) {
        const size_t most = sizes[from] - start;
        size = insert(data, size, at, seeds[from] + start, count < most ? count : most);
    }
    if (kind == 7 && left) {
        memset(piece, data[at], sizeof piece);
        size = insert(data, size, at, piece, count);
    }
    if (kind == 8) {
        const size_t most = sizes[from] - start, n = count < left ? count : left;
        memcpy(data + at, seeds[from] + start, n < most ? n : most);
    }
    return size;
}

static void run_mutation(uint64_t number)
{
    static uint8_t data[ROOM];
    uint64_t state = number * 0x2545f4914f6cdd1du;
    const size_t seed = below(&state, seed_count);
    size_t size = sizes[seed], times = (size_t)1 << below(&state, 5);
    memcpy(data, seeds[seed], size);
    snprintf(what, sizeof what, "mutation %llu: --from %llu --runs 1", (unsigned long long)number,
             (unsigned long long)number);
    while (times--) size = mutate_once(data, size, &state);
    run(data, size);
}

/* Every beginning of a seed, and one bit changed; spaced out in long seeds. */
static uint64_t run_edges(void)
{
    uint64_t runs = 0;
    for (size_t s = 0; s < seed_count; s++) {
        const size_t gap = 1 + sizes[s] / EDGE;
        for (size_t n = 0; n <= sizes[s]; n += n + gap > sizes[s] && n < sizes[s] ? sizes[s] - n : gap) {
            snprintf(what, sizeof what, "seed %zu cut to %zu bytes", s, n);
            run(seeds[s], n);
            runs++;
        }
        /* Every bit of a short seed, one of each byte of a long one. */
        const size_t bits = sizes[s] <= SHORT ? 8 : 1;
        for (size_t k = 0; k < sizes[s] * bits; k += gap) { /* gap is 1 in short ones */
            const size_t n = k / bits, bit = bits == 8 ? k % 8 : n % 8;
            const uint8_t kept = seeds[s][n];
            snprintf(what, sizeof what, "seed %zu with bit %zu of byte %zu changed", s, bit, n);
            seeds[s][n] = (uint8_t)(kept ^ (1u << bit));
            run(seeds[s], sizes[s]);
            seeds[s][n] = kept;
            runs++;
        }
    }
    return runs;
}

/* ---- files --------------------------------------------------------------------------- */

static int run_file(const char *path)
{
    static uint8_t data[1 << 20];
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "fuzz: cannot open '%s': %s\n", path, strerror(errno));
        return 66;
    }
    const size_t size = fread(data, 1, sizeof data, file);
    fclose(file);
    snprintf(what, sizeof what, "file %.150s", path);
    run(data, size);
    return 0;
}

static int write_seeds(const char *folder)
{
    char path[4096];
    int failed = 0;
    for (size_t i = 0; i < seed_count && !failed; i++) {
        snprintf(path, sizeof path, "%s/seed-%02zu", folder, i);
        FILE *file = fopen(path, "wb");
        failed = !file || fwrite(seeds[i], 1, sizes[i], file) != sizes[i];
        if (file && fclose(file)) failed = 1;
    }
    if (failed) fprintf(stderr, "fuzz: cannot write '%s': %s\n", path, strerror(errno));
    return failed ? 73 : 0;
}

static int number(const char *text, uint64_t *value)
{
    char *end;
    *value = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end;
}

int main(int count, char **words)
{
    uint64_t runs = 10000, from = 0, done = 0;
    int whole = 1, code = 0, i = 1;
    while ((sizes[seed_count] = fuzz_seed(seed_count, seeds[seed_count])) != 0)
        if (++seed_count == MOST_SEEDS) break;
    if (!seed_count) return 70;
    if (count == 3 && !strcmp(words[1], "--seeds")) return write_seeds(words[2]);
    for (; i + 1 < count && !strncmp(words[i], "--", 2); i += 2) {
        if (!strcmp(words[i], "--from") && number(words[i + 1], &from)) whole = 0;
        else if (strcmp(words[i], "--runs") || !number(words[i + 1], &runs)) return 64;
    }
    if (i < count && words[i][0] == '-') return 64;
    if (LLVMFuzzerInitialize) LLVMFuzzerInitialize(&count, &words);
    if (__sanitizer_set_death_callback) __sanitizer_set_death_callback(tell);
    signal(SIGABRT, tell_and_end);
    signal(SIGALRM, tell_and_end);
    if (i < count) {
        for (; i < count && !code; i++) code = run_file(words[i]);
        return code;
    }
    if (whole) done = run_edges();
    for (uint64_t n = 0; n < runs; n++) run_mutation(from + n);
    printf("%llu executions from %zu seeds\n", (unsigned long long)(done + runs), seed_count);
    return 0;
}
