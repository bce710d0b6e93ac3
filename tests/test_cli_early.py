#!/usr/bin/env python3
"""`eden train --early-stop` and `--best`: when a run ends and which epoch was the best, against a
count of our own over the log of a whole run; the same bits whatever interrupts it."""
import hashlib
import itertools
import json
import os
import resource
import shlex
import signal
import subprocess
import time
import unittest

import tensorfile
from abused import FAST, Abused

FLAT = ["--schedule", "constant(1)", "--threads", "1"]
# Accuracy that comes and goes, and epochs that are as good as others.
DIGITS = [*FAST, "--schedule", "constant(1)", "--optimizer", "sgd", "--lr", "0.5"]
# Many epochs until there is none better.
SLOW = [*DIGITS[:-1], "0.05", "--epochs", "100000", "--early-stop", "40"]
# Hardly more than noise: its test loss falls, rises, falls and rises.
TABLE = ["csv", "n.csv", "--label", "y", *FLAT, "--lr", "0.01", "--optimizer", "adam"]
TEXT = ["text", "t.txt", "--layers", "1", "--heads", "2", "--width", "16", "--context", "16", "--batch", "4",
        "--sample", "0", "--lr", "0.3", *FLAT]
# Each task with so little that an epoch takes no time, its goal, and whether more is better.
TASKS = [(DIGITS, "test_accuracy", True), (TABLE, "test_loss", False), (TEXT, "test_perplexity", False),
         (["sparse", "--optimizer", "adam", "--lr", "1", *FLAT], "test_accuracy", True),
         (["finetune", "--model", "mlp", "--widths", "8", *FLAT], "test_accuracy", True),
         (["rl", "--envs", "4", "--horizon", "16", "--passes", "2", "--batch", "16", "--widths", "8", "--lr", "0.1",
           *FLAT], "test_return", True),
         (["gan", "--widths", "8", "--noise", "4", "--batch", "8", *FLAT], "test_loss", False)]
TIMES = ("seconds", "step_seconds", "optimizer_seconds")
NOTE = "eden.note.lab."


def judged(values, rises, patience):
    """The epoch after which the run ends, or the last one, and the best epoch up to there."""
    best = 0
    for epoch, value in enumerate(values):
        if (value > values[best]) if rises else (value < values[best]):
            best = epoch
        if patience and epoch - best >= patience:
            break
    return epoch + 1, best + 1


class Case(Abused):
    def setUp(self):
        super().setUp()
        noise = memoryview(tensorfile.tensor([60, 5], 7)[2]).cast("f").tolist()
        rows = [noise[i:i + 5] for i in range(0, 300, 5)]
        self.write("n.csv", "a,b,c,y\n" + "".join(f"{a:.4f},{b:.4f},{c:.4f},{a + 2 * d + e:.4f}\n" for a, b, c, d, e in rows))
        self.write("t.txt", "".join(f"{a} {b} the {c}.\n" for a in ("you", "we") for b in ("see", "hear", "know")
                                    for c in ("sun", "sea", "king")) * 60)

    def json(self, *words):
        return json.loads(self.train(0, *words, "--json").stdout)

    def values(self, goal, *words):
        return [epoch[goal] for epoch in self.json(*words)["history"]]

    def log(self, name):
        records = [json.loads(line) for line in self.read(name).decode().splitlines()]
        return [{key: value for key, value in r.items() if key not in TIMES} for r in records]

    def holds(self, name, without=("epochs",)):
        """A digest of weights and state of a checkpoint, and its notes, but for some."""
        tensors, texts = tensorfile.read(self.folder / name)
        return hashlib.sha256(repr(sorted(tensors.items())).encode()).hexdigest(), {
            key: value for key, value in texts.items()
            if not key.startswith("eden.sum") and key not in [NOTE + name for name in without]}


