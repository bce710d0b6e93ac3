#include "cli/compare_bar.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/output.h"

enum { LINE = 160, BAR = 24 };

void cli_bar_begin(cli_bar *bar, FILE *out, uint64_t all)
{
    const char *terminal = getenv("TERM");
    *bar = (cli_bar){ .out = out, .all = all ? all : 1, .begun = cli_now() };
    bar->shown = isatty(fileno(out)) && terminal && *terminal && strcmp(terminal, "dumb") != 0;
}

static int columns_of(FILE *out)
{
    struct winsize size = { 0, 0, 0, 0 };
    if (ioctl(fileno(out), TIOCGWINSZ, &size) || !size.ws_col) return 80;
    return size.ws_col;
}

void cli_bar_show(cli_bar *bar, uint64_t done, const char *label)
{
    char line[LINE], meter[BAR + 1], spent[CLI_NUMBER_ROOM], left[CLI_NUMBER_ROOM];
    const double now = cli_now(), share = (double)done / (double)bar->all;
    if (!bar->shown || (bar->drawn && now - bar->last < 0.1)) return;
    bar->last = now;
    for (int i = 0; i < BAR; i++) meter[i] = i < (int)(share * BAR) ? '=' : ' ';
    meter[BAR] = '\0';
    cli_print_time(now - bar->begun, spent);
    cli_print_time(share > 0 ? (now - bar->begun) * (1 - share) / share : 0, left);
    snprintf(line, sizeof line, "%-24.40s [%s] %3.0f%%  %s, %s left", label, meter, 100 * share,
             spent, share > 0 ? left : "?");
    /* The last column stays free: some terminals wrap when it is written. */
    const int room = columns_of(bar->out) - 1, length = (int)strlen(line);
    const int used = length < room ? length : room > 0 ? room : 0;
    fprintf(bar->out, "\r%.*s%*s", used, line, bar->drawn > used ? bar->drawn - used : 0, "");
    fflush(bar->out);
    bar->drawn = used;
}

void cli_bar_clear(cli_bar *bar)
{
    if (!bar->drawn) return;
    fprintf(bar->out, "\r%*s\r", bar->drawn, "");
    fflush(bar->out);
    bar->drawn = 0;
}
