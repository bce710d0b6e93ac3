/* output.h - what the command says, to people and to the shell.
 *
 * Every failure is one line on stderr and one exit code of sysexits.h; functions
 * that can fail return that code, 0 for success, and have already said why. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <eden/eden.h>
#include <stdio.h>

enum {
    CLI_OK = 0,
    CLI_USAGE = 64,       /* the command line makes no sense                    */
    CLI_DATA = 65,        /* a file's contents do, or training diverged         */
    CLI_NO_INPUT = 66,    /* an input file does not exist                       */
    CLI_UNAVAILABLE = 69, /* gnuplot is not installed                           */
    CLI_INTERNAL = 70,    /* a defect of this program                           */
    CLI_SYSTEM = 71,      /* no memory, no process                              */
    CLI_CANT_CREATE = 73, /* an output file cannot be made                      */
    CLI_IO = 74,          /* reading or writing broke off                       */
    CLI_BUSY = 75,        /* another run writes there; later it may work        */
    CLI_PERMISSION = 77
};

/* "eden: ..." as one clean line on stderr: control characters, marks that turn the direction
 * of writing, and broken UTF-8 become '?', and long text is cut. Returns `code`. */
int cli_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for what does not end the command. */
void cli_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* From now on neither says anything, and stdout leads nowhere; and what was to be said last,
 * or "". */
void cli_hold_tongue(void);
const char *cli_said(void);

/* Where to speak to people beside what is asked for: stderr, unless nothing is to be said. */
FILE *cli_people(void);

/* Text of several lines that may hold anything: control characters but line feeds and
 * tabs, and broken UTF-8, become '?'. A zero byte stands behind it. */
void cli_clean_text(char *text, size_t length);

/* Say that memory ran out, once, whoever finds it. The command then ends with the code
 * for that, though part of it may have gone on. */
int cli_no_memory(void);
int cli_lacked_memory(void);

/* `code`, or the one for a lack of memory if that is the system's error. */
int cli_code(int system_error, int code);

/* Close a stream of open_memstream(). Returns its text, which is the caller's, or NULL
 * after saying that there was no memory for all of it. */
char *cli_close_text(FILE *stream, char **text);

/* Report a failure of the library; reading and writing differ in their code. */
typedef enum { CLI_READING, CLI_WRITING, CLI_RUNNING } cli_doing;
int cli_fail_eden(const eden_error *error, cli_doing doing);

/* Can this input be opened? A directory is refused unless `directory` is 1. */
int cli_can_read(const char *path, int directory);

/* Can this output be made or overwritten? Nothing is left behind. */
int cli_can_create(const char *path);
int cli_fail_create(const char *path, int system_error);

/* The same for a file that is written beside its place and then renamed: it is a
 * regular file, if any, and its folder can be written. */
int cli_can_replace(const char *path);

/* Keep descriptors 0 to 2 taken, so that no file is opened under their numbers;
 * what is then written to a closed stdout fails and is noticed at the end. */
void cli_open_standard(void);

/* Flush stdout; CLI_IO if anything written to it was lost. That the reader of a pipe
 * has gone, as head does, is no failure to tell of: then *gone is 1. */
int cli_close_output(int *gone);

/* Escapes for bold, dim and back, each "" unless `stream` is a terminal that may
 * have colours (NO_COLOR unset or empty, TERM not "dumb"). */
typedef struct { const char *bold, *dim, *off; } cli_style;
cli_style cli_style_of(FILE *stream);

/* Write text with lines broken at `width` columns, every line after the first
 * indented by `indent`. */
void cli_wrap(FILE *out, int indent, int column, int width, const char *text);

/* The shortest text that reads back as the same double. Returns `text`. */
#define CLI_NUMBER_ROOM 40
const char *cli_print_number(double value, char text[CLI_NUMBER_ROOM]);

/* Seconds as "0:07", "12:34" or "1:02:03". Returns `text`. */
const char *cli_print_time(double seconds, char text[CLI_NUMBER_ROOM]);

double cli_now(void); /* seconds of a clock that never jumps */

#endif
