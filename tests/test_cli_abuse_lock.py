#!/usr/bin/env python3
"""Two trainers on one directory, and a run that finds torn, older, newer or no checkpoints."""
import fcntl
import os
import shutil
import signal
import socket
import unittest

import tensorfile
from abused import ENDLESS, FAST, Abused

ONE = [*FAST, "--epochs", "1"]


class Locks(Abused):
    def first(self):
        run = self.start(*ENDLESS, "--save", "a", "--log", "log")
        self.grows("log")
        self.until("signed", lambda: self.size("a.lock") and self.size("log.lock"))
        return run

    def test_second(self):
        """The second run is refused, by whatever name it calls the files; others may write there."""
        run = self.first()
        owner = f"is being written by process {run.pid} on {socket.gethostname()[:64]}; wait for it"
        self.until("saved", lambda: self.size("a"))
        (self.folder / "link").symlink_to("a")
        for name in "a", "./a", str(self.folder / "a"), "link":
            for words in [], ["--resume", "a"], ["--continue"]:
                done = self.train(75, *ONE, "--save", name, *words)
                self.assertEqual((done.stdout, done.stderr.count("\n")), ("", 1))
                self.assertIn(f"eden: '{name}' {owner}", done.stderr)
        self.assertIn(f"'log' {owner}", self.train(75, *ONE, "--log", "log", "--save", "b").stderr)
        self.train(0, *ONE, "--log", "other", "--save", "b")
        run.send_signal(signal.SIGTERM)
        self.ends(run, 143)
        self.train(0, *ONE, "--save", "a", "--log", "log")
        self.assertEqual([name for name in self.names() if name.endswith(".lock")], [])

    def test_stale(self):
        """What a killed run has left locks nothing, and is cleared up."""
        run = self.first()
        run.kill()
        run.wait(60)
        self.assertIn("a.lock", self.names())
        self.train(0, *ONE, "--save", "a", "--log", "log")
        self.assertEqual([name for name in self.names() if name.endswith(".lock")], [])
        for text in f"process {os.getpid()} on {socket.gethostname()}\n", "", "\0\xff" * 5000:
            self.write("a.lock", text)
            self.train(0, *ONE, "--save", "a")
            self.assertNotIn("a.lock", self.names())

    def test_left_by_refusals(self):
        for code, words in [(64, ["--epochs", "0"]), (66, ["--resume", "none"]), (65, ["--lr", "1e20"])]:
            self.train(code, "digits", "--threads", "1", "--optimizer", "sgd", "--save", "a", "--log", "log", *words)
            self.assertIn(self.names(), ([], ["log"]))

    def test_hostile_lock(self):
        """A lock that is a link, a directory or a pipe is not followed, and nothing waits for it."""
        self.write("precious", "precious")
        (self.folder / "a.lock").symlink_to("precious")
        (self.folder / "b.lock").mkdir()
        self.refused(73, "cannot create 'a'", *ONE, "--save", "a")
        self.refused(73, "cannot create 'b'", *ONE, "--save", "b")
        os.mkfifo(self.folder / "c.lock")
        self.assertIn(self.train(None, *ONE, "--save", "c").returncode, (0, 73))
        self.assertEqual(self.read("precious"), b"precious")

    def test_drafts(self):
        """Drafts of reports that killed runs left go away; those of the living and of others stay."""
        run = self.first()
        run.kill()
        run.wait(60)
        dead, living = f".p.svg.{run.pid}.part", f".p.svg.{os.getpid()}.part"
        others = [living, ".p.svg.part", ".p.svg.0.part", f".p.svgx.{run.pid}.part", f"p.svg.{run.pid}.part"]
        for name in dead, *others:
            self.write(name, "draft")
        self.train(0, *ONE, "--log", "c")
        with open(self.folder / dead, "rb") as held:  # as its writer on another host would
            fcntl.flock(held, fcntl.LOCK_EX)
            self.eden(0, "plot", "c", "-o", "p.svg")
            self.assertIn(dead, self.names())
        self.eden(0, "plot", "c", "-o", "p.svg")
        self.assertNotIn(dead, self.names())
        self.assertEqual([name for name in others if name not in self.names()], [])


