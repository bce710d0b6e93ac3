#!/usr/bin/env python3
"""`eden train text`: what it prints and samples, resuming to the same bits, threads, its
options and what it refuses."""
import gzip
import json
import math
import os
import subprocess
import unittest

from infolder import InFolder

EDEN = os.path.abspath(os.environ.get("EDEN", "build/eden"))
SMALL = ["--layers", "1", "--heads", "2", "--width", "16", "--context", "16", "--batch", "4"]
# Sentences enough for a tenth to say something.
TEXT = "".join(f"{a} {b} the {c}.\n" for a in ("you", "we", "they") for b in ("see", "hear", "know")
               for c in ("sun", "sea", "king", "song", "road")) * 20


class Case(InFolder):
    def setUp(self):
        super().setUp()
        (self.folder / "t.txt").write_text(TEXT)

    def run_eden(self, *words):
        return subprocess.run([EDEN, *words], capture_output=True, timeout=100, cwd=self.folder)

    def train(self, *words):
        done = self.run_eden("train", "text", *words)
        self.assertEqual((done.returncode, done.stderr), (0, b""), words)
        return done.stdout.decode()

    def refused(self, code, part, *words):
        before = sorted(os.listdir(self.folder))
        done = self.run_eden("train", *words)
        said = done.stderr.decode()
        self.assertEqual((done.returncode, done.stdout), (code, b""), (words, said))
        self.assertIn(part, said)
        self.assertTrue(said.startswith("eden: "))
        self.assertLessEqual(said.count("\n"), 2)
        self.assertEqual(sorted(os.listdir(self.folder)), before)

    def bytes_of(self, name):
        return (self.folder / name).read_bytes()


class Output(Case):
    def test_lines(self):
        text = self.train("t.txt", *SMALL, "--epochs", "2", "--sample", "90", "--temperature", "0.5")
        for part in ["data      t.txt", "training and", "test bytes of text",
                     "transformer of 1 layer, 2 heads, width 16, context 16, ", " weights\n",
                     "schedule  cosine(500, end=0.1)", "batch 4, 2 epochs of 250 steps, seed 1",
                     "epoch 2/2  loss ", " nats a byte, perplexity ",
                     "sample    90 bytes at a temperature of 0.5\n\n"]:
            self.assertIn(part, text)
        sample = text.split("0.5\n\n")[1]
        self.assertEqual(len(sample), 91)
        self.assertGreater(sum(c in "abcdefghijklmnopqrstuvwxyz .\n" for c in sample), 85)

    def test_json_and_log(self):
        done = self.run_eden("train", "text", "t.txt", *SMALL, "--epochs", "1", "--json", "--log",
                             "l", "--sample", "30", "--log-every", "50")
        self.assertEqual(done.returncode, 0, done.stderr)
        said = json.loads(done.stdout)
        self.assertEqual(said["options"], "context=16,heads=2,layers=1,width=16")
        self.assertEqual((said["classes"], said["clip"], said["no_decay"]), (0, 1, True))
        self.assertEqual(said["settings"]["weight_decay"], 0.1)
        self.assertEqual(said["warmup"], 25)
        self.assertAlmostEqual(math.exp(said["test_loss"]), said["test_perplexity"], 9)
        self.assertEqual(len(said["sample"]), 30)
        lines = [json.loads(line) for line in self.bytes_of("l").splitlines()]
        self.assertEqual(len(lines), 1 + 5 + 1)
        self.assertGreater(lines[1]["perplexity"], lines[5]["perplexity"])
        self.assertEqual(lines[-1]["test_loss"], said["test_loss"])
        self.assertEqual(self.run_eden("plot", "l", "-o", "l.svg").returncode in (0, 69), True)

    def test_learns(self):
        """Below what counting bytes can tell, by far."""
        said = json.loads(self.run_eden("train", "text", "t.txt", *SMALL, "--epochs", "2", "--json")
                          .stdout)
        n = len(TEXT)
        entropy = -sum(TEXT.count(c) / n * math.log(TEXT.count(c) / n) for c in set(TEXT))
        self.assertGreater(entropy, 2.5)
        self.assertLess(said["test_loss"], entropy - 1.5)

    def test_built_in(self):
        text = self.train(*SMALL, "--epochs", "1", "--sample", "0")
        self.assertIn("data      eden-sources\n", text)
        self.assertNotIn("sample", text)

    def test_gzip(self):
        (self.folder / "z.gz").write_bytes(gzip.compress(TEXT.encode()))
        a, b = (self.train(name, *SMALL, "--epochs", "1", "--sample", "0").splitlines()
                for name in ("t.txt", "z.gz"))
        self.assertEqual(a[1:6], b[1:6])


