/* test_cli_interrupt.c - a signal that comes at any time between what ranks tell each other is told
 * with the next word, once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/interrupt.c"

static void test_save(void **state)
{
    int mine[2];
    (void)state;
    cli_interrupt_prepare();
    raise(SIGUSR1);
    assert_int_equal(cli_interrupt_save(), 1); /* a process alone */
    assert_int_equal(cli_interrupt_save(), 0);
    cli_interrupt_own(mine);
    assert_int_equal(mine[1], 0);
    raise(SIGUSR1); /* while the others are waited for */
    cli_interrupt_agree(0, 0);
    assert_int_equal(cli_interrupt_save(), 0);
    cli_interrupt_own(mine);
    assert_int_equal(mine[1], 1);
    cli_interrupt_agree(0, 1);
    assert_int_equal(cli_interrupt_save(), 1);
    assert_int_equal(cli_interrupt_save(), 0);
    cli_interrupt_own(mine);
    assert_int_equal(mine[1], 0);
}

/* The first is remembered, and told from what all have agreed on; its echo is none of its own. */
static void test_stop(void **state)
{
    int mine[2];
    (void)state;
    cli_interrupt_catch();
    raise(SIGTERM);
    raise(SIGTERM);
    assert_int_equal(cli_interrupt(), 0);
    cli_interrupt_own(mine);
    assert_int_equal(mine[0], SIGTERM);
    cli_interrupt_agree(SIGTERM, 0);
    assert_int_equal(cli_interrupt(), SIGTERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_save), cmocka_unit_test(test_stop) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
