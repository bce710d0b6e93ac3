"""Numbers that know how exactly a float program could have computed them.

A Number holds a value in 60 decimal digits and beside it a size: the same
formula with every term replaced by its absolute value, to about double. Where
terms cancel, the size stays while the value shrinks, and the unit in the last
place of the size is the fair measure of a rounding error in the value.

A cancellation that ends up under a root or in a divisor is amplified from then
on. The size carries that to first order. Beyond a factor of 2^10 there is no
fair measure left: the number is no longer `fair`, and neither is what is
computed from it.
"""
import ctypes
import math
from decimal import Decimal, getcontext

getcontext().prec = 60

ZERO, ONE = Decimal(0), Decimal(1)
AMPLIFIED = 2.0 ** 10


class Number:
    __slots__ = ("value", "size", "fair")

    def __init__(self, value, size=None, fair=True):
        self.value = value if isinstance(value, Decimal) else Decimal(value)
        self.size = abs(float(self.value)) if size is None else size
        self.fair = fair

    def __add__(self, other):
        other = number(other)
        return Number(self.value + other.value, self.size + other.size, self.fair and other.fair)

    def __sub__(self, other):
        other = number(other)
        return Number(self.value - other.value, self.size + other.size, self.fair and other.fair)

    def __mul__(self, other):
        other = number(other)
        return Number(self.value * other.value, self.size * other.size, self.fair and other.fair)

    __radd__, __rmul__ = __add__, __mul__

    def amplification(self):
        """How much larger than its value the size of a positive number is."""
        if self.size == 0:
            return 1.0
        return self.size / float(self.value) if self.value > 0 else math.inf


def number(x):
    return x if isinstance(x, Number) else Number(x)


def root(x):
    """The square root; half of the relative error goes through it."""
    x = number(x)
    if x.size == 0:
        return Number(ZERO)
    by = x.amplification()
    value = x.value.sqrt()
    if by > AMPLIFIED:
        return Number(value, math.sqrt(x.size), False)
    return Number(value, float(value) * (1 + by) / 2, x.fair)


def over(a, b):
    """a / b for b >= 0, and 0 where b is 0."""
    a, b = number(a), number(b)
    if b.value == 0:
        return Number(ZERO, 0.0, a.fair and b.fair and b.size == 0)
    by = b.amplification()
    return Number(a.value / b.value, a.size / float(b.value) * by,
                  a.fair and b.fair and by <= AMPLIFIED)


def sign(x):
    """-1, 0 or 1; fair unless a rounding error could turn it round."""
    fair = x.fair and abs(float(x.value)) * AMPLIFIED >= x.size
    return Number(ONE.copy_sign(x.value), 1.0, fair) if x.value else Number(ZERO, 0.0, fair)


def larger(a, b):
    a, b = number(a), number(b)
    return Number(max(a.value, b.value), max(a.size, b.size), a.fair and b.fair)


def total(numbers):
    value, size, fair = ZERO, 0.0, True
    for x in numbers:
        value, size, fair = value + x.value, size + x.size, fair and x.fair
    return Number(value, size, fair)


def mean(numbers):
    return over(total(numbers), len(numbers))


def norm(numbers):
    return root(total(x * x for x in numbers))


def to_float32(text):
    """The float32 that a C program makes of a vector file's number: by strtod,
    which stops at the marks behind it, and a cast."""
    return ctypes.c_float(float(text.rstrip("?").split("@")[0])).value


def ulp_exponent(size):
    """k, where 2^k is the unit in the last place of a float32 of this size."""
    return max(math.frexp(size)[1] - 24, -149) if size else -149
