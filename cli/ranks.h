/* ranks.h - the command as mpirun starts it: several processes, its ranks, for one run.
 *
 * `eden` itself does not link MPI. Where mpirun started it, it becomes `eden-mpi`, the same
 * program with libeden-mpi, which stands beside it if there was an MPI to build it with. Rank 0
 * alone writes and speaks; of the others' failures it tells the first. */
#ifndef CLI_RANKS_H
#define CLI_RANKS_H

#include "cli/args.h"
#include "lab/train.h"

/* How many processes mpirun started this one among, and its number; 1 and 0 without. */
uint32_t cli_ranks_started(uint32_t *rank);

/* First of all: a rank but the first keeps its sentences to itself. */
void cli_ranks_begin(void);

/* Meet the others, if there are any; then they have been started with the same words. A command
 * for one process is refused. `words` as main() has them. Returns the exit code. */
int cli_ranks_join(int count, char **words);

/* The others, or NULL; and is this the process that writes? */
const lab_ranks *cli_ranks(void);
int cli_ranks_lead(void);

/* The exit code that all go on with: the first that is not 0, whose sentence is told. */
int cli_ranks_agree(int code);

/* After a step: a signal that came to one has come to all. */
void cli_ranks_meet(void);

/* The config's ranks and threads. */
void cli_ranks_config(lab_config *config);

/* All have come to their end with this code. Returns the code of all. */
int cli_ranks_end(int code);

/* ---- what a build with MPI has, and one without has not; ranks_mpi.c, ranks_alone.c ------ */

/* Meet the `started` ranks. Where that cannot be it is refused if it is `needed`, and else the
 * table is left as it is. */
int cli_ranks_open(lab_ranks *ranks, uint32_t started, char **words, int needed);

/* How long to wait for the others: the usual time, in seconds, and from now on. */
enum { CLI_TIMEOUT = 300 };
void cli_ranks_timeout(uint32_t seconds);

/* Processors for each rank of this machine. */
uint32_t cli_ranks_threads(void);

/* Part in peace; or, if the others do not come, end them. */
int cli_ranks_close(int code);

#endif
