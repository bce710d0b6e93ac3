#!/usr/bin/env python3
"""The tasks beside digits: what they train, that they go on bit for bit after a stop and
with any number of threads, and what they refuse. CIFAR-10 is in test_data_cifar.py."""
import json
import math
import os
import subprocess
import unittest

from infolder import InFolder

EDEN = os.path.abspath(os.environ.get("EDEN", "build/eden"))
FLAT = ["--schedule", "constant(1)"]


class Case(InFolder):
    def eden(self, code, *words):
        done = subprocess.run([EDEN, *words], capture_output=True, text=True, timeout=100, cwd=self.folder)
        self.assertEqual(done.returncode, code, (words, done.stdout, done.stderr))
        return done

    def json(self, *words):
        return json.loads(self.eden(0, *words, "--json").stdout)

    def refused(self, part, *words, code=64):
        done = self.eden(code, *words)
        self.assertIn(part, done.stderr)
        self.assertEqual((done.stdout, os.listdir(self.folder)), ("", self.before), words)

    def setUp(self):
        super().setUp()
        self.before = os.listdir(self.folder)

    def check_resume(self, *words):
        """Three epochs are one and two more, and the same with any number of threads."""
        words = [*words, *FLAT]
        self.eden(0, "train", *words, "--epochs", "3", "--threads", "1", "--save", "all")
        self.eden(0, "train", *words, "--epochs", "1", "--threads", "2", "--save", "part")
        task = words[:1 + (len(words) > 1 and words[1][0] != "-")]
        self.eden(0, "train", *task, "--epochs", "3", "--threads", "3", "--resume", "part", "--save", "part")
        self.assertEqual((self.folder / "all").read_bytes(), (self.folder / "part").read_bytes())


class Sparse(Case):
    def test_trains(self):
        result = self.json("train", "sparse", "--optimizer", "adagrad")
        self.assertEqual((result["model"], result["classes"], result["batch"], result["epochs"]),
                         ("logistic", 2, 32, 3))
        self.assertIn("tuned on sparse", result["lr_source"])
        self.assertGreater(result["test_accuracy"], 0.9)
        other = self.json("train", "sparse", "--optimizer", "adagrad", "--seed", "2")
        self.assertNotEqual(result["hash"], other["hash"])
        text = self.eden(0, "train", "sparse", "--epochs", "1").stdout
        self.assertIn("8,000 training and 2,000 test examples of 1000 columns, 2 classes", text)

    def test_resume(self):
        self.check_resume("sparse", "--optimizer", "adagrad", "--seed", "3")
        self.check_resume("sparse", "--optimizer", "adam", "--dtype", "bf16", "--rounding", "stochastic")

    def test_compare(self):
        result = self.json("compare", "sparse", "--optimizers", "sgd,adagrad", "--epochs", "1")
        self.assertEqual([entry["name"] for entry in result["optimizers"]], ["sgd", "adagrad"])

    def test_refusals(self):
        self.refused("sparse comes with Eden and takes no 'x'", "train", "sparse", "x")
        self.refused("--label is for csv", "train", "sparse", "--label", "y")
        self.refused("a resnet needs images", "train", "sparse", "--model", "resnet")


class Residual(Case):
    def test_resume(self):
        self.check_resume("digits", "--model", "resnet", "--widths", "4,8", "--optimizer", "nesterov")

    def test_learns(self):
        result = self.json("train", "digits", "--model", "resnet", "--widths", "8,16", "--epochs", "3",
                           "--optimizer", "adam", "--lr", "0.01")
        self.assertGreater(result["test_accuracy"], 0.95)
        self.assertIn("resnet 1x8x8-8-16-10, batch norm", result["network"])


class Batches(Case):
    def test_whole_set(self):
        """A step an epoch, on the mean over all."""
        words = ["digits", "--optimizer", "sgd", "--epochs", "3", *FLAT]
        result = self.json("train", *words, "--batch", "all")
        self.assertEqual((result["batch"], result["steps"]), (1438, 3))
        again = self.json("train", *words, "--batch", "1438")
        self.assertEqual(result["test_loss"], again["test_loss"])
        result = self.json("compare", *words[:1], "--batch", "all", "--epochs", "3", "--optimizers", "sgd,lamb",
                           "--rate-scaling", "sqrt")
        self.assertEqual(result["batch"], 1438)

    def test_scaling(self):
        def rate(*words):
            result = self.json("train", "digits", "--optimizer", "sgd", "--epochs", "1", *words)
            return result["settings"]["lr"], result["lr_source"]
        plain = rate()[0]
        for words, ratio in ((["--batch", "all"], 1438 / 32), (["--batch", "128"], 4), (["--batch", "8"], 0.25),
                             (["--batch", "64", "--accumulate", "4"], 8)):
            self.assertEqual(rate(*words)[0], plain)
            self.assertEqual(rate(*words, "--rate-scaling", "none")[0], plain)
            linear, root = rate(*words, "--rate-scaling", "linear"), rate(*words, "--rate-scaling", "sqrt")
            self.assertAlmostEqual(linear[0] / plain / ratio, 1, 6)
            self.assertAlmostEqual(root[0] / plain / math.sqrt(ratio), 1, 6)
            self.assertIn("scaled by the batch", linear[1])
            self.assertIn("scaled by the root of the batch", root[1])

    def test_resume(self):
        self.eden(0, "train", "digits", "--batch", "all", "--epochs", "1", "--save", "a", *FLAT)
        self.eden(0, "train", "digits", "--batch", "all", "--epochs", "2", "--resume", "a")
        self.eden(0, "train", "digits", "--batch", "16", "--epochs", "1", "--save", "b", *FLAT)
        self.before = os.listdir(self.folder)
        self.refused("--batch all contradicts the checkpoint, which has 16 of 1438 examples",
                     "train", "digits", "--batch", "all", "--epochs", "2", "--resume", "b")
        self.refused("--rate-scaling does nothing to a run that is resumed",
                     "train", "digits", "--rate-scaling", "sqrt", "--resume", "a")

    def test_refusals(self):
        for value in "some", "0", "al", "all ":
            self.refused(f"--batch '{value}' is not a whole number from 1 to 1000000, nor all",
                         "train", "digits", "--batch", value)
        self.refused("--rate-scaling does nothing with --lr",
                     "train", "digits", "--batch", "all", "--rate-scaling", "linear", "--lr", "1")
        self.refused("--rate-scaling 'cubic' is none of none|linear|sqrt",
                     "train", "digits", "--rate-scaling", "cubic")
        self.refused("--batch all is not for text", "train", "text", "--batch", "all")
        self.refused("--rate-scaling is not for text", "train", "text", "--rate-scaling", "sqrt")
        self.refused("of a table, which has none for this", "train", "sparse", "--model", "mlp", "--batch", "all",
                     "--rate-scaling", "sqrt")


if __name__ == "__main__":
    unittest.main()
