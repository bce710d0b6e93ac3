#include "cli/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/clean.h"
#include "cli/output.h"

/* ---- memory --------------------------------------------------------------------------- */

/* Without memory jansson leaves things out or, within a document that it reads, aborts. So
 * it gets what it asks for from here, and the document is refused. */
static _Alignas(16) unsigned char reserve[1 << 16];
static size_t reserve_used;

static void *take(size_t size)
{
    void *block = malloc(size);
    if (block || !size) return block;
    cli_no_memory();
    if (size > sizeof reserve - reserve_used) return NULL;
    block = reserve + reserve_used;
    reserve_used += (size + 15) / 16 * 16;
    return block;
}

static void give_back(void *block)
{
    const unsigned char *at = block;
    if (at < reserve || at >= reserve + sizeof reserve) free(block);
}

void cli_json_begin(void) { json_set_alloc_funcs(take, give_back); }

/* ---- values --------------------------------------------------------------------------- */

json_t *cli_json_exact(double value) { return isfinite(value) ? json_real(value) : json_null(); }

json_t *cli_json_number(double value)
{
    char text[CLI_NUMBER_ROOM];
    if (!isfinite(value)) return json_null();
    if (value == floor(value) && fabs(value) < 9e15) return json_integer((json_int_t)value);
    snprintf(text, sizeof text, "%.9g", value);
    return json_real(strtod(text, NULL));
}

json_t *cli_json_text(const char *text)
{
    json_t *json = json_string(text);
    if (json) return json;
    char *clean = malloc(strlen(text) + 1);
    if (!clean) return NULL;
    size_t n = 0;
    for (; text[n]; n++) clean[n] = text[n] >= 0x20 && text[n] < 0x7f ? text[n] : '?';
    clean[n] = '\0';
    json = json_string(clean);
    free(clean);
    return json;
}

void cli_json_put_text(FILE *out, const char *text)
{
    fputc('"', out);
    while (*text) {
        unsigned long code;
        const size_t length = cli_decode(text, &code);
        if (!length) code = '?';
        if (code == '"' || code == '\\')
            fprintf(out, "\\%c", (int)code);
        else if (code >= 0x20 && code < 0x7f)
            fputc((int)code, out);
        else if (code < 0x10000)
            fprintf(out, "\\u%04lX", code);
        else
            fprintf(out, "\\u%04lX\\u%04lX", 0xd7c0 + (code >> 10), 0xdc00 | (code & 0x3ff));
        text += length ? length : 1;
    }
    fputc('"', out);
}

void cli_json_put_exact(FILE *out, double value)
{
    char text[CLI_NUMBER_ROOM];
    if (!isfinite(value)) {
        fputs("null", out);
        return;
    }
    cli_print_number(value, text);
    fprintf(out, "%s%s", text, text[strcspn(text, ".e")] ? "" : ".0");
}

/* How many digits the numbers in a tree need: 15, or 17 if 15 would lose bits. */
static size_t digits(const json_t *json)
{
    char text[CLI_NUMBER_ROOM];
    const char *key;
    json_t *item;
    size_t i, most = 15;
    if (json_is_real(json)) {
        snprintf(text, sizeof text, "%.15g", json_real_value(json));
        return strtod(text, NULL) == json_real_value(json) ? 15 : 17;
    }
    json_array_foreach(json, i, item)
        if (most < 17) most = digits(item);
    json_object_foreach((json_t *)json, key, item)
        if (most < 17) most = digits(item);
    return most;
}

int cli_json_print(json_t *json, FILE *out, int indent)
{
    if (!json || cli_lacked_memory()) {
        json_decref(json);
        return cli_no_memory();
    }
    const size_t flags = JSON_REAL_PRECISION(digits(json)) | JSON_ENSURE_ASCII
                       | (indent ? JSON_INDENT((size_t)indent) : JSON_COMPACT);
    char *text = json_dumps(json, flags);
    json_decref(json);
    if (!text || cli_lacked_memory()) {
        give_back(text);
        return cli_no_memory();
    }
    const int lost = fputs(text, out) < 0 || fputc('\n', out) < 0;
    give_back(text);
    return lost && out != stdout ? CLI_IO : CLI_OK;
}
