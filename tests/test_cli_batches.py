#!/usr/bin/env python3
"""`eden compare --batches`: each size is a comparison of its own, told in one table, as JSON and in a
report; `bigbatch`; refusals."""
import csv
import json
import math
import re
import shutil
import statistics
import unittest
import xml.etree.ElementTree

from infolder import RunsEden

WORDS = ["digits", "--optimizers", "sgd,adam", "--widths", "16", "--epochs", "3", "--seeds", "2", "--threads", "1",
         "--rate-scaling", "sqrt"]


class Case(RunsEden):
    def compare(self, *words, code=0):
        done = self.run_eden(code, "compare", *words)
        return done.stdout if not code else done.stderr

    def told(self, *words):
        return json.loads(self.compare(*words, "--json"))


class Sizes(Case):
    def test_each_is_a_comparison(self):
        said = self.told(*WORDS, "--batches", "32,all,128")
        self.assertEqual([size["batch"] for size in said["batches"]], [32, 1438, 128])
        self.assertEqual([size["epoch_steps"] for size in said["batches"]], [45, 1, 12])
        for size, word in zip(said["batches"], ("32", "all", "128")):
            alone = self.told(*WORDS, "--batch", word)["optimizers"]
            for one, other in zip(size["optimizers"], alone):
                for key in "name", "lr", "test_accuracy", "train_loss":
                    self.assertEqual(one[key], other[key], (word, key))
        rates = [size["optimizers"][0]["lr"] for size in said["batches"]]
        self.assertAlmostEqual(rates[1] / rates[0], math.sqrt(1438 / 32), delta=0.01)

    def test_table(self):
        said = self.told(*WORDS, "--batches", "32,128")
        text = self.compare(*WORDS, "--batches", "32,128")
        self.assertLess(max(map(len, text.splitlines())), 80)
        self.assertIn("Test accuracy, % by batch size\n\nOPTIMIZER", text)
        for number, size in enumerate(said["batches"]):
            best = max(one["test_accuracy"]["mean"] for one in size["optimizers"])
            for one in size["optimizers"]:
                line = re.search(rf"^{one['name']} +(.*)", text, re.M)[1]
                cell = re.split(r" {2,}", line.strip())[number]
                mean, spread = (100 * one["test_accuracy"][key] for key in ("mean", "deviation"))
                star = "*" if one["test_accuracy"]["mean"] == best else ""
                self.assertEqual(cell, f"{mean:.2f} +- {spread:.2f}{star}")

    def test_bigbatch(self):
        few = ["--optimizers", "adam", "--widths", "8", "--epochs", "1", "--threads", "1"]
        self.assertEqual(self.told("bigbatch", *few),
                         self.told("digits", *few, "--batches", "32,128,512,all", "--rate-scaling", "sqrt"))

    def test_budget_and_lost(self):
        said = self.told("digits", "--optimizers", "sgd", "--widths", "8", "--epochs", "1", "--budget", "3",
                         "--batches", "32,all")
        self.assertEqual(said["budget"], 3)
        loss = self.told("sparse", "--optimizers", "adagrad", "--epochs", "1", "--batches", "64,256")
        self.assertIn("test_accuracy", loss["batches"][0]["optimizers"][0])

    @unittest.skipUnless(shutil.which("gnuplot"), "gnuplot is not installed")
    def test_report(self):
        self.compare(*WORDS, "--batches", "32,128,all", "--report", "r")
        with open(self.folder / "r" / "curves.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(len(rows), 2 * 3 * 2)
        with open(self.folder / "r" / "results.csv", newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                values = [float(r["test_accuracy"]) for r in rows
                          if (r["optimizer"], r["batch"]) == (row["optimizer"], row["batch"])]
                self.assertEqual(len(values), 2)
                self.assertAlmostEqual(float(row["test_mean"]), statistics.mean(values), 6)
                self.assertAlmostEqual(float(row["test_deviation"]), statistics.stdev(values), 6)
        texts = [text.text for text in xml.etree.ElementTree.parse(self.folder / "r" / "curves.svg").iter()
                 if text.text and text.text.strip()]
        for size in "32", "128", "1438", "batch size":
            self.assertEqual(texts.count(size), 2, texts)
        page = (self.folder / "r" / "index.html").read_text(encoding="utf-8")
        self.assertIn("<h1>Batch sizes on digits</h1>", page)
        self.assertIn("--batches 32,128,all", page)
        self.assertIn("<h2>Results: test accuracy, %</h2>", page)
        self.assertEqual(page.count('class="best"'), 3)


class Refused(Case):
    def test_sizes(self):
        for reason, *words in [
                ("at least two sizes", "digits", "--batches", "32"),
                ("names 32 twice", "digits", "--batches", "32,32"),
                ("'x' is no batch size", "digits", "--batches", "32,x"),
                ("'' is no batch size", "digits", "--batches", "32,"),
                ("names 1438 twice", "digits", "--batches", "1438,all"),
                ("99999 is more than the 1438", "digits", "--batches", "32,99999"),
                ("more than 16 sizes", "digits", "--batches", ",".join(map(str, range(1, 20)))),
                ("contradict one another", "digits", "--batches", "32,64", "--batch", "8"),
                ("--batch all is not for rl", "rl", "--batches", "32,all"),
                ("bigbatch comes with Eden", "bigbatch", "x")]:
            self.assertIn(reason, self.compare(*words, "--optimizers", "sgd", code=64))


if __name__ == "__main__":
    unittest.main()
