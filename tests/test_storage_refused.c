/* test_storage_refused.c - ways to store a tensor that do not go together. */
#include <string.h>

#include "ok.h"

static void refused(eden_status status, eden_status want, const eden_error *e, const char *part)
{
    if (status != want) fail_msg("status %d instead of %d: %s", status, want, e->text);
    if (!strstr(e->text, part)) fail_msg("'%s' does not contain '%s'", e->text, part);
}

static void test_refused(void **state)
{
    static const struct { uint32_t dtype, grad, state, rounding, copy; const char *part; } bad[] = {
        { EDEN_Q8, 0, 0, 0, 0, "dtype = 3 is not supported; use EDEN_F32, EDEN_BF16 or EDEN_F16" },
        { 0, EDEN_Q8, 0, 0, 0, "grad_dtype = 3" },
        { 0, 0, 4, 0, 0, "state_dtype = 4" },
        { 0, 0, 0, 0, EDEN_BF16, "copy_dtype = 1 is not supported; use 0 without a copy" },
        { EDEN_BF16, 0, 0, 5, 0, "rounding = 5" },
        { EDEN_F32, 0, 0, EDEN_KAHAN, 0, "float32 weights lose nothing" },
        { EDEN_F16, 0, 0, EDEN_SPLIT, 0, "EDEN_SPLIT is for EDEN_BF16" },
    };
    static float data[64], grad[64];
    eden_optimizer *o = NULL;
    eden_error e;
    (void)state;
    OK(eden_optimizer_create(&o, "adafactor", NULL, error));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        eden_tensor t = eden_vector(data, grad, 64);
        t.dtype = bad[i].dtype, t.grad_dtype = bad[i].grad, t.state_dtype = bad[i].state;
        t.rounding = bad[i].rounding, t.copy_dtype = bad[i].copy;
        const eden_status status = eden_add_tensor(o, "w", &t, NULL, &e);
        refused(status, i < 4 ? EDEN_E_DTYPE : EDEN_E_VALUE, &e, bad[i].part);
    }
    eden_tensor m = eden_vector(data, grad, 64);
    m.dtype = EDEN_BF16, m.rounding = EDEN_MASTER, m.copy = data, m.copy_dtype = EDEN_F16;
    refused(eden_add_tensor(o, "w", &m, NULL, &e), EDEN_E_VALUE, &e, "EDEN_MASTER writes the weights themselves");
    eden_tensor t = eden_matrix(data, grad, 8, 8);
    t.state_dtype = EDEN_Q8;
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    refused(eden_step(o, &e), EDEN_E_DTYPE, &e, "factors this matrix");
    eden_optimizer_destroy(o);

    OK(eden_optimizer_create(&o, "momentum", NULL, error));
    OK(eden_set_text(o, NULL, "lookahead=1", error));
    t.dtype = EDEN_BF16, t.state_dtype = EDEN_F32, t.rounding = EDEN_KAHAN;
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    refused(eden_lookahead_begin(o, &e), EDEN_E_DTYPE, &e, "there and back");
    eden_optimizer_destroy(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_refused) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
