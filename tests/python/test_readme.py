"""What python/README.md shows of NumPy runs as it stands, and goes on where it was stopped."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import eden

try:
    import numpy as np
except ImportError:
    np = None

README = pathlib.Path(__file__).resolve().parents[2] / "python" / "README.md"


@unittest.skipUnless(np, "NumPy is not here")
class Shown(unittest.TestCase):
    def setUp(self):
        text = README.read_text(encoding="utf-8")
        part = text[text.index("## NumPy"):]
        self.short, self.whole = re.findall(r"```python\n(.*?)```", part[:part.index("\n## ", 3)], re.S)

    def run_it(self, folder, code):
        environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(os.path.abspath(eden.__file__)))}
        subprocess.run([sys.executable, "-B", "-c", code], cwd=folder, env=environment, timeout=100, check=True)

    def test_a_line_of_each(self):
        with tempfile.TemporaryDirectory() as folder:
            self.run_it(folder, "import numpy\nw = numpy.ones(3, 'f'); gradient = w * 2\n" + self.short
                        + "assert abs(w - 0.9999).max() < 1e-6, w")
            self.assertTrue(os.path.exists(os.path.join(folder, "run.safetensors")))

    def test_a_run_with_everything(self):
        ends = []
        for stops in ([200], [70, 200]):
            with tempfile.TemporaryDirectory() as folder:
                for stop in stops:
                    code = self.whole.replace("optimizer.steps < 200", f"optimizer.steps < {stop}")
                    self.assertEqual(code == self.whole, stop == 200)
                    self.run_it(folder, code + "np.save('w', w); np.save('error', x @ w + b - y)")
                ends.append([np.load(os.path.join(folder, f"{name}.npy")) for name in ("w", "error")])
        self.assertTrue(np.array_equal(ends[0][0], ends[1][0]))
        self.assertLess(abs(ends[0][1]).max(), 0.05)


if __name__ == "__main__":
    unittest.main()
