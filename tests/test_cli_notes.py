#!/usr/bin/env python3
"""Checkpoints with right checksums and notes that no run has: refused as damaged, by file and note."""
import unittest

import tensorfile
from abused import FAST, Abused

NAME = "eden.note.lab."
BAD = {
    "settings": ["0", "lr=nan", "lr=1,lr=2", "lr=inf", "lr", "=", "lr=", ",", "lr=1,,lr=2", "lr=-1", "lrr=1", "lr=1 ",
                 "x" * 5000, "lr=\u202e1", "lr=1e999", "lr=1,", "lr=0x1"],
    "dropout": ["-inf", "inf", "nan", "1p0", "-1p1", "-1p-1", "3p-1"],
    "clip_norm": ["nan", "inf", "-inf", "-1p0"],
    "test_accuracy": ["inf", "-inf", "3p-1", "-1p-9", "x"],
    "test_loss": ["inf", "-inf", "1e5", ""],
    "loss_sum": ["nan", "inf", "-inf", "1p5000"],
    "loss_rows": ["0", "1", "1439", "4294967295", "4294967296", "9999999999999999999", "-1"],
    "step": ["0", "44", "18446744073709551615", "99999999999999999999"],
    "batch": ["0", "-1", ""], "epochs": ["0", "1p1", "9999999999999999999"], "no_decay": ["0", "2"],
    "best": ["inf", "-inf", "3p-1", "-1p-9", "x", None], "best_epoch": ["0", "4", "-1", "1p1", None],
    "average": ["ema", "ema:2", "swa:0", "mean"], "optimizer": [None], "model": [None], "data": [None],
    "hash": [None], "network": [None], "rounding": ["up"], "dtype": ["f64"], "accumulate": ["4294967296"],
}
# What the data or another part of the program has the last word on: the file is named.
UNFIT = {"widths": ["0", "a"], "norm": ["x"], "schedule": ["steep(1)", "constant(nan)"], "model": ["rnn"],
         "warmup": ["18446744073709551615"], "average": ["swa:1000000"],
         "accumulate": ["4000000"], "optimizer": ["none"], "settings": ["lr=0.5,dampening=0.5"]}


class Notes(Abused):
    def setUp(self):
        super().setUp()
        words = [*FAST, "--optimizer", "sgd", "--lr", "0.01", "--schedule", "constant(1)", "--save", "a", "--epochs"]
        self.train(0, *words, "1")
        self.train(0, *words[:-1], "--continue", "--epochs", "2")
        self.train(0, *words[:-1], "--continue", "--epochs", "3")
        self.tensors, self.texts = tensorfile.read(self.folder / "a")
        self.older = self.read("a.old")

    def make(self, key, value):
        texts = {**self.texts, NAME + key: value}
        if value is None:
            del texts[NAME + key]
        tensorfile.write_own(self.folder / "b", self.tensors, texts)

    def test_good(self):
        """The file that all this is done to is fine, as is one that measured nothing yet."""
        self.assertEqual(self.texts[NAME + "settings"], "lr=0.01")
        self.make("seed", self.texts[NAME + "seed"])
        self.train(0, *FAST, "--resume", "b", "--eval")
        for key in "test_loss", "test_accuracy":
            self.make(key, "nan")
            self.train(0, *FAST, "--resume", "b", "--eval")

    def test_bad(self):
        for table, exact in (BAD, True), (UNFIT, False):
            for key, values in table.items():
                for value in values:
                    self.make(key, value)
                    for words in ["--eval"], ["--epochs", "4"]:
                        with self.subTest(key=key, value=value, words=words):
                            done = self.refused(65, "'b'", "digits", "--threads", "1", "--resume", "b", *words)
                            self.assertEqual(done.stderr.count("\n"), 1)
                            self.assertNotIn("Try", done.stderr)
                            if exact and key != "step":
                                self.assertIn(f"'b' is damaged: its note lab.{key} makes no sense", done.stderr)

    def test_older(self):
        """The one before is named, and taken by --continue."""
        for key, value in ("settings", "lr=1,lr=2"), ("dropout", "-inf"), ("loss_rows", "0"), ("loss_sum", "nan"):
            self.make(key, value)
            self.write("b.old", self.older)
            done = self.refused(65, f"its note lab.{key} makes no sense; 'b.old', the one before it, is whole and "
                                "holds step 90", *FAST, "--resume", "b")
            self.assertNotIn("Try", done.stderr)
            done = self.train(0, *FAST, "--continue", "--save", "b", "--epochs", "3")
            self.assertIn("going on from step 90 of 'b.old'", done.stderr)


if __name__ == "__main__":
    unittest.main()
