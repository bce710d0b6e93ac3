/* world.c - waiting for other ranks, but not for ever. */
#include "world.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

eden_status eden_mpi_fail(eden_error *error, eden_status status, const char *format, ...)
{
    if (!error) return status;
    va_list arguments;
    va_start(arguments, format);
    error->status = (uint32_t)status;
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return status;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static eden_status lost(world *w, int code, const char *what, eden_error *error)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    w->failed = 1;
    MPI_Error_string(code, text, &length);
    return eden_mpi_fail(error, EDEN_E_IO, "rank %u lost the other ranks while it exchanged %s (%.200s); end all ranks "
                         "with MPI_Abort() and go on from a checkpoint", w->backend.rank, what, text);
}

/* Ask at once, then leave the core to whoever shares it, then sleep between questions. */
eden_status eden_mpi_wait(world *w, int code, MPI_Request *request, const char *what, eden_error *error)
{
    enum { AT_ONCE = 200, YIELDING = 500 };
    const struct timespec nap = { 0, 50000 };
    double begun = 0;
    int done = 0;
    if (code != MPI_SUCCESS) return lost(w, code, what, error);
    for (unsigned long n = 0; !done; n++) {
        code = MPI_Test(request, &done, MPI_STATUS_IGNORE);
        if (code != MPI_SUCCESS) return lost(w, code, what, error);
        if (done || n < AT_ONCE) continue;
        if (n < YIELDING) sched_yield();
        else nanosleep(&nap, NULL);
        if (n % 64 || !w->config.timeout) continue;
        if (begun == 0) begun = seconds();
        if (seconds() - begun <= w->config.timeout) continue;
        w->failed = 1;
        return eden_mpi_fail(error, EDEN_E_IO, "rank %u waited %u s for another rank's %s; end all ranks with "
                             "MPI_Abort() and go on from a checkpoint", w->backend.rank, w->config.timeout, what);
    }
    return EDEN_OK;
}

static eden_status not_failed(const world *w, eden_error *error)
{
    if (!w->failed) return EDEN_OK;
    return eden_mpi_fail(error, EDEN_E_IO, "the ranks have lost each other before; end all with MPI_Abort()");
}

eden_status eden_mpi_allreduce(world *w, void *values, int count, MPI_Datatype type, MPI_Op op, eden_error *error)
{
    MPI_Request request = MPI_REQUEST_NULL;
    const eden_status status = not_failed(w, error);
    if (status) return status;
    const int code = MPI_Iallreduce(MPI_IN_PLACE, values, count, type, op, w->control, &request);
    return eden_mpi_wait(w, code, &request, "word that it is ready", error);
}

eden_status eden_mpi_bcast(world *w, void *bytes, uint64_t count, uint32_t root, eden_error *error)
{
    eden_status status = not_failed(w, error);
    for (uint64_t at = 0; at < count && !status;) {
        const uint64_t n = count - at < w->most ? count - at : w->most;
        MPI_Request request = MPI_REQUEST_NULL;
        const int code = MPI_Ibcast((char *)bytes + at, (int)n, MPI_BYTE, (int)root, w->control, &request);
        status = eden_mpi_wait(w, code, &request, "data", error);
        at += n;
    }
    return status;
}

/* More than counts can say goes rank by rank. */
eden_status eden_mpi_exchange(eden_backend *backend, const void *mine, void *all, const uint64_t *bytes,
                              eden_error *error)
{
    world *w = world_of(backend);
    MPI_Request request = MPI_REQUEST_NULL;
    uint64_t total = 0, before = 0;
    eden_status status = not_failed(w, error);
    for (uint32_t r = 0; r < backend->ranks; r++) {
        before += r < backend->rank ? bytes[r] : 0;
        total += bytes[r];
    }
    if (status) return status;
    if (total <= w->most) {
        int at = 0;
        for (uint32_t r = 0; r < backend->ranks; at += w->counts[r++]) {
            w->counts[r] = (int)bytes[r];
            w->begins[r] = at;
        }
        const int code = MPI_Iallgatherv(mine, (int)bytes[backend->rank], MPI_BYTE, all, w->counts, w->begins,
                                         MPI_BYTE, w->control, &request);
        return eden_mpi_wait(w, code, &request, "sums", error);
    }
    memcpy((char *)all + before, mine, (size_t)bytes[backend->rank]);
    before = 0;
    for (uint32_t r = 0; r < backend->ranks && !status; before += bytes[r++])
        status = eden_mpi_bcast(w, (char *)all + before, bytes[r], r, error);
    return status;
}

eden_status eden_mpi_show(world *w, const void *card, eden_error *error)
{
    for (uint32_t r = 0; r < w->backend.ranks; r++) w->bytes[r] = CARD;
    return eden_mpi_exchange(&w->backend, card, w->cards, w->bytes, error);
}
