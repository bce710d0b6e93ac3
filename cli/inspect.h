/* inspect.h - what a safetensors file holds; for cli/inspect*.c. */
#ifndef CLI_INSPECT_H
#define CLI_INSPECT_H

#include <eden/safetensors.h>

/* What became of a checksum. */
typedef enum {
    CLI_UNREAD,   /* not compared, as was asked                               */
    CLI_WITHOUT,  /* there is none                                            */
    CLI_MATCHES,
    CLI_DAMAGED
} cli_checked;

/* What was found in one tensor's data; there may be millions. */
typedef struct {
    double least, most;         /* of the finite numbers, if there are any    */
    uint64_t nans, infinities;
    unsigned char checked;      /* a cli_checked                              */
    unsigned char measured;     /* 1: the rest is known                       */
    unsigned char numbers;      /* 1: some are finite                         */
} cli_inspected_tensor;

/* A file may have more dimensions than an optimizer takes. */
#define CLI_DIMS 64

typedef struct {
    const char *path;
    eden_file *file;
    cli_inspected_tensor *tensors;
    size_t count;
    uint64_t bytes;         /* of all tensors                                 */
    size_t damaged;
    cli_checked checked;    /* of all                                         */
} cli_inspected;

/* Of the library, and not of its interface: eden_file_at() for tensors of any number of
 * dimensions; `shape` has room for CLI_DIMS. */
void eden_file_look(const eden_file *file, size_t i, eden_file_tensor *tensor, uint64_t *shape);

/* ---- inspect_numbers.c ------------------------------------------------------------ */

/* Read tensor i, compare its checksum, and fill the rest from its data. */
eden_status cli_measure(eden_file *file, size_t i, const char *dtype, cli_inspected_tensor *tensor,
                        eden_error *error);

/* ---- inspect_text.c ----------------------------------------------------------------- */

void cli_inspect_print(const cli_inspected *all);

/* ---- inspect_json.c ----------------------------------------------------------------- */

void cli_inspect_print_json(const cli_inspected *all);

#endif
