/* folder.h - a folder that all ranks share while a program of tests runs. */
#ifndef EDEN_TESTS_MPI_FOLDER_H
#define EDEN_TESTS_MPI_FOLDER_H

#include <unistd.h>

#include "tests/mpi/check.h"

enum { PLACE_ROOM = 256 };

static inline void make_place(char *place)
{
    if (my_rank() == 0) {
        snprintf(place, PLACE_ROOM, "%s/eden-mpi-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
        CHECK(mkdtemp(place), "no temporary folder");
    }
    MPI_Bcast(place, PLACE_ROOM, MPI_CHAR, 0, MPI_COMM_WORLD);
}

static inline void remove_place(const char *place)
{
    char command[PLACE_ROOM + 16];
    all_here();
    if (my_rank() != 0) return;
    snprintf(command, sizeof command, "rm -r '%s'", place);
    CHECK(system(command) == 0, "%s", command);
}

#endif