class Resuming(Case):
    def saved(self, name, *words):
        self.train("t.txt", *words, "--save", name)
        return self.bytes_of(name)

    def test_same_bits(self):
        one = self.saved("a", *SMALL, "--epochs", "2", "--threads", "1", "--sample", "0",
                         "--schedule", "constant(1)")
        for threads in "2", "3":
            self.assertEqual(one, self.saved("b", *SMALL, "--epochs", "2", "--threads", threads,
                                             "--schedule", "constant(1)"))
        self.saved("c", *SMALL, "--epochs", "1", "--schedule", "constant(1)")
        done = self.run_eden("train", "text", "t.txt", "--resume", "c", "--epochs", "2", "--save", "c")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(one, self.bytes_of("c"))

    def test_storage_and_optimizers(self):
        for more in (["--dtype", "bf16", "--rounding", "kahan", "--state-dtype", "q8"],
                     ["--average", "ema:0.9", "--accumulate", "2", "--dropout", "0.1"],
                     ["--optimizer", "sgd", "--clip", "0.5", "--warmup", "7"]):
            whole = self.saved("a", *SMALL, *more, "--epochs", "2", "--schedule", "constant(1)")
            self.saved("b", *SMALL, *more, "--epochs", "1", "--schedule", "constant(1)")
            self.train("t.txt", "--resume", "b", "--epochs", "2", "--save", "b")
            self.assertEqual(whole, self.bytes_of("b"), more)

    def test_eval(self):
        said = self.train("t.txt", *SMALL, "--epochs", "1", "--save", "a")
        text = self.train("t.txt", "--resume", "a", "--eval", "--sample", "40")
        line = next(line for line in said.splitlines() if line.startswith("test "))
        self.assertIn(line, text.splitlines())
        self.assertIn("sample    40 bytes", text)
        self.assertNotIn("sample", self.train("t.txt", "--resume", "a", "--eval"))

    def test_refused(self):
        self.train("t.txt", *SMALL, "--epochs", "1", "--save", "a")
        (self.folder / "u.txt").write_text(TEXT.upper())
        for part, code, *words in [
                ("--width 32 contradicts the checkpoint, which has 16", 64, "t.txt", "--width", "32"),
                ("'a' is the checkpoint of another run, with data t.txt", 65, "u.txt"),
                ("with data t.txt instead of eden-sources", 65)]:
            self.refused(code, part, "text", *words, "--resume", "a")


class Refused(Case):
    def test_files(self):
        (self.folder / "empty").write_bytes(b"")
        (self.folder / "short").write_bytes(b"not much to learn from")
        os.mkdir(self.folder / "d")
        for code, part, name in [(65, "'empty' has 0 bytes; a text to learn from needs at least 20", "empty"),
                                 (64, "short has 20 bytes to learn from (9 of 10), and with a context of "
                                      "64 it needs at least 65; choose a smaller context", "short"),
                                 (66, "'d'", "d"), (66, "'gone'", "gone")]:
            self.refused(code, part, "text", name)

    def test_options(self):
        for part, *words in [
                ("--model is not for text, which has a transformer", "text", "--model", "mlp"),
                ("--no-decay is not for text, whose biases and norms never decay", "text", "--no-decay"),
                ("--label is for csv; text has bytes", "text", "--label", "x"),
                ("--width is for text alone", "digits", "--width", "8"),
                ("--sample is for text alone", "digits", "--sample", "8"),
                ("--temperature does nothing with --sample 0", "text", "--sample", "0",
                 "--temperature", "1"),
                ("heads = 3 do not divide width = 128", "text", "--heads", "3"),
                ("--layers", "text", "--layers", "17"),
                ("--context", "text", "--context", "0")]:
            self.refused(64, part, *words)
        done = self.run_eden("compare", "text", "--sample", "8")
        self.assertEqual(done.returncode, 64)
        self.assertIn(b"eden compare has no option '--sample'", done.stderr)

    def test_help(self):
        said = self.run_eden("help", "train").stdout.decode()
        for part in ["'text [FILE]'", "--layers N", "--heads N", "--width N", "--context N",
                     "--sample N", "--temperature T", "nats a byte"]:
            self.assertIn(part, " ".join(said.split()))


if __name__ == "__main__":
    unittest.main()
