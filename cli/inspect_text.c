/* inspect_text.c - a file as lines of at most 79 columns; whatever is a stranger's text
 * is escaped. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/clean.h"
#include "cli/inspect.h"
#include "cli/output.h"

enum { WIDTH = 79, NAME = 24, TYPE = 22 };

static const char *value_of(const cli_inspected *all, const char *key)
{
    return eden_file_value(all->file, key);
}

/* "  label       text" */
static void line(const char *label, const char *text)
{
    char clean[2 * WIDTH + 1];
    printf("  %-11s %s\n", label, cli_escape(text, WIDTH - 14, clean));
}

/* Bytes that are not the first of a character are no columns. */
static size_t columns_of(const char *text)
{
    size_t columns = 0;
    for (; *text; text++) columns += ((unsigned char)*text & 0xc0) != 0x80;
    return columns;
}

static const char *bytes_text(uint64_t bytes, char text[24])
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
    double size = (double)bytes;
    int unit = 0;
    while (size >= 999.5 && unit < 6) size /= 1000, unit++;
    snprintf(text, 24, unit ? "%.3g %s" : "%.0f %s", size, units[unit]);
    return text;
}

static void heading(const char *text)
{
    const cli_style style = cli_style_of(stdout);
    printf("\n%s%s%s\n", style.bold, text, style.off);
}

/* ---- the whole --------------------------------------------------------------------- */

static void print_checked(const cli_inspected *all)
{
    char text[128];
    const char *kind = value_of(all, "eden.sum_kind");
    switch (all->checked) {
    case CLI_WITHOUT: line("checksums", "none, so that damage of the data cannot be noticed"); return;
    case CLI_UNREAD: line("checksums", "the header's matches; the data was not read"); return;
    case CLI_MATCHES:
        snprintf(text, sizeof text, "all match (%.40s)", kind ? kind : "of the header alone");
        break;
    default: snprintf(text, sizeof text, "%zu of %zu tensors are DAMAGED", all->damaged, all->count);
    }
    line("checksums", text);
}

static void print_whole(const cli_inspected *all)
{
    char text[256], size[24];
    const char *format = value_of(all, "eden.format"), *version = value_of(all, "eden.version");
    const char *parts = value_of(all, "eden.parts"), *steps = value_of(all, "eden.steps");
    const cli_style style = cli_style_of(stdout);
    char clean[2 * WIDTH + 1];
    printf("%s%s%s\n", style.bold, cli_escape(all->path, WIDTH, clean), style.off);
    if (format) {
        snprintf(text, sizeof text, "checkpoint of Eden %.40s, format %.40s", version ? version : "?", format);
        line("format", text);
        line("holds", !parts                       ? "unknown parts"
                      : !strcmp(parts, "weights")  ? "weights"
                      : !strcmp(parts, "optim")    ? "an optimizer's state"
                                                   : "weights and an optimizer's state");
        if (steps) {
            const char *skipped = value_of(all, "eden.skipped");
            snprintf(text, sizeof text, "%.40s, and %.40s skipped", steps, skipped ? skipped : "?");
            line("steps", text);
        }
    } else {
        line("format", value_of(all, "eden.sum") ? "safetensors, written by Eden" : "safetensors");
    }
    snprintf(text, sizeof text, "%zu, %s", all->count, bytes_text(all->bytes, size));
    line("tensors", text);
    print_checked(all);
}

/* ---- metadata ------------------------------------------------------------------------ */

static const char *after(const char *key, const char *prefix)
{
    const size_t n = strlen(prefix);
    return strncmp(key, prefix, n) == 0 ? key + n : NULL;
}

/* "  label: text", cut to a line. */
static void pair(const char *label, const char *text)
{
    char left[2 * WIDTH + 1], right[2 * WIDTH + 1];
    const size_t used = 4 + columns_of(cli_escape(label, 30, left));
    cli_escape(text, WIDTH - used, right);
    printf("  %s:%s%s\n", left, *right ? " " : "", right);
}

