"""What the tests of `eden-mpi` share: some ranks of it, and what they wrote."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

RUN = pathlib.Path(__file__).with_name("run.sh")
EDEN, EDEN_MPI, MPIEXEC = (os.environ[name] for name in ("EDEN", "EDEN_MPI", "MPIEXEC"))
# An mpirun may give rank 0 a terminal.
PLAIN_TEXT = {**os.environ, "TERM": "dumb", "NO_COLOR": "1"}
SECONDS = ("seconds", "step_seconds", "optimizer_seconds")
PLAIN = ["--threads", "1"]
DIGITS = ["digits", "--optimizer", "adamw", "--widths", "16", "--batch", "240", *PLAIN]


class Ranks(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def run_words(self, words, code):
        done = subprocess.run([str(word) for word in words], cwd=self.folder, env=PLAIN_TEXT, text=True, capture_output=True,
                              timeout=300, check=False)
        if code is not None:
            self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def alone(self, *words, code=0):
        return self.run_words([EDEN, *words], code)

    def ranks(self, count, *words, code=0, program=EDEN_MPI):
        return self.run_words([RUN, MPIEXEC, count, program, *words], code)

    def sentences(self, done):
        return [line for line in done.stderr.splitlines() if line.startswith("eden: ")]

    def read(self, name):
        return (self.folder / name).read_bytes()

    def log(self, name):
        records = [json.loads(line) for line in self.read(name).decode().splitlines()]
        return [{key: value for key, value in record.items() if key not in SECONDS} for record in records]

    def near(self, a, b, within):
        """Two logs that differ by rounding alone."""
        self.assertEqual(len(a), len(b))
        for x, y in zip(a[1:], b[1:]):
            self.assertEqual(x.keys(), y.keys())
            for key in x:
                if isinstance(x[key], float) or isinstance(y[key], float):
                    self.assertLessEqual(abs(x[key] - y[key]), within * max(1, abs(x[key])), (key, x, y))
