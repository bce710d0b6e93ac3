#!/usr/bin/env python3
"""`eden train` and `eden compare` on ranks for every task: with --parts the log and the checkpoint of
one process, and without the same log within rounding. Batch normalization's statistics are those of
the whole batch, and it refuses parts; so does what else cannot be cut."""
import json
import struct
import unittest

from ranks import Ranks

FLAT = ["--schedule", "constant(1)", "--threads", "1"]
# Each task with so little that it takes no time, and rates so low that rounding stays rounding.
TASKS = {
    "digits": ["digits", "--model", "cnn", "--norm", "layer", "--widths", "4", "--batch", "479", "--epochs", "1"],
    "mnist": ["mnist", ".", "--model", "logistic", "--batch", "19", "--epochs", "2"],
    "cifar10": ["cifar10", ".", "--model", "mlp", "--widths", "8", "--batch", "19", "--epochs", "2"],
    "csv": ["csv", "n.csv", "--label", "y", "--batch", "13", "--epochs", "3"],
    "sparse": ["sparse", "--epochs", "1"],
    "finetune": ["finetune", "--model", "mlp", "--widths", "8", "--epochs", "2"],
    "text": ["text", "t.txt", "--layers", "1", "--heads", "2", "--width", "16", "--context", "16", "--batch", "13",
             "--dropout", "0.2", "--epochs", "1", "--sample", "20"],
    "rl": ["rl", "--envs", "4", "--horizon", "16", "--passes", "2", "--batch", "15", "--widths", "8", "--epochs", "2"],
    "gan": ["gan", "--widths", "8", "--noise", "4", "--batch", "13", "--epochs", "1"],
}
OPTIMIZER = ["--optimizer", "sgd", "--lr", "0.01", *FLAT]


class Tasks(Ranks):
    def setUp(self):
        super().setUp()
        self.rows(60)
        self.write("t.txt", "".join(f"{a} {b} the {c}.\n" for a in ("you", "we") for b in ("see", "hear", "know")
                                    for c in ("sun", "sea", "king")) * 60)

    def write(self, name, text):
        (self.folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())

    def rows(self, count):
        """A table, and files of images that have the form of the well-known ones."""
        noise = [(i * 7919 % 1009) / 1009 - 0.5 for i in range(count * 4)]
        lines = [f"{noise[4 * i]:.4f},{noise[4 * i + 1]:.4f},{noise[4 * i] - noise[4 * i + 2]:.4f}" for i in range(count)]
        self.write("n.csv", "a,b,y\n" + "\n".join(lines) + "\n")
        pixels = bytes(i * 7919 % 251 for i in range(count * 3072))
        labels = bytes(i % 10 for i in range(count))
        for part in "train", "t10k":
            self.write(f"{part}-images-idx3-ubyte", struct.pack(">4I", 2051, count, 28, 28) + pixels[:784 * count])
            self.write(f"{part}-labels-idx1-ubyte", struct.pack(">2I", 2049, count) + labels)
        records = b"".join(labels[i:i + 1] + pixels[3072 * i:3072 * (i + 1)] for i in range(count))
        for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
            self.write(name + ".bin", records)

    def test_bits(self):
        for task, words in TASKS.items():
            with self.subTest(task=task):
                words = [*words, *OPTIMIZER, "--parts", "6"]
                self.alone("train", *words, "--log", f"{task}.alone", "--save", "alone")
                for count in 2, 3:
                    self.ranks(count, "train", *words, "--log", f"{task}.log", "--save", "save")
                    self.assertEqual(self.read("save"), self.read("alone"))
                    self.assertEqual(self.log(f"{task}.log"), self.log(f"{task}.alone"))

    def test_rounding(self):
        for task, words in TASKS.items():
            with self.subTest(task=task):
                words = [*words, *OPTIMIZER]
                self.alone("train", *words, "--log", f"{task}.alone")
                self.ranks(4, "train", *words, "--log", f"{task}.log")
                self.near(self.log(f"{task}.log"), self.log(f"{task}.alone"), 2e-3)

    def test_batch_norm(self):
        """Of a last batch with one row, three of four ranks have none."""
        for model in "cnn", "resnet":
            words = ["digits", "--model", model, "--widths", "4", "--norm", "batch", "--batch", "479", "--epochs", "2",
                     *OPTIMIZER]
            self.alone("train", *words, "--log", f"{model}.alone")
            self.ranks(4, "train", *words, "--log", f"{model}.log")
            self.near(self.log(f"{model}.log"), self.log(f"{model}.alone"), 2e-3)

    def test_refused(self):
        batch = ["digits", "--model", "cnn", "--norm", "batch", "--parts", "6"]
        for words, why in ((batch, "batch normalization looks at a whole batch"),
                           (["digits", "--parts", "6", "--grad-dtype", "bf16"], "added as they are stored, in f32"),
                           (["gan", "--dropout", "0.1", "--parts", "6"], "discriminator with dropout")):
            for done in (self.alone("train", *words, code=64), self.ranks(2, "train", *words, code=64)):
                self.assertEqual(len(self.sentences(done)), 1, done.stderr)
                self.assertIn(why, done.stderr)
        done = self.ranks(4, "train", "digits", "--parts", "6", code=64)
        self.assertEqual(self.sentences(done), ["eden: 6 parts are not shared evenly by 4 ranks"])

    def test_compare(self):
        words = ["compare", "digits", "--optimizers", "sgd,adamw", "--widths", "8", "--batch", "479", "--epochs", "2",
                 "--seeds", "2", "--budget", "2", "--threads", "1"]
        told = [json.loads(self.alone(*words, "--parts", "6", "--json").stdout),
                json.loads(self.ranks(3, *words, "--parts", "6", "--json", "--report", "report").stdout)]
        for document in told:
            self.forget(document)
        self.assertEqual(*told)
        self.assertTrue((self.folder / "report" / "index.html").exists())
        self.assertEqual(self.ranks(2, *words).stdout.count("OPTIMIZER"), 1)

    def forget(self, document):
        """What is measured by the clock, or of one rank."""
        if isinstance(document, dict):
            for key in list(document):
                if "seconds" in key or key in ("state_bytes_per_weight", "optimizer_share"):
                    del document[key]
                else:
                    self.forget(document[key])
        for item in document if isinstance(document, list) else []:
            self.forget(item)


if __name__ == "__main__":
    unittest.main()