static void print_groups(const cli_inspected *all)
{
    const char *key, *group;
    char text[700];
    int met = 0;
    for (size_t i = 0; (key = eden_file_key(all->file, i)); i++) {
        if (!(group = after(key, "eden.rule."))) continue;
        if (!met++) heading("Groups");
        snprintf(text, sizeof text, "eden.settings.%s", group);
        const char *settings = value_of(all, text), *rule = value_of(all, key);
        snprintf(text, sizeof text, "%.80s%s%.400s", rule, settings && *settings ? ", " : "",
                 settings ? settings : "");
        pair(group, text);
    }
}

/* Those whose key begins so, under a heading. */
static void print_pairs(const cli_inspected *all, const char *prefix, const char *title)
{
    const char *key, *name;
    int met = 0;
    for (size_t i = 0; (key = eden_file_key(all->file, i)); i++) {
        if (!(name = after(key, prefix))) continue;
        if (!met++) heading(title);
        pair(name, value_of(all, key));
    }
}

/* ---- tensors --------------------------------------------------------------------------- */

/* "F32 [6, 5]" */
enum { TYPE_ROOM = 16 + CLI_DIMS * 22 };

static const char *type_text(const eden_file_tensor *t, const uint64_t *shape, char text[TYPE_ROOM])
{
    size_t used = (size_t)snprintf(text, TYPE_ROOM, "%s [", t->dtype);
    for (uint32_t d = 0; d < t->ndim; d++)
        used += (size_t)snprintf(text + used, TYPE_ROOM - used, "%s%llu", d ? ", " : "",
                                 (unsigned long long)shape[d]);
    snprintf(text + used, TYPE_ROOM - used, "]");
    return text;
}

/* At most ten columns. */
static void number_text(double value, char text[24])
{
    if (snprintf(text, 24, "%.4g", value) > 10) snprintf(text, 24, "%.3g", value);
}

static void print_tensor(const cli_inspected *all, size_t i)
{
    const cli_inspected_tensor *t = &all->tensors[i];
    eden_file_tensor entry = EDEN_FILE_TENSOR_INIT;
    uint64_t shape[CLI_DIMS];
    eden_file_look(all->file, i, &entry, shape);
    char name[2 * WIDTH + 1], type[TYPE_ROOM], cut[2 * WIDTH + 1], size[24], least[24] = "", most[24] = "";
    const size_t columns = columns_of(cli_escape(entry.name, WIDTH - 2, name));
    cli_escape(type_text(&entry, shape, type), TYPE, cut);
    if (t->measured && t->numbers) {
        number_text(t->least, least);
        number_text(t->most, most);
    }
    /* A long name has a line of its own. */
    printf("  %s", name);
    if (columns > NAME) printf("\n%*s", NAME + 2, "");
    else printf("%*s", (int)(NAME - columns), "");
    printf(" %-*s %8s", TYPE, cut, bytes_text(entry.bytes, size));
    if (*least) printf(" %10s %10s", least, most);
    putchar('\n');
    if (t->checked == CLI_DAMAGED) printf("    DAMAGED: the data does not have its checksum\n");
    if (t->measured && t->nans + t->infinities)
        printf("    not finite: %llu NaN, %llu infinite\n", (unsigned long long)t->nans,
               (unsigned long long)t->infinities);
}

void cli_inspect_print(const cli_inspected *all)
{
    const cli_style style = cli_style_of(stdout);
    const int own = value_of(all, "eden.format") != NULL;
    print_whole(all);
    if (own) print_groups(all);
    if (own) print_pairs(all, "eden.schedule.", "Schedules");
    if (own) print_pairs(all, "eden.note.", "Notes");
    else print_pairs(all, "", "Metadata");
    if (all->count) heading("Tensors");
    if (all->count)
        printf("%s  %-*s %-*s %8s %10s %10s%s\n", style.dim, NAME, "name", TYPE, "type and shape", "size",
               "least", "most", style.off);
    for (size_t i = 0; i < all->count; i++) print_tensor(all, i);
}
