#!/usr/bin/env python3
"""Write tests/vectors/schedules.txt: what schedules must give, from their formulas.

usage: tests/oracle/schedules.py [--check]

Plain Python over the decimal module, 80 digits; a number in a schedule's text is
the double nearest to it. --check writes nothing and fails if the file differs.
"""
import pathlib
import sys
from decimal import Decimal, getcontext

getcontext().prec = 80
getcontext().Emin, getcontext().Emax = -10**12, 10**12
FILE = pathlib.Path(__file__).resolve().parent.parent / "vectors" / "schedules.txt"
LAST = 2**64 - 1


def D(x):
    return Decimal(x)


def arctan_of_inverse(n):
    total, term, k = Decimal(0), 1 / Decimal(n), 0
    while abs(term) > Decimal(10) ** -85:
        total += term / (2 * k + 1) * (-1) ** k
        term /= n * n
        k += 1
    return total


PI = 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239))


def cos(x):
    total, term, k = Decimal(0), Decimal(1), 0
    while abs(term) > Decimal(10) ** -85:
        total += term
        k += 2
        term *= -x * x / (k * (k - 1))
    return total


def power(base, exponent):
    if exponent == 0:
        return D(1)
    if base == 0:
        return D(0)
    return min(base.ln() * exponent, D(10**6)).exp()  # far above every double


def half_cosine(share):
    return round((1 + cos(PI * share)) / 2, 72)  # so that 0 is 0


# ---- the functions, as their formulas stand in eden.h -------------------------

def constant(value):
    return lambda s: D(value)


def linear(n, start=1.0, end=0.0):
    return lambda s: D(start) + (D(end) - D(start)) * min(D(s) / n, 1)


def warmup(n, start=0.0):
    return linear(n, start, 1.0)


def polynomial(n, p, end=0.0):
    return lambda s: D(end) + (1 - D(end)) * power(max(1 - D(s) / n, D(0)), D(p))


def cosine(n, end=0.0):
    return lambda s: D(end) + (1 - D(end)) * half_cosine(min(D(s) / n, 1))


