/* interrupt.h - signals that ask a long command to stop, or to save. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

/* From now on the first SIGINT, SIGTERM, SIGHUP or SIGXCPU is only remembered, and
 * a second one ends the program at once. The system repeats SIGXCPU every second,
 * so that one does not count as a second. A signal that the caller has ignored, as
 * nohup does, stays ignored. */
void cli_interrupt_catch(void);

/* From now on SIGUSR1 is only remembered, and a signal of the others ends the program
 * at once until cli_interrupt_catch(). */
void cli_interrupt_prepare(void);

/* From now on a signal of those removes the files of cli_interrupt_remove() and then ends the
 * program as it would have without this. */
void cli_interrupt_end(void);

/* The signal that came, or 0. The exit code is 128 and it. */
int cli_interrupt(void);

/* 1 if SIGUSR1 has come since the last call. */
int cli_interrupt_save(void);

/* Of several processes: the signal that came to this one, and whether SIGUSR1 did; and what
 * came to any, which alone the two above tell from then on. Between them there is always
 * what all have agreed on, so that all end at the same step. A signal may then come twice for
 * one key that is pressed: one within half a second is no second one. */
void cli_interrupt_own(int mine[2]);
void cli_interrupt_agree(int number, int save);

/* A program that a signal ends at once removes this file, until it is told to keep it.
 * `path` must live as long; there may be six. */
void cli_interrupt_remove(const char *path);
void cli_interrupt_keep(const char *path);

const char *cli_interrupt_name(int number); /* "SIGINT" */

#endif
