/* fuzz_schedule.c - any bytes as the text of a schedule.
 *
 * The first 9 bytes choose the step to ask for, the others are the text. */
#include "fuzz/fuzz.h"

#include <eden/eden.h>
#include <math.h>
#include <string.h>

static uint64_t bits(double value)
{
    uint64_t word;
    memcpy(&word, &value, sizeof word);
    return word;
}

/* The same text on an optimizer: what it makes of 0.5 at this step. */
static void check_on_optimizer(const char *text, uint64_t step, double value)
{
    eden_optimizer *optimizer = NULL;
    eden_error error = { 0 };
    double base = 0, got = 0;
    fuzz_check(!eden_optimizer_create(&optimizer, "sgd", NULL, &error)
                   && !eden_set(optimizer, NULL, "lr", 0.5, &error),
               "an optimizer can be made");
    if (!eden_schedule(optimizer, NULL, "lr", text, &error)) {
        fuzz_check(!eden_get(optimizer, NULL, "lr", &base, &error) && base == 0.5,
                   "a schedule leaves the setting alone");
        if (!eden_get_at(optimizer, NULL, "lr", step, &got, &error) && !strstr(text, "absolute"))
            fuzz_check(bits(got) == bits(0.5 * value), "a schedule multiplies the setting");
        for (int i = 0; i < 30; i++)
            if (eden_report(optimizer, i % 7, &error)) break;
        fuzz_check(eden_schedule(optimizer, NULL, "lr", NULL, &error) == EDEN_OK,
                   "a schedule can be removed");
        fuzz_check(!eden_get_at(optimizer, NULL, "lr", step, &got, &error) && got == 0.5,
                   "a removed schedule does nothing");
    }
    eden_optimizer_destroy(optimizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[4096];
    double value = -1, again = -2;
    eden_error error = { 0 };
    fuzz_input input = { data, size };
    const uint64_t word = fuzz_word(&input), step = fuzz_byte(&input) % 4 ? word % 200 + 1 : word;
    const size_t n = input.size < sizeof text - 1 ? input.size : sizeof text - 1;
    if (n) memcpy(text, input.data, n);
    text[n] = '\0';
    const eden_status status = eden_schedule_value(text, step, &value, &error);
    if (status) {
        fuzz_check(value == -1, "a failure leaves the output alone");
        fuzz_check(error.status == (uint32_t)status && error.text[0]
                       && memchr(error.text, 0, sizeof error.text),
                   "a failure has a sentence");
        return 0;
    }
    fuzz_check(isfinite(value) && value >= 0, "a schedule is finite and not negative");
    fuzz_check(!eden_schedule_value(text, step, &again, &error) && bits(again) == bits(value),
               "a schedule has one value at a step");
    check_on_optimizer(text, step, value);
    return 0;
}

size_t fuzz_seed(size_t i, uint8_t *room)
{
    static const char *const texts[] = {
        "constant(0.5)", "warmup(10, start=0.1) * linear(100, start=1, end=0)",
        "polynomial(50, 2.5, end=1e-3)", "cosine(100, end=0.1)",
        "cosine_restarts(10, grow=2, end=0.01)", "step(30, factor=0.3) * exponential(0.99, n=5)",
        "multistep(0.1, 30, 60, 90)", "onecycle(100, start=0.04, peak_at=0.3, end=4e-6)",
        "wsd(10, 50, 40, end=0.2)", "inverse_sqrt(40)", "absolute(wsd(1,2,3) * 0.1)",
        "plateau(factor=0.5, patience=2, threshold=1e-4, floor=0.01)",
        "sequence(warmup(5), 5, sequence(cosine(9), 9, constant(1)), 20, linear(7))",
        "absolute(cosine(100))",
    };
    if (i >= sizeof texts / sizeof texts[0]) return 0;
    memset(room, 0, 9);
    room[7] = (uint8_t)(13 * i);
    room[8] = 1;
    return 9 + fuzz_seed_text(texts[i], room + 9);
}
