#!/usr/bin/env python3
"""A run destroys nothing: not the data, not what it writes itself, not what is no checkpoint."""
import os
import signal
import struct
import subprocess
import unittest

import tensorfile
from abused import EDEN, ENDLESS, FAST, Abused

ONE = ["--model", "logistic", "--threads", "1", "--epochs", "1"]
NAMES = [(stem + kind, dims) for stem in ("train", "t10k") for kind, dims in (("-images", 3), ("-labels", 1))]


class Data(Abused):
    def setUp(self):
        super().setUp()
        rows = "".join(f"{i},{i * i % 7},{i % 3}\n" for i in range(60))
        for name in "y.st.old", "y.lock", "plain.csv", "v.part":
            self.write(name, "a,b,label\n" + rows)
        (self.folder / "ds").mkdir()
        for name, dims in NAMES:
            sizes = [20, 4, 4][:dims]
            data = bytes([0, 0, 8, dims]) + struct.pack(f">{dims}I", *sizes)
            data += bytes(i % 10 for i in range(20 * (16 if dims == 3 else 1)))
            self.write(f"ds/{name}-idx{dims}-ubyte", data)

    def test_table(self):
        """By what each output writes, and by every name of the file."""
        (self.folder / "link").symlink_to("plain.csv")
        os.link(self.folder / "plain.csv", self.folder / "hard")
        for data, words in [("y.st.old", ["--save", "y.st"]), ("y.lock", ["--save", "y"]), ("y.lock", ["--log", "y"]),
                            ("y.lock", ["--save", "y.old"]), ("v.part", ["--log", "v"]),
                            ("plain.csv", ["--save", "./plain.csv"]), ("plain.csv", ["--log", "link"]),
                            ("plain.csv", ["--save", "hard"]), ("link", ["--log", str(self.folder / "plain.csv")]),
                            ("y.st.old", ["--log", f"../{self.folder.name}/y.st.old"])]:
            self.refused(64, "would overwrite the data", "csv", data, "--label", "label", *ONE, *words)
        self.train(0, "csv", "y.st.old", "--label", "label", *ONE, "--save", "y", "--log", "y.log")

    def test_images(self):
        for name, dims in NAMES:
            for path in f"ds/{name}-idx{dims}-ubyte", f"ds/../ds/{name}.idx{dims}-ubyte.gz":
                for option in "--save", "--log":
                    self.refused(64, "would overwrite the data", "mnist", "ds", *ONE, option, path)
        self.train(0, "mnist", "ds", *ONE, "--save", "ds/run", "--log", "ds/log")

    def test_replaced(self):
        """Only what can have been a checkpoint is replaced."""
        for text in b"x", b"a,b\n1,2\n3,4\n5,6\n", bytes(64), b"PK\3\4" + bytes(60), bytes(7) + b"\1{}":
            self.write("z", text)
            for words in [], ["--resume", "whole"]:
                if words:
                    self.train(0, *FAST, "--epochs", "1", "--save", "whole")
                done = self.refused(73, "--save would replace 'z', which is no safetensors file; name another",
                                    *FAST, "--save", "z", *words)
                self.assertEqual(done.stderr.count("\n"), 1)
        whole = self.read("whole")
        for data in b"", whole, whole[:100]:
            self.write("z", data)
            self.train(0, *FAST, "--epochs", "1", "--save", "z")
            self.assertEqual(self.read("z"), whole)


class Apart(Abused):
    def test_one_run(self):
        """Whatever two outputs of one run share is refused as such, before anything is made."""
        self.write("a", b"")
        os.link(self.folder / "a", self.folder / "b")
        (self.folder / "to").symlink_to("not yet")
        for part, save, log in [("both need the file", "s.st", "s.st.old"), ("both need the file", "u.st", "u.st.lock"),
                                ("are the same file", "v.st", "./v.st"), ("are the same file", "a", "b"),
                                ("both need the file", "l.part", "l"), ("both need the file", "l.lock", "l"),
                                ("both need the file", "s.old", "s"), ("both need the file", "s", "s.old"),
                                ("are the same file", "to", "not yet"), ("both need the file", "to", "not yet.old"),
                                ("both need the file", "s.old.old", "s.old")]:
            self.refused(64, part, *FAST, "--save", save, "--log", log)
        for option in "--save", "--log":
            self.refused(64, "names that end in '.lock' are those of locks", *FAST, option, "zz.st.lock")
        self.assertEqual(self.names(), ["a", "b", "to"])

    def test_resumed(self):
        self.train(0, *FAST, "--epochs", "1", "--save", "a")
        self.train(0, *FAST, "--epochs", "2", "--resume", "a", "--save", "a")
        self.refused(64, "--log and --resume are the same file", *FAST, "--resume", "a", "--log", "./a")
        self.refused(64, "both need the file", *FAST, "--resume", "a", "--log", "a.old")
        os.rename(self.folder / "a", self.folder / "c.lock")
        self.refused(64, "both need the file", *FAST, "--resume", "c.lock", "--save", "c")
        self.train(0, *FAST, "--resume", "a.old", "--save", "a", "--epochs", "2")

    def test_two_runs(self):
        """The file before the last is the run's as well; so is its lock."""
        for first, second in [(["--save", "zz.st"], ["--save", "zz.st.old"]), (["--save", "zz.st"], ["--log", "zz.st.old"]),
                              (["--save", "zz.st.old"], ["--save", "zz.st"])]:
            run = self.start(*ENDLESS, "--log", "log", *first)
            self.grows("log")
            self.until("saved", lambda name=first[1]: self.size(name))
            for code, words in (75, second), (64, ["--log", "zz.st.lock"]):
                self.train(code, *FAST, *words)
            run.send_signal(signal.SIGTERM)
            self.ends(run, 143)
            for name in self.names():
                self.assertNotIn(".lock", name)
                (self.folder / name).unlink()


