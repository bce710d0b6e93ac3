/* rates.h - what tasks want of optimizers, from the one table in rates.c. */
#ifndef LAB_RATES_H
#define LAB_RATES_H

/* The optimizer for those who name none, and that for a task. */
const char *lab_default_optimizer(void);
const char *lab_task_optimizer(const char *task);

/* The learning rate that a task and model want with an optimizer, with where it came
 * from. 0 if the table has no row: then use the rule's default. */
double lab_rate(const char *task, const char *model, const char *optimizer, const char **source);

/* Other settings that a task wants of an optimizer, "name=value,..."; "" for none. */
const char *lab_task_settings(const char *task, const char *optimizer);

#endif
