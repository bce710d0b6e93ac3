/* fuzz.h - what a fuzz target is, and what the targets share.
 *
 * A target is one file fuzz_NAME.c with the two functions below. libFuzzer's main or
 * that of driver.c calls them, so that each target is two programs. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Run one input. Whatever it holds, nothing may crash, leak, hang or break a promise;
 * a promise that is broken ends the program through fuzz_check(). */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Write seed `i` to room[0..FUZZ_SEED_ROOM) and return its size; 0 past the last one.
 * Seeds are valid or nearly so: mutation finds the rest. */
#define FUZZ_SEED_ROOM 16384
size_t fuzz_seed(size_t i, uint8_t *room);

/* The text of a seed: copied without its zero. */
size_t fuzz_seed_text(const char *text, uint8_t *room);

/* End the program with a sentence unless the promise holds. */
void fuzz_check(int holds, const char *promise);

/* A file in memory that holds these bytes, and its path, good until the next call with
 * the same number. */
enum { FUZZ_FILES = 2 };
const char *fuzz_file(int number, const void *data, size_t size);

/* The content of that file: its size, of which at most `room` bytes are copied. */
size_t fuzz_file_content(const char *path, void *content, size_t room);

/* A folder of this process in memory, removed with all its files when it ends. */
const char *fuzz_folder(void);

/* Choices made by an input, front to back; 0 once it is used up. */
typedef struct {
    const uint8_t *data;
    size_t size;
} fuzz_input;

uint8_t fuzz_byte(fuzz_input *input);
uint32_t fuzz_below(fuzz_input *input, uint32_t n); /* n above 0, of 16 bits at most */
uint64_t fuzz_word(fuzz_input *input);
double fuzz_real(fuzz_input *input); /* any double, often a small plain one */

/* A text up to the next line feed or the end, cut to `room` with its zero. */
char *fuzz_line(fuzz_input *input, char *text, size_t room);

/* FNV-1a over bytes: equal states have equal hashes. */
uint64_t fuzz_hash(uint64_t before, const void *data, size_t size);

#endif
