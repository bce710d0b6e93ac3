/* machine.h - what times were measured on, without its name. */
#ifndef CLI_MACHINE_H
#define CLI_MACHINE_H

/* "Some CPU @ 2.40GHz, 2 cores". Returns `text`. */
#define CLI_MACHINE_ROOM 160
const char *cli_machine_text(char text[CLI_MACHINE_ROOM]);

#endif