def cosine_restarts(n, grow=1.0, end=0.0):
    def value(s):
        begin, length = D(0), D(n)
        if grow == 1:
            begin = D((s - 1) // n * n)
        while s > begin + length:
            begin, length = begin + length, length * D(grow)
        return D(end) + (1 - D(end)) * half_cosine((s - begin) / length)
    return value


def step(n, factor=0.1):
    return lambda s: power(D(factor), D((s - 1) // n))


def multistep(factor, *milestones):
    return lambda s: power(D(factor), D(sum(1 for n in milestones if n < s)))


def exponential(factor, n=1):
    return lambda s: power(D(factor), D(s - 1) / n)


def onecycle(n, start=0.04, peak_at=0.3, end=4e-6):
    def value(s):
        s, peak = D(min(s, n)), D(float(D(peak_at) * n))
        if s <= peak:
            return D(start) + (1 - D(start)) * (1 - half_cosine(s / peak))
        return D(end) + (1 - D(end)) * half_cosine((s - peak) / (n - peak))
    return value


def wsd(up, stable, decay, end=0.0):
    def value(s):
        if s <= up + stable:
            return min(D(s) / up, D(1)) if up else D(1)
        return linear(decay, 1.0, end)(s - up - stable)
    return value


def inverse_sqrt(n):
    return lambda s: min(D(s) / n, (D(n) / s).sqrt())


def sequence(*parts):
    def value(s):
        for piece, steps in zip(parts[::2], parts[1::2]):
            if s <= steps:
                return piece(s)
            s -= steps
        return parts[-1](s)
    return value


def product(*factors):
    def value(s):
        total = D(1)
        for f in factors:
            total *= f(s)
        return total
    return value


# ---- the cases ------------------------------------------------------------------

def around(*boundaries):
    steps = {1, 2, LAST, LAST - 1, 10**6, 2**53, 2**53 + 1}
    for b in boundaries:
        steps.update({b - 1, b, b + 1})
    return sorted(s for s in steps if 1 <= s <= LAST)


FAR = 2**53 - 1
CASES = [
    ("constant(0.3)", constant(0.3), around()),
    ("constant(value=0)", constant(0.0), around()),
    ("warmup(500)", warmup(500), around(250, 500)),
    ("warmup(1)", warmup(1), around()),
    ("warmup(7, 0.1)", warmup(7, 0.1), range(1, 10)),
    ("warmup(9007199254740991, start=0.5)", warmup(FAR, 0.5), around(FAR, FAR // 2)),
    ("linear(4)", linear(4), around(2, 4)),
    ("linear(1000, start=0.5, end=0.1)", linear(1000, 0.5, 0.1), around(500, 1000)),
    ("linear(n=3, end=2)", linear(3, 1.0, 2.0), range(1, 6)),
    ("linear(9007199254740991)", linear(FAR), around(FAR)),
    ("linear(1000003)", linear(1000003), around(1000003)),
    ("polynomial(100, 2)", polynomial(100, 2.0), around(50, 100)),
    ("polynomial(100, 0.5, 0.1)", polynomial(100, 0.5, 0.1), around(50, 100)),
    ("polynomial(100000, power=900.25)", polynomial(100000, 900.25), around(50, 3000, 99000, 100000)),
    ("polynomial(10, 1, end=3)", polynomial(10, 1.0, 3.0), around(5, 10)),
    ("cosine(4)", cosine(4), range(1, 7)),
    ("cosine(6)", cosine(6), range(1, 8)),
    ("cosine(1)", cosine(1), around()),
    ("cosine(1000, end=0.1)", cosine(1000, 0.1), around(250, 333, 500, 750, 1000)),
    ("cosine(9007199254740991)", cosine(FAR), around(FAR // 4, FAR // 2, FAR // 4 * 3, FAR)),
    ("cosine_restarts(10)", cosine_restarts(10), around(5, 10, 20, 1000)),
    ("cosine_restarts(1)", cosine_restarts(1), around()),
    ("cosine_restarts(3, 2, 0.25)", cosine_restarts(3, 2.0, 0.25),
     [*range(1, 24), 3 * (2**40 - 1), 3 * (2**40 - 1) + 1, *around(3 * (2**61 - 1))]),
    ("cosine_restarts(10, grow=1.5)", cosine_restarts(10, 1.5), around(10, 25, 47, 48, 82)),
    ("cosine_restarts(100, 1.01)", cosine_restarts(100, 1.01), around(100, 201, 304)),
    ("cosine_restarts(1, 1e6)", cosine_restarts(1, 1e6), around(1, 10**6 + 1, 10**12 + 10**6 + 1)),
    ("step(30)", step(30), around(30, 60, 90)),
    ("step(1, factor=0.99999)", step(1, 0.99999), [1, 2, 10**5, 10**6, 10**7, LAST]),
    ("step(9007199254740991, 0.5)", step(FAR, 0.5), around(FAR, 2 * FAR, 3 * FAR)),
    ("step(2, 0)", step(2, 0.0), around(2, 4)),
    ("step(10, 2)", step(10, 2.0), [1, 10, 11, 101, 10230]),
    ("multistep(0.1, 30)", multistep(0.1, 30), around(30)),
    ("multistep(0.5, 1, 30, 60, 9007199254740991)", multistep(0.5, 1, 30, 60, FAR), around(30, 60, FAR)),
    ("multistep(factor=0.2, 3, 5)", multistep(0.2, 3, 5), around(3, 5)),
    ("exponential(0.9)", exponential(0.9), [1, 2, 3, 100, 6000, LAST]),
    ("exponential(0.1, 1000)", exponential(0.1, 1000), around(500, 1001, 2001, 100001)),
    ("exponential(0.9999999999)", exponential(0.9999999999), [1, 2, 10**9, 10**12, LAST]),
    ("exponential(0)", exponential(0.0), around()),
    ("exponential(1)", exponential(1.0), around()),
    ("exponential(1e-300, n=7)", exponential(1e-300, 7), range(1, 9)),
    ("exponential(3, 10)", exponential(3.0, 10), [1, 2, 11, 15, 2001]),
    ("onecycle(100)", onecycle(100), around(15, 30, 65, 100)),
    ("onecycle(100, peak_at=0.29)", onecycle(100, peak_at=0.29), around(29, 100)),
    ("onecycle(10, 0, 0.25, 0)", onecycle(10, 0.0, 0.25, 0.0), range(1, 13)),
    ("onecycle(1)", onecycle(1), around()),
    ("wsd(10, 20, 30)", wsd(10, 20, 30), around(10, 30, 45, 60)),
    ("wsd(0, 0, 4, end=0.5)", wsd(0, 0, 4, 0.5), around(2, 4)),
    ("wsd(warmup=0, stable=5, decay=1)", wsd(0, 5, 1), around(5)),
    ("inverse_sqrt(4000)", inverse_sqrt(4000), around(2000, 4000, 16000)),
    ("inverse_sqrt(1)", inverse_sqrt(1), around(4)),
    ("plateau(0.5) * constant(0.25)", constant(0.25), around()),
    ("warmup(500) * cosine(10000, end=0.1)", product(warmup(500), cosine(10000, 0.1)),
     around(500, 5000, 10000)),
    ("absolute(warmup(10)*constant(0.003))", product(warmup(10), constant(0.003)), around(10)),
    ("warmup(5) * absolute ( constant(2) * step(3) )", product(warmup(5), constant(2.0), step(3)),
     around(3, 5, 6)),
    ("exponential(9e15) * linear(40)", product(exponential(9e15), linear(40)), [1, 2, 19, 40, LAST]),
    ("sequence(warmup(5), 5, cosine(10), 10, constant(0.2))",
     sequence(warmup(5), 5, cosine(10), 10, constant(0.2)), around(5, 10, 15, 16)),
    ("sequence(constant(1), 3, linear(4)) * constant(0.5)",
     product(sequence(constant(1.0), 3, linear(4)), constant(0.5)), around(3, 5, 7)),
    ("sequence(multistep(0.5, 2, 4), 6, sequence(step(2) * warmup(3), 4, multistep(0.1, 1, 3)), 9, "
     "sequence(linear(3), 9007199254740991, inverse_sqrt(2)))",
     sequence(multistep(0.5, 2, 4), 6,
              sequence(product(step(2), warmup(3)), 4, multistep(0.1, 1, 3)), 9,
              sequence(linear(3), FAR, inverse_sqrt(2))),
     [*range(1, 22), FAR, FAR + 14, FAR + 15, FAR + 16, FAR + 17, FAR + 18, LAST]),
]


def lines():
    yield "# Made by tests/oracle/schedules.py: the value at a step, the step, the schedule."
    for text, value, steps in CASES:
        for s in steps:
            yield f"{value(s):.25e} {s} {text}"


def main():
    text = "\n".join(lines()) + "\n"
    if sys.argv[1:] != ["--check"]:
        FILE.write_text(text)
        return 0
    if FILE.read_text() == text:
        return 0
    print(f"{FILE.name} is not what tests/oracle/schedules.py writes; run it without --check")
    return 1


if __name__ == "__main__":
    sys.exit(main())
