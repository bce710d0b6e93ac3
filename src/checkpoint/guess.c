/* guess.c - what a file that is no safetensors file seems to be. */
#include "checkpoint/guess.h"

#include <string.h>

#define LIKE "; it looks like "

typedef struct {
    size_t at, count; /* where in the file, how many bytes                     */
    const char *bytes, *what;
} kind;

static const kind kinds[] = {
    { 0, 4, "PK\3\4", LIKE "a zip archive, as torch.save writes" },
    { 0, 4, "PK\5\6", LIKE "an empty zip archive" },
    { 0, 2, "\x1f\x8b", LIKE "a gzip archive; unpack it first" },
    { 0, 6, "\xfd" "7zXZ", LIKE "an xz archive; unpack it first" },
    { 0, 4, "\x28\xb5\x2f\xfd", LIKE "a zstd archive; unpack it first" },
    { 0, 3, "BZh", LIKE "a bzip2 archive; unpack it first" },
    { 257, 5, "ustar", LIKE "a tar archive" },
    { 0, 6, "\x93NUMPY", LIKE "a NumPy array" },
    { 0, 4, "\x89HDF", LIKE "an HDF5 file, as Keras writes" },
    { 0, 4, "GGUF", LIKE "a GGUF file, as llama.cpp reads" },
    { 0, 4, "tjgg", LIKE "a GGML file" },
    { 4, 4, "TFL3", LIKE "a TensorFlow Lite model" },
    { 0, 8, "\x08\x01\x12\x00\x1a\x00\x22\x00", LIKE "an ONNX model" },
    { 0, 8, "version ", LIKE "a Git LFS pointer, not the file itself; run git lfs pull" },
    { 0, 4, "%PDF", LIKE "a PDF document" },
    { 0, 4, "\x7f" "ELF", LIKE "a program" },
    { 0, 8, "\x89PNG\r\n\x1a\n", LIKE "a picture" },
    { 0, 15, "SQLite format 3", LIKE "an SQLite database" },
    { 0, 3, "\xef\xbb\xbf", LIKE "text" },
    { 0, 2, "\xff\xfe", LIKE "text in UTF-16" },
    { 0, 2, "\xfe\xff", LIKE "text in UTF-16" },
};

static int is_space(unsigned char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Letters in either case; `word` is in lower case. */
static int begins(const unsigned char *text, size_t count, const char *word)
{
    for (; *word; word++, text++, count--) {
        if (!count) return 0;
        const unsigned char c = *text >= 'A' && *text <= 'Z' ? (unsigned char)(*text | 0x20) : *text;
        if (c != (unsigned char)*word) return 0;
    }
    return 1;
}

static const char *guess_text(const unsigned char *first, size_t count)
{
    size_t at = 0;
    while (at < count && is_space(first[at])) at++;
    first += at;
    count -= at;
    if (begins(first, count, "<!doctype") || begins(first, count, "<html") || begins(first, count, "<head"))
        return LIKE "a web page: a download that failed?";
    if (begins(first, count, "<?xml")) return LIKE "XML";
    if (count && (*first == '{' || *first == '[')) return LIKE "JSON without the length that comes first";
    return "";
}

static int all_zero(const unsigned char *first, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (first[i]) return 0;
    return 1;
}

const char *eden_guess(const unsigned char *first, size_t count)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const kind *k = &kinds[i];
        if (count >= k->at + k->count && memcmp(first + k->at, k->bytes, k->count) == 0) return k->what;
    }
    /* Pickles of protocols 2 to 5; text of protocols 0 and 1 is like nothing else. */
    if (count >= 2 && first[0] == 0x80 && first[1] >= 2 && first[1] <= 5)
        return LIKE "a Python pickle, as torch.save wrote";
    if (count && all_zero(first, count)) return "; it is nothing but zeros: was the disk full?";
    return guess_text(first, count);
}