class Resume(Abused):
    def setUp(self):
        super().setUp()
        self.train(0, *FAST, "--epochs", "3", "--save", "a", "--schedule", "constant(1)")
        self.newest, self.older = self.read("a"), self.read("a.old")
        self.torn = self.newest[:len(self.newest) // 2]
        self.flipped = self.newest[:-9] + bytes([self.newest[-9] ^ 1]) + self.newest[-8:]
        tensors, notes = tensorfile.read(self.folder / "a")
        self.assertEqual(notes["eden.note.lab.format"], "1")
        tensorfile.write_own(self.folder / "a", tensors, {**notes, "eden.note.lab.format": "2"})
        self.future = self.read("a")
        tensorfile.write_own(self.folder / "a", tensors, notes)
        self.train(0, *FAST, "--epochs", "4", "--resume", "a", "--save", "a")
        self.longer = self.read("a")
        (self.folder / "a.old").unlink()

    def state(self, newest, older):
        for name, data in ("a", newest), ("a.old", older):
            if data is None:
                (self.folder / name).unlink(missing_ok=True)
            else:
                self.write(name, data)

    def resume(self):
        return [*FAST, "--epochs", "4", "--resume", "a", "--save", "a"]

    def going_on(self):
        return [*FAST, "--epochs", "4", "--continue", "--save", "a", "--schedule", "constant(1)"]

    def test_older_good(self):
        """--resume refuses and says which is whole; --continue goes on from that and says so."""
        for newest, code, why in [(self.torn, 65, "'a'"), (self.flipped, 65, "a"), (b"", 65, "a"),
                                  (None, 66, "cannot read 'a'")]:
            self.state(newest, self.older)
            done = self.refused(code, "; 'a.old', the one before it, is whole and holds step 90: rename it "
                                "to go on from there", *self.resume())
            self.assertIn(why, done.stderr)
            done = self.train(0, *self.going_on())
            self.assertIn("going on from step 90 of 'a.old', the one before it", done.stderr)
            self.assertIn("from step 90 of 180", done.stdout)
            self.assertEqual(self.read("a"), self.longer)

    def test_only_torn(self):
        """Nothing is begun over files in which something might still be found."""
        for newest, older in [(self.torn, None), (self.flipped, self.torn), (b"", b""), (self.torn, b"x")]:
            self.state(newest, older)
            for words in self.resume(), self.going_on():
                done = self.refused(65, "a", *words)
                self.assertNotIn("whole", done.stderr)

    def test_future(self):
        """A checkpoint of a later version is no torn one: the older is not taken for it."""
        self.state(self.future, self.older)
        for words in self.resume(), self.going_on():
            done = self.refused(65, "was saved by another version, in format '2'", *words)
            self.assertNotIn("a.old", done.stderr)

    def test_missing(self):
        for older in None, self.torn:
            self.state(None, older)
            done = self.refused(66, "cannot read 'a'", *self.resume())
            self.assertNotIn("a.old", done.stderr)
            done = self.train(0, *self.going_on())
            self.assertNotIn("resumed", done.stdout)
            self.assertEqual(self.read("a"), self.longer)
            (self.folder / "a.old").unlink()

    def test_continued(self):
        """The same line begins, goes on and has nothing left to do."""
        words = [*FAST, "--continue", "--save", "b", "--schedule", "constant(1)", "--epochs"]
        self.train(0, *words, "1")
        self.assertIn("from step 45 of 180", self.train(0, *words, "4").stdout)
        self.assertEqual(self.read("b"), self.longer)
        self.assertIn("nothing is left", self.train(0, *words, "4").stdout)
        self.refused(64, "--continue needs --save FILE", *FAST, "--continue")
        self.refused(64, "--continue and --resume exclude", *FAST, "--continue", "--save", "a", "--resume", "a")

    def test_directory(self):
        """A directory, a pipe and a device are no checkpoints, and none is waited for."""
        (self.folder / "d").mkdir()
        os.mkfifo(self.folder / "fifo")
        for name in "d", "fifo", "/dev/zero", "/dev/full":
            for words in ["--resume", name], ["--continue", "--save", name]:
                done = self.train(None, *ONE, *words)
                self.assertIn(done.returncode, (65, 66, 73), (words, done.stderr))
                self.assertIn(f"'{name}'", done.stderr)
        shutil.rmtree(self.folder / "d")
        self.assertEqual(self.names(), ["a", "fifo"])


if __name__ == "__main__":
    unittest.main()
