/* fuzz_meta.c - a checkpoint whose checksums are right and whose content is not.
 *
 * An input is the optimizer's number and lines: KEY=VALUE sets a text of the checkpoint's
 * metadata, or with an empty value removes it; a line without '=' removes the tensor of
 * that name. Checksums would hide all that from a change of single bytes. */
#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/model.h"

enum { MOST = 48, ROOM = 512, DATA = 128 };

typedef struct {
    char line[MOST][ROOM];
    size_t count;
} changes;

/* The last line that says something about `name`; NULL if none does. */
static const char *change(const changes *c, const char *name, size_t *which)
{
    const size_t length = strlen(name);
    for (size_t i = c->count; i-- > 0;)
        if (!strncmp(c->line[i], name, length) && (c->line[i][length] == '=' || !c->line[i][length])) {
            if (which) *which = i;
            return c->line[i] + length;
        }
    return NULL;
}

static void copy_changed(eden_writer *writer, eden_file *file, const changes *c)
{
    static char data[64][DATA];
    int used[MOST] = { 0 };
    size_t which;
    for (size_t i = 0; eden_file_key(file, i); i++) {
        const char *key = eden_file_key(file, i), *text = change(c, key, &which);
        if (!text) eden_writer_text(writer, key, eden_file_value(file, key), NULL);
        else if (*text && text[1]) eden_writer_text(writer, key, text + 1, NULL);
        if (text) used[which] = 1;
    }
    for (size_t i = 0; i < c->count; i++) {
        char key[ROOM];
        const char *equals = strchr(c->line[i], '=');
        if (used[i] || !equals) continue;
        snprintf(key, sizeof key, "%.*s", (int)(equals - c->line[i]), c->line[i]);
        eden_writer_text(writer, key, equals + 1, NULL);
    }
    for (size_t i = 0; i < eden_file_count(file) && i < 64; i++) {
        eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
        fuzz_check(!eden_file_at(file, i, &t, NULL) && t.bytes <= DATA
                       && !eden_file_read(file, i, data[i], t.bytes, NULL),
                   "a checkpoint can be read");
        if (!change(c, t.name, NULL))
            eden_writer_tensor(writer, t.name, t.dtype, t.ndim, t.shape, data[i], NULL);
    }
}

/* The checkpoint of each variant is written once. */
static const char *original(uint32_t variant)
{
    static char paths[FUZZ_VARIANTS][200];
    if (!paths[variant][0]) {
        fuzz_model model;
        fuzz_model_make(&model, variant);
        const char *saved = fuzz_model_save(&model);
        snprintf(paths[variant], sizeof paths[variant], "%s/original-%u", fuzz_folder(), variant);
        fuzz_check(rename(saved, paths[variant]) == 0, "a file can be renamed");
        fuzz_model_free(&model);
    }
    return paths[variant];
}

static void load(const char *path, uint32_t variant, uint32_t parts)
{
    fuzz_model model;
    eden_error error = { 0 };
    fuzz_model_make(&model, variant);
    const uint64_t before = fuzz_model_hash(&model);
    const eden_status status = eden_load(model.optimizer, path, parts, &error);
    if (status) {
        fuzz_check(error.status == (uint32_t)status && error.text[0], "a failure has a sentence");
        fuzz_check(fuzz_model_hash(&model) == before, "a load that fails changes nothing");
    } else if (!eden_save(model.optimizer, path, 0, &error)) {
        const uint64_t loaded = fuzz_model_hash(&model);
        fuzz_check(!eden_load(model.optimizer, path, 0, &error)
                       && fuzz_model_hash(&model) == loaded,
                   "what was loaded can be saved and loaded again");
    }
    fuzz_check(!eden_step(model.optimizer, &error) || error.text[0], "the next step succeeds or says why");
    fuzz_model_free(&model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static changes c;
    char path[200];
    eden_file *file = NULL;
    eden_writer *writer = NULL;
    fuzz_input input = { data, size };
    const uint8_t choice = fuzz_byte(&input);
    const uint32_t variant = choice % FUZZ_VARIANTS;
    for (c.count = 0; input.size > 0 && c.count < MOST; c.count++)
        fuzz_line(&input, c.line[c.count], ROOM);
    fuzz_check(!eden_file_open(&file, original(variant), NULL) && !eden_writer_create(&writer, NULL),
               "a checkpoint can be opened");
    copy_changed(writer, file, &c);
    snprintf(path, sizeof path, "%s/changed", fuzz_folder());
    fuzz_check(!eden_writer_write(writer, path, NULL), "a changed checkpoint can be written");
    eden_writer_destroy(writer);
    eden_file_close(file);
    load(path, variant, choice / FUZZ_VARIANTS % 4);
    return 0;
}

#define SEED(text) { text, sizeof(text) - 1 } /* it may hold zeros */

/* Lines that are all true; with i at FUZZ_VARIANTS and more, one that is not. */
size_t fuzz_seed(size_t i, uint8_t *room)
{
    static const struct { const char *text; size_t size; } wrong[] = {
        SEED("\003eden.steps=18446744073709551615\neden.steps.w=18446744073709551614\n"),
        SEED("\000eden.schedule.lr.default=absolute(cosine(9))\neden.plateau.lr.n=0.5 1e300 2\n"),
        SEED("\001eden.settings.n=lr=nan\neden.note.epoch=4\nw\neden.group.h=default\n"),
        SEED("\000eden.loss_scale_now=3\neden.storage.h=f16,q8,kahan\nh@m\n"),
    };
    eden_file *file = NULL;
    size_t size = 1;
    if (i >= FUZZ_VARIANTS + sizeof wrong / sizeof wrong[0]) return 0;
    if (i >= FUZZ_VARIANTS) {
        memcpy(room, wrong[i - FUZZ_VARIANTS].text, wrong[i - FUZZ_VARIANTS].size);
        return wrong[i - FUZZ_VARIANTS].size;
    }
    room[0] = (uint8_t)i;
    fuzz_check(!eden_file_open(&file, original((uint32_t)i), NULL), "a checkpoint can be opened");
    for (size_t k = 0; eden_file_key(file, k); k++) {
        const char *key = eden_file_key(file, k);
        size += (size_t)snprintf((char *)room + size, FUZZ_SEED_ROOM - size, "%s=%s\n", key,
                                 eden_file_value(file, key));
    }
    eden_file_close(file);
    return size;
}
