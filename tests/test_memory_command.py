#!/usr/bin/env python3
"""Every call for memory of the commands fails, once and for ever after: exit 71 and a
sentence, files as they were, and the same command succeeds afterwards.

EDEN_TORTURE tries every call; without it, a sample of each command's. EDEN_COMMANDS
chooses the commands whose words contain it."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from faulty import EDEN, LONG
from tensorfile import write as write_tensors

SHIM = os.path.join(os.environ.get("EDEN_BUILD", "build/gcc"), "tests", "failing-preload.so")
SANITIZE = os.environ.get("EDEN_SANITIZE") == "ON"
SAMPLE = 2 if SANITIZE else 8  # of each command, when there is no time for all
NO_MEMORY = 71

FAST = ["--model", "logistic", "--threads", "1"]
TRAIN = ["train", "digits", *FAST, "--epochs", "2"]
STEP = ["step", "adamw", "--params", "w", "--grads", "g"]
TABLE = ["csv", "table.csv", "--label", "y", *FAST, "--epochs", "1"]
COMPARE = ["compare", "digits", "--optimizers", "sgd,adam", *FAST, "--epochs", "1"]
WANTED = os.environ.get("EDEN_COMMANDS", "")  # only those that contain this
COMMANDS = [
    ["list"], ["list", "--json"], ["show", "adamw"], ["show", "adamw", "--json"], ["help", "train"],
    ["help"], ["generate", "man"], ["generate", "completion"],
    [*TRAIN], [*TRAIN, "--json"], [*TRAIN[:-1], "1", "--save", "new", "--log", "new.jsonl"],
    [*TRAIN, "--resume", "p", "--save", "p", "--log", "p.jsonl"], [*TRAIN, "--resume", "p", "--json"],
    ["train", "digits", "--threads", "1", "--resume", "p", "--eval"],
    ["train", "digits", "--model", "cnn", "--widths", "2", "--epochs", "1", "--threads", "1",
     "--dtype", "bf16", "--rounding", "kahan", "--average", "ema:0.9", "--norm", "batch"],
    ["train", *TABLE],
    ["train", "rl", "--envs", "2", "--horizon", "8", "--passes", "1", "--batch", "8", "--widths", "4",
     "--epochs", "1", "--threads", "1", "--save", "new"],
    [*COMPARE], [*COMPARE, "--json"], [*COMPARE, "--report", "report"],
    [*STEP, "--out", "new"], [*STEP, "--out", "w", "--state-out", "s"],
    [*STEP, "--out", "new", "--state", "s", "--state-out", "s"],
    [*STEP, "--out", "new", "--state-out", "new.s", "--group", "b:weight_decay=0"],
    ["plot", "p.jsonl", "-o", "plot.svg"], ["plot", "p.jsonl", "p.jsonl", "-o", "plot.png"],
    ["bench", "adamw", "--params", "1024", "--threads", "1", "--seconds", "0.1"],
    ["bench", "sgd", "--params", "1024", "--threads", "2", "--seconds", "0.1", "--json"],
]


def clean_environment():
    some = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C", "COLUMNS": "80"}
    # The library that fails calls stands before the sanitizer's, which then does its work.
    some["ASAN_OPTIONS"] = "verify_asan_link_order=0:detect_leaks=1:exitcode=88"
    return some


def without_times(text):
    """What a run says, without what no two runs have in common."""
    text = text.replace(", asked ahead", "") # which loop was faster
    return re.sub(r"[0-9.]+e?[-+]?[0-9]*", "N", re.sub(r" +", " ", text))


class Memory(unittest.TestCase):
    def setUp(self):
        self.keep = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.keep.name) / "now"
        self.folder.mkdir()
        # Without memory glibc's own regcomp() and regexec() lose blocks of theirs.
        (pathlib.Path(self.keep.name) / "known").write_text("leak:re_node_set_\nleak:build_trtable\n")
        self.run_well([*TRAIN[:-1], "1", "--save", "p", "--log", "p.jsonl"])
        numbers = bytes(range(48))
        write_tensors(self.folder / "w", {"a": ("F32", [12], numbers), "b": ("F32", [12], numbers)})
        write_tensors(self.folder / "g", {"a": ("F32", [12], numbers), "b": ("F32", [12], numbers)})
        self.run_well([*STEP, "--out", "first", "--state-out", "s"])
        (self.folder / "table.csv").write_text(
            "x,z,y\n" + "".join(f"{i},{i * i % 7},{'abc'[i % 3]}\n" for i in range(60)))
        self.start = self.files()

    def tearDown(self):
        self.keep.cleanup()

    def files(self):
        return {str(path.relative_to(self.folder)): path.read_bytes()
                for path in sorted(self.folder.rglob("*")) if path.is_file()}

    def reset(self):
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        for name, data in self.start.items():
            (self.folder / name).write_bytes(data)

    def run_well(self, words):
        done = subprocess.run([EDEN, *words], capture_output=True, text=True, timeout=60, cwd=self.folder,
                              env=clean_environment())
        self.assertEqual(done.returncode, 0, (words, done.stderr))
        return done

    def run_without(self, words, number, for_ever):
        """The run, and how many calls for memory it made."""
        out = pathlib.Path(self.keep.name) / "count"
        out.unlink(missing_ok=True)
        done = subprocess.run(
            [EDEN, *words], capture_output=True, text=True, timeout=60, cwd=self.folder,
            env={**clean_environment(), "LD_PRELOAD": SHIM,
                 "LSAN_OPTIONS": "print_suppressions=0:suppressions=" + str(out.with_name("known")),
                 "EDEN_FAIL_AT": str(number),
                 "EDEN_FAIL_ON": str(int(for_ever)), "EDEN_FAIL_OUT": str(out)})
        self.assertTrue(out.exists(), (words, number, done.returncode, done.stderr))
        return done, int(out.read_text())

    def check(self, words, number, for_ever, well, after):
        self.reset()
        done, calls = self.run_without(words, number, for_ever)
        what = (words, number, for_ever, done.returncode, done.stderr[-2000:])
        self.assertIn(done.returncode, (0, NO_MEMORY), what)
        if done.returncode == 0:
            # The C library did without, as for a buffer of its streams.
            self.assertEqual(without_times(done.stdout), without_times(well.stdout), what)
        else:
            self.assertIn("memory", done.stderr, what)
        now = self.files()
        for name in {**self.start, **now}:
            self.assertIn(name, {**self.start, **after}, what)
            if name.endswith(("jsonl", "html", "csv", "svg", "png")) and name not in self.start:
                continue  # texts with times in them
            if name == "p.jsonl":
                self.assertTrue(now[name], what)
                continue
            self.assertIn(now[name], (self.start.get(name), after.get(name)), what)
        return calls >= number

    def command(self, words):
        self.reset()
        well = self.run_well(words)
        after = self.files()
        self.reset()
        seen = self.run_without(words, 0, False)[1]
        self.assertGreater(seen, 0, words)
        chosen = range(1, seen + 1)
        if not LONG and seen > SAMPLE:
            chosen = sorted({1 + (seen - 1) * i // (SAMPLE - 1) for i in range(SAMPLE)})
        reached = 0
        for number in chosen:
            for for_ever in (False, True):
                reached += self.check(words, number, for_ever, well, after)
        # The last calls of a run that prints times may not be there in the next one.
        self.assertGreaterEqual(reached, 2 * len(chosen) - 4, words)
        self.reset()
        self.run_well(words)
        return len(chosen), seen

    def test_commands(self):
        tested = seen = 0
        for words in COMMANDS:
            if WANTED not in " ".join(words) or words[0] == "plot" and not shutil.which("gnuplot"):
                continue
            points = self.command(words)
            if LONG:
                print(f"{points[0]} of {points[1]}: eden {' '.join(words)}", flush=True)
            tested, seen = tested + points[0], seen + points[1]
        print(f"{tested} points tested of {seen} seen, each once and for ever after")


if __name__ == "__main__":
    unittest.main(verbosity=2)