class Steps(Abused):
    """`eden step` beside a trainer, and among its own files."""

    STEP = ["step", "adam", "--params", "w", "--grads", "g"]

    def setUp(self):
        super().setUp()
        for name, seed in ("w", 1), ("g", 2):
            tensorfile.write(self.folder / name, {"a": tensorfile.tensor([3], seed)})

    def step(self, code, part, *words):
        before = self.contents()
        words = [*words, *(word for option, name in (("--params", "w"), ("--grads", "g")) if option not in words
                           for word in (option, name))]
        done = self.eden(code, "step", "adam", *words)
        self.assertIn(part, done.stderr)
        self.assertEqual(self.contents(), before)

    def test_beside_trainer(self):
        run = self.start(*ENDLESS, "--save", "a", "--log", "log")
        self.grows("log")
        self.until("saved", lambda: self.size("a"))
        for words in ["--out", "a"], ["--out", "a.old"], ["--out", "new", "--state-out", "a"]:
            done = self.eden(75, *self.STEP, *words)
            self.assertIn(f"'{words[-1]}' is being written by process {run.pid} on ", done.stderr)
        self.eden(0, *self.STEP, "--out", "new")
        run.send_signal(signal.SIGTERM)
        self.ends(run, 143)
        self.eden(0, *self.STEP, "--out", "a")
        self.assertEqual([name for name in self.names() if ".lock" in name], [])

    def test_trainer_beside_step(self):
        """Locked from before it reads."""
        step = subprocess.Popen([EDEN, *self.STEP, "--out", "w", "--state-out", "s", "--repeat", "1000000000"],
                                cwd=self.folder)
        self.addCleanup(step.wait, 60)
        self.addCleanup(step.kill)
        self.until("locked", lambda: self.size("w.lock") and self.size("s.lock"))
        for name in "w", "s", "s.old":
            self.train(75, *FAST, "--save", name)
        step.send_signal(signal.SIGTERM)
        self.assertEqual(step.wait(60), -signal.SIGTERM)
        self.assertEqual(self.names(), ["g", "w"])

    def test_generations(self):
        """What a step replaces is kept, as a trainer's checkpoint is."""
        kept = []
        for words in [], ["--state", "s"], ["--state", "s"]:
            kept.append([self.read("w"), self.size("s") and self.read("s")])
            self.eden(0, *self.STEP, "--out", "w", "--state-out", "s", *words)
            self.assertEqual(self.read("w.old"), kept[-1][0])
        self.assertEqual(self.read("s.old"), kept[-1][1])
        newest = self.read("w"), self.read("s")
        self.eden(0, "step", "adam", "--params", "w.old", "--grads", "g", "--state", "s.old", "--out", "w",
                  "--state-out", "s")
        self.assertEqual((self.read("w"), self.read("s")), newest)
        self.assertEqual(self.names(), ["g", "s", "s.old", "w", "w.old"])

    def test_apart(self):
        for name in "o.old", "o.lock", "s.old":
            self.write(name, self.read("g"))
        for words in [["--out", "w", "--state-out", "w.old"], ["--out", "x.old", "--state-out", "x"],
                      ["--out", "o", "--grads", "o.old"], ["--out", "o", "--params", "o.lock"],
                      ["--out", "o", "--state", "o.old"], ["--out", "w", "--state-out", "s", "--params", "s.old"]]:
            self.step(64, "both need the file", *words)
        self.step(64, "names that end in '.lock'", "--out", "n.lock")
        self.write("text", "precious")
        self.step(73, "--out would replace 'text', which is no safetensors file", "--out", "text")
        self.step(73, "--state-out would replace 'text', which", "--out", "o", "--state-out", "text")

    def test_report(self):
        """A report does not take the place of the table that is compared on."""
        (self.folder / "r").mkdir()
        table = "a,y\n" + "".join(f"{i},{i % 2}\n" for i in range(40))
        (self.folder / "r" / "results.csv").write_text(table)
        done = subprocess.run([EDEN, "compare", "csv", "r/results.csv", "--label", "y", "--epochs", "1", "--optimizers",
                               "sgd", "--report", "./r/../r"], cwd=self.folder, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 64, done.stderr)
        self.assertIn("results.csv", done.stderr)
        self.assertEqual((self.folder / "r" / "results.csv").read_text(), table)


if __name__ == "__main__":
    unittest.main()
