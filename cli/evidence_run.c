/* evidence_run.c - lines of the command as processes of their own. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/compare_bar.h"
#include "cli/evidence.h"
#include "cli/interrupt.h"
#include "cli/json.h"
#include "cli/output.h"

enum { WORDS = 64, LINE = 1024, AT_ONCE = 64 };

/* ---- what has been asked for ------------------------------------------------------- */

static cli_job *find(cli_jobs *jobs, const char *key)
{
    for (size_t i = 0; i < jobs->count; i++)
        if (!strcmp(jobs->jobs[i].key, key)) return &jobs->jobs[i];
    return NULL;
}

int cli_jobs_add(cli_jobs *jobs, const char *key, size_t *index)
{
    const cli_job *known = find(jobs, key);
    if (known) {
        *index = (size_t)(known - jobs->jobs);
        return CLI_OK;
    }
    if (jobs->count == jobs->room) {
        const size_t room = jobs->room ? 2 * jobs->room : 64;
        cli_job *more = realloc(jobs->jobs, room * sizeof *more);
        if (!more) return cli_no_memory();
        jobs->jobs = more, jobs->room = room;
    }
    char *copy = strdup(key);
    if (!copy) return cli_no_memory();
    jobs->jobs[jobs->count] = (cli_job){ copy, NULL };
    *index = jobs->count++;
    return CLI_OK;
}

/* Results are lines {"line": ..., "values": ...}; the end may be torn. */
int cli_jobs_open(cli_jobs *jobs, const char *path)
{
    int code = CLI_OK;
    size_t i;
    json_error_t why;
    if (!path) return CLI_OK;
    jobs->kept = fopen(path, "a+");
    if (!jobs->kept) return cli_fail_create(path, errno);
    rewind(jobs->kept);
    while (!code) {
        json_t *json = json_loadf(jobs->kept, JSON_DISABLE_EOF_CHECK, &why);
        if (!json) break;
        const char *line = json_string_value(json_object_get(json, "line"));
        json_t *values = json_object_get(json, "values");
        if (line && json_is_object(values)) code = cli_jobs_add(jobs, line, &i);
        if (line && json_is_object(values) && !code) {
            json_decref(jobs->jobs[i].values);
            jobs->jobs[i].values = json_incref(values);
        }
        json_decref(json);
    }
    fseek(jobs->kept, 0, SEEK_END);
    return code;
}

void cli_jobs_close(cli_jobs *jobs)
{
    for (size_t i = 0; i < jobs->count; i++) {
        free(jobs->jobs[i].key);
        json_decref(jobs->jobs[i].values);
    }
    free(jobs->jobs);
    if (jobs->kept) fclose(jobs->kept);
}

static int keep(cli_jobs *jobs, const cli_job *job)
{
    if (!jobs->kept) return CLI_OK;
    json_t *json = json_pack("{s:s, s:O}", "line", job->key, "values", job->values);
    const int code = json ? cli_json_print(json, jobs->kept, 0) : cli_no_memory();
    if (!code && fflush(jobs->kept)) return cli_fail(CLI_IO, "cannot write the results: %s", strerror(errno));
    return code;
}

/* ---- what a line printed ----------------------------------------------------------- */

static double number_at(const json_t *array, size_t i, size_t k)
{
    return json_number_value(json_array_get(json_array_get(array, i), k));
}

/* How far the path went past the minimum at (x, y), in hundredths of the way there
 * from its start and along it. */
static double past(const json_t *path, double x, double y)
{
    const double x0 = number_at(path, 0, 0), y0 = number_at(path, 0, 1);
    const double way = (x - x0) * (x - x0) + (y - y0) * (y - y0);
    double farthest = 1;
    for (size_t i = 0; i < json_array_size(path); i++) {
        const double gone = (number_at(path, i, 0) - x0) * (x - x0) + (number_at(path, i, 1) - y0) * (y - y0);
        farthest = fmax(farthest, gone / way);
    }
    return 100 * (farthest - 1);
}

/* Of a path: its first and its last step's length, and how far it went past the minimum. */
static void measure_path(json_t *values, const json_t *path, const json_t *minima)
{
    const size_t n = json_array_size(path);
    if (n < 2) return;
    const double first = hypot(number_at(path, 1, 0) - number_at(path, 0, 0),
                               number_at(path, 1, 1) - number_at(path, 0, 1));
    const double last = hypot(number_at(path, n - 1, 0) - number_at(path, n - 2, 0),
                              number_at(path, n - 1, 1) - number_at(path, n - 2, 1));
    json_object_set_new(values, "first_step", cli_json_exact(first));
    json_object_set_new(values, "last_step", cli_json_exact(last));
    if (json_array_size(minima) == 1)
        json_object_set_new(values, "past",
                            cli_json_exact(past(path, number_at(minima, 0, 0), number_at(minima, 0, 1))));
}

/* All numbers at the top, and the history of a training run. */
static json_t *values_of(const json_t *printed)
{
    const char *key;
    json_t *value, *values = json_object();
    const json_t *from = json_is_array(printed) ? json_array_get(printed, 0) : printed;
    const json_t *paths = json_object_get(from, "optimizers");
    if (json_array_size(paths) > 0) {
        json_object_set(values, "steps", json_object_get(from, "steps"));
        from = json_array_get(paths, 0);
        measure_path(values, json_object_get(from, "path"),
                     json_object_get(json_object_get(printed, "surface"), "minima"));
    }
    json_object_foreach((json_t *)(uintptr_t)from, key, value)
        if (json_is_number(value) || !strcmp(key, "history") || !strcmp(key, "settings"))
            json_object_set(values, key, value);
    return values;
}

