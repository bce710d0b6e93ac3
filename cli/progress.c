#include "cli/progress.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/output.h"

enum { LINE = 256, BAR = 20 };

void cli_progress_begin(cli_progress *progress, FILE *out, const lab_progress *run,
                        uint64_t epochs)
{
    const char *terminal = getenv("TERM");
    const int dumb = !terminal || !*terminal || !strcmp(terminal, "dumb");
    *progress = (cli_progress){ .out = out, .epochs = epochs, .from = run->step,
                                .begun = cli_now() };
    progress->bar = isatty(fileno(out)) && !dumb;
    progress->colour = *cli_style_of(out).bold != '\0';
}

const char *cli_metric_text(const lab_metric *metric, double value, int fewer,
                            char text[CLI_METRIC_ROOM])
{
    const int decimals = metric->decimals > fewer ? metric->decimals - fewer : 0;
    snprintf(text, CLI_METRIC_ROOM, "%.*f%.8s", decimals, metric->scale * value, metric->unit);
    return text;
}

static int width_of(FILE *out)
{
    struct winsize size = { 0, 0, 0, 0 };
    if (ioctl(fileno(out), TIOCGWINSZ, &size) || !size.ws_col) return 80;
    return size.ws_col;
}

/* Append a part if the line has room for all of it. */
static int append(char *line, int used, int room, const char *part)
{
    const int length = (int)strlen(part);
    if (used + length > room) return used;
    memcpy(line + used, part, (size_t)length + 1);
    return used + length;
}

static int part_of_bar(char text[BAR + 4], double share)
{
    const int full = (int)(share * BAR);
    text[0] = ' ', text[1] = '[';
    for (int i = 0; i < BAR; i++) text[2 + i] = i < full ? '=' : i == full ? '>' : ' ';
    text[BAR + 2] = ']', text[BAR + 3] = '\0';
    return full;
}

static double estimate(const cli_progress *progress, const lab_progress *run)
{
    const double spent = cli_now() - progress->begun;
    return run->step > progress->from
               ? spent / (double)(run->step - progress->from) * (double)(run->steps - run->step)
               : NAN;
}

/* The line in `room` columns: the most important parts that fit, in this order. */
static int compose(const cli_progress *progress, const lab_progress *run, int room, char line[LINE])
{
    char part[64], bar[BAR + 4], left[CLI_NUMBER_ROOM], spent[CLI_NUMBER_ROOM];
    char metric[CLI_METRIC_ROOM];
    const double share = run->steps ? (double)run->step / (double)run->steps : 1;
    if (room > LINE - 1) room = LINE - 1;
    line[0] = '\0';
    snprintf(part, sizeof part, "epoch %llu/%llu", (unsigned long long)run->epoch,
             (unsigned long long)progress->epochs);
    int used = append(line, 0, room, part);
    snprintf(part, sizeof part, used ? " %3.0f%%" : "%.0f%%", 100 * share);
    used = append(line, used, room, part);
    if (room >= 72) {
        part_of_bar(bar, share);
        used = append(line, used, room, bar);
    }
    snprintf(part, sizeof part, "  loss %.4g", run->train_loss);
    used = append(line, used, room, part);
    if (run->metric.name && isfinite(run->test_accuracy)) {
        snprintf(part, sizeof part, "  test %s",
                 cli_metric_text(&run->metric, run->test_accuracy, 1, metric));
        used = append(line, used, room, part);
    } else if (run->metric.name) {
        snprintf(part, sizeof part, "  batch %s",
                 cli_metric_text(&run->metric, run->accuracy, 2, metric));
        used = append(line, used, room, part);
    }
    snprintf(part, sizeof part, "  %s < %s", cli_print_time(cli_now() - progress->begun, spent),
             cli_print_time(estimate(progress, run), left));
    used = append(line, used, room, part);
    snprintf(part, sizeof part, "  lr %.3g", run->lr);
    return append(line, used, room, part);
}

static void draw(cli_progress *progress, const lab_progress *run)
{
    char line[LINE];
    /* The last column stays free: some terminals wrap when it is written. */
    const int used = compose(progress, run, width_of(progress->out) - 1, line);
    const int blank = progress->drawn > used ? progress->drawn - used : 0;
    const char *bold = progress->colour ? "\033[1m" : "", *off = progress->colour ? "\033[0m" : "";
    const int head = (int)strcspn(line, "%") + 1;
    fprintf(progress->out, "\r%s%.*s%s%s%*s", bold, head, line, off,
            head <= used ? line + head : "", blank, "");
    fflush(progress->out);
    progress->drawn = used;
}

static void epoch_line(const cli_progress *progress, const lab_progress *run)
{
    char text[CLI_NUMBER_ROOM], metric[CLI_METRIC_ROOM];
    fprintf(progress->out, "epoch %llu/%llu  loss %.4f  test loss %.4f",
            (unsigned long long)run->epoch, (unsigned long long)progress->epochs, run->train_loss,
            run->test_loss);
    if (run->metric.name)
        fprintf(progress->out, "  %s %s", run->metric.name,
                cli_metric_text(&run->metric, run->test_accuracy, 0, metric));
    fprintf(progress->out, "  lr %.3g  %s\n", run->lr,
            cli_print_time(cli_now() - progress->begun, text));
    fflush(progress->out);
}

void cli_progress_show(cli_progress *progress, const lab_progress *run)
{
    if (!progress->bar) {
        if (run->evaluated) epoch_line(progress, run);
        return;
    }
    const double time = cli_now();
    if (progress->drawn && time - progress->last < 0.1 && run->step < run->steps) return;
    progress->last = time;
    draw(progress, run);
}

void cli_progress_clear(cli_progress *progress)
{
    if (!progress->drawn) return;
    fprintf(progress->out, "\r%*s\r", progress->drawn, "");
    fflush(progress->out);
    progress->drawn = 0;
}
