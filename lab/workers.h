/* workers.h - threads that take tasks by number; workers.c is the only file of
 * the lab that knows threads. */
#ifndef LAB_WORKERS_H
#define LAB_WORKERS_H

#include <stddef.h>
#include <stdint.h>

typedef struct lab_workers lab_workers;

/* `worker` is below lab_workers_count(): no two tasks that run at the same time
 * have the same one. */
typedef void (*lab_task)(void *job, size_t task, uint32_t worker);

/* The caller's thread included; 0 is one for each core this process may use. Fewer
 * run where the system has no more to give. NULL without memory. */
lab_workers *lab_workers_create(uint32_t count);
void lab_workers_destroy(lab_workers *workers);
uint32_t lab_workers_count(const lab_workers *workers);

/* Run tasks 0 to tasks - 1 and return when all have ended. */
void lab_workers_run(lab_workers *workers, size_t tasks, lab_task task, void *job);

#endif
