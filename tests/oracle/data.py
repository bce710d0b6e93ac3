"""Where the inputs of a case come from."""
import random
import zlib
from decimal import Decimal

from number import to_float32

MASK = (1 << 64) - 1


def mix(x):
    """splitmix64, which tests/test_oracle.c has as well."""
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


# How large generated inputs are, as powers of two, and whether they have a sign.
MADE = {"p": (0, True), "g": (-3, True), "signed": (-5, True), "small": (-8, True),
        "square": (-6, False)}


def made(kind, array, t, n):
    """n inputs of a kind for step t; `array` counts p, g and the state from 0."""
    exponent, signed = MADE[kind]
    out = []
    for i in range(n):
        u = Decimal(mix((t << 40) + (array << 32) + i) >> 40) / (1 << 24)
        out.append((2 * u - 1 if signed else u) * Decimal(2) ** exponent)
    return out


def sampled(n):
    """The elements of a made case that are compared; all of a short array."""
    return [i for i in range(n) if i < 3 or i >= n - 2 or i % 37 == 0 or n <= 40]


SIZES = (1, 1, 0.1, 1, 1e-3, 1, 1e-8, 1)


class Source:
    """Weights, gradients and a state to begin with, as text of a few digits."""

    def __init__(self, rule, case):
        self.case = case
        self.random = random.Random(zlib.crc32(f"{rule.name}/{case.name}".encode()))

    def some(self, size):
        x = self.random.gauss(0, 1)
        return f"{(abs(x) + 0.1) * (1 if x >= 0 else -1) * size:.4g}"

    def weights(self, n):
        # A weight of 0 shows the update in full precision.
        return ["0"] + [self.some(self.case.weights) for _ in range(n - 1)]

    def state(self, kind, n):
        if self.case.first == 1:
            return ["0"] * n
        if kind == "square":
            return [f"{self.random.uniform(0.2, 1):.4g}" for _ in range(n)]
        return [self.some(0.05 if kind == "small" else 0.3) for _ in range(n)]

    def gradients(self, h, t, n, state):
        kind = self.case.grads
        if kind == "poised" and t > self.case.first and t % 2 == 0:
            lean = float(h["beta1"] / (1 - h["beta1"])) * 1.004
            return [f"{-lean * to_float32(m):.9g}" for m in state["m"]]
        if kind == "zero":
            return ["0"] * n
        if kind == "tiny":
            return [self.some(1e-15) for _ in range(n)]
        if kind == "huge" and t < self.case.first + 3:
            return [self.random.choice(("1e19", "-1e19")) for _ in range(n)]
        mixed = kind in ("mixed", "huge")
        out = [self.some(SIZES[i % len(SIZES)] if mixed else 1) for i in range(n)]
        for i in range(1, n if mixed else 0):
            if self.random.random() < 0.05:
                out[i] = "0"
        return out
