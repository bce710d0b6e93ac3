/* checkpoint.h - what a checkpoint's metadata says; for save.c, meta.c and load*.c.
 *
 *     eden.format, eden.version     of the file, of the library that wrote it
 *     eden.parts                    "weights", "optim" or "weights,optim"
 *
 * and if there is "optim":
 *
 *     eden.steps, eden.skipped, eden.grad_norm
 *     eden.accumulate, ...          the config that decides results
 *     eden.loss_scale_now, eden.loss_scale_good
 *                                   the scale and its good steps, if it is on
 *     eden.rule.GROUP               a rule's or a preset's name
 *     eden.own_rule.GROUP           "1"; absent if inherited
 *     eden.settings.GROUP           "lr=0.1, decay=coupled", what was set explicitly
 *     eden.schedule.SETTING.GROUP   text
 *     eden.custom.SETTING.GROUP     "1" where the schedule is a function
 *     eden.plateau.SETTING.GROUP    what a schedule remembers
 *     eden.steps.NAME, eden.group.NAME, eden.split.NAME
 *     eden.averaged.NAME            steps in its average, if there are averages
 *     eden.storage.NAME             "bf16,q8,kahan": weights, state, rounding; absent
 *                                   if "f32,f32,nearest"
 *     eden.seed                     if any tensor's rounding is stochastic
 *     eden.note.KEY
 *
 * Names may hold any character, so each stands at the end of its key; a setting
 * has no dot in its name.
 */
#ifndef EDEN_CHECKPOINT_INSIDE_H
#define EDEN_CHECKPOINT_INSIDE_H

#include <eden/safetensors.h>

#include "engine/driver.h"
#include "optimizer/optimizer.h"
#include "optimizer/text.h"

#define EDEN_CHECKPOINT_FORMAT "1"
#define EDEN_BOTH ((uint32_t)(EDEN_WEIGHTS | EDEN_OPTIM))
#define EDEN_PLAIN_STORAGE "f32,f32,nearest"
#define EDEN_KEY_ROOM 640 /* a prefix, a setting, a name, and zero */

/* ---- meta.c ------------------------------------------------------------------- */

/* Join texts in `key`; NULL if they do not fit, as those always do that hold a name of
 * EDEN_MAX_NAME bytes and names that a rule gives. */
const char *eden_join(char key[EDEN_KEY_ROOM], const char *a, const char *b, const char *c,
                      const char *d);

/* The file's name for an array's dtype, and for that of a tensor's weights. */
const char *eden_array_dtype(const eden_tensor *tensor, size_t i, const eden_array *array);
const char *eden_weights_dtype(const eden_tensor *tensor);

/* "bf16,q8,kahan": what a tensor's numbers are stored in, which decides results. */
const char *eden_storage_text(const eden_tensor *tensor, char text[EDEN_NUMBER_ROOM]);

/* Does any tensor round by chance, so that the seed decides results? */
int eden_takes_chances(const eden_optimizer *o);

/* NAME@SLOT of array i, or of its 8-bit scales NAME@SLOT@scale. */
void eden_array_key(char key[EDEN_KEY_ROOM], const char *tensor, const eden_rule *rule, size_t i, int scale);

const char *eden_print_count(uint64_t count, char text[EDEN_NUMBER_ROOM]);

/* Digits only, without leading zeros, at most 2^64 - 1; 0 if it is not so. */
int eden_read_count(const char *text, uint64_t *count);

/* The i-th field of the config that decides results: its key, or NULL past the
 * end; the value that need not be in a file, or NULL; its value as text. */
const char *eden_config_key(size_t i);
const char *eden_config_absent(size_t i);
const char *eden_config_text(const eden_config *config, size_t i, char text[EDEN_NUMBER_ROOM]);

/* The name a group's rule was chosen by. */
const char *eden_rule_of(const eden_group *group);

/* How many dimensions make the rows, where 0 stands for 1; 0: EDEN_MATRICES. */
uint32_t eden_split_of(const eden_tensor *tensor);

/* A schedule's memory, to be freed; "" if it has none, NULL without memory. */
char *eden_memory_of(const eden_schedule_node *schedule);

/* The i-th text that a writer has; 0 past the end. In writer.c. */
int eden_writer_text_at(const eden_writer *writer, size_t i, const char **key, const char **value);

eden_status eden_write_meta(const eden_optimizer *o, eden_writer *writer, uint32_t parts,
                            eden_error *error);

/* Check what save and load have in common; 0 becomes both parts. */
eden_status eden_check_parts(const eden_optimizer *o, const char *call, const char *path,
                             uint32_t *parts, int reads_only, eden_error *error);

/* ---- load*.c -------------------------------------------------------------------- */

/* A load in progress. `next` is what the optimizer becomes; it shares the names and
 * the tensors' memory with `o`, which nothing changes until all has been read. */
typedef struct {
    const char *path;
    eden_file *file;
    uint32_t parts, holds;      /* to be loaded, and in the file              */
    uint32_t flags;             /* EDEN_PARTIAL, EDEN_CONVERT                 */
    eden_optimizer *o, next;
    uint64_t steps;             /* of the file's optimizer                     */
    unsigned char *other;       /* by group: has another rule in the file      */
    unsigned char *left;        /* by tensor: not loaded, as it differs        */
    void **weights;             /* by tensor, as they are stored               */
    eden_load_report report;
    const eden_float_env *outside; /* the caller's floating-point environment  */
    size_t differences, listed;
    char list[340], first[200]; /* the first that left a tensor out            */
} eden_loading;

/* Note that the file differs from the optimizer. */
void eden_differ(eden_loading *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The differences so far; and what is to be done after comparing tensor i, which may
 * be left out of a partial load: 1 if it differs, and the differences are taken back. */
typedef struct { size_t differences, listed, length; } eden_mark;
eden_mark eden_mark_of(const eden_loading *l);
int eden_leaves_out(eden_loading *l, size_t i, eden_mark mark, int missing);

/* Something that only the file has: a difference, or passed over and counted. */
void eden_extra(eden_loading *l, const char *format, const char *name);

/* Is an entry of the file the weights of a tensor, and not state? */
int eden_holds_weights(const eden_loading *l, const char *name);

/* load_meta.c: the value of a key made of these texts, or NULL; refuse KEY, or KEYNAME,
 * for its value, or because it is missing; fill next's groups, counts and notes. */
const char *eden_value_of(const eden_loading *l, const char *a, const char *b, const char *c,
                          const char *d);
eden_status eden_damaged(const eden_loading *l, const char *key, const char *name,
                         const char *value, eden_error *error);
eden_status eden_load_meta(eden_loading *l, eden_error *error);

/* load_keys.c: what follows a prefix, or NULL; look at one key of the file, whose steps
 * are known. */
const char *eden_after(const char *key, const char *prefix);
eden_status eden_check_key(eden_loading *l, const char *key, eden_error *error);

/* load_weights.c: can the file's dtype become the tensor's? Read a tensor's weights into
 * l->weights[i], converted if that was asked for. */
int eden_converts(const eden_loading *l, const char *dtype);
eden_status eden_read_weights(eden_loading *l, size_t i, eden_error *error);

/* load_state.c: refuse state that no steps can have made. */
eden_status eden_check_state(eden_loading *l, eden_error *error);

/* load_tensors.c: refuse entries that eden_file_at() refuses, so that it cannot fail later;
 * compare entries with what `next` expects; read them. */
eden_status eden_check_entries(const eden_loading *l, eden_error *error);
void eden_compare_entries(eden_loading *l, int with_state);
eden_status eden_read_entries(eden_loading *l, eden_error *error);

#endif
