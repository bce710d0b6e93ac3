#include "cli/machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Where the kernel knows no name of the model, that of the architecture. */
static void processor(char name[100])
{
    char line[256];
    struct utsname system;
    FILE *in = fopen("/proc/cpuinfo", "r");
    snprintf(name, 100, "%.60s", uname(&system) ? "unknown processor" : system.machine);
    while (in && fgets(line, sizeof line, in)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        colon += 1 + strspn(colon + 1, " \t");
        snprintf(name, 100, "%.*s", (int)(strcspn(colon, "\n") < 99 ? strcspn(colon, "\n") : 99), colon);
        break;
    }
    if (in) fclose(in);
}

const char *cli_machine_text(char text[CLI_MACHINE_ROOM])
{
    char name[100];
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    processor(name);
    snprintf(text, CLI_MACHINE_ROOM, "%s, %ld core%s", name, cores, cores == 1 ? "" : "s");
    return text;
}