/* ---- processes ----------------------------------------------------------------------- */

typedef struct {
    pid_t process; /* 0: none */
    size_t job;
    FILE *out, *why;
} runner;

/* The line with the user's data in it, cut into words; `text` holds them. Lines whose data
 * are missing are not asked for. */
static void words_of(const cli_jobs *jobs, const char *key, char text[LINE], char *words[WORDS])
{
    int count = 0;
    snprintf(text, LINE, "eden %s", key);
    text[strcspn(text, "#")] = '\0';
    for (char *s = strtok(text, " "); s && count < WORDS - 1; s = strtok(NULL, " ")) words[count++] = s;
    words[count] = NULL;
    for (int i = 0; i < count; i++)
        if (!strcmp(words[i], "{mnist}")) words[i] = (char *)(uintptr_t)jobs->mnist;
}

static void become(const cli_jobs *jobs, const runner *r)
{
    char text[LINE], *words[WORDS];
    words_of(jobs, jobs->jobs[r->job].key, text, words);
    if (dup2(fileno(r->out), 1) < 0 || dup2(fileno(r->why), 2) < 0) _exit(CLI_SYSTEM);
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    execv("/proc/self/exe", words);
    _exit(CLI_SYSTEM);
}

static int begin(const cli_jobs *jobs, runner *r, size_t job)
{
    *r = (runner){ 0, job, tmpfile(), tmpfile() };
    if (!r->out || !r->why)
        return cli_fail(cli_code(errno, CLI_IO), "cannot make a temporary file: %s", strerror(errno));
    fflush(NULL);
    r->process = fork();
    if (r->process == 0) become(jobs, r);
    if (r->process > 0) return CLI_OK;
    r->process = 0;
    return cli_fail(CLI_SYSTEM, "cannot start a process: %s", strerror(errno));
}

static void close_files(runner *r)
{
    if (r->out) fclose(r->out);
    if (r->why) fclose(r->why);
    *r = (runner){ 0, 0, NULL, NULL };
}

/* A diverged run prints nothing, and says so with the code for data. */
static int take(cli_jobs *jobs, runner *r, int status)
{
    cli_job *job = &jobs->jobs[r->job];
    char reason[400] = "";
    json_error_t error;
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    rewind(r->out);
    rewind(r->why);
    if (fgets(reason, sizeof reason, r->why)) reason[strcspn(reason, "\n")] = '\0';
    json_t *printed = code ? NULL : json_loadf(r->out, 0, &error);
    close_files(r);
    if (cli_interrupt()) {
        json_decref(printed);
        return CLI_OK;
    }
    if (printed)
        job->values = values_of(printed);
    else if (code == CLI_DATA)
        job->values = json_pack("{s:b}", "diverged", 1);
    json_decref(printed);
    if (job->values) return keep(jobs, job);
    return cli_fail(code ? code : CLI_INTERNAL, "'eden %.300s' failed: %.300s", job->key,
                    *reason ? reason : "it printed nothing that can be read");
}

static int is_timing(const cli_job *job)
{
    return !strncmp(job->key, "bench ", 6) && !strstr(job->key, "--seconds 0.1 ");
}

/* The next job that waits; timings last, when nothing else runs. */
static size_t next_job(const cli_jobs *jobs, const runner *runners, uint32_t busy, int timings)
{
    for (size_t i = 0; i < jobs->count; i++) {
        int runs = 0;
        for (uint32_t k = 0; k < jobs->at_once; k++) runs |= runners[k].process && runners[k].job == i;
        if (!jobs->jobs[i].values && !runs && is_timing(&jobs->jobs[i]) == timings) return i;
    }
    return timings || busy ? SIZE_MAX : next_job(jobs, runners, busy, 1);
}

static int wait_for_one(cli_jobs *jobs, runner *runners, uint32_t *busy)
{
    int status, code = CLI_OK;
    const pid_t ended = wait(&status);
    if (ended < 0) return errno == EINTR ? CLI_OK : cli_fail(CLI_SYSTEM, "a process was lost");
    for (uint32_t k = 0; k < jobs->at_once; k++)
        if (runners[k].process == ended) {
            --*busy;
            code = take(jobs, &runners[k], status);
        }
    return code;
}

int cli_jobs_run(cli_jobs *jobs, const char *label)
{
    runner runners[AT_ONCE] = { { 0 } };
    uint32_t busy = 0;
    uint64_t waiting = 0, done = 0;
    int code = CLI_OK;
    cli_bar bar;
    if (jobs->at_once > AT_ONCE) jobs->at_once = AT_ONCE;
    for (size_t i = 0; i < jobs->count; i++) waiting += !jobs->jobs[i].values;
    if (!waiting) return CLI_OK;
    cli_bar_begin(&bar, stderr, waiting);
    for (;;) {
        const int alone = busy == 1 && is_timing(&jobs->jobs[runners[0].job]) && runners[0].process;
        size_t job = SIZE_MAX;
        if (!code && !cli_interrupt() && busy < jobs->at_once && !alone)
            job = next_job(jobs, runners, busy, 0);
        if (job == SIZE_MAX && !busy) break;
        if (job == SIZE_MAX) {
            const int failed = wait_for_one(jobs, runners, &busy);
            code = code ? code : failed;
            cli_bar_show(&bar, ++done, label);
            continue;
        }
        uint32_t k = 0;
        while (runners[k].process) k++;
        const int failed = begin(jobs, &runners[k], job);
        if (failed) close_files(&runners[k]);
        busy += !failed;
        code = code ? code : failed;
    }
    cli_bar_clear(&bar);
    return code;
}
