/* eden/safetensors.h - named tensors in a file, as Hugging Face's format has it.
 *
 * The reader trusts nothing: it reads the header once, strictly, and refuses
 * what the format forbids. Data is read and copied, never mapped, so a file
 * that changes meanwhile cannot crash the program. The writer makes the file
 * appear whole or not at all. Format: github.com/huggingface/safetensors.
 */
#ifndef EDEN_SAFETENSORS_H
#define EDEN_SAFETENSORS_H

#include <eden/eden.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- reading ---------------------------------------------------------------- */

typedef struct eden_file eden_file;

/* One entry of a file. Strings live until the file is closed. */
typedef struct {
    size_t size;        /* sizeof(eden_file_tensor), set by the caller          */
    const char *name;
    const char *dtype;  /* "F32", "BF16", ...                                   */
    uint32_t ndim;
    uint32_t reserved;
    uint64_t shape[EDEN_MAX_DIMS];
    uint64_t bytes;
} eden_file_tensor;

#define EDEN_FILE_TENSOR_INIT \
    { sizeof(eden_file_tensor), 0, 0, 0, 0, { 0, 0, 0, 0, 0, 0, 0, 0 }, 0 }

EDEN_API eden_status eden_file_open(eden_file **file, const char *path, eden_error *error);
EDEN_API void eden_file_close(eden_file *file);

EDEN_API size_t eden_file_count(const eden_file *file);
/* Tensors are numbered in the order of their data. One of more than EDEN_MAX_DIMS
 * dimensions may be in a file, but eden_file_at() refuses it. */
EDEN_API eden_status eden_file_at(const eden_file *file, size_t i, eden_file_tensor *tensor,
                                  eden_error *error);
EDEN_API size_t eden_file_find(const eden_file *file, const char *name); /* or SIZE_MAX */

/* Read all of tensor i, as stored; `bytes` must be its size. Files that Eden wrote
 * hold checksums, which are compared here and in eden_file_open(). After a failure
 * `data` is undefined. */
EDEN_API eden_status eden_file_read(eden_file *file, size_t i, void *data, uint64_t bytes,
                                    eden_error *error);

/* The same for a tensor that need not fit in memory: `see` is called with one piece after
 * another, each EDEN_FILE_PIECE bytes but the last; NULL only compares the checksum. */
#define EDEN_FILE_PIECE 65536
typedef void (*eden_file_see)(void *context, const void *piece, size_t bytes);
EDEN_API eden_status eden_file_visit(eden_file *file, size_t i, eden_file_see see, void *context,
                                     eden_error *error);

/* `__metadata__`: the i-th key, or NULL past the end; a key's value, or NULL. The keys
 * of checksums, eden.sum and those that begin so, have values but are not listed. */
EDEN_API const char *eden_file_key(const eden_file *file, size_t i);
EDEN_API const char *eden_file_value(const eden_file *file, const char *key);

/* ---- writing ---------------------------------------------------------------- */

typedef struct eden_writer eden_writer;

/* Collect tensors and metadata, then write them all at once. Names and text are
 * copied; data must stay as it is until eden_writer_write(). */
EDEN_API eden_status eden_writer_create(eden_writer **writer, eden_error *error);
EDEN_API void eden_writer_destroy(eden_writer *writer);
EDEN_API eden_status eden_writer_text(eden_writer *writer, const char *key, const char *value,
                                      eden_error *error);
EDEN_API eden_status eden_writer_tensor(eden_writer *writer, const char *name, const char *dtype,
                                        uint32_t ndim, const uint64_t *shape, const void *data,
                                        eden_error *error);

/* The same with data from an open file: as many bytes of its tensor i, from byte `from` on. They
 * are read in eden_writer_write(), a piece at a time, so that they need not fit in memory; until
 * then the file stays open. Checksums are compared of tensors that are taken whole. */
EDEN_API eden_status eden_writer_from(eden_writer *writer, const char *name, const char *dtype,
                                      uint32_t ndim, const uint64_t *shape, eden_file *file, size_t i,
                                      uint64_t from, eden_error *error);

/* Keep the file that is replaced as PATH.old: `older` 1. The default, 0, does not.
 * On file systems without hard links nothing is kept. The name needs room for ".old". */
EDEN_API eden_status eden_writer_keep(eden_writer *writer, uint32_t older, eden_error *error);

/* Write the file beside `path`, force it to the disk, and only then give it its name.
 * It gets the permission bits of a file that it replaces. The same input makes the same
 * bytes. */
EDEN_API eden_status eden_writer_write(eden_writer *writer, const char *path, eden_error *error);

#ifdef __cplusplus
}
#endif
#endif
