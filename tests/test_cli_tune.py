#!/usr/bin/env python3
"""`eden tune`: the range test and the search by an account of their own, on every task; what
it prints, draws and refuses."""
import json
import math
import os
import shlex
import shutil
import signal
import statistics
import struct
import subprocess
import time
import unittest
import xml.etree.ElementTree

from infolder import EDEN, RunsEden

GNUPLOT = shutil.which("gnuplot")
TEXT = ["text", "t.txt", "--layers", "1", "--heads", "2", "--width", "16", "--context", "16",
        "--batch", "4", "--epochs", "1"]
TABLE = ["csv", "v.csv", "--label", "y", "--target", "value", "--epochs", "4"]
SHORT = ["digits", "--optimizer", "sgd", "--epochs", "2"]


class Case(RunsEden):
    def setUp(self):
        super().setUp()
        self.write_text()
        (self.folder / "v.csv").write_text("a,b,y\n" + "".join(
            f"{i % 7},{i % 5},{i % 7 + 0.5 * (i % 5)}\n" for i in range(200)))

    def told(self, *words):
        return json.loads(self.run_eden(0, "tune", *words, "--json").stdout)

    def refused(self, code, part, *words, **more):
        before = sorted(os.listdir(self.folder))
        done = self.run_eden(code, "tune", *words, **more)
        self.assertEqual(done.stdout, "")
        self.assertIn(part, done.stderr)
        self.assertLessEqual(done.stderr.count("\n"), 2)
        self.assertEqual(sorted(os.listdir(self.folder)), before)


