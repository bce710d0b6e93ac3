/* threads.h - the only file that knows threads is threads.c. */
#ifndef EDEN_THREADS_H
#define EDEN_THREADS_H

#include <eden/eden.h>

#define EDEN_MOST_THREADS 256

typedef struct eden_threads eden_threads;

/* A pool of `count` threads, the caller's included; 0 is one a core that this
 * process may use. Threads start at the first use, sleep when idle, and are
 * started again in a forked child. NULL if memory or threads cannot be had. */
eden_threads *eden_threads_create(uint32_t count);
void eden_threads_destroy(eden_threads *threads);
uint32_t eden_threads_count(const eden_threads *threads);

/* An eden_run: `pool` is an eden_threads. */
void eden_threads_run(void *pool, size_t tasks, void (*task)(size_t i, void *job), void *job);

#endif
