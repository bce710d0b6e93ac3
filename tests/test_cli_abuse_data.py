#!/usr/bin/env python3
"""Odd tables to learn from: refused as data, or trained with finite numbers throughout."""
import json
import math
import unittest

from abused import Abused

MODELS = [["--model", "logistic"], ["--widths", "4"], ["--widths", "4", "--norm", "batch"],
          ["--widths", "4", "--norm", "layer", "--dropout", "0.5"]]


def numbers(value):
    """Every number in a JSON value."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from numbers(item)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield value


class Odd(Abused):
    def table(self, rows, *words, header="a,b,y"):
        """Train on it with every kind of network; the results, whose numbers are all finite. A
        null where a number belongs would be one that was not."""
        self.write("t.csv", "\n".join([header, *rows]) + "\n")
        results = []
        for model in MODELS:
            done = self.train(0, "csv", "t.csv", "--label", "y", "--epochs", "3", "--threads", "1", "--json",
                              "--log", "log", "--save", "p", *model, *words)
            self.assertNotRegex(done.stdout + done.stderr, r"(?i)\b-?(nan|inf)\b")
            result = json.loads(done.stdout)
            self.assertTrue(all(map(math.isfinite, numbers(result))))
            for epoch in result["history"]:
                self.assertIsNotNone(epoch["train_loss"])
                self.assertIsNotNone(epoch["test_loss"])
            for line in self.read("log").decode().splitlines()[1:]:
                record = json.loads(line)
                self.assertTrue(all(map(math.isfinite, numbers(record))))
                self.assertIsNotNone(record.get("loss", 0))
            self.eden(0, "inspect", "p")
            again = json.loads(self.train(0, "csv", "t.csv", "--label", "y", "--resume", "p", "--eval",
                                          "--json", *words).stdout)
            self.assertEqual(again["test_loss"], result["test_loss"])
            results.append(result)
        return results

    def refused_table(self, rows, *words, header="a,b,y"):
        self.write("t.csv", "\n".join([header, *rows]) + ("\n" if rows or header else ""))
        return self.refused(65, "t", "csv", "t.csv", "--label", "y", *words).stderr

    def test_too_few(self):
        """A fifth is the test set, so no row, one row and up to four are too few."""
        for count in range(5):
            for words in [], ["--target", "class"], ["--target", "value"]:
                said = self.refused_table([f"{i},{i * i},{i % 2}" for i in range(count)], *words)
                self.assertIn("it takes 5" if count > 1 else "t.csv", said)
        self.refused_table([], header="")
        self.write("t.csv", "")
        self.refused(65, "t.csv", "csv", "t.csv", "--label", "y")

    def test_few(self):
        """Five are four to learn from and one to test with; fewer than a batch are one."""
        for words in ["--target", "value"], ["--target", "class"]:
            for result in self.table([f"{i},{i * i},{i % 2}" for i in range(5)], *words):
                self.assertEqual(result["step"], 3)
            for result in self.table([f"{i},{i * i},{i % 2}" for i in range(5)], *words, "--batch", "1"):
                self.assertEqual(result["step"], 12)
        rows = [f"{i},{i * i % 7},{i % 2}" for i in range(9)]
        for result in self.table(rows):
            self.assertEqual(result["step"], 3)
        self.refused(64, "--batch 9 is more than the 8", "csv", "t.csv", "--label", "y", "--batch", "9")

    def test_last_batch_of_one(self):
        """A batch of one sample has no variance."""
        rows = [f"{i},{i * i % 7},{i % 3}" for i in range(11)]
        for result in self.table(rows, "--batch", "4", "--target", "class"):
            self.assertEqual(result["step"] % 3, 0)

    def test_missing_classes(self):
        """A class that only the test set has, and numbers of classes with gaps."""
        rows = [f"{i % 7},{i % 5},{'rare' if i == 3 else 'often'}" for i in range(20)]
        for seed in "1", "2", "3", "4":
            for result in self.table(rows, "--seed", seed):
                self.assertEqual(result["classes"], 2)
        rows = [f"{i % 7},{i % 5},{[0, 7, 1000][i % 3]}" for i in range(20)]
        for result in self.table(rows, "--target", "class"):
            self.assertEqual(result["classes"], 3)

    def test_equal_labels(self):
        """From one class or one value there is nothing to learn; from one in all but one, little."""
        rows = [f"{i % 7},{i % 5},3" for i in range(40)]
        for words in [], ["--target", "class"], ["--target", "value"]:
            self.assertIn("every row has the same label", self.refused_table(rows, *words))
        for at in range(3):
            self.table([f"{i % 7},{i % 5},{3 + (i == at)}" for i in range(40)])

    def test_constant_columns(self):
        """A column without spread is divided by no spread."""
        for value in "5", "0", "1e30", "-1e-30", "3.3333333333333333":
            for result in self.table([f"{value},{i % 5},{i % 2}" for i in range(40)]):
                self.assertLess(result["test_loss"], 100)
        self.table([f"1,2,{i % 2}" for i in range(40)])

    def test_extreme_columns(self):
        """Spreads and means whose squares do not fit a double, or hardly."""
        for low, high in [("-1e38", "1e38"), ("1e-38", "2e-38"), ("16777216", "16777217"), ("0", "1e-45")]:
            self.table([f"{[low, high][i % 2]},{i % 5},{i % 3 % 2}" for i in range(40)])
        self.table([f"{i % 7},{i % 5},{[-1, 1][i % 2]}e15" for i in range(40)], "--target", "value")

    def test_labels_out_of_range(self):
        for value in "nan", "inf", "1e400", "":
            rows = [f"{i % 7},{i % 5},{value if i == 5 else i % 2}" for i in range(20)]
            self.assertIn("7", self.refused_table(rows, "--target", "value"))

    def test_only_the_label(self):
        self.refused_table([str(i % 2) for i in range(20)], header="y")


if __name__ == "__main__":
    unittest.main()