class Stops(Case):
    def check(self, words, goal, rises, epochs, patience):
        """Until it ends, the run is the one that goes on to the last epoch."""
        words = [*words, "--epochs", str(epochs)]
        self.train(0, *words, "--log", "whole")
        whole = self.log("whole")
        values = [r[goal] for r in whole if "train_loss" in r]
        end, best = judged(values, rises, patience)
        said = self.json(*words, "--early-stop", str(patience), "--log", "log")
        early = end < epochs
        self.assertEqual((said["epoch"], said["best_epoch"], said["stopped_early"], said["stopped"]),
                         (end, best, early, None), values)
        self.assertEqual(said["epochs"], epochs)
        log = self.log("log")
        self.assertEqual(log[-1].pop("stopped_early", False), early)
        self.assertEqual([r["best_epoch"] for r in log if "train_loss" in r],
                         [judged(values[:n], rises, 0)[1] for n in range(1, end + 1)])
        self.assertEqual(log, whole[:len(log)])
        return end, best, values

    def test_accuracy(self):
        ends = [self.check(DIGITS, "test_accuracy", True, 16, patience)[:2] for patience in (1, 2, 3, 15, 16)]
        self.assertTrue(1 < ends[0][0] < ends[1][0] < 16, ends)
        self.assertEqual(ends[4][0], 16)
        # Where the last epoch is the one to stop after, the run is complete.
        self.assertEqual(self.check(DIGITS, "test_accuracy", True, ends[0][0], 1)[:2], ends[0])

    def test_as_good(self):
        """Epochs with the accuracy of the best are no better than it."""
        values = self.values("test_accuracy", *DIGITS, "--epochs", "16")
        end, best = self.check(DIGITS, "test_accuracy", True, 16, 2)[:2]
        self.assertIn(values[best - 1], values[best:end])

    def test_loss(self):
        """Where there is no metric: it rises, and is never as low again, or only later."""
        ends = [self.check(TABLE, "test_loss", False, 30, patience)[0] for patience in (1, 5, 29)]
        self.assertLess(ends[0], ends[1])
        self.assertLess(ends[1], 30)

    def test_words(self):
        said = self.train(0, *DIGITS, "--epochs", "16", "--early-stop", "1").stdout
        values = self.values("test_accuracy", *DIGITS, "--epochs", "16")
        end, best = judged(values, True, 1)
        self.assertIn(f"\nstopped early at epoch {end} of 16: best was epoch {best} with accuracy "
                      f"{100 * values[best - 1]:.2f}%\ntest      loss ", said)
        self.assertIn(f"accuracy {100 * values[end - 1]:.2f}%\ntime ", said)
        said = self.train(0, *TABLE, "--epochs", "30", "--early-stop", "5", "--best", "b").stdout
        values = self.values("test_loss", *TABLE, "--epochs", "30")
        end, best = judged(values, False, 5)
        self.assertIn(f"\nstopped early at epoch {end} of 30: best was epoch {best} with test loss "
                      f"{values[best - 1]:.4f}\n", said)
        self.assertIn("saved     b, the best\n", said)
        said = self.train(0, *TABLE, "--epochs", "3", "--best", "b").stdout
        self.assertRegex(said, r"\nbest      epoch \d of 3, test loss [0-9.]+\ntest ")
        self.assertNotIn("best", self.train(0, *TABLE, "--epochs", "3").stdout)

    def test_no_influence(self):
        self.train(0, *DIGITS, "--epochs", "5", "--save", "a")
        self.train(0, *DIGITS, "--epochs", "5", "--save", "b", "--early-stop", "5", "--best", "c")
        self.assertEqual(self.read("a"), self.read("b"))

    def test_text(self):
        """The whole of the test set is measured where the run ends, early or not, and a part is
        what epochs are compared by."""
        self.write("t.txt", self.read("t.txt") * 30)
        values = self.values("test_perplexity", *TEXT, "--epochs", "9")
        end, best = judged(values[:-1], False, 1)
        self.assertLess(end, 8, values)
        said = self.json(*TEXT, "--epochs", "9", "--early-stop", "1", "--save", "a")
        self.assertEqual((said["epoch"], said["best_epoch"]), (end, best))
        shown = self.json("text", "t.txt", "--resume", "a", "--eval", "--sample", "0")
        self.assertEqual(said["test_loss"], shown["test_loss"])
        words = ["7" if word == "0" else word for word in TEXT]
        said = self.train(0, *words, "--epochs", "9", "--early-stop", "1").stdout
        self.assertIn("7 bytes at a temperature", said)


