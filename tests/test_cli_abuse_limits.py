#!/usr/bin/env python3
"""Outputs that cannot be written and limits of the system: a code and a sentence, no crash, and
the checkpoint as it was. Full disks and limits on a file's size are in test_faults_disk.py."""
import os
import resource
import signal
import subprocess
import unittest

from abused import EDEN, ENDLESS, FAST, SANITIZE, Abused

ONE = [*FAST, "--epochs", "1"]
MIB = 1 << 20


def limit(what, size):
    return lambda: resource.setrlimit(what, (size, size))


class Streams(Abused):
    """Whatever becomes of stdout and stderr, the checkpoint is the one of an undisturbed run."""

    def setUp(self):
        super().setUp()
        self.words = [*FAST, "--epochs", "3"]
        self.train(0, *self.words, "--save", "whole")
        self.whole = self.read("whole")

    def saved(self, code, *words, **more):
        done = self.train(code, *self.words, "--save", "a", *words, **more)
        self.assertEqual(self.read("a"), self.whole)
        self.assertEqual([name for name in self.names() if name.endswith((".lock", ".part"))], [])
        for name in "a", "a.old":
            (self.folder / name).unlink()
        return done

    def test_reader_gone(self):
        """All is saved first, and then it dies of SIGPIPE as others do; or says so, if its caller
        ignores that."""
        reader, writer = os.pipe()
        os.close(reader)
        self.addCleanup(os.close, writer)
        self.assertEqual(self.saved(-signal.SIGPIPE, stdout=writer).stderr, "")
        self.assertEqual(self.saved(-signal.SIGPIPE, "--json", stdout=writer).stderr.count("\nepoch "), 3)
        done = self.saved(74, stdout=writer, restore_signals=False)
        self.assertIn("cannot write the output", done.stderr)
        self.saved(0, "--json", stderr=writer)

    def test_head(self):
        """`| head -1`, with a run that is told to stop only after its reader has gone."""
        run = self.start(*ENDLESS, "--save", "a", "--log", "log", stdout=subprocess.PIPE)
        self.assertTrue(run.stdout.readline())
        run.stdout.close()
        self.until("saved twice", lambda: self.size("a.old"))
        self.grows("log", 10000)
        run.send_signal(signal.SIGTERM)
        self.assertEqual(run.wait(60), 143)
        self.assertGreater(self.step("a"), 45)

    def test_full(self):
        with open("/dev/full", "wb") as full:
            for more in {"stdout": full}, {"stdout": full, "stderr": full}:
                self.saved(74, **more)
                self.saved(74, "--json", **more)
            self.saved(0, "--json", stderr=full)

    def test_closed(self):
        for numbers in [1], [0, 1], [1, 2], [0, 1, 2]:
            self.saved(74, stdout=None, stderr=subprocess.DEVNULL, stdin=None, preexec_fn=lambda n=numbers: [
                os.close(i) for i in n])
        self.saved(0, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, preexec_fn=lambda: os.close(0))


class Paths(Abused):
    def test_outputs(self):
        """Names that cannot be, for each output: refused before the first step."""
        (self.folder / "loop").symlink_to("loop")
        (self.folder / "dir").mkdir()
        (self.folder / "file").write_bytes(b"x")
        for name in ("loop", "dir", "dir/", "no/a", "file/a", "x" * 256, "x/" * 2100 + "a", "y" * 5000):
            for option in "--save", "--log":
                self.refused(73, f"cannot create '{name[:100]}", *ONE, option, name)
        self.assertEqual(self.names(), ["dir", "file", "loop"])
        self.refused(64, "--save is empty", *ONE, "--save", "")

    @unittest.skipUnless(os.geteuid(), "root may write everywhere")
    def test_forbidden(self):
        (self.folder / "dir").mkdir(mode=0o500)
        self.refused(77, "dir/a", *ONE, "--save", "dir/a")

    def test_link(self):
        """A checkpoint behind a link stays behind it, and so does its lock."""
        (self.folder / "far").mkdir()
        (self.folder / "a").symlink_to("far/a")
        self.train(0, *ONE, "--save", "far/a")
        self.train(0, *FAST, "--epochs", "2", "--resume", "a", "--save", "far/a")
        self.assertEqual(self.step("a"), 90)
        self.assertEqual(sorted(os.listdir(self.folder / "far")), ["a", "a.old"])


@unittest.skipIf(SANITIZE, "the sanitizer needs room and files of its own")
class Limits(Abused):
    def setUp(self):
        super().setUp()
        self.train(0, *ONE, "--save", "a")
        self.before = self.contents()

    def run_limited(self, what, size, *words):
        """The exit code: 0 with a new checkpoint, or a code and a sentence with the old one."""
        for name in "a.old", "a":
            (self.folder / name).unlink(missing_ok=True)
        self.write("a", self.before["a"])
        done = self.train(None, *FAST, "--epochs", "2", "--save", "a", *words, preexec_fn=limit(what, size))
        self.assertGreaterEqual(done.returncode, 0, (what, size, done.stderr))
        if done.returncode:
            # 127 is the dynamic linker's.
            self.assertIn(done.returncode, (66, 71, 73, 74, 127), (size, done.stderr))
            self.assertTrue(done.stderr)
            self.assertEqual(self.contents(), self.before)
        else:
            self.assertEqual(self.step("a"), 90)
        self.assertEqual([name for name in self.names() if name not in ("a", "a.old")], [])
        return done

    def test_open_files(self):
        """3 files are stdin, stdout and stderr: none is left for the program itself."""
        codes = [self.run_limited(resource.RLIMIT_NOFILE, size).returncode for size in range(3, 10)]
        self.assertEqual((codes[0], codes[-1]), (127, 0), codes)
        first = codes.index(0)
        self.assertEqual(set(codes[first:]), {0}, codes)
        self.assertTrue({71, 73, 74} & set(codes[:first]), codes)

    def test_address_space(self):
        """From less than the dynamic linker needs to enough: each ends, and in a code."""
        codes = []
        for size in [8, 32, 64, 96, 128, 160, 192, 256, 320, 512, 2048]:
            done = self.run_limited(resource.RLIMIT_AS, size * MIB)
            codes.append(done.returncode)
            if done.returncode == 71:
                self.assertRegex(done.stderr, r"^eden: .*memory")
        self.assertIn(71, codes)
        self.assertEqual((codes[0], codes[-1]), (127, 0), codes)
        self.assertEqual(codes, sorted(codes, reverse=True))

    def test_stack(self):
        for size in 96 << 10, 128 << 10, 256 << 10, MIB, 8 * MIB, resource.RLIM_INFINITY:
            hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
            if hard == resource.RLIM_INFINITY or size <= hard:
                self.assertEqual(self.run_limited(resource.RLIMIT_STACK, size).returncode, 0, size)

    def test_address_space_and_pipe(self):
        """Where the limit made the program begin again, a broken pipe is still one."""
        reader, writer = os.pipe()
        os.close(reader)
        self.addCleanup(os.close, writer)
        done = subprocess.run([EDEN, "list"], stdout=writer, stderr=subprocess.PIPE, check=False, timeout=60,
                              preexec_fn=limit(resource.RLIMIT_AS, 2048 * MIB))
        self.assertEqual((done.returncode, done.stderr), (-signal.SIGPIPE, b""))


if __name__ == "__main__":
    unittest.main()
