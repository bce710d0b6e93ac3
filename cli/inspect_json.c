/* inspect_json.c - a file as one JSON document. It is written as it comes, for a tree of a
 * million tensors would take many times the memory that the header does. */
#include <stdio.h>

#include "cli/inspect.h"
#include "cli/json.h"

static const char *word(int checked)
{
    static const char *const words[] = { "not compared", "none", "match", "damaged" };
    return words[checked];
}

static void count(const char *key, uint64_t value)
{
    printf(",\n      \"%s\": %llu", key, (unsigned long long)value);
}

static void number(const char *key, int known, double value)
{
    printf(",\n      \"%s\": ", key);
    if (known) cli_json_put_exact(stdout, value);
    else fputs("null", stdout);
}

static void print_tensor(const cli_inspected *all, size_t i)
{
    const cli_inspected_tensor *t = &all->tensors[i];
    eden_file_tensor entry = EDEN_FILE_TENSOR_INIT;
    uint64_t shape[CLI_DIMS];
    eden_file_look(all->file, i, &entry, shape);
    printf("%s\n    {\n      \"name\": ", i ? "," : "");
    cli_json_put_text(stdout, entry.name);
    printf(",\n      \"dtype\": \"%s\",\n      \"shape\": [", entry.dtype);
    for (uint32_t d = 0; d < entry.ndim; d++)
        printf("%s%llu", d ? ", " : "", (unsigned long long)shape[d]);
    putchar(']');
    count("bytes", entry.bytes);
    printf(",\n      \"checksum\": \"%s\"", word(t->checked));
    if (t->measured) {
        number("min", t->numbers, t->least);
        number("max", t->numbers, t->most);
        count("nan", t->nans);
        count("infinite", t->infinities);
    }
    fputs("\n    }", stdout);
}

void cli_inspect_print_json(const cli_inspected *all)
{
    const char *key;
    fputs("{\n  \"file\": ", stdout);
    cli_json_put_text(stdout, all->path);
    printf(",\n  \"checksums\": \"%s\",\n  \"bytes\": %llu,\n  \"metadata\": {", word((int)all->checked),
           (unsigned long long)all->bytes);
    for (size_t i = 0; (key = eden_file_key(all->file, i)); i++) {
        fputs(i ? ",\n    " : "\n    ", stdout);
        cli_json_put_text(stdout, key);
        fputs(": ", stdout);
        cli_json_put_text(stdout, eden_file_value(all->file, key));
    }
    fputs(eden_file_key(all->file, 0) ? "\n  },\n  \"tensors\": [" : "},\n  \"tensors\": [", stdout);
    for (size_t i = 0; i < all->count; i++) print_tensor(all, i);
    fputs(all->count ? "\n  ]\n}\n" : "]\n}\n", stdout);
}