class Best(Case):
    def test_holds_best(self):
        """What a run of just so many epochs holds, and what the log says."""
        for words, goal, rises, epochs in (DIGITS, "test_accuracy", True, 10), (TABLE, "test_loss", False, 8), \
                ([*DIGITS, "--average", "ema:0.5"], "test_accuracy", True, 10):
            values = self.values(goal, *words, "--epochs", str(epochs), "--best", "b", "--save", "a")
            best = judged(values, rises, 0)[1]
            self.assertTrue(1 < best < epochs, values)
            self.train(0, *words, "--epochs", str(best), "--save", "c")
            self.assertEqual(self.holds("b"), self.holds("c"))
            task = words[:4] if words[0] == "csv" else words[:1]
            self.assertEqual(self.json(*task, "--resume", "b", "--eval")[goal], values[best - 1])
            self.assertNotEqual(self.read("a"), self.read("b"))

    def test_last(self):
        """If the last epoch is the best, both files are the same."""
        self.train(0, *DIGITS, "--epochs", "3", "--best", "b", "--save", "a")
        self.assertEqual(self.read("a"), self.read("b"))
        self.assertEqual(self.names(), ["a", "a.old", "b", "b.old", "n.csv", "t.txt"])

    def test_tasks(self):
        """In every task an epoch and two more are three, and the best is the same file."""
        for words, goal, rises in TASKS:
            with self.subTest(words[0]):
                task = words[:words.index("--label") + 2] if words[0] == "csv" else words[:1 + (words[0] == "text")]
                more = ["--sample", "0"] if words[0] == "text" else []
                out = ["--save", "part", "--best", "most", "--early-stop", "1", "--threads", "1"]
                values = self.values(goal, *words, "--epochs", "3", "--save", "all", "--best", "best", "--early-stop", "1")
                self.train(0, *words, "--epochs", "1", *out[:-2])
                said = self.json(*task, "--resume", "part", "--epochs", "3", *out, *more)
                end, best = judged(values, rises, 1)
                if words[0] != "text":
                    self.assertEqual((len(values), said["best_epoch"]), (end, best), values)
                self.assertEqual(self.read("all"), self.read("part"))
                measured = ("epochs", "test_loss", "test_accuracy") if words[0] == "text" else ("epochs",)
                self.assertEqual(self.holds("best", measured), self.holds("most", measured))
                shown = self.json(*task, "--resume", "best", "--eval", *more)
                if words[0] not in ("text", "gan"):
                    self.assertEqual(shown[goal], values[best - 1])

    def test_fails(self):
        """A best that cannot be written is told, and the run goes on; the one before stays."""
        self.train(0, *DIGITS, "--epochs", "1", "--best", "b")
        before = self.read("b")
        done = self.train(74, *DIGITS, "--epochs", "2", "--best", "b", preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, (1000, 1000)))
        self.assertRegex(done.stderr, r"^eden: .*'b'.*; training goes on\n")
        self.assertIn("epoch 2/2", done.stdout)
        self.assertNotIn("saved", done.stdout)
        self.assertEqual(self.read("b"), before)
        self.assertEqual(self.names(), ["b", "n.csv", "t.txt"])

    def test_divergence(self):
        done = self.train(65, "digits", "--widths", "8", "--optimizer", "sgd", "--best", "b", "--schedule",
                          "multistep(1e20, 50)")
        self.assertRegex(done.stderr, r"diverged .*; 'b' still holds step 45\n$")


