#include "lab/options.h"

#include <string.h>

#include "lab/problem.h"

/* "name=12" up to a comma or the end; how long it is, or 0. */
static size_t read_one(const char *text, const lab_option *option)
{
    const size_t name = strlen(option->name);
    uint64_t value = 0;
    if (strncmp(text, option->name, name) != 0 || text[name] != '=') return 0;
    const char *at = text + name + 1;
    const size_t digits = strspn(at, "0123456789");
    if (!digits || digits > 18 || (at[digits] && at[digits] != ',')) return 0;
    for (size_t i = 0; i < digits; i++) value = 10 * value + (uint64_t)(at[i] - '0');
    *option->value = value;
    return name + 1 + digits;
}

eden_status lab_options_read(const char *text, const lab_option *options, eden_error *error)
{
    while (text && *text) {
        size_t length = 0;
        for (const lab_option *o = options; o->name && !length; o++) length = read_one(text, o);
        if (!length)
            return lab_fail(error, EDEN_E_VALUE, "the option '%.*s' makes no sense here",
                            (int)(strcspn(text, ",") < 60 ? strcspn(text, ",") : 60), text);
        text += length;
        text += *text == ',';
    }
    return EDEN_OK;
}
