/* threads.c - a pool that soon sleeps when idle and survives a fork. */
#include "optimizer/threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

struct eden_threads {
    uint32_t count;              /* the caller's included                     */
    uint32_t started;            /* workers that exist in process `owner`     */
    pid_t owner;
    pthread_t worker[EDEN_MOST_THREADS];
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    atomic_uint_fast64_t round;  /* counts eden_threads_run() calls           */
    atomic_uint busy;            /* workers that are at the round's tasks     */
    int open;                    /* may workers still join the round?         */
    int stop;
    size_t tasks;
    atomic_size_t next;
    void (*task)(size_t i, void *job);
    void *job;
};

static uint32_t cores(void)
{
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t n = online < 1 ? 1 : (uint32_t)online;
#ifdef CPU_COUNT
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) n = (uint32_t)CPU_COUNT(&set);
#endif
    return n < 1 ? 1 : n;
}

eden_threads *eden_threads_create(uint32_t count)
{
    eden_threads *t = calloc(1, sizeof *t);
    if (!t) return NULL;
    t->count = count ? count : cores();
    if (t->count > EDEN_MOST_THREADS) t->count = EDEN_MOST_THREADS;
    t->owner = getpid();
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->wake, NULL);
    pthread_cond_init(&t->done, NULL);
    return t;
}

uint32_t eden_threads_count(const eden_threads *t) { return t->count; }

static void take_tasks(eden_threads *t)
{
    size_t i;
    while ((i = atomic_fetch_add(&t->next, 1)) < t->tasks) t->task(i, t->job);
}

/* Sleeping and waking costs as much as many a round, so a thread looks a few times
 * more before it sleeps, some ten microseconds in all, and lets others run meanwhile. */
#define LOOKS 40

static void await_round(eden_threads *t, uint64_t seen)
{
    for (int i = 0; i < LOOKS && atomic_load(&t->round) == seen; i++) sched_yield();
}

static void await_workers(eden_threads *t)
{
    for (int i = 0; i < LOOKS && atomic_load(&t->busy) > 0; i++) sched_yield();
}

/* Who wakes when the round is over already does not hold up its end. */
static void *work(void *pool)
{
    eden_threads *t = pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&t->lock);
    for (;;) {
        while (!t->stop && t->round == seen) pthread_cond_wait(&t->wake, &t->lock);
        if (t->stop) break;
        seen = t->round;
        if (!t->open) continue;
        t->busy++;
        pthread_mutex_unlock(&t->lock);
        take_tasks(t);
        pthread_mutex_lock(&t->lock);
        if (--t->busy == 0 && !t->open) pthread_cond_signal(&t->done);
        pthread_mutex_unlock(&t->lock);
        await_round(t, seen);
        pthread_mutex_lock(&t->lock);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

/* Workers block all signals, so that handlers run on the caller's threads. A
 * child of fork() has no workers and locks in an unknown state: it begins anew. */
static void start(eden_threads *t)
{
    if (t->owner != getpid()) {
        t->owner = getpid();
        t->started = 0;
        t->round = 0;
        t->busy = 0;
        pthread_mutex_init(&t->lock, NULL);
        pthread_cond_init(&t->wake, NULL);
        pthread_cond_init(&t->done, NULL);
    }
    if (t->started + 1 >= t->count || t->round > 0) return;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (t->started + 1 < t->count &&
           pthread_create(&t->worker[t->started], NULL, work, t) == 0)
        t->started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void eden_threads_run(void *pool, size_t tasks, void (*task)(size_t i, void *job), void *job)
{
    eden_threads *t = pool;
    start(t);
    pthread_mutex_lock(&t->lock);
    t->tasks = tasks;
    t->task = task;
    t->job = job;
    atomic_store(&t->next, 0);
    t->open = 1;
    t->round++;
    pthread_cond_broadcast(&t->wake);
    pthread_mutex_unlock(&t->lock);
    take_tasks(t);
    pthread_mutex_lock(&t->lock);
    t->open = 0;
    pthread_mutex_unlock(&t->lock);
    await_workers(t);
    pthread_mutex_lock(&t->lock);
    while (t->busy > 0) pthread_cond_wait(&t->done, &t->lock);
    pthread_mutex_unlock(&t->lock);
}

void eden_threads_destroy(eden_threads *t)
{
    if (!t) return;
    if (t->owner == getpid() && t->started > 0) {
        pthread_mutex_lock(&t->lock);
        t->stop = 1;
        pthread_cond_broadcast(&t->wake);
        pthread_mutex_unlock(&t->lock);
        for (uint32_t i = 0; i < t->started; i++) pthread_join(t->worker[i], NULL);
    }
    free(t);
}
