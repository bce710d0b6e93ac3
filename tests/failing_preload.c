/* failing_preload.c - a library to be loaded before a program, which fails one of its
 * calls for memory, or one and all that follow.
 *
 *     EDEN_FAIL_AT   which, from 1; 0 only counts
 *     EDEN_FAIL_ON   1: all that follow too
 *     EDEN_FAIL_OUT  the file that gets the count of calls
 *
 * What the dynamic linker, the BLAS and the sanitizers take for themselves is left
 * alone, as is all that comes before the program's own first call. So are threads but
 * the first: workers ask for nothing, but the sanitizer does in their name. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    uintptr_t begin, end;
} range;

static range program, others[16];
static size_t other_count;
static long calls, fail_at;
static int chosen, started, for_ever;

static int note_range(struct dl_phdr_info *object, size_t size, void *first)
{
    static const char *const excluded[] = { "openblas", "gfortran", "quadmath", "ld-linux", "asan", "ubsan" };
    range r = { UINTPTR_MAX, 0 };
    (void)size;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const uintptr_t at = object->dlpi_addr + object->dlpi_phdr[i].p_vaddr;
        if (object->dlpi_phdr[i].p_type != PT_LOAD) continue;
        if (at < r.begin) r.begin = at;
        if (at + object->dlpi_phdr[i].p_memsz > r.end) r.end = at + object->dlpi_phdr[i].p_memsz;
    }
    if (*(int *)first) program = r;
    *(int *)first = 0;
    for (size_t i = 0; i < sizeof excluded / sizeof *excluded; i++)
        if (strstr(object->dlpi_name, excluded[i]) && other_count < 16) {
            others[other_count++] = r;
            break;
        }
    return 0;
}

__attribute__((constructor)) static void begin(void)
{
    int first = 1;
    const char *at = getenv("EDEN_FAIL_AT"), *on = getenv("EDEN_FAIL_ON");
    /* The program may start others, which are not meant. */
    if (!at || strcmp(program_invocation_short_name, "eden") != 0) return;
    dl_iterate_phdr(note_range, &first);
    fail_at = strtol(at, NULL, 10);
    for_ever = on && *on == '1';
    chosen = 1;
}

__attribute__((destructor)) static void end(void)
{
    char text[32];
    const char *path = getenv("EDEN_FAIL_OUT");
    if (!chosen || !path) return;
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    const int length = snprintf(text, sizeof text, "%ld\n", calls);
    if (fd < 0 || write(fd, text, (size_t)length) != length) _exit(99);
    close(fd);
}

static int within(const range *r, const void *caller)
{
    return (uintptr_t)caller >= r->begin && (uintptr_t)caller < r->end;
}

static int fails(const void *caller)
{
    if (!chosen || gettid() != getpid()) return 0;
    if (!started && !within(&program, caller)) return 0;
    started = 1;
    for (size_t i = 0; i < other_count; i++)
        if (within(&others[i], caller)) return 0;
    const long n = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    if (!fail_at || n < fail_at || (n > fail_at && !for_ever)) return 0;
    errno = ENOMEM;
    return 1;
}

/* dlsym() itself may want memory, before there is any to give. */
static unsigned char early[4096];
static size_t early_used;
static int looking;

static void *real(void **function, const char *name)
{
    if (!*function && !looking) {
        looking = 1;
        *function = dlsym(RTLD_NEXT, name);
        looking = 0;
    }
    return *function;
}

static void *take_early(size_t size)
{
    void *at = early + early_used;
    early_used += (size + 15) / 16 * 16;
    if (early_used > sizeof early) _exit(98);
    return at;
}

#define REAL(name, type) ((type)(uintptr_t)real(&next_##name, #name))

static void *next_malloc, *next_calloc, *next_realloc, *next_aligned_alloc, *next_posix_memalign;

__attribute__((visibility("default"))) void *malloc(size_t size)
{
    if (fails(__builtin_return_address(0))) return NULL;
    void *(*call)(size_t) = REAL(malloc, void *(*)(size_t));
    return call ? call(size) : take_early(size);
}

__attribute__((visibility("default"))) void *calloc(size_t count, size_t size)
{
    if (fails(__builtin_return_address(0))) return NULL;
    void *(*call)(size_t, size_t) = REAL(calloc, void *(*)(size_t, size_t));
    return call ? call(count, size) : take_early(count * size);
}

__attribute__((visibility("default"))) void *realloc(void *old, size_t size)
{
    if (fails(__builtin_return_address(0))) return NULL;
    return REAL(realloc, void *(*)(void *, size_t))(old, size);
}

__attribute__((visibility("default"))) void *aligned_alloc(size_t alignment, size_t size)
{
    if (fails(__builtin_return_address(0))) return NULL;
    return REAL(aligned_alloc, void *(*)(size_t, size_t))(alignment, size);
}

__attribute__((visibility("default"))) int posix_memalign(void **block, size_t alignment, size_t size)
{
    if (fails(__builtin_return_address(0))) return ENOMEM;
    return REAL(posix_memalign, int (*)(void **, size_t, size_t))(block, alignment, size);
}
