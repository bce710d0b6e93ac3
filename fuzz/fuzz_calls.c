/* fuzz_calls.c - any sequence of calls on an optimizer, with allocations that fail.
 *
 * Each call is a byte of kind, a byte that says which allocation fails from there on (none
 * of 16, or one, or one and all behind it), and what the call wants. A call that fails
 * changes nothing, whatever was the reason; and one that had no memory, tried again, does. */
#include "fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/calls.h"

static fuzz_world world;
static char path[200];

static void check_unchanged(uint64_t before, eden_status status, const eden_error *error)
{
    fuzz_check(error->status == (uint32_t)status && error->text[0]
                   && memchr(error->text, 0, sizeof error->text),
               "a failure has a sentence");
    fuzz_check(fuzz_world_hash(&world) == before, "a call that fails changes nothing");
}

static void one_call(fuzz_input *input)
{
    const uint8_t kind = fuzz_byte(input), fault = fuzz_byte(input);
    eden_error error = { 0 };
    const uint64_t before = fuzz_world_hash(&world);
    const fuzz_input wants = *input;
    fuzz_fail_after(fault % 32 < 16 ? -1 : fault % 16, fault >= 128);
    eden_status status = fuzz_world_call(&world, kind, input, path, &error);
    const int failed = fuzz_fail_after(-1, 0);
    if (status) check_unchanged(before, status, &error);
    if (status != EDEN_E_MEMORY) return;
    fuzz_check(failed, "memory is called missing only where it was");
    *input = wants;
    status = fuzz_world_call(&world, kind, input, path, &error);
    fuzz_check(status != EDEN_E_MEMORY, "a call without memory can be made again with it");
    if (status) check_unchanged(before, status, &error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = { data, size };
    snprintf(path, sizeof path, "%s/calls", fuzz_folder());
    unlink(path); /* what another input saved is not this one's */
    if (!fuzz_world_make(&world, &input)) return 0;
    for (int calls = 0; input.size > 0 && calls < 40; calls++) one_call(&input);
    fuzz_world_free(&world);
    return 0;
}

size_t fuzz_seed(size_t i, uint8_t *room)
{
    if (i >= 10) return 0;
    for (size_t k = 0; k < 100; k++)
        room[k] = (uint8_t)((k + 1) * (i + 3) * 151 + (k >> 2) * 77 + (k * k >> i % 5));
    room[0] = (uint8_t)i;
    return 100;
}
