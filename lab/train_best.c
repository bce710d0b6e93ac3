/* train_best.c - which evaluation was the best, and whether others are still worth a try. */
#include <math.h>

#include "lab/train_run.h"

int lab_goal_better(const lab_metric *metric, double a, double b)
{
    if (isnan(a)) return 0;
    return isnan(b) || (lab_goal_rises(metric) ? a > b : a < b);
}

/* As good as the best is not better. */
void lab_run_judge(lab_run *run)
{
    lab_progress *p = &run->progress;
    const double goal = lab_goal(&p->metric, p->test_loss, p->test_accuracy);
    if (!p->best_epoch || lab_goal_better(&p->metric, goal, p->best)) {
        p->best = goal;
        p->best_epoch = p->epoch;
    }
    p->stopped_early = lab_run_stops(run);
}

int lab_run_stops(const lab_run *run)
{
    const lab_progress *p = &run->progress;
    const uint64_t patience = run->config.early_stop;
    return patience && p->evaluated && p->best_epoch && p->step < p->steps
        && p->epoch - p->best_epoch >= patience;
}
