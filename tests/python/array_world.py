"""What the tests of eden.numpy share."""
import array
import os
import tempfile
import unittest

import eden.numpy as en


def floats(*values):
    return array.array("f", values)


class Near(unittest.TestCase):
    """Numbers against formulas, and files of its own."""
    def near(self, got, want, relative=1e-5):
        got, want = list(got), list(want)
        self.assertEqual(len(got), len(want))
        for a, b in zip(got, want):
            self.assertLessEqual(abs(a - b), relative * max(abs(b), 1e-3), f"{got} against {want}")

    def scratch(self, name="run.safetensors"):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return os.path.join(folder.name, name)


class Refused(unittest.TestCase):
    """An optimizer of two weights that refuses something."""
    def setUp(self):
        self.w = floats(1, 2)
        self.opt = en.SGD({"w": self.w}, lr=0.5)

    def refused(self, kind, words, call, *args, **kwargs):
        """Raises with these words, and the optimizer works on as if nothing had been."""
        before, steps = bytes(self.w), self.opt.steps
        with self.assertRaisesRegex(kind, words) as caught:
            call(*args, **kwargs)
        self.assertGreater(len(str(caught.exception)), 20)
        self.assertEqual((bytes(self.w), self.opt.steps), (before, steps))
        self.opt.step({"w": floats(0, 0)})
        self.assertEqual((bytes(self.w), self.opt.steps), (before, steps + 1))