def account(curve, steps):
    """Smoothed losses, whether it fell, and the useful range."""
    sums, smooth = 0, []
    for i, point in enumerate(curve):
        sums = 0.95 * sums + 0.05 * point["loss"]
        smooth.append(sums / (1 - 0.95 ** (i + 1)))
    first = [point["loss"] for point in curve[:len(curve) // 10]]
    start, least = statistics.mean(first), smooth.index(min(smooth))
    fall = start - smooth[least]
    found = fall > statistics.stdev(first) and fall > 0.01 * abs(start)
    above = [i for i in range(least) if smooth[i] > start - 0.1 * fall]
    low, high = curve[above[-1] + 1 if above else 0]["lr"], curve[least]["lr"]
    return smooth, found, min(low, high / 4), high


class Range(Case):
    def test_rates_and_losses(self):
        """As if trained with the schedule."""
        told = self.told(*SHORT, "--budget", "2", "--seed", "3", "--range-steps", "120")
        curve, factor = told["range"]["curve"], 1e8 ** (1 / 119)
        for i, point in enumerate(curve):
            self.assertAlmostEqual(math.log(point["lr"] / 1e-7), i * math.log(factor), 5)
        self.run_eden(0, "train", "digits", "--optimizer", "sgd", "--lr", "1e-7", "--schedule",
                  f"exponential({factor!r})", "--epochs", "2", "--seed", "3", "--log", "l")
        log = [json.loads(line) for line in (self.folder / "l").read_text().splitlines()]
        losses = [line["loss"] for line in log if "loss" in line][:60]
        self.assertEqual(len(losses), 60)
        for point, loss in zip(curve, losses):
            self.assertAlmostEqual(point["loss"] / loss, 1, 4)

    def test_range(self):
        for words in (SHORT, ["digits", "--optimizer", "adam", "--epochs", "1"], TEXT, TABLE):
            with self.subTest(words):
                told = self.told(*words, "--budget", "2")["range"]
                smooth, found, low, high = account(told["curve"], told["steps"])
                for point, value in zip(told["curve"], smooth):
                    self.assertAlmostEqual(point["smoothed"] / value, 1, 6)
                self.assertTrue(told["complete"] and told["fell"] and found)
                self.assertAlmostEqual(told["low"] / low, 1, 6)
                self.assertAlmostEqual(told["high"] / high, 1, 6)
                if told["exploded_at"] is None:
                    self.assertEqual(len(told["curve"]), 300)
                else:
                    self.assertLess(told["curve"][-1]["lr"], 10)
                    self.assertGreaterEqual(told["exploded_at"], told["curve"][-1]["lr"])

    def test_nothing_falls(self):
        """Labels that no column tells: around the usual rate."""
        (self.folder / "n.csv").write_text("a,y\n" + "".join(f"1,{i % 2}\n" for i in range(4000)))
        told = self.told("csv", "n.csv", "--label", "y", "--optimizer", "sgd", "--epochs", "1",
                         "--model", "logistic", "--budget", "3")
        self.assertFalse(told["range"]["fell"])
        self.assertAlmostEqual(told["range"]["low"], told["usual_lr"] / 10, 9)
        self.assertAlmostEqual(told["range"]["high"], told["usual_lr"] * 10, 9)
        self.assertIn("hardly fell", told["range"]["reason"])


class Search(Case):
    def test_tries(self):
        told = self.told(*SHORT, "--budget", "8", "--seed", "2")
        rates = [t["lr"] for t in told["tries"]]
        self.assertEqual(len(rates), 8)
        self.assertEqual(rates, sorted(rates))
        low, high = told["range"]["low"], told["range"]["high"]
        for i in range(5): # six tenths of the budget divide the range
            self.assertIn(float(f"{low * (high / low) ** (i / 4):.1e}"), rates)
        for a, b in zip(rates, rates[1:]):
            self.assertGreater(b / a, 1.2)
        # A larger budget finds no room for all of it, and leaves the rest.
        many = [t["lr"] for t in self.told(*SHORT[:3], "--epochs", "1", "--budget", "40")["tries"]]
        self.assertTrue(24 <= len(many) <= 40)
        beside = [b / a for a, b in zip(many, many[1:])]
        step = (many[-1] / many[0]) ** (1 / 23)
        self.assertGreater(min(beside), min(1.2, 0.9 * step))
        for t in told["tries"][::3]:
            done = self.run_eden(0, "train", "digits", "--optimizer", "sgd", "--epochs", "2", "--seed", "2",
                             "--lr", repr(t["lr"]), "--json")
            self.assertAlmostEqual(json.loads(done.stdout)["test_accuracy"], t["test_accuracy"], 8)

    def test_recommended(self):
        for words, key, rises in ((SHORT, "test_accuracy", 1), (TEXT, "test_perplexity", 0),
                                  (TABLE, "test_loss", 0)):
            for margin in 0, 0.5, 30:
                with self.subTest((words, margin)):
                    told = self.told(*words, "--budget", "5", "--margin", str(margin))
                    values = {t["lr"]: t[key] for t in told["tries"] if not t["diverged"]}
                    best = (max if rises else min)(values.values())
                    near = [lr for lr, v in values.items() if abs(v - best) <= margin / 100 * best]
                    self.assertEqual(told["recommended"]["lr"], min(near))
                    self.assertIn("within" if margin or len(near) > 1 else "best",
                                  told["recommended"]["reason"])
            line = shlex.split(told["recommended"]["command"])
            self.assertEqual(line[:3], ["eden", "train", words[0]])
            done = json.loads(self.run_eden(0, *line[1:], "--json").stdout)
            self.assertAlmostEqual(done[key] / values[told["recommended"]["lr"]], 1, 6)

    def test_seeds(self):
        told = self.told(*SHORT, "--budget", "5", "--seeds", "2", "--seed", "6")
        self.assertEqual([t["runs"] for t in told["tries"]], [2, 2])
        for t in told["tries"]:
            ends = [json.loads(self.run_eden(0, "train", "digits", "--optimizer", "sgd", "--epochs", "2", "--seed",
                                         seed, "--lr", repr(t["lr"]), "--json").stdout)["test_accuracy"]
                    for seed in ("6", "7")]
            self.assertAlmostEqual(t["test_accuracy"], statistics.mean(ends), 8)
            self.assertAlmostEqual(t["deviation"], statistics.stdev(ends), 8)

    def test_same_again(self):
        one = self.run_eden(0, "tune", *SHORT, "--budget", "3", "--json", "--threads", "1").stdout
        for threads in "1", "2":
            again = self.run_eden(0, "tune", *SHORT, "--budget", "3", "--json", "--threads", threads).stdout
            self.assertEqual(one.replace("--threads 1", ""), again.replace(f"--threads {threads}", ""))

    def test_diverging(self):
        done = self.run_eden(65, "tune", *SHORT, "--budget", "2", "--schedule", "constant(1e30)")
        self.assertIn("every rate diverged", done.stderr)
        self.assertIn("1/1", done.stdout)
        self.assertNotIn("Recommended", done.stdout)


class Output(Case):
    def test_tables(self):
        for words in (["digits", "--optimizer", "adam", "--weight-decay", "0.1", "--epochs", "1"], TEXT, TABLE):
            text = self.run_eden(0, "tune", *words, "--budget", "4", "--seeds", "2",
                             env={**os.environ, "NO_COLOR": "1"}).stdout
            lines = text.splitlines()
            self.assertNotIn("\x1b", text)
            for line in lines:
                self.assertTrue(len(line) <= 79 or line.startswith("  eden train"), line)
            for part in ("RANGE TEST", "SEARCH  4 runs of ", "DIVERGED", "0/2", "Recommended: lr ",
                         "+- is the standard deviation over the 2 seeds."):
                self.assertIn(part, text)
            self.assertEqual(sum(line.endswith("  *") for line in lines), 1)
            rows = lines[lines.index("    RATE        LOSS") + 1:]
            self.assertGreaterEqual(rows.index(""), 12)
        self.assertIn(" --target value", text)

    def test_line(self):
        """Flags and --set come along, and what the search is about does not."""
        (self.folder / "it's").write_bytes((self.folder / "t.txt").read_bytes())
        told = self.told("text", "it's", *TEXT[2:], "--optimizer", "sgd", "--momentum", "0.5", "--nesterov",
                         "--set", "weight_decay=0.01", "--budget", "2", "--seeds", "1", "--margin", "2",
                         "--range-steps", "50")
        line = told["recommended"]["command"]
        self.assertEqual(shlex.split(line)[3], "it's")
        for part in " --momentum 0.5", " --nesterov", " --set weight_decay=0.01", " --context 16":
            self.assertIn(part, line)
        for part in "--budget", "--seeds", "--margin", "--range-steps", "--json":
            self.assertNotIn(part, line)
        self.run_eden(0, *shlex.split(line)[1:], "--sample", "0")

    def stop(self, *words):
        running = subprocess.Popen([EDEN, "tune", "digits", "--epochs", "100000", "--budget", "2", *words],
                                   stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                   cwd=self.folder)
        self.addCleanup(running.wait)
        self.addCleanup(running.kill)
        time.sleep(1.5)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
        self.assertEqual(running.returncode, 130, err)
        self.assertIn("stopped by SIGINT", err)
        return out, err

    def test_interrupt(self):
        out, _ = self.stop()
        self.assertIn("RANGE TEST", out)
        self.assertNotIn("Recommended", out)
        out, _ = self.stop("--range-steps", "1000000")
        self.assertRegex(out, r"It was stopped after \d+ of 1000000 steps\.")
        self.assertNotIn("SEARCH", out)
        told = json.loads(self.stop("--json")[0])
        self.assertEqual((told["stopped"], told["recommended"]), ("SIGINT", None))
        self.assertGreater(len(told["range"]["curve"]), 0)

    def test_help(self):
        said = " ".join(self.run_eden(0, "help", "tune").stdout.split())
        for part in ("--budget N", "--seeds N", "--margin P", "--range-steps N", "-o, --output FILE",
                     "range test"):
            self.assertIn(part, said)
        self.assertIn("tune TASK [DATA]", self.run_eden(0, "help").stdout)


class Refused(Case):
    def test_words(self):
        for part, *words in [
                ("lr is what eden tune looks for", *SHORT, "--lr", "0.1"),
                ("lr is what eden tune looks for", *SHORT, "--set", "lr=0.1"),
                ("unknown optimizer 'sdg'", "digits", "--optimizer", "sdg"),
                ("--budget 5 runs are less than two rates with 3 seeds", *SHORT, "--budget", "5", "--seeds", "3"),
                ("--budget", *SHORT, "--budget", "1"),
                ("--margin", *SHORT, "--margin", "-1"),
                ("--range-steps", *SHORT, "--range-steps", "19"),
                ("an absolute schedule sets it", *SHORT, "--schedule", "absolute(constant(1))"),
                ("neither .png nor .svg", *SHORT, "-o", "p.gif"),
                ("has no setting 'beta1'", *SHORT, "--beta1", "0.5"),
                ("--no-decay does nothing", *SHORT, "--no-decay"),
                ("unknown task 'digit'", "digit"),
                ("no option '--save'", *SHORT, "--save", "f"),
                ("--width is for text alone", *SHORT, "--width", "8")]:
            with self.subTest(words):
                self.refused(64, part, *words)
        self.refused(66, "gone", "text", "gone")
        self.refused(73, "no/p.png", *SHORT, "-o", "no/p.png")
        done = self.run_eden(64, "compare", "digits", "--budget", "2", "--schedule", "absolute(constant(1))")
        self.assertIn("an absolute schedule sets it", done.stderr)

    def test_no_gnuplot(self):
        os.mkdir(self.folder / "empty")
        self.refused(69, "apt-get install gnuplot-nox", *SHORT, "-o", "p.png",
                     env={"PATH": str(self.folder / "empty")})


@unittest.skipUnless(GNUPLOT, "gnuplot is not installed")
class Picture(Case):
    def test_svg(self):
        told = self.told(*SHORT, "--budget", "3", "--seeds", "1", "-o", "p.svg")
        tree = xml.etree.ElementTree.parse(self.folder / "p.svg")
        texts = ["".join(node.itertext()).strip() for node in tree.iter() if node.tag.endswith("}text")]
        for part in ("learning rate", "smoothed loss", "useful range", "search",
                     f"recommended: {told['recommended']['lr']:.3g}",
                     "Search, 2 epochs each: test accuracy, %"):
            self.assertIn(part, texts)
        first = (self.folder / "p.svg").read_bytes()
        self.told(*SHORT, "--budget", "3", "-o", "p.svg")
        self.assertEqual(first, (self.folder / "p.svg").read_bytes())

    def test_png(self):
        self.run_eden(0, "tune", *TEXT, "--budget", "4", "--seeds", "2", "-o", "p.png")
        data = (self.folder / "p.png").read_bytes()
        self.assertEqual((data[:8], data[-8:-4]), (b"\x89PNG\r\n\x1a\n", b"IEND"))
        self.assertGreater(min(struct.unpack(">II", data[16:24])), 600)


if __name__ == "__main__":
    unittest.main()
