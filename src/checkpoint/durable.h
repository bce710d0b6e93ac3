/* durable.h - a file that appears under its name whole or not at all, and stays after
 * a power failure.
 *
 * A file beside it is written, forced to the disk, and given its name. What a killed
 * process left beside it, the next one removes. */
#ifndef EDEN_DURABLE_H
#define EDEN_DURABLE_H

#include <eden/eden.h>

typedef struct {
    const char *path;   /* as the caller wrote it                              */
    char *base;         /* its name in the folder, symbolic links followed     */
    char *older;        /* and that with ".old"                                */
    uint32_t keeps;     /* 1: what has the name becomes `older`                */
    int mode;           /* permissions of what has the name, -1 if nothing has */
    int folder, fd;     /* -1 when closed                                      */
    int lock;           /* the same file as fd, open until it has its name     */
    char temp[48];      /* the file that is being written, "" if there is none */
    char second[56];    /* the older file's name until it becomes `older`      */
} eden_durable;

/* eden_durable_end() is due after this whether it succeeds or not. With `older` the file
 * that has the name so far will keep the name with ".old". */
eden_status eden_durable_begin(eden_durable *durable, const char *path, uint32_t older, eden_error *error);
eden_status eden_durable_write(eden_durable *durable, const void *data, size_t bytes,
                               eden_error *error);

eden_status eden_durable_commit(eden_durable *durable, eden_error *error);

/* Close everything, and remove what was not committed. */
void eden_durable_end(eden_durable *durable);

/* EDEN_E_IO with the reason for which the system refused: "'PATH': WHAT: reason". */
eden_status eden_io_fail(eden_error *error, const char *path, const char *what, int code);

#endif
