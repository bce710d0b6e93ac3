/* failing_memory.h - every call for memory that the library makes, counted, and failing
 * when the test wants it. The linker sends the calls here: see tests/CMakeLists.txt. */
#ifndef TEST_FAILING_MEMORY_H
#define TEST_FAILING_MEMORY_H

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

static struct {
    int armed;
    long calls;   /* since it was armed                                              */
    long fail_at; /* which of them fails, from 1; 0: none                            */
    int for_ever; /* and all that follow                                             */
    long live;    /* blocks that were given out and not freed                        */
} memory;

static inline void memory_arm(long fail_at, int for_ever)
{
    memory.calls = 0;
    memory.fail_at = fail_at;
    memory.for_ever = for_ever;
    memory.armed = 1;
}

static inline int memory_fails(void)
{
    if (!memory.armed) return 0;
    memory.calls++;
    if (!memory.fail_at || memory.calls < memory.fail_at) return 0;
    if (memory.calls > memory.fail_at && !memory.for_ever) return 0;
    errno = ENOMEM;
    return 1;
}

static inline void *counted(void *block)
{
    memory.live += block != NULL;
    return block;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_realpath(const char *path, char *resolved);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *), void *with);
void __real_free(void *block);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_realpath(const char *path, char *resolved);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *), void *with);
void __wrap_free(void *block);

void *__wrap_malloc(size_t size) { return memory_fails() ? NULL : counted(__real_malloc(size)); }

void *__wrap_calloc(size_t count, size_t size)
{
    return memory_fails() ? NULL : counted(__real_calloc(count, size));
}

void *__wrap_realloc(void *old, size_t size)
{
    if (memory_fails()) return NULL;
    void *moved = __real_realloc(old, size);
    return old ? moved : counted(moved);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return memory_fails() ? NULL : counted(__real_aligned_alloc(alignment, size));
}

char *__wrap_realpath(const char *path, char *resolved)
{
    return memory_fails() ? NULL : counted(__real_realpath(path, resolved));
}

/* A thread takes memory too. */
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *), void *with)
{
    return memory_fails() ? EAGAIN : __real_pthread_create(thread, how, run, with);
}

void __wrap_free(void *block)
{
    memory.live -= block != NULL;
    __real_free(block);
}

#endif
