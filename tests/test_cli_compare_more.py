#!/usr/bin/env python3
"""`eden compare` on every task: its columns, seeds, gap, budget and bands by an account of
their own, in 80 columns."""
import csv
import gzip
import json
import math
import os
import re
import statistics
import struct
import unittest

import tensorfile
from infolder import RunsEden

SOURCE = os.environ.get("EDEN_SOURCE", os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TEXT = ["text", "t.txt", "--layers", "1", "--heads", "2", "--width", "16", "--context", "16",
        "--batch", "4", "--epochs", "2"]
GNUPLOT = """#!/bin/sh
[ "$1" = --version ] && exit 0
cat > "$SCRIPTS/$$"
echo picture
"""


class Case(RunsEden):
    def setUp(self):
        super().setUp()
        self.write_text()

    def told(self, *words):
        return json.loads(self.run_eden(0, "compare", *words, "--json").stdout)

    def rows(self, text):
        """By name: what stands under each heading, which are ended by the same columns."""
        lines = text.splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith("OPTIMIZER"))
        ends = [(m.group(), m.end()) for m in re.finditer(r"\S+( LOSS)?", lines[at])]
        rows = {}
        for line in lines[at + 2:]:
            if not line:
                break
            begin, cells = ends[0][1], {}
            for name, end in ends[1:]:
                cells[name] = line[begin:end].strip()
                begin = end
            rows[line.split()[0]] = cells
        for line in lines:
            self.assertLessEqual(len(line), 79, line)
            self.assertEqual(line, line.rstrip())
        return rows


class Seeds(Case):
    def test_means(self):
        words = ["digits", "--optimizers", "sgd,adam", "--epochs", "6", "--seeds", "3", "--seed",
                 "4", "--target", "92"]
        told = self.told(*words)
        rows = self.rows(self.run_eden(0, "compare", *words).stdout)
        self.assertEqual(told["metric"], {"name": "accuracy", "rises": True, "loss_unit": ""})
        for entry in told["optimizers"]:
            runs, cells = entry["runs"], rows[entry["name"]]
            ends = [run["epochs"][-1] for run in runs]
            steps = [min((p["step"] for p in run["epochs"][1:] if p["test_accuracy"] >= 0.92),
                         default=None) for run in runs]
            self.assertNotIn(None, steps)
            gaps = [end["test_loss"] - run["train_set_loss"] for end, run in zip(ends, runs)]
            for key, values in [("train_loss", [end["train_loss"] for end in ends]),
                                ("test_accuracy", [end["test_accuracy"] for end in ends]),
                                ("gap", gaps)]:
                self.assertAlmostEqual(entry[key]["mean"], statistics.mean(values), 6)
                self.assertAlmostEqual(entry[key]["deviation"], statistics.stdev(values), 6)
            self.assertEqual([run["steps_to_target"] for run in runs], steps)
            self.assertAlmostEqual(entry["steps_to_target"], statistics.mean(steps), 6)
            self.assertEqual(cells["STEPS"], f"{statistics.mean(steps):.0f}")
            self.assertEqual(cells["GAP"], f"{statistics.mean(gaps):.2g}")
            accuracy = [100 * end["test_accuracy"] for end in ends]
            self.assertEqual(cells["ACCURACY"], f"{statistics.mean(accuracy):.2f} +- "
                                                f"{statistics.stdev(accuracy):.2f}")
            # Some of all steps, so no more than the time of all.
            self.assertTrue(0 < entry["seconds_to_target"]["mean"]
                            <= entry["step_seconds"] * 6 * 45, entry)
        for run in told["control"]["runs"]:
            self.assertEqual(run["train_set_loss"], run["epochs"][0]["train_loss"])
        control = [run["epochs"][0]["test_accuracy"] for run in told["control"]["runs"]]
        self.assertAlmostEqual(told["control"]["test_accuracy"]["mean"], statistics.mean(control), 6)

    def test_gap(self):
        """The loss of all 1,797 digits does not depend on their split."""
        words = ["--model", "logistic", "--epochs", "3", "--seed", "3"]
        entry = self.told("digits", *words, "--optimizers", "sgd")["optimizers"][0]
        self.run_eden(0, "train", "digits", *words, "--optimizer", "sgd", "--save", "s")
        tensors = tensorfile.read(self.folder / "s")[0]
        found = {tuple(shape): struct.unpack(f"<{len(data) // 4}f", data)
                 for name, (_, shape, data) in tensors.items() if math.prod(shape) in (10, 640)}
        weight, bias = found[10, 64], found[10,]
        with gzip.open(os.path.join(SOURCE, "lab", "digits.csv.gz"), "rt") as file:
            table = [[int(word) for word in line.split(",")] for line in file]
        self.assertEqual(len(table), 1797)
        total = 0
        for *pixels, label in table:
            z = [bias[k] + sum(p / 16 * w for p, w in zip(pixels, weight[64 * k:64 * k + 64]))
                 for k in range(10)]
            total += math.log(sum(map(math.exp, z))) - z[label]
        test = entry["runs"][0]["epochs"][-1]["test_loss"]
        train = (total - 359 * test) / 1438
        self.assertAlmostEqual(entry["runs"][0]["train_set_loss"], train, 5)
        self.assertAlmostEqual(entry["gap"]["mean"], test - train, 5)
        self.assertGreater(abs(test - train), 1e-3)


