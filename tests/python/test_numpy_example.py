"""The example with NumPy: stopped half way it ends as one that was not."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import eden

try:
    import numpy
except ImportError:
    numpy = None

EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "examples" / "python" / "numpy_logistic.py"


@unittest.skipUnless(numpy, "NumPy is not here")
class Example(unittest.TestCase):
    def run_it(self, path, change=lambda text: text):
        environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(os.path.abspath(eden.__file__)))}
        done = subprocess.run([sys.executable, "-", str(path)], input=change(EXAMPLE.read_text()), env=environment,
                              capture_output=True, text=True, timeout=300, check=True)
        return done.stdout

    def test_it_learns_and_continues(self):
        with tempfile.TemporaryDirectory() as folder:
            halves, whole = pathlib.Path(folder, "halves"), pathlib.Path(folder, "whole")
            first = self.run_it(halves)
            second = self.run_it(halves)
            at_once = self.run_it(whole, lambda text: text.replace("HALF = 20, 50, 10", "HALF = 20, 50, 20"))
            self.assertIn("300 steps, learning rate", first)
            self.assertIn("continuing after 10 epochs and 300 steps\n600 steps, learning rate 0.0020,", second)
            self.assertEqual(second.splitlines()[-1], at_once.splitlines()[-1])
            self.assertEqual(halves.read_bytes(), whole.read_bytes())
            # Noise puts one in some twenty on the wrong side, whatever plane is found.
            self.assertGreater(float(re.search(r"accuracy ([\d.]+)", second)[1]), 0.93)


if __name__ == "__main__":
    unittest.main()
