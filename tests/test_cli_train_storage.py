#!/usr/bin/env python3
"""`eden train` with weights, gradients and state of fewer bits."""
import json
import os
import subprocess
import unittest

from infolder import InFolder
from tensorfile import read

EDEN = os.path.abspath(os.environ.get("EDEN", "build/eden"))
CHOICES = [
    ["--dtype", "bf16", "--rounding", "master", "--state-dtype", "q8"],
    ["--dtype", "bf16", "--rounding", "split"],
    ["--dtype", "bf16", "--rounding", "stochastic", "--grad-dtype", "bf16", "--state-dtype", "bf16"],
    ["--dtype", "bf16", "--rounding", "kahan", "--grad-dtype", "f16"],
    ["--dtype", "f16", "--rounding", "stochastic", "--state-dtype", "f16"],
    ["--grad-dtype", "f16", "--state-dtype", "q8"],
]
NEAREST = ["--dtype", "bf16"]


class Case(InFolder):
    def eden(self, code, *words):
        done = subprocess.run([EDEN, *words], capture_output=True, text=True, timeout=100,
                              cwd=self.folder)
        self.assertEqual(done.returncode, code, (words, done.stdout, done.stderr))
        return done

    def train(self, *words):
        return json.loads(self.eden(0, "train", "digits", "--json", *words).stdout)

    def refused(self, part, *words):
        done = self.eden(64, *words)
        self.assertIn(part, done.stderr)
        self.assertEqual(done.stdout, "")

    def bytes(self, name):
        return (self.folder / name).read_bytes()


class Train(Case):
    def test_accuracy(self):
        """Every way to keep what 16 bits lose learns as float32 does; nothing kept does not."""
        best = self.train("--epochs", "20")["test_accuracy"]
        self.assertGreater(best, 0.94)
        for words in CHOICES:
            got = self.train("--epochs", "20", *words)["test_accuracy"]
            self.assertLess(abs(got - best), 0.02, words)
        self.assertLess(self.train("--epochs", "20", *NEAREST)["test_accuracy"], best - 0.02)

    def test_resume(self):
        """Stopped, on another number of threads: the same bytes."""
        for words in [*CHOICES, NEAREST]:
            self.train(*words, "--epochs", "2", "--schedule", "step(50)", "--threads", "1",
                       "--save", "whole", "--log", "whole.jsonl")
            self.train(*words, "--epochs", "1", "--schedule", "step(50)", "--threads", "2",
                       "--save", "part", "--log", "part.jsonl")
            self.train("--epochs", "2", "--resume", "part", "--save", "part", "--threads", "2",
                       "--log", "part.jsonl")
            self.assertEqual(self.bytes("whole"), self.bytes("part"), words)

    def test_seed(self):
        """Chance is the run's seed's."""
        words = ["--epochs", "1", *NEAREST, "--rounding", "stochastic", "--seed", "3"]
        first, again = (self.train(*words, "--save", name)["test_loss"] for name in "ab")
        self.assertEqual(first, again)
        self.assertEqual(self.bytes("a"), self.bytes("b"))
        self.assertEqual(read(self.folder / "a")[1]["eden.seed"], "3")

    def test_files(self):
        """Checkpoints hold what was asked for, and no more."""
        for words, weights, state in [
                ([], "F32", "F32"), (CHOICES[0], "BF16", "U8"), (CHOICES[1], "BF16", "F32"),
                (CHOICES[2], "BF16", "BF16"), (CHOICES[4], "F16", "F16"), (CHOICES[5], "F32", "U8")]:
            run = self.train("--epochs", "1", "--save", "a", *words)
            tensors, metadata = read(self.folder / "a")
            kept = 0
            for name, (dtype, _, data) in tensors.items():
                if "@" not in name:
                    self.assertEqual(dtype, weights, name)
                else:
                    kept += len(data)
                if name.endswith("@m"):
                    self.assertEqual(dtype, state, name)
            self.assertAlmostEqual(run["state_bytes_per_weight"], kept / run["weights"],
                                   delta=0.01)
            self.assertEqual("eden.note.lab.dtype" in metadata, weights != "F32")
            self.assertEqual(any(key.startswith("eden.storage") for key in metadata), bool(words))

    def test_told(self):
        text = self.eden(0, "train", "digits", "--epochs", "1", *CHOICES[3], "--log", "a").stdout
        self.assertIn("\nstorage   weights bf16 (kahan), gradients f16, state f32\n", text)
        header = json.loads((self.folder / "a").read_text().splitlines()[0])
        self.assertEqual(header["storage"], {"dtype": "bf16", "grad_dtype": "f16",
                                             "state_dtype": "f32", "rounding": "kahan"})
        text = self.eden(0, "train", "digits", "--epochs", "1", "--log", "a").stdout
        self.assertNotIn("storage", text + (self.folder / "a").read_text())

    def test_refused(self):
        for part, *words in [
                ("--rounding kahan does nothing: float32 weights", "--rounding", "kahan"),
                ("--rounding nearest does nothing", "--rounding", "nearest"),
                ("does nothing", "--rounding", "split", "--dtype", "f32"),
                ("for --dtype bf16", "--rounding", "split", "--dtype", "f16"),
                ("--dtype 'q8'", "--dtype", "q8"), ("--grad-dtype 'q8'", "--grad-dtype", "q8"),
                ("--state-dtype q8 does nothing: sgd", "--state-dtype", "q8", "--optimizer", "sgd"),
                ("factors matrices", "--state-dtype", "q8", "--optimizer", "adafactor"),
                ("there and back", "--optimizer", "momentum", "--lookahead", *NEAREST)]:
            self.refused(part, "train", "digits", "--save", "a", *words)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_contradictions(self):
        self.train("--epochs", "1", "--save", "a", *CHOICES[0])
        before = self.bytes("a")
        for part, *words in [
                ("--dtype f16 contradicts the checkpoint, which has bf16", "--dtype", "f16"),
                ("--grad-dtype bf16 contradicts the checkpoint, which has f32", "--grad-dtype", "bf16"),
                ("--state-dtype f32 contradicts the checkpoint, which has q8", "--state-dtype", "f32"),
                ("--rounding kahan contradicts the checkpoint, which has master", "--rounding",
                 "kahan")]:
            self.refused(part, "train", "digits", "--resume", "a", "--save", "a", *words)
        self.assertEqual(self.bytes("a"), before)
        self.train("--resume", "a", *CHOICES[0])


if __name__ == "__main__":
    unittest.main()