class Tasks(Case):
    def test_text(self):
        words = [*TEXT, "--optimizers", "sgd,adamw", "--seeds", "2"]
        told = self.told(*words, "--target", "9")
        self.assertEqual(told["metric"],
                         {"name": "perplexity", "rises": False, "loss_unit": "nats a byte"})
        for entry in told["optimizers"]:
            for run in entry["runs"]:
                reached = [p["step"] for p in run["epochs"][1:] if p["test_perplexity"] <= 9]
                self.assertEqual(run["steps_to_target"], min(reached, default=None))
                self.assertAlmostEqual(math.log(run["epochs"][2]["test_perplexity"]),
                                       run["epochs"][2]["test_loss"], 6)
        self.assertIsNotNone(told["optimizers"][1]["runs"][0]["steps_to_target"])
        # Its own settings, as `eden train` has them.
        done = self.run_eden(0, "train", *TEXT, "--optimizer", "adamw", "--json", "--sample", "0")
        self.assertAlmostEqual(json.loads(done.stdout)["test_loss"],
                               told["optimizers"][1]["runs"][0]["epochs"][2]["test_loss"], 6)
        text = self.run_eden(0, "compare", *words, "--target", "9").stdout
        self.assertIn("target: test perplexity of 9 or less", " ".join(text.split()))
        rows = self.rows(text)
        self.assertRegex(rows["adamw"]["PERPLEXITY"], r"^\d+\.\d\d \+- \d+\.\d\d$")
        self.assertEqual(rows["none"]["GAP"], "-")

    def test_target_is_told(self):
        for words, said in [([], "target: test accuracy of 95 % or more"),
                            (["--target", "50"], "target: test accuracy of 50 % or more")]:
            text = self.run_eden(0, "compare", "digits", "--optimizers", "sgd", "--epochs", "1", *words)
            self.assertIn(said, " ".join(text.stdout.split()))
        text = self.run_eden(0, "compare", *TEXT, "--optimizers", "sgd").stdout
        self.assertNotIn("target:", text)

    def test_long_cells(self):
        """What does not fit is left out, and told."""
        text = self.run_eden(0, "compare", *TEXT, "--optimizers", "sgd,adafactor", "--seeds", "2",
                         "--target", "123456.7", "--schedule", "constant(20)").stdout
        rows = self.rows(text)
        self.assertRegex(rows["adafactor"]["PERPLEXITY"], r"^\d\.\d\d \+- \d\.\d\d$")
        self.assertRegex(rows["sgd"]["PERPLEXITY"], r"^\d\.\d+e\+\d\d \+- \de\+\d\d$")
        heads = next(line for line in text.splitlines() if line.startswith("OPTIMIZER")).split()
        told = re.search(r"No room for (.*): --json", text).group(1).split(", ")
        self.assertEqual({"UPDATE", "TIME", "LR", "STEP", "GAP", "STATE"} - set(heads), set(told))
        self.assertEqual(told[0], "UPDATE")

    def test_plain(self):
        done = self.run_eden(0, "compare", "digits", "--epochs", "1", "--optimizers", "sgd",
                         env={**os.environ, "NO_COLOR": "1"})
        self.assertNotIn("\x1b", done.stdout + done.stderr)


class Budget(Case):
    def test_tried(self):
        words = ["digits", "--optimizers", "sgd,adam", "--epochs", "2", "--seeds", "2", "--seed", "5"]
        told = self.told(*words, "--budget", "3")
        usual = {e["name"]: e["lr"] for e in self.told(*words)["optimizers"]}
        text = self.run_eden(0, "compare", *words, "--budget", "3").stdout
        self.assertIn("Rates tried with seed 7", text)
        for entry in told["optimizers"]:
            tries = entry["rates_tried"]
            for try_, factor in zip(tries, (0.5, 1, 2)):
                self.assertAlmostEqual(try_["lr"], factor * usual[entry["name"]], 12)
                alone = self.told(*words[:1], "--optimizers", entry["name"], "--epochs", "2", "--seed", "7")
                if factor == 1:
                    self.assertEqual(alone["optimizers"][0]["test_accuracy"]["mean"],
                                     try_["test_accuracy"])
            best = max(tries, key=lambda t: (t["test_accuracy"], -t["lr"]))
            self.assertEqual(entry["lr"], best["lr"])
            self.assertIn(f"{best['lr']:.3g} ({100 * best['test_accuracy']:.2f})*", text)
            self.assertEqual(entry["lr_source"], "the best of the rates tried here")
            # The runs have it.
            self.assertAlmostEqual(entry["runs"][0]["epochs"][1]["lr"] / best["lr"],
                                   (1 + math.cos(math.pi * 45 / 90)) / 2 * 0.99 + 0.01, 6)
        self.rows(text)
        self.assertNotIn("Rates tried", self.run_eden(0, "compare", *words).stdout)

    def test_even_and_refused(self):
        told = self.told("digits", "--optimizers", "sgd", "--epochs", "1", "--budget", "2")
        self.assertEqual([t["lr"] for t in told["optimizers"][0]["rates_tried"]], [0.05, 0.1])
        for bad in "-1", "x", "1001", "1.5":
            done = self.run_eden(64, "compare", "digits", f"--budget={bad}")
            self.assertIn("--budget", done.stderr)
            self.assertEqual(done.stdout, "")


