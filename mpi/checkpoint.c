/* checkpoint.c - every rank writes and reads its own shard. */
#include "world.h"

#include <eden/safetensors.h>

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- generations, by rank 0 alone ------------------------------------------------------------ */

#define GENERATION "generation-"

/* The number of a generation's folder; 0 if the name is not one's. */
static uint64_t number_of(const char *name)
{
    char *end;
    if (strncmp(name, GENERATION, strlen(GENERATION)) != 0) return 0;
    const char *digits = name + strlen(GENERATION);
    if (*digits < '1' || *digits > '9') return 0;
    const unsigned long long n = strtoull(digits, &end, 10);
    return *end || n > UINT64_MAX / 2 ? 0 : n;
}

static eden_status refused(const char *folder, const char *what, int code, eden_error *error)
{
    return eden_mpi_fail(error, EDEN_E_IO, "'%.200s': %s: %.100s", folder, what, strerror(code));
}

static eden_status make_folder(const char *path, eden_error *error)
{
    return mkdir(path, 0777) == 0 || errno == EEXIST ? EDEN_OK : refused(path, "cannot make the folder", errno, error);
}

/* A number above that of any generation, whole or not, and its folder. */
static eden_status begin_generation(const char *folder, uint64_t *generation, eden_error *error)
{
    char path[4096];
    const struct dirent *entry;
    eden_status status = make_folder(folder, error);
    DIR *d = status ? NULL : opendir(folder);
    if (status) return status;
    if (!d) return refused(folder, "cannot list the folder", errno, error);
    *generation = 1;
    while ((entry = readdir(d)))
        if (number_of(entry->d_name) >= *generation) *generation = number_of(entry->d_name) + 1;
    closedir(d);
    if ((size_t)snprintf(path, sizeof path, "%s/" GENERATION "%" PRIu64, folder, *generation) >= sizeof path)
        return eden_mpi_fail(error, EDEN_E_NAME, "the folder's name is too long");
    return make_folder(path, error);
}

static void remove_generation(const char *folder, const char *name)
{
    char path[4096], file[8192];
    const struct dirent *entry;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path) return;
    DIR *d = opendir(path);
    while (d && (entry = readdir(d))) {
        if (strncmp(entry->d_name, "rank-", 5) != 0 && strncmp(entry->d_name, ".rank-", 6) != 0) continue;
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        unlink(file);
    }
    if (d) closedir(d);
    rmdir(path); /* stays if something else is in it */
}

/* The generation that a manifest names, or 0. */
static uint64_t named_by(const char *folder, const char *manifest)
{
    char path[4096];
    eden_file *file = NULL;
    uint64_t n = 0;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, manifest) >= sizeof path ||
        eden_file_open(&file, path, NULL))
        return 0;
    const char *text = eden_file_value(file, "eden.sharded.generation");
    if (text) n = strtoull(text, NULL, 10);
    eden_file_close(file);
    return n;
}

/* What neither the manifest nor the one before it names is of no more use. Nothing here
 * can fail the save, which is complete. */
static void remove_old(const char *folder, uint64_t now)
{
    const uint64_t before = named_by(folder, "manifest.safetensors.old");
    const struct dirent *entry;
    DIR *d = opendir(folder);
    while (d && (entry = readdir(d))) {
        const uint64_t n = number_of(entry->d_name);
        if (n && n != now && n != before) remove_generation(folder, entry->d_name);
    }
    if (d) closedir(d);
}

/* ---- saving and loading --------------------------------------------------------------------------- */

static eden_status is_ours(const eden_optimizer *o, const char *call, eden_error *error)
{
    if (eden_backend_of(o)) return EDEN_OK;
    return eden_mpi_fail(error, EDEN_E_ARGUMENT, "%s: the optimizer was not made by eden_mpi_optimizer_create()", call);
}

static eden_status write_shards(world *w, const char *folder, uint64_t generation, eden_error *error)
{
    eden_optimizer *o = w->optimizer;
    char own[EDEN_SHARD_SUM] = "";
    const char(*sums)[EDEN_SHARD_SUM] = (const char(*)[EDEN_SHARD_SUM])(void *)w->cards;
    eden_status status = eden_mpi_all(w, eden_save_shard(o, folder, generation, own, error), error);
    for (uint32_t r = 0; r < w->backend.ranks; r++) w->bytes[r] = EDEN_SHARD_SUM;
    if (!status) status = eden_mpi_exchange(&w->backend, own, w->cards, w->bytes, error);
    if (status) return status;
    if (w->backend.rank == 0) status = eden_save_manifest(o, folder, generation, sums, error);
    return eden_mpi_all(w, status, error);
}

eden_status eden_mpi_save(eden_optimizer *o, const char *folder, eden_error *error)
{
    eden_error own = { 0, "" };
    uint64_t generation = 0;
    eden_status status = is_ours(o, "eden_mpi_save", error);
    if (status) return status;
    world *w = world_of(eden_backend_of(o));
    w->call = IN_SAVE;
    status = eden_save_ready(o, folder, &own);
    if (!status && w->backend.rank == 0) status = begin_generation(folder, &generation, &own);
    status = eden_mpi_agree(&w->backend, o, status, &own);
    if (!status) status = eden_mpi_bcast(w, &generation, sizeof generation, 0, &own);
    if (!status) status = write_shards(w, folder, generation, &own);
    if (!status && w->backend.rank == 0) remove_old(folder, generation);
    if (status && error) *error = own;
    return status;
}

/* What eden_load() refuses before it asks the others, they are told here. */
static eden_status load(world *w, const char *path, eden_error *error)
{
    w->loading = 1;
    w->voted = 0;
    eden_status status = eden_load(w->optimizer, path, 0, error);
    if (!w->voted) status = eden_mpi_vote(&w->backend, status, error);
    w->loading = 0;
    return status;
}

eden_status eden_mpi_load(eden_optimizer *o, const char *path, eden_error *error)
{
    eden_error own = { 0, "" };
    eden_status status = is_ours(o, "eden_mpi_load", error);
    if (status) return status;
    world *w = world_of(eden_backend_of(o));
    w->call = IN_LOAD;
    status = eden_mpi_same_checkpoint(w, path, &own);
    if (!status) status = load(w, path, &own);
    if (!status) {
        w->met = 0; /* what was loaded is compared before the next step */
        w->sums = 0;
        status = eden_mpi_make_buckets(w, &own);
    }
    if (!status) status = eden_mpi_gather_weights(&w->backend, o, &own);
    if (status && error) *error = own;
    return status;
}
