/* faults.c - allocations that fail. The linker gives them the library's calls (--wrap). */
#include <stdlib.h>

#include "fuzz/calls.h"

static int armed_at = -1, armed_all, seen, failed;

int fuzz_fail_after(int count, int all)
{
    const int had = failed;
    armed_at = count;
    armed_all = all;
    seen = failed = 0;
    return had;
}

static int fails(void)
{
    if (armed_at < 0) return 0;
    const int now = seen++;
    if (now != armed_at && !(armed_all && now > armed_at)) return 0;
    failed = 1;
    return 1;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t count, size_t size) { return fails() ? NULL : __real_calloc(count, size); }
void *__wrap_realloc(void *old, size_t size) { return fails() ? NULL : __real_realloc(old, size); }
void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : __real_aligned_alloc(alignment, size);
}
