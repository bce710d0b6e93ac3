#!/usr/bin/env python3
"""The pole on its cart against an account of its own: Lagrange's equations, solved as such.

For a cart of mass M at x and a uniform pole of mass m and half length l at the angle a,
the energies are T = M x'^2 / 2 + the pole's, whose center is at (x + l sin a, l cos a) and
whose moment of inertia about it is m (2 l)^2 / 12, and V = m g l cos a. That gives two
linear equations in x'' and a'':

    (M + m) x'' + m l cos(a) a'' = F + m l a'^2 sin(a)
    m l cos(a) x'' + (m l^2 + m l^2 / 3) a'' = m g l sin(a)
"""
import math
import os
import pathlib
import random
import subprocess
import sys
import unittest

STEPS = pathlib.Path(os.environ.get("EDEN_BUILD", "build/gcc")) / "tests" / "cart_steps"
M, m, l, g, F, TAU = 1.0, 0.1, 0.5, 9.8, 10.0, 0.02


def step(state, right):
    x, v, a, w = state
    push = (F if right else -F) + m * l * w * w * math.sin(a)
    a11, a12 = M + m, m * l * math.cos(a)
    a21, a22 = a12, m * l * l + m * (2 * l) ** 2 / 12
    b1, b2 = push, m * g * l * math.sin(a)
    det = a11 * a22 - a12 * a21
    dv, dw = (b1 * a22 - a12 * b2) / det, (a11 * b2 - b1 * a21) / det
    return (x + TAU * v, v + TAU * dv, a + TAU * w, w + TAU * dw)


def fallen(state):
    return abs(state[0]) > 2.4 or abs(state[2]) > math.radians(12)


def ask(lines, *words):
    done = subprocess.run([STEPS, *words], input="\n".join(lines), capture_output=True, text=True,
                          timeout=60, check=True)
    return [[float(n) for n in line.split()] for line in done.stdout.splitlines()]


class CartPole(unittest.TestCase):
    def test_steps(self):
        chance = random.Random(1)
        cases = [([chance.uniform(-s, s) for s in (3, 4, 0.4, 5)], i % 2) for i in range(2000)]
        cases += [([2.4, 0, 0, 0], 1), ([-2.41, 0, 0, 0], 0), ([0, 0, 0.2, 0.5], 0)]
        have = ask([" ".join(map(repr, [*state, right])) for state, right in cases])
        self.assertEqual(len(have), len(cases))
        falls = 0
        for (state, right), got in zip(cases, have):
            want = step(state, right)
            for a, b in zip(want, got):
                self.assertAlmostEqual(a, b, delta=1e-12 * max(1, abs(a)))
            self.assertEqual(bool(got[4]), fallen(want))
            falls += fallen(want)
        self.assertTrue(200 < falls < 1800, falls)

    def test_mirror(self):
        """Left is the mirror of right."""
        for right in 0, 1:
            mirrored = ask(["0.1 0.2 0.05 -0.3 %d" % right, "-0.1 -0.2 -0.05 0.3 %d" % (1 - right)])
            for a, b in zip(*[row[:4] for row in mirrored]):
                self.assertAlmostEqual(a, -b, delta=1e-15)

    def test_starts(self):
        starts = ask([], "7", "4000")
        for i in range(4):
            column = [s[i] for s in starts]
            self.assertTrue(-0.05 <= min(column) < -0.0495 and 0.0495 < max(column) < 0.05)
            self.assertLess(abs(sum(column) / len(column)), 0.002)
        self.assertEqual(len({tuple(s) for s in starts}), 4000)
        self.assertNotEqual(starts[:5], ask([], "8", "5"))


if __name__ == "__main__":
    if not STEPS.exists():
        print("skipped: cart_steps was not built")
        sys.exit(77)
    unittest.main()
