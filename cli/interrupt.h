/* interrupt.h - signals that ask a long command to stop. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

/* From now on the first SIGINT, SIGTERM or SIGHUP is only remembered, and a second
 * one ends the program at once. A signal that the caller has ignored, as nohup
 * does, stays ignored. */
void cli_interrupt_catch(void);

/* The signal that came, or 0. The exit code is 128 and it. */
int cli_interrupt(void);

const char *cli_interrupt_name(int number); /* "SIGINT" */

#endif
