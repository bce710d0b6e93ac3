/* test_cli_ranks.c - what ranks say to one another needs no memory once they have met: one that
 * has none would leave the others waiting. The others are played by a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/failing_memory.h"

/* What is tested, with the few functions that it calls. */
#include "cli/ranks.c"
#include "lab/problem.h"

enum { RANKS = 3 };
static char room[RANKS * LAB_RANKS_WORD], last_said[600], others[LAB_RANKS_WORD];
static int gathers, refuses_from, stopped, saved;

/* Rank 1 says `others` as long as it does not refuse, and rank 2 what rank 0 does. */
static eden_status gather(const void *mine, void *all, size_t bytes, eden_error *error)
{
    (void)error;
    assert_true(bytes <= LAB_RANKS_WORD);
    memcpy(all, mine, bytes);
    memcpy((char *)all + bytes, gathers >= refuses_from ? others : mine, bytes);
    memcpy((char *)all + 2 * bytes, mine, bytes);
    gathers++;
    return EDEN_OK;
}

int cli_ranks_open(lab_ranks *ranks, uint32_t started, char **words, int needed)
{
    (void)words;
    assert_true(needed);
    *ranks = (lab_ranks){ 0, started, NULL, gather, NULL, NULL, room };
    return CLI_OK;
}

uint32_t cli_ranks_threads(void) { return 1; }
int cli_ranks_close(int code) { return code; }
const cli_command *cli_command_find(const char *name) { return name[0] == '?' ? NULL : (const cli_command *)name; }
void cli_hold_tongue(void) {}
const char *cli_said(void) { return "what this one said"; }
int cli_fail_eden(const eden_error *error, cli_doing doing) { return error->status && doing ? CLI_SYSTEM : CLI_DATA; }

int cli_fail(int code, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(last_said, sizeof last_said, format, list);
    va_end(list);
    return code;
}

void cli_interrupt_own(int mine[2]) { mine[0] = mine[1] = 0; }
void cli_interrupt_agree(int number, int save) { stopped = number, saved = save; }

/* ---- the tests ---------------------------------------------------------------------------- */

static void hear(const void *said, size_t bytes)
{
    memset(others, 0, sizeof others);
    memcpy(others, said, bytes);
    gathers = refuses_from = 0;
    memory_arm(1, 1);
}

static void calls(int wanted)
{
    memory.armed = 0;
    assert_int_equal(memory.calls, 0);
    assert_int_equal(gathers, wanted);
}

static int join(void **state)
{
    static char eden[] = "eden", train[] = "train", *words[] = { eden, train, NULL };
    (void)state;
    setenv("PMI_SIZE", "3", 1);
    setenv("PMI_RANK", "0", 1);
    gathers = 0, refuses_from = 99;
    return cli_ranks_join(2, words) || gathers != 1;
}

static void test_lab(void **state)
{
    const uint32_t bad = EDEN_E_VALUE;
    eden_error e = { 0, "" }, sentence = { EDEN_E_VALUE, "a sentence" };
    double value = 1, theirs[RANKS], there = 2;
    (void)state;
    hear(&(uint32_t){ 0 }, sizeof(uint32_t));
    assert_int_equal(lab_ranks_agree(&world, EDEN_OK, &e), EDEN_OK);
    calls(1);
    hear(&bad, sizeof bad); /* it refuses, and then says why */
    memcpy(others + offsetof(eden_error, text), sentence.text, sizeof sentence.text - 8);
    assert_int_equal(lab_ranks_agree(&world, EDEN_OK, &e), EDEN_E_VALUE);
    assert_string_equal(e.text, "rank 1: a sentence");
    calls(2);
    hear(&there, sizeof there);
    assert_int_equal(lab_ranks_share(&world, &value, sizeof value, &e), EDEN_OK);
    assert_true(value == 1);
    calls(1);
    hear(&there, sizeof there); /* one had no memory to hear the others, and does */
    assert_int_equal(lab_ranks_gather(&world, &value, NULL, sizeof value, &e), EDEN_E_MEMORY);
    calls(1);
    hear(&there, sizeof there);
    assert_int_equal(lab_ranks_gather(&world, &value, theirs, sizeof value, &e), EDEN_OK);
    assert_true(theirs[0] == 1 && theirs[1] == 2 && theirs[2] == 1);
    calls(1);
}

/* More than is said at once. */
static void test_long(void **state)
{
    enum { LONG = 2 * LAB_RANKS_WORD + 500 };
    static unsigned char mine[LONG], all[RANKS * LONG];
    eden_error e = { 0, "" };
    (void)state;
    for (int i = 0; i < LONG; i++) mine[i] = (unsigned char)(i % 251);
    hear("x", 1);
    refuses_from = 99;
    assert_int_equal(lab_ranks_gather(&world, mine, all, LONG, &e), EDEN_OK);
    for (int r = 0; r < RANKS; r++) assert_memory_equal(all + r * LONG, mine, LONG);
    calls(3);
}

static void test_command(void **state)
{
    const word theirs = { CLI_DATA, "why" };
    const int signals[2] = { 15, 1 };
    (void)state;
    hear(&theirs, sizeof theirs);
    assert_int_equal(cli_ranks_agree(CLI_OK), CLI_DATA);
    assert_string_equal(last_said, "rank 1: why");
    assert_int_equal(cli_ranks_agree(CLI_USAGE), CLI_USAGE);
    calls(2);
    hear(signals, sizeof signals);
    cli_ranks_meet();
    assert_int_equal(stopped, 15);
    assert_int_equal(saved, 1);
    calls(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lab),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_command),
    };
    return cmocka_run_group_tests(tests, join, NULL);
}
