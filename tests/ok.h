/* ok.h - a call that must succeed, or the test fails with the call's own sentence. */
#ifndef EDEN_TESTS_OK_H
#define EDEN_TESTS_OK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <eden/eden.h>

/* Write `error` for the last argument: OK(eden_step(o, error)). */
#define OK(call)                                                   \
    do {                                                           \
        eden_error e_ = { 0, "" };                                 \
        if ((call) != EDEN_OK) fail_msg("%s: %s", #call, e_.text); \
    } while (0)
#define error (&e_)

#endif
