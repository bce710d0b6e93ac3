#!/usr/bin/env python3
"""eden evidence: its statistics by an account of their own, its page, and what it refuses."""
import json
import math
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import unittest
import xml.etree.ElementTree

from infolder import InFolder

EDEN = os.path.abspath(os.environ.get("EDEN", "build/eden"))
SOURCE = pathlib.Path(os.environ.get("EDEN_SOURCE", pathlib.Path(__file__).parent.parent))
T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # 97.5 % of Student's t, by the number of pairs
EXACT = ["momentum-ravine", "adagrad-dies", "bias-correction-early", "memory-lion"]
VERDICTS = {"holds", "does not hold", "undecided", "not run"}


class Evidence(InFolder):
    def eden(self, code, *words):
        done = subprocess.run([EDEN, *words], capture_output=True, text=True, timeout=110, cwd=self.folder,
                              stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout if code == 0 else " ".join(done.stderr.split())

    def claims(self, *words):
        return json.loads(self.eden(0, "evidence", *words, "--json"))["claims"]


class Claims(Evidence):
    def test_list(self):
        """At least twenty claims; every line that they stand for is one the command takes."""
        names = [line.split()[0] for line in self.eden(0, "evidence", "--list").splitlines() if line[0] != " "]
        self.assertGreaterEqual(len(names), 20)
        self.assertEqual(len(set(names)), len(names))

    def test_refused(self):
        self.assertIn("unknown claim 'momentum-faste'; did you mean 'momentum-faster'?",
                      self.eden(64, "evidence", "momentum-faste"))
        self.assertIn("--list stands alone", self.eden(64, "evidence", "--list", "--quick"))
        self.assertIn("does not end in .md", self.eden(64, "evidence", "memory-lion", "-o", "page.txt"))
        self.assertIn("'none'", self.eden(66, "evidence", "vision-generalizes", "--mnist", "none"))
        self.assertIn("'no/results'", self.eden(73, "evidence", "memory-lion", "--results", "no/results"))

    def test_not_run(self):
        claim, = self.claims("vision-generalizes")
        self.assertEqual((claim["verdict"], claim["effect"]), ("not run", None))
        self.assertIn("needs --mnist DIR", self.eden(0, "evidence", "vision-generalizes"))


class Runs(Evidence):
    def test_exact(self):
        """What nothing is left to chance in is the quotient of what two lines print."""
        for claim in self.claims(*EXACT):
            numbers = []
            for side in claim["sides"]:
                out = json.loads(self.eden(0, *claim["line"].split(), *side.split(), "--json"))
                one = out[0] if isinstance(out, list) else out["optimizers"][0]
                steps = [math.dist(a, b) for a, b in zip(one.get("path", []), one.get("path", [])[1:])]
                numbers.append({"reached": lambda: one["reached_at"], "state": lambda: one["state_bytes_per_element"],
                                "shrink": lambda: steps[-1] / steps[0],
                                "first_step": lambda: steps[0]}[claim["measure"]]())
            with self.subTest(claim["claim"]):
                self.assertAlmostEqual(claim["effect"], numbers[0] / numbers[1], delta=1e-6 * claim["effect"])
                self.assertEqual((claim["low"], claim["high"], claim["runs"]), (claim["effect"], claim["effect"], 1))
                self.assertEqual(claim["verdict"], "holds")

    def test_interval(self):
        """Mean and interval of a trained claim, from the runs that the results name."""
        claim, = self.claims("adam-untuned", "--quick", "--seeds", "3", "--results", "r.jsonl")
        rows = [json.loads(line) for line in (self.folder / "r.jsonl").read_text().splitlines()]
        self.assertEqual(len(rows), 6)
        accuracy = [[100 * row["values"]["test_accuracy"] for seed in (1, 2, 3) for row in rows
                     if f"{side} --seed {seed} " in row["line"]] for side in claim["sides"]]
        differences = [a - b for a, b in zip(*accuracy)]
        mean, spread = statistics.mean(differences), statistics.stdev(differences)
        half = T[3] * spread / math.sqrt(3)
        for name, value in ("effect", mean), ("low", mean - half), ("high", mean + half):
            self.assertAlmostEqual(claim[name], value, delta=1e-3 * abs(value) + 1e-6)
        expected = "holds" if mean - half > 0 else "does not hold" if mean + half <= 0 else "undecided"
        self.assertEqual(claim["verdict"], expected)
        # A line is what anyone can run again, and results are not measured twice.
        again = json.loads(self.eden(0, *rows[0]["line"].split()))
        self.assertEqual(again["test_loss"], rows[0]["values"]["test_loss"])
        rows[0]["values"]["test_accuracy"] = 0
        (self.folder / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"line": "torn')
        other, = self.claims("adam-untuned", "--quick", "--seeds", "3", "--results", "r.jsonl")
        self.assertNotEqual(other["effect"], claim["effect"])

    def test_tie(self):
        """Where both sides do as well in every run, nothing is shown."""
        words = ["adam-untuned", "--quick", "--seeds", "3", "--results", "r.jsonl"]
        self.claims(*words)
        rows = self.rows()
        for row in rows:
            row["values"]["test_accuracy"] = 1
        self.write_rows(rows)
        claim, = self.claims(*words)
        self.assertEqual((claim["effect"], claim["verdict"]), (0, "undecided"))
        text = " ".join(self.eden(0, "evidence", *words).split())
        self.assertIn("the same in every run", text)
        self.assertIn("0 hold, 0 do not hold, 1 undecided", text)

    def rows(self):
        return [json.loads(line) for line in (self.folder / "r.jsonl").read_text().splitlines()]

    def write_rows(self, rows):
        (self.folder / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def tried(self, claim, side):
        """Losses by rate, of all seeds of the search."""
        losses = {}
        for row in self.rows():
            seed = re.search(r" --seed (10\d\d) ", row["line"])
            ours = row["line"].startswith(f"{claim['line']} {side} -") and \
                ("--schedule" in side or "--schedule" not in row["line"])
            if seed and ours:
                losses.setdefault(row["values"]["settings"]["lr"], []).append(row["values"]["test_loss"])
        return losses

    def test_search(self):
        """Both sides try as many rates and seeds, and take the one with the least loss; a best at
        the edge is gone past."""
        words = ["schedule-adam", "--quick", "--seeds", "2", "--results", "r.jsonl"]
        claim, = self.claims(*words)
        self.check_search(claim)
        # Pretend that the largest rate of one side does best: larger ones are tried, as many by the other side.
        side = claim["sides"][0]
        usual = next(row["values"]["settings"]["lr"] for row in self.rows() if f"{side} --seed 10" in row["line"])
        top = float(f"{3 * usual:.2g}")
        first = [usual, top, float(f"{usual / 3:.2g}")]
        rows = [row for row in self.rows() if any(math.isclose(row["values"]["settings"]["lr"], lr, rel_tol=1e-6) for lr in first)]
        for row in rows:
            if " --seed 10" in row["line"] and row["values"]["settings"]["lr"] == top:
                row["values"]["test_loss"] = 1e-6
        self.write_rows(rows)
        claim, = self.claims(*words)
        self.check_search(claim)
        self.assertGreater(max(self.tried(claim, side)), 2 * top)

    def check_search(self, claim):
        for number, (side, name) in enumerate(zip(claim["sides"], ("first_lr", "second_lr"))):
            losses = self.tried(claim, side)
            self.assertEqual({len(values) for values in losses.values()}, {claim["search_seeds"]})
            self.assertGreater(claim["search_seeds"], 1)
            self.assertEqual(len(losses), claim["rates_searched"])
            best = min(losses, key=lambda rate: sum(losses[rate]))
            self.assertAlmostEqual(claim[name], best, delta=1e-6)
            edge = best in (min(losses), max(losses))
            self.assertEqual(claim["at_edge"][number], edge)
            self.assertTrue(not edge or len(losses) == 5, losses)

    @unittest.skipUnless(shutil.which("gnuplot"), "gnuplot is not installed")
    def test_page(self):
        self.eden(0, "evidence", "adam-untuned", "momentum-ravine", "speed-lamb", "--quick", "--seeds", "2", "-o", "e.md")
        text = (self.folder / "e.md").read_text()
        self.assertIn("![The ratios with their intervals](e.svg)", text)
        self.assertIn("Made by `eden evidence adam-untuned momentum-ravine speed-lamb --quick --seeds 2 -o e.md` of Eden",
                      text)
        self.assertRegex(text, r" of Eden \S+ on .+, \d+ cores?; `eden")
        self.assertNotIn(os.uname().nodename, text)
        self.assertRegex(text, r"\. 1 claim holds here, |\. [023] claims hold here, ")
        self.assertEqual([line for line in text.splitlines() if line.startswith("## ")], ["## Momentum", "## Adam", "## Speed"])
        rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
        self.assertEqual([len(row) for row in rows], [7, 7, 7])
        self.assertTrue(all(row[-1].strip("* |") in VERDICTS for row in rows))
        xml.etree.ElementTree.parse(self.folder / "e.svg")
        self.assertEqual(sorted(os.listdir(self.folder)), ["e.md", "e.svg"])


if __name__ == "__main__":
    unittest.main()
