/* fuzz_load.c - any bytes as a checkpoint: it fits whole, or nothing changes.
 *
 * The first byte chooses the optimizer and the parts, the others are the file. */
#include "fuzz/fuzz.h"

#include <string.h>

#include "fuzz/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_model model;
    eden_error error = { 0 };
    fuzz_input input = { data, size };
    const uint8_t choice = fuzz_byte(&input);
    fuzz_model_make(&model, choice % FUZZ_VARIANTS);
    const uint64_t before = fuzz_model_hash(&model);
    const char *path = fuzz_file(0, input.data, input.size);
    const eden_status status = eden_load(model.optimizer, path, choice / FUZZ_VARIANTS % 4, &error);
    if (status) {
        fuzz_check(error.status == (uint32_t)status && error.text[0], "a failure has a sentence");
        fuzz_check(fuzz_model_hash(&model) == before, "a load that fails changes nothing");
    }
    fuzz_check(!eden_step(model.optimizer, &error) || error.text[0], "the next step succeeds or says why");
    fuzz_model_free(&model);
    return 0;
}

size_t fuzz_seed(size_t i, uint8_t *room)
{
    static const char header[] =
        "{\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},\"h\":{\"dtype\":\"BF16\","
        "\"shape\":[4],\"data_offsets\":[24,32]},\"still\":{\"dtype\":\"F32\",\"shape\":[2],"
        "\"data_offsets\":[32,40]}}";
    fuzz_model model;
    if (i > FUZZ_VARIANTS) return 0;
    if (i == FUZZ_VARIANTS) { /* another program's weights */
        memset(room, 0, 9 + sizeof header - 1 + 40);
        room[0] = EDEN_WEIGHTS * FUZZ_VARIANTS;
        room[1] = (uint8_t)(sizeof header - 1);
        memcpy(room + 9, header, sizeof header - 1);
        return 9 + sizeof header - 1 + 40;
    }
    fuzz_model_make(&model, (uint32_t)i);
    const size_t size = fuzz_file_content(fuzz_model_save(&model), room + 1, FUZZ_SEED_ROOM - 1);
    fuzz_model_free(&model);
    room[0] = (uint8_t)i;
    return 1 + size;
}
