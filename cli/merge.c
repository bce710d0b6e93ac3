/* merge.c - `eden merge`: one file of a folder that many ranks saved, and such a folder of it. */
#include <dirent.h>
#include <eden/safetensors.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/merge.h"
#include "cli/lock.h"
#include "cli/output.h"
#include "cli/place.h"

/* ---- refusals ------------------------------------------------------------------------------ */

/* Something in a folder. 0 if there is nothing of that name. */
static int find_in(const char *folder, const char *name, struct stat *about)
{
    char path[4096];
    errno = ENAMETOOLONG;
    return (size_t)snprintf(path, sizeof path, "%s/%s", folder, name) < sizeof path && !stat(path, about);
}

/* What is read is not whole; a folder may have the commit before. */
static int unreadable(const char *from, const eden_error *error)
{
    struct stat about;
    const int code = error->status == EDEN_E_FORMAT ? CLI_DATA : CLI_NO_INPUT;
    if ((code != CLI_DATA && error->status != EDEN_E_IO) || !find_in(from, CLI_MANIFEST ".old", &about))
        return cli_fail_eden(error, CLI_READING);
    return cli_fail(code, "%s; '%.200s/" CLI_MANIFEST ".old' names the commit before: to go back to it, rename it to '"
                    CLI_MANIFEST "'", error->text, from);
}

static int failed(const char *from, const eden_error *error)
{
    if (error->status == EDEN_E_MEMORY) return cli_no_memory();
    if (error->status == EDEN_E_FORMAT) return unreadable(from, error);
    return cli_fail_eden(error, error->status == EDEN_E_IO ? CLI_WRITING : CLI_READING);
}

/* A folder that no ranks saved into, or of which the commit is gone. */
static int check_manifest(const char *from)
{
    struct stat about;
    eden_error error = { EDEN_E_IO, "" };
    if (stat(from, &about) || !S_ISDIR(about.st_mode) || find_in(from, CLI_MANIFEST, &about) || errno != ENOENT)
        return CLI_OK; /* or whoever opens it says why it cannot */
    snprintf(error.text, sizeof error.text, "'%.200s' holds no " CLI_MANIFEST " and so is no checkpoint of ranks", from);
    return unreadable(from, &error);
}

static int same(const struct stat *a, const struct stat *b) { return a->st_dev == b->st_dev && a->st_ino == b->st_ino; }

/* Is one of the folders above this place, which is cut up, that one, whatever it is called? */
static int is_within(char *place, const struct stat *folder)
{
    struct stat above;
    char *slash;
    while ((slash = strrchr(place, '/')) != NULL) {
        *slash = '\0';
        if (!stat(*place ? place : "/", &above) && same(&above, folder)) return 1;
    }
    return 0;
}

/* Writing must not destroy what is read. Only a folder may be cut anew in its place: its files
 * stay until all is there. */
static int check_apart(const cli_args *args, const char *from, const char *to)
{
    struct stat in, out;
    if (stat(from, &in)) return CLI_OK; /* whoever opens it says why it cannot */
    const int folder = S_ISDIR(in.st_mode);
    if (!stat(to, &out) && same(&in, &out))
        return folder && cli_has(args, "ranks") ? CLI_OK
               : cli_usage(args->command, "'%.200s' is what is read; name another", to);
    char *place = cli_place(to);
    if (!place) return cli_no_memory();
    const int within = folder && is_within(place, &in);
    free(place);
    return within ? cli_usage(args->command, "'%.200s' is inside the folder '%.200s' that is read, and would damage it; "
                              "name a place outside", to, from)
                  : CLI_OK;
}

/* ---- one file ------------------------------------------------------------------------------ */

/* All of a file, which a writer reads when it writes. */
static eden_status collect(eden_file *file, eden_writer *writer, eden_error *error)
{
    eden_status status = EDEN_OK;
    const char *key;
    for (size_t i = 0; !status && (key = eden_file_key(file, i)); i++)
        status = eden_writer_text(writer, key, eden_file_value(file, key), error);
    for (size_t i = 0; i < eden_file_count(file) && !status; i++) {
        eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
        status = eden_file_at(file, i, &t, error);
        if (!status) status = eden_writer_from(writer, t.name, t.dtype, t.ndim, t.shape, file, i, 0, error);
    }
    return status;
}

static eden_status merge(eden_file *file, const char *to, eden_error *error)
{
    eden_writer *writer = NULL;
    eden_status status = eden_writer_create(&writer, error);
    if (!status) status = eden_writer_keep(writer, 1, error);
    if (!status) status = collect(file, writer, error);
    if (!status) status = eden_writer_write(writer, to, error);
    eden_writer_destroy(writer);
    return status;
}

eden_status cli_merge_files(const char *from, const char *to, eden_error *error)
{
    eden_file *file = NULL;
    eden_status status = eden_file_open(&file, from, error);
    if (!status) status = merge(file, to, error);
    eden_file_close(file);
    return status;
}

int cli_merge_is_folder(const char *path)
{
    struct stat about;
    return find_in(path, CLI_MANIFEST, &about) && S_ISREG(about.st_mode);
}

/* ---- a folder ------------------------------------------------------------------------------- */

/* What ranks write into a folder, and no more. */
static void remove_known(const char *folder, const char *begins)
{
    const struct dirent *entry;
    char path[4096];
    DIR *d = opendir(folder);
    while (d && (entry = readdir(d))) {
        if (strncmp(entry->d_name, begins, strlen(begins)) != 0
            || (size_t)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= sizeof path)
            continue;
        if (!strcmp(begins, "generation-")) remove_known(path, "rank-");
        else unlink(path);
    }
    if (d) closedir(d);
    rmdir(folder); /* stays if something else is in it */
}

void cli_merge_remove(const char *folder)
{
    remove_known(folder, CLI_MANIFEST);
    remove_known(folder, "generation-");
}

void cli_merge_remove_generation(const char *folder, const char *name)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) < sizeof path) remove_known(path, "rank-");
}

/* Many ranks' folder of what is in `from`, which has been made before the lock is. */
static int split(eden_file *file, const cli_args *args, cli_lock *lock, eden_error *error)
{
    char path[4096];
    const char *to = args->operands[1];
    const int made = !mkdir(to, 0777);
    if ((size_t)snprintf(path, sizeof path, "%s/" CLI_MANIFEST, to) >= sizeof path)
        return cli_usage(args->command, "the name of the folder is too long");
    int code = cli_lock_take(lock, path);
    if (!code && cli_split_file(file, to, (uint32_t)cli_count(args, "ranks", 1), error)) code = failed(args->operands[0], error);
    cli_lock_release(lock);
    if (code && made) rmdir(to); /* fails, as it should, if files are there */
    return code;
}

int cli_merge(const cli_args *args)
{
    const char *from = args->operands[0], *to = args->operands[1];
    const int ranks = cli_has(args, "ranks");
    cli_lock lock = { { NULL, 0 }, { NULL, 0 } };
    eden_error error = { 0, "" };
    eden_file *file = NULL;
    int code = check_apart(args, from, to);
    if (!code && !ranks) code = cli_replaceable("FILE", to);
    if (!code) code = check_manifest(from);
    if (!code && eden_file_open(&file, from, &error)) code = unreadable(from, &error);
    if (!code && ranks) code = split(file, args, &lock, &error);
    if (!code && !ranks) {
        code = cli_lock_take(&lock, to);
        if (!code && merge(file, to, &error)) code = failed(from, &error);
        cli_lock_release(&lock);
    }
    eden_file_close(file);
    return code;
}
