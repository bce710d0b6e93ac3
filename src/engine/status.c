/* status.c - what each status says when nothing more is known. */
#include <eden/core.h>

const char *eden_status_text(eden_status status)
{
    static const char *const text[] = {
        [EDEN_OK] = "ok",
        [EDEN_E_ARGUMENT] = "an argument is missing or malformed",
        [EDEN_E_NAME] = "a name is unknown, malformed or taken",
        [EDEN_E_VALUE] = "a setting is outside its range or without effect",
        [EDEN_E_SHAPE] = "a shape does not fit",
        [EDEN_E_DTYPE] = "this cannot be stored in that dtype or device",
        [EDEN_E_MEMORY] = "out of memory",
        [EDEN_E_WORKSPACE] = "the workspace is missing, too small or misaligned",
        [EDEN_E_GRADIENT] = "a gradient is not finite",
        [EDEN_E_ORDER] = "this call does not fit the moment",
        [EDEN_E_OVERFLOW] = "a step count is at its end",
        [EDEN_E_IO] = "the system refused to open, read or write",
        [EDEN_E_FORMAT] = "a file is malformed or damaged",
        [EDEN_E_MISMATCH] = "a file belongs to something else",
    };
    const size_t i = (size_t)status;
    return i < sizeof text / sizeof *text && text[i] ? text[i] : "unknown status";
}
