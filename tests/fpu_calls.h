/* fpu_calls.h - one call in the caller's floating-point environment; a part of test_fpu.c. */
#ifndef EDEN_TESTS_FPU_CALLS_H
#define EDEN_TESTS_FPU_CALLS_H

static const fpu_mode *mode; /* the environment of now */
static uint64_t results;     /* a hash of all that was given back */
static char called[128][32]; /* functions that were called */
static size_t called_count;

static void note_call(const char *call)
{
    char name[32];
    const size_t length = strcspn(call, "(");
    snprintf(name, sizeof name, "%.*s", (int)length, call);
    for (size_t i = 0; i < called_count; i++)
        if (strcmp(called[i], name) == 0) return;
    assert_true(called_count < sizeof called / sizeof *called);
    strcpy(called[called_count++], name);
}

static void note_words(uint64_t word) { results = fnv(results, word, 8); }
static void note_text(const char *text)
{
    for (; text && *text; text++) results = fnv(results, (unsigned char)*text, 1);
}
static void note_double(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    note_words(bits);
}
static void note_floats(const float *x, uint64_t n) { results = fnv_floats(results, x, n); }

/* Between setting the environment and reading it there is nothing but the call. */
#define IN_MODE(statement, call)                                                            \
    do {                                                                                    \
        note_call(call);                                                                    \
        fpu_set(mode->state);                                                               \
        statement;                                                                          \
        const uint64_t after_ = fpu_get();                                                  \
        fpu_set(fpu_modes[0].state);                                                        \
        if ((after_ ^ mode->state) & UINT64_C(0xffffffffffff))                              \
            fail_msg("%s, %s: %llx became %llx", mode->name, call,                          \
                     (unsigned long long)mode->state, (unsigned long long)after_);          \
        if (after_ >> 48) fail_msg("%s, %s: x87 flags %llx", mode->name, call, (unsigned long long)(after_ >> 48)); \
    } while (0)

/* A call that gives an integer, a status with its sentence, a double, a text. */
#define WORD(call) do { uint64_t r_; IN_MODE(r_ = (uint64_t)(call), #call); note_words(r_); } while (0)
#define STATUS(want, call)                                                                  \
    do {                                                                                    \
        eden_error e_ = { 0, "" };                                                          \
        eden_status s_;                                                                     \
        IN_MODE(s_ = (call), #call);                                                        \
        if (s_ != (want)) fail_msg("%s, %s: status %d: %s", mode->name, #call, s_, e_.text); \
        note_text(e_.text);                                                                 \
    } while (0)
#define OK(call) STATUS(EDEN_OK, call)
#define DOUBLE(call) do { double r_; IN_MODE(r_ = (call), #call); note_double(r_); } while (0)
#define TEXT(call) do { const char *r_; IN_MODE(r_ = (call), #call); note_text(r_); } while (0)
#define VOID(call) IN_MODE(call, #call)
#define error (&e_)

#endif
