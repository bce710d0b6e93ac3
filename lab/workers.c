/* workers.c - a pool that sleeps while there is nothing to do. */
#define _GNU_SOURCE /* for the set of cores this process may use */
#include "lab/workers.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define MOST_WORKERS 256

typedef struct {
    lab_workers *pool;
    uint32_t number;
    pthread_t thread;
} member;

struct lab_workers {
    uint32_t count;             /* the caller, number 0, included                */
    uint32_t wanted;            /* members that take part in the round           */
    uint32_t busy;              /* of them, how many have not finished           */
    uint64_t round;
    int stop;
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    size_t tasks;
    atomic_size_t next;
    lab_task task;
    void *job;
    member members[MOST_WORKERS];
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

static void take_tasks(lab_workers *w, uint32_t number)
{
    size_t i;
    while ((i = atomic_fetch_add(&w->next, 1)) < w->tasks) w->task(w->job, i, number);
}

static void *work(void *argument)
{
    const member *self = argument;
    lab_workers *w = self->pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->stop && (w->round == seen || self->number > w->wanted)) {
            seen = w->round;
            pthread_cond_wait(&w->wake, &w->lock);
        }
        if (w->stop) break;
        seen = w->round;
        pthread_mutex_unlock(&w->lock);
        take_tasks(w, self->number);
        pthread_mutex_lock(&w->lock);
        if (--w->busy == 0) pthread_cond_signal(&w->done);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

lab_workers *lab_workers_create(uint32_t count)
{
    lab_workers *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    if (count == 0) count = cores();
    if (count > MOST_WORKERS) count = MOST_WORKERS;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    pthread_cond_init(&w->done, NULL);
    /* Signals are for the caller's threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (w->count = 1; w->count < count; w->count++) {
        member *m = &w->members[w->count];
        m->pool = w;
        m->number = w->count;
        if (pthread_create(&m->thread, NULL, work, m) != 0) break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return w;
}

uint32_t lab_workers_count(const lab_workers *w) { return w->count; }

void lab_workers_run(lab_workers *w, size_t tasks, lab_task task, void *job)
{
    uint32_t helpers = w->count - 1;
    if (helpers >= tasks) helpers = tasks ? (uint32_t)tasks - 1 : 0;
    if (helpers == 0) {
        for (size_t i = 0; i < tasks; i++) task(job, i, 0);
        return;
    }
    pthread_mutex_lock(&w->lock);
    w->tasks = tasks;
    w->task = task;
    w->job = job;
    atomic_store(&w->next, 0);
    w->wanted = w->busy = helpers;
    w->round++;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
    take_tasks(w, 0);
    pthread_mutex_lock(&w->lock);
    while (w->busy > 0) pthread_cond_wait(&w->done, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

void lab_workers_destroy(lab_workers *w)
{
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->stop = 1;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
    for (uint32_t i = 1; i < w->count; i++) pthread_join(w->members[i].thread, NULL);
    pthread_cond_destroy(&w->wake);
    pthread_cond_destroy(&w->done);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
