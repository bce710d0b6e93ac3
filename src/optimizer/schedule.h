/* schedule.h - schedules, compiled from their text. See eden_schedule(). */
#ifndef EDEN_SCHEDULE_H
#define EDEN_SCHEDULE_H

#include <eden/eden.h>

typedef struct eden_schedule_tree eden_schedule_tree;

/* A schedule at work: its text as given (for checkpoints), its compiled form,
 * and a plateau's memory. All zero means none. */
typedef struct {
    char *text;                       /* NULL if there is none, or if custom   */
    eden_schedule_tree *tree;
    int absolute;                     /* replaces the value, not multiplies    */
    eden_schedule_function function;  /* custom, or NULL                       */
    void *context;
} eden_schedule_node;

/* Compile text. *node is overwritten only on success. */
eden_status eden_schedule_compile(eden_schedule_node *node, const char *text, eden_error *error);
void eden_schedule_clear(eden_schedule_node *node);   /* frees; leaves all zero */
eden_status eden_schedule_copy(eden_schedule_node *to, const eden_schedule_node *from,
                               eden_error *error);

/* `base` under the schedule at step s >= 1; base itself if there is none. */
double eden_schedule_apply(const eden_schedule_node *node, double base, uint64_t s);

/* Plateau memory: report a loss; and as text for a checkpoint ("" if none):
 * `room` bytes at `text`, zero-terminated. Restoring checks what it reads. */
void eden_schedule_report(eden_schedule_node *node, double loss);
size_t eden_schedule_memory(const eden_schedule_node *node, char *text, size_t room);
eden_status eden_schedule_remember(eden_schedule_node *node, const char *text, eden_error *error);

/* Tell the memory as numbers, four for each plateau. */
void eden_schedule_each(const eden_schedule_node *node, void (*tell)(void *context, uint64_t number), void *context);

#endif
