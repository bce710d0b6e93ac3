/* check.h - for programs of many ranks: the first thing that is wrong ends them all. */
#ifndef EDEN_TESTS_MPI_CHECK_H
#define EDEN_TESTS_MPI_CHECK_H

#include <eden_mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* MPI_Barrier() in the world, for more ranks than cores: who waits leaves its core. */
static inline void all_here(void)
{
    const struct timespec nap = { 0, 100000 };
    MPI_Request request;
    int done = 0;
    for (MPI_Ibarrier(MPI_COMM_WORLD, &request); !done; nanosleep(&nap, NULL))
        MPI_Test(&request, &done, MPI_STATUS_IGNORE);
}

static inline int my_rank(void)
{
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    return rank;
}

static inline int all_ranks(void)
{
    int ranks;
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    return ranks;
}

#define FAIL(...)                                                        \
    do {                                                                 \
        fprintf(stderr, "%s:%d: rank %d: ", __FILE__, __LINE__, my_rank()); \
        fprintf(stderr, __VA_ARGS__);                                    \
        fprintf(stderr, "\n");                                           \
        MPI_Abort(MPI_COMM_WORLD, 1);                                    \
    } while (0)

#define CHECK(condition, ...) do { if (!(condition)) FAIL(__VA_ARGS__); } while (0)

/* A call that must succeed; it writes `error`. */
#define OK(call)                                              \
    do {                                                      \
        eden_error e_ = { 0, "" };                            \
        if ((call) != EDEN_OK) FAIL("%s: %s", #call, e_.text); \
    } while (0)
#define error (&e_)

/* A call that every rank must see fail alike, with a sentence that holds `part`. */
#define REFUSED(call, wanted, part)                                                                       \
    do {                                                                                                  \
        eden_error e_ = { 0, "" };                                                                        \
        const eden_status s_ = (call);                                                                    \
        CHECK(s_ == (wanted) && strstr(e_.text, part), "%s: status %d, \"%s\"", #call, (int)s_, e_.text); \
    } while (0)

/* Numbers of which sums of a few are exact in any order, and which bf16 holds: multiples
 * of 1/16 below 8. */
static inline float coarse(uint64_t seed)
{
    seed = (seed ^ seed >> 31) * 0x9e3779b97f4a7c15u;
    seed = (seed ^ seed >> 29) * 0xbf58476d1ce4e5b9u;
    return (float)((int)(seed >> 40 & 127) - 63) / 16;
}

#endif