class Resumes(Case):
    def test_nothing_left(self):
        """A run that stopped early stays so, until told to wait longer, or for ever."""
        words = [*DIGITS, "--epochs", "16"]
        values = self.values("test_accuracy", *words, "--save", "whole", "--best", "whole-best")
        ends = [judged(values, True, patience) for patience in (1, 3)]
        self.assertTrue(ends[0][0] < ends[1][0] < 16)
        self.train(0, *words, "--early-stop", "3", "--save", "three", "--best", "three-best")
        self.train(0, *words, "--early-stop", "1", "--save", "a", "--best", "b")
        before = self.contents()
        for more in ["--resume", "a"], ["--continue"]:
            said = self.train(0, *(words if more[0] == "--continue" else ["digits"]), *more, "--save", "a", "--best",
                              "b", "--early-stop", "1")
            self.assertEqual(said.stderr, "")
            self.assertIn(f"from step {45 * ends[0][0]} of 720: nothing is left, as it stopped early; a larger "
                          "--early-stop goes on, or none\nstopped early at epoch", said.stdout)
            self.assertEqual(self.contents(), before)
        self.assertTrue(self.json("digits", "--resume", "a", "--early-stop", "1")["stopped_early"])
        self.train(0, "digits", "--resume", "a", "--save", "a", "--best", "b", "--early-stop", "3")
        self.assertEqual((self.read("a"), self.read("b")), (self.read("three"), self.read("three-best")))
        self.train(0, "digits", "--resume", "a", "--save", "a", "--best", "b")
        self.assertEqual((self.read("a"), self.read("b")), (self.read("whole"), self.read("whole-best")))

    def test_killed(self):
        """Killed again and again, and continued: the files of a run that nothing disturbed."""
        words = [*SLOW, "--log-every", "45"]
        end = self.json(*words, "--save", "all", "--best", "best", "--log", "all.log")
        self.assertTrue(end["stopped_early"] and end["epoch"] > 50)
        for i in itertools.count():
            run = self.start(*words, "--save", "a", "--best", "b", "--log", "log", "--continue")
            try:
                run.wait(0.05 + 0.013 * i)
                break
            except subprocess.TimeoutExpired:
                run.kill()
                run.wait(60)
        self.assertGreater(i, 2)
        self.assertEqual(self.ends(run, 0)[1], "")
        self.assertEqual((self.read("all"), self.read("best")), (self.read("a"), self.read("b")))
        self.assertEqual(self.log("all.log"), self.log("log"))

    def test_told_command(self):
        """Stopped by a signal, and gone on by the command that was printed."""
        self.train(0, *SLOW, "--save", "all", "--best", "best")
        run = self.start(*SLOW, "--save", "a", "--best", "it's", "--log", "log")
        self.grows("log", 3000)
        run.send_signal(signal.SIGTERM)
        out, _ = self.ends(run, 143)
        self.assertIn(r"--save a --best 'it'\''s' --early-stop 40 --log log --threads 1", out)
        self.train(0, *shlex.split(out.splitlines()[-1])[2:])
        self.assertEqual((self.read("all"), self.read("best")), (self.read("a"), self.read("it's")))

    def test_only_best(self):
        run = self.start(*FAST, "--epochs", "1000000", "--best", "b", "--log", "log")
        self.until("saved", lambda: self.size("b"))
        run.send_signal(signal.SIGTERM)
        self.assertRegex(self.ends(run, 143)[0], r"; only the best was saved, of step \d+, as there was no --save\n$")

    def test_other_place(self):
        """A best that is not where --best wants it is told of, unless it is what is resumed."""
        words = [*DIGITS, "--epochs"]
        values = self.values("test_accuracy", *words, "9", "--save", "nine")
        self.assertEqual(judged(values[:5], True, 0)[1], 3, values)
        self.train(0, *words, "3", "--save", "three")
        self.train(0, *words, "5", "--save", "five", "--best", "b")
        self.assertEqual(self.holds("b"), self.holds("three"))
        told = f"does not hold epoch 3, the best so far with accuracy {100 * values[2]:.2f}%; it will hold the next"
        for name, step in ("none", None), ("five", 5), ("torn", None), ("b", 3), ("nine", 9):
            self.write("torn", self.read("b")[:-1])
            if step:
                self.write("c", self.read(name))
            best = "c" if step else name
            done = self.train(0, "digits", "--resume", "five", "--epochs", "5", "--best", best)
            self.assertEqual(told in done.stderr, name in ("none", "five", "torn"), (name, done.stderr))
            self.assertEqual("the best\n" in done.stdout, name == "b")
        done = self.train(0, "digits", "--resume", "three", "--best", "new")
        self.assertEqual(done.stderr, "")
        self.assertEqual(self.read("new"), self.read("three"))
        self.train(0, "digits", "--resume", "five", "--epochs", "9", "--best", "d")
        self.train(0, *words, "9", "--best", "e")
        self.assertEqual(self.read("d"), self.read("e"))

    def test_unknown(self):
        """A checkpoint of before this was noted: the next epoch is the best until there is a better."""
        words = [*DIGITS, "--epochs"]
        values = self.values("test_accuracy", *words, "16")
        self.train(0, *words, "6", "--save", "a")
        tensors, texts = tensorfile.read(self.folder / "a")
        for key in "best", "best_epoch":
            del texts[NOTE + key]
        tensorfile.write_own(self.folder / "b", tensors, texts)
        said = self.json("digits", "--resume", "b", "--epochs", "16", "--early-stop", "1", "--best", "c")
        end, best = judged(values[6:], True, 1)
        self.assertEqual((said["epoch"], said["best_epoch"]), (6 + end, 6 + best))


