/* inspect.h - what a safetensors file holds; for cli/inspect*.c. */
#ifndef CLI_INSPECT_H
#define CLI_INSPECT_H

#include <eden/safetensors.h>
#include <jansson.h>

/* What became of a checksum. */
typedef enum {
    CLI_UNREAD,   /* not compared, as was asked                               */
    CLI_WITHOUT,  /* there is none                                            */
    CLI_MATCHES,
    CLI_DAMAGED
} cli_checked;

typedef struct {
    eden_file_tensor entry; /* its strings live with the file                 */
    cli_checked checked;
    int measured;           /* 1: the rest is known                           */
    uint64_t numbers;       /* finite ones, from least to most                */
    uint64_t nans, infinities;
    double least, most;
} cli_inspected_tensor;

typedef struct {
    const char *path;
    eden_file *file;
    cli_inspected_tensor *tensors;
    size_t count;
    uint64_t bytes;         /* of all tensors                                 */
    size_t damaged;
    cli_checked checked;    /* of all                                         */
} cli_inspected;

/* ---- inspect_numbers.c ------------------------------------------------------------ */

/* Read a tensor, compare its checksum, and fill the rest from its data. */
eden_status cli_measure(eden_file *file, size_t i, cli_inspected_tensor *tensor, eden_error *error);

/* ---- inspect_text.c ----------------------------------------------------------------- */

void cli_inspect_print(const cli_inspected *all);

#endif
