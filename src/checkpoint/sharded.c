/* sharded.c - one rank's part of a checkpoint, and the manifest that commits all; see file.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/checkpoint.h"
#include "checkpoint/file.h"
#include "optimizer/shard.h"

/* ---- the entries of the whole ------------------------------------------------------------- */

/* Of each: its name, dtype and shape in the whole, and what this rank has of it. */
typedef eden_status (*see_entry)(void *context, const char *name, const char *dtype, uint32_t ndim,
                                 const uint64_t *shape, const void *here, uint64_t count, eden_error *error);

static eden_status see_array(const eden_optimizer *o, const eden_entry *entry, size_t k, see_entry see, void *context,
                             eden_error *error)
{
    const eden_group *group = &o->groups[entry->group];
    const eden_tensor *t = &entry->tensor;
    const eden_array *array = &entry->array[k];
    eden_entry all = *entry;
    all.first = 0, all.last = entry->extent.count;
    const eden_array whole = eden_array_wanted(group->rule, group->struc, &all, k);
    const uint64_t scales = eden_array_scales(&whole);
    char name[EDEN_KEY_ROOM];
    if (!whole.count) return EDEN_OK; /* the rule need not have a slot k */
    const int full = eden_array_is_full(group->rule, k), mine = full || o->backend->rank == 0;
    eden_array_key(name, entry->name, group->rule, k, 0);
    eden_status status = see(context, name, eden_array_dtype(t, k, &whole), full ? t->ndim : 1,
                             full ? t->shape : &whole.count, array->data, mine ? array->count : 0, error);
    if (status || !scales) return status;
    eden_array_key(name, entry->name, group->rule, k, 1);
    return see(context, name, "F32", 1, &scales, eden_array_scale(array), array->data ? eden_array_scales(array) : 0,
               error);
}

static eden_status see_entries(const eden_optimizer *o, see_entry see, void *context, eden_error *error)
{
    eden_status status = EDEN_OK;
    for (size_t i = 0; i < o->tensor_count && !status; i++) {
        const eden_entry *entry = &o->tensors[i];
        const eden_tensor *t = &entry->tensor;
        const int frozen = (t->flags & EDEN_FROZEN) != 0;
        const uint64_t first = frozen ? 0 : entry->first;
        const uint64_t count = frozen ? (o->backend->rank == 0 ? entry->extent.count : 0) : entry->last - entry->first;
        const char *data = t->data;
        if (data) data += eden_codec_bytes(eden_codec_of(t->dtype, 0), first);
        status = see(context, entry->name, eden_weights_dtype(t), t->ndim, t->shape, data, count, error);
        for (size_t k = 0; k < EDEN_ARRAYS && !status; k++) status = see_array(o, entry, k, see, context, error);
    }
    return status;
}

/* ---- writing ---------------------------------------------------------------------------------- */

static eden_status put_part(void *context, const char *name, const char *dtype, uint32_t ndim, const uint64_t *shape,
                            const void *here, uint64_t count, eden_error *error)
{
    (void)ndim;
    (void)shape;
    return count ? eden_writer_tensor(context, name, dtype, 1, &count, here, error) : EDEN_OK;
}

static eden_status put_line(void *context, const char *name, const char *dtype, uint32_t ndim, const uint64_t *shape,
                            const void *here, uint64_t count, eden_error *error)
{
    char text[256], key[EDEN_KEY_ROOM];
    size_t used = (size_t)snprintf(text, sizeof text, "%s", dtype);
    (void)here;
    (void)count;
    for (uint32_t d = 0; d < ndim; d++)
        used += (size_t)snprintf(text + used, sizeof text - used, " %llu", (unsigned long long)shape[d]);
    return eden_writer_text(context, eden_join(key, EDEN_SHARDED_ENTRY, name, "", ""), text, error);
}

/* The checksum by which the manifest knows a rank's file. */
static eden_status sum_of(const char *path, char sum[EDEN_SHARD_SUM], eden_error *error)
{
    eden_file *file = NULL;
    const eden_status status = eden_file_open(&file, path, error);
    if (!status) snprintf(sum, EDEN_SHARD_SUM, "%s", eden_file_value(file, EDEN_SUM_KEY));
    eden_file_close(file);
    return status;
}

eden_status eden_save_ready(eden_optimizer *o, const char *path, eden_error *error)
{
    if (!path) return eden_fail(error, EDEN_E_ARGUMENT, "a path is NULL");
    eden_status status = eden_not_broken(o, error);
    if (!status) status = eden_not_ahead(o, "saving", error);
    if (!status && o->pending)
        status = eden_fail(error, EDEN_E_ORDER, "%u of %u micro-batches are pending; save after the step that they make",
                           o->pending, o->config.accumulate);
    return status ? status : eden_refresh(o, error);
}

eden_status eden_save_shard(eden_optimizer *o, const char *folder, uint64_t generation, char sum[EDEN_SHARD_SUM],
                            eden_error *error)
{
    eden_writer *w = NULL;
    const size_t room = strlen(folder) + 128;
    char *path = malloc(room);
    if (!path) return eden_fail(error, EDEN_E_MEMORY, "no memory to save to '%.200s'", folder);
    snprintf(path, room, "%s/generation-%llu/rank-%u-of-%u.safetensors", folder, (unsigned long long)generation,
             o->backend->rank, o->backend->ranks);
    eden_status status = eden_writer_create(&w, error);
    if (!status) status = see_entries(o, put_part, w, error);
    if (!status) status = eden_writer_write(w, path, error);
    if (!status) status = sum_of(path, sum, error);
    eden_writer_destroy(w);
    free(path);
    return status;
}

static eden_status put_meta(const eden_optimizer *o, eden_writer *w, eden_error *error)
{
    eden_float_env saved;
    eden_float_enter(&saved);
    const eden_status status = eden_write_meta(o, w, EDEN_BOTH, error);
    eden_float_leave(&saved);
    return status;
}

eden_status eden_save_manifest(eden_optimizer *o, const char *folder, uint64_t generation,
                               const char (*sums)[EDEN_SHARD_SUM], eden_error *error)
{
    eden_writer *w = NULL;
    char key[64], number[EDEN_NUMBER_ROOM];
    const size_t room = strlen(folder) + sizeof EDEN_MANIFEST + 1;
    char *path = malloc(room);
    if (!path) return eden_fail(error, EDEN_E_MEMORY, "no memory to save to '%.200s'", folder);
    snprintf(path, room, "%s/" EDEN_MANIFEST, folder);
    eden_status status = eden_writer_create(&w, error);
    if (!status) status = eden_writer_keep(w, 1, error);
    if (!status) status = put_meta(o, w, error);
    if (!status) status = see_entries(o, put_line, w, error);
    if (!status) status = eden_writer_text(w, EDEN_SHARDED "generation", eden_print_count(generation, number), error);
    if (!status) status = eden_writer_text(w, EDEN_SHARDED "ranks", eden_print_count(o->backend->ranks, number), error);
    for (uint32_t r = 0; r < o->backend->ranks && !status; r++) {
        snprintf(key, sizeof key, EDEN_SHARDED "sum.%u", r);
        status = eden_writer_text(w, key, sums[r], error);
    }
    if (!status) status = eden_writer_write(w, path, error);
    eden_writer_destroy(w);
    free(path);
    return status;
}