class Bands(Case):
    def blocks(self, script):
        return {name: [[float(word) for word in line.split()] for line in body.splitlines()
                       if "NaN" not in line]
                for name, body in re.findall(r"^\$(\w+) << END\n(.*?)^END$", script, re.S | re.M)}

    def report(self, *words):
        """The script of the PNG that gnuplot was given, and the numbers of curves.csv."""
        (self.folder / "bin").mkdir()
        (self.folder / "scripts").mkdir()
        (self.folder / "bin" / "gnuplot").write_text(GNUPLOT)
        (self.folder / "bin" / "gnuplot").chmod(0o755)
        self.run_eden(0, "compare", *words, "--report", "r",
                  env={**os.environ, "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
                       "SCRIPTS": str(self.folder / "scripts")})
        scripts = [path.read_text() for path in (self.folder / "scripts").iterdir()]
        with open(self.folder / "r" / "curves.csv", newline="", encoding="utf-8") as file:
            return (next(text for text in scripts if "pngcairo" in text), list(csv.DictReader(file)))

    def test_bands(self):
        script, points = self.report("digits", "--optimizers", "sgd,adam", "--epochs", "4", "--seeds", "3")
        blocks = self.blocks(script)
        ranges = [tuple(map(float, m)) for m in re.findall(r"set yrange \[(\S+):(\S+)\]", script)]
        for i, name in enumerate(("sgd", "adam")):
            for side, (key, scale) in enumerate((("train_loss", 1), ("test_accuracy", 100))):
                low, high = ranges[side]
                band = {row[0]: row[1:] for row in blocks[f"b{i}_{side}"]}
                mean = dict(blocks[f"d{i}_{side}"])
                for epoch in range(5):
                    values = [scale * float(p[key]) for p in points
                              if p["optimizer"] == name and p["epoch"] == str(epoch)]
                    self.assertEqual(len(values), 3)
                    self.assertAlmostEqual(mean[epoch], statistics.mean(values), 5)
                    clamped = [min(max(f(values), low), high) for f in (min, max)]
                    for a, b in zip(band[epoch], clamped):
                        self.assertAlmostEqual(a, b, 5)
                self.assertTrue(all(low - 1e-6 <= y <= high + 1e-6 for y in sum(band.values(), [])))
        # Where an end comes into the picture, the band does, and not before.
        floor, found = ranges[1][0], 0
        ends = [[f(100 * float(p["test_accuracy"]) for p in points
                   if p["optimizer"] == "sgd" and p["epoch"] == str(epoch)) for epoch in range(5)]
                for f in (min, max)]
        for at, values in enumerate(ends, 1):
            for epoch, (a, b) in enumerate(zip(values, values[1:])):
                if not (a - floor) * (b - floor) < 0:
                    continue
                x = epoch + (floor - a) / (b - a)
                found += 1
                self.assertTrue(any(abs(row[0] - x) < 1e-5 and abs(row[at] - floor) < 1e-5
                                    for row in blocks["b0_1"]), x)
        self.assertGreaterEqual(found, 2)
        self.assertIn("filledcurves", script)
        self.assertIn("mean and range of seeds 1 to 3", script)

    def test_some_reach(self):
        """A target that not every seed reaches: how many do, on what machine, with which seeds."""
        words = ["digits", "--optimizers", "sgd", "--widths", "16", "--epochs", "3", "--seeds", "3", "--threads", "1"]
        runs = json.loads(self.run_eden(0, "compare", *words, "--json").stdout)["optimizers"][0]["runs"]
        best = sorted(max(e["test_accuracy"] for e in run["epochs"]) for run in runs)
        self.assertLess(best[0], best[1])
        words += ["--target", str(100 * (best[0] + best[1]) / 2)]
        self.assertEqual(json.loads(self.run_eden(0, "compare", *words, "--json").stdout)["optimizers"][0]["reached"], 2)
        self.report(*words)
        page = (self.folder / "r" / "index.html").read_text(encoding="utf-8")
        self.assertIn(">2 of 3 seeds reached</td>", page)
        self.assertRegex(page, r"eden \S+, seeds 1 to 3; .+, \d+ cores?</p>")
        self.assertNotIn(os.uname().nodename, page)
        self.assertIn(" 2/3 seeds ", self.run_eden(0, "compare", *words).stdout)

    def test_one_seed_has_none(self):
        script, _ = self.report("digits", "--optimizers", "sgd", "--epochs", "1")
        self.assertNotIn("filledcurves", script)
        self.assertEqual(sorted(self.blocks(script)), ["d0_0", "d0_1"])


if __name__ == "__main__":
    unittest.main()
