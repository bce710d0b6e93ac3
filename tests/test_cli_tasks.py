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


class Finetune(Case):
    SMALL = ["--widths", "4,8", "--optimizer", "adamw"]

    def test_trains(self):
        text = self.eden(0, "train", "finetune", "--optimizer", "adamw").stdout
        for part in ("data      digits, classes 5 to 9", "100 training and 184 test examples of 8 x 8, 5 classes",
                     "start     trained on 726 examples of classes 0 to 4; a new head",
                     "(tuned on finetune, seeds 1 to 3)"):
            self.assertIn(part, text)
        result = self.json("train", "finetune", "--optimizer", "adamw", "--scratch")
        self.assertEqual((result["model"], result["options"]), ("cnn", "body=1000000,examples=100,scratch=1"))
        self.assertEqual(result["lr_source"], "tuned on finetune --scratch, seeds 1 to 3")
        self.assertGreater(result["test_accuracy"], 0.85)

    def test_resume(self):
        self.check_resume("finetune", *self.SMALL)
        self.check_resume("finetune", *self.SMALL, "--scratch", "--no-decay", "--weight-decay", "0.1")
        self.check_resume("finetune", *self.SMALL, "--dtype", "bf16", "--rounding", "kahan", "--examples", "23",
                          "--body-rate", "0.5", "--no-decay", "--weight-decay", "0.1", "--average", "swa:2")

    def test_groups(self):
        """Body and head are groups of the checkpoint, and biases of the body a third."""
        for words, groups in ((["--no-decay", "--weight-decay", "0.1"], {"body", "body_no_decay", "head", "no_decay"}),
                              ([], {"body", "head"}), (["--scratch"], {"default"})):
            self.eden(0, "train", "finetune", *self.SMALL, *words, "--epochs", "1", "--save", "a", "--lr", "0.125")
            notes = self.json("inspect", "a")["metadata"]
            found = {value for key, value in notes.items() if key.startswith("eden.group.")}
            self.assertEqual(found | {"default"} if words == ["--scratch"] else found, groups)

    def test_from(self):
        self.eden(0, "train", "digits", "--model", "cnn", "--epochs", "1", "--save", "a", *self.SMALL)
        words = ["finetune", *self.SMALL, "--epochs", "2", *FLAT]
        text = self.eden(0, "train", *words, "--from", "a", "--save", "b").stdout
        self.assertIn("10 of the body's 10 tensors from 'a', 2 of the file's not used; a new head",
                      " ".join(text.split()))
        self.eden(0, "train", *words[:-4], "--epochs", "1", *FLAT, "--from", "a", "--save", "c", "--continue")
        (self.folder / "a").unlink()
        self.eden(0, "train", "finetune", "--epochs", "2", "--save", "c", "--continue")
        self.assertEqual((self.folder / "b").read_bytes(), (self.folder / "c").read_bytes())
        (self.folder / "a").write_text("no checkpoint at all")
        self.eden(65, "train", *words, "--from", "a")
        self.assertIn("No such file", self.eden(66, "train", *words, "--from", "x").stderr)

    def test_folder(self):
        """Images of a folder, and classes beyond ten."""
        labels, test = [i % 14 for i in range(140)], [i % 14 for i in range(28)]
        for stem, values in ("train", labels), ("t10k", test):
            count = len(values).to_bytes(4, "big")
            (self.folder / f"{stem}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + count + bytes(values))
            pixels = bytes((17 * v + i) % 256 for v in values for i in range(36))
            (self.folder / f"{stem}-images-idx3-ubyte").write_bytes(
                b"\0\0\x08\x03" + count + (6).to_bytes(4, "big") * 2 + pixels)
        text = self.eden(0, "train", "finetune", ".", *self.SMALL, "--epochs", "1", "--examples", "35").stdout
        self.assertIn("35 training and 14 test examples of 6 x 6, 7 classes", text)
        self.assertIn("trained on 70 examples of classes 0 to 6", text)

    def test_refusals(self):
        train = ["train", "finetune"]
        self.refused("--examples is for finetune alone", "train", "digits", "--examples", "9")
        self.refused("--scratch begins with nothing", *train, "--scratch", "--from", "a")
        self.refused("--body-rate does nothing with --scratch", *train, "--scratch", "--body-rate", "0.5")
        self.refused("no body to keep", *train, "--model", "logistic")
        self.refused("examples = 999 take 200 of each new class", *train, "--examples", "999")
        self.refused("--batch 101 is more than the 100", *train, "--batch", "101")
        self.refused("--scratch begins with nothing", "compare", "finetune", "--scratch", "--from", "a")
        self.eden(0, *train, *self.SMALL, "--epochs", "1", "--save", "a")
        self.before = os.listdir(self.folder)
        for words, part in ((["--scratch"], "contradicts the checkpoint, which has a body that was trained before"),
                            (["--body-rate", "0.2"], "--body-rate 0.2 contradicts the checkpoint, which has 0.1"),
                            (["--examples", "50"], "--examples 50 contradicts the checkpoint, which has 100"),
                            (["--batch", "all"], "--batch all contradicts the checkpoint, which has 16 of 100"),
                            (["--from", "a"], "--from does nothing with --resume")):
            self.refused(part, *train, "--resume", "a", *words)
        self.refused("--save and --from are the same file", *train, "--from", "a", "--save", "a")
        self.refused("--log and --from are the same file", *train, "--from", "a", "--log", "./a")
        self.eden(0, *train, "--resume", "a", "--eval", "--examples", "100", "--body-rate", "0.1")


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