class Refusals(Case):
    def test_apart(self):
        for part, *words in [("--best and --save are the same file", "--save", "x", "--best", "./x"),
                             ("--log and --best are the same file", "--log", "x", "--best", "x"),
                             ("both need the file", "--save", "x", "--best", "x.old"),
                             ("both need the file", "--save", "x.old", "--best", "x"),
                             ("both need the file", "--best", "x", "--log", "x.lock"),
                             ("both need the file", "--best", "l.part", "--log", "l"),
                             ("names that end in '.lock'", "--best", "x.lock"),
                             ("--best is empty", "--best", ""), ("--early-stop '0'", "--early-stop", "0"),
                             ("--eval needs", "--eval", "--best", "x")]:
            self.refused(64, part, *FAST, *words)
        self.refused(64, "--best './n.csv' would overwrite the data", "csv", "n.csv", "--label", "y", "--best",
                     "./n.csv")
        self.refused(64, "--sheet and --best are the same", "gan", "--sheet", "x.png", "--best", "x.png")

    def test_resumed(self):
        self.train(0, *DIGITS, "--epochs", "1", "--save", "a")
        for words in ["--best", "b"], ["--early-stop", "1"]:
            self.refused(64, f"{words[0]} does nothing with --eval", "digits", "--resume", "a", "--eval", *words)
        os.rename(self.folder / "a", self.folder / "c.lock")
        self.refused(64, "both need the file", "digits", "--resume", "c.lock", "--best", "c")
        os.rename(self.folder / "c.lock", self.folder / "a")
        self.train(0, "digits", "--resume", "a", "--epochs", "2", "--best", "a")
        self.refused(64, "--best and --from are the same", "finetune", "--from", "a", "--best", "a")

    def test_places(self):
        (self.folder / "d").mkdir()
        self.refused(73, "--best would replace 'n.csv', which is no safetensors file", *FAST, "--best", "n.csv")
        self.refused(73, "no ordinary file", *FAST, "--best", "/dev/null")
        for name in "no/x", "d":
            self.refused(73, name, *FAST, "--best", name)
        self.write("b", b"")
        self.train(0, *DIGITS, "--epochs", "1", "--best", "b")

    def test_locks(self):
        run = self.start(*FAST, "--epochs", "1000000", "--best", "b")
        self.until("saved", lambda: self.size("b"))
        for words in ["--best", "b"], ["--save", "./b"], ["--best", "b.old"]:
            done = self.train(75, *DIGITS, *words)
            self.assertIn(f"is being written by process {run.pid} on ", done.stderr)
        run.send_signal(signal.SIGTERM)
        self.ends(run, 143)
        self.assertEqual([name for name in self.names() if name.endswith(".lock")], [])

    def test_twice(self):
        """A run that a second signal ends in the midst of a step leaves none of its locks."""
        run = self.start("digits", "--epochs", "5", "--model", "cnn", "--widths", "256,256", "--batch", "1438",
                         "--threads", "1", "--save", "a.old", "--best", "b.old", "--log", "c.old")
        self.until("begun", lambda: self.size("c.old"))
        self.assertEqual(sum(name.endswith(".lock") for name in self.names()), 6)
        time.sleep(0.2)
        for _ in range(2):
            run.send_signal(signal.SIGTERM)
            time.sleep(0.1)
        out, _ = self.ends(run, 143)
        self.assertNotIn("stopped", out)
        self.assertEqual([name for name in self.names() if name.endswith(".lock")], [])


if __name__ == "__main__":
    unittest.main()
