"""Run the command under strace, which fails or kills it at a chosen call of the system."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

EDEN = os.path.abspath(os.environ.get("EDEN", "build/eden"))
LONG = bool(os.environ.get("EDEN_TORTURE"))  # scripts/torture: every call, not only a save's

# One thread, so that the n-th call is the same one in every run; and a tracer is in
# the way of the leak checker.
ENVIRONMENT = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C",
               "ASAN_OPTIONS": "detect_leaks=0"}
TRAIN = ["train", "digits", "--model", "logistic", "--threads", "1"]
CAUSE = {"ENOSPC": "No space left on device", "EIO": "Input/output error",
         "EINTR": "Interrupted system call", "EDQUOT": "Disk quota exceeded",
         "EACCES": "Permission denied"}


def why_no_strace():
    """Why calls cannot be traced here, or None."""
    if not shutil.which("strace"):
        return "strace is not installed (Debian: strace)"
    done = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True, text=True)
    return None if done.returncode == 0 else "strace may not trace here: " + done.stderr.strip()


def needs_strace(test):
    reason = why_no_strace()
    if reason:
        print(f"{test.__name__} is skipped: {reason}")
    return unittest.skipIf(reason, reason)(test)


class Call:
    """One call of the system: its name, which one of that name it is, its line."""

    def __init__(self, name, number, line):
        self.name, self.number, self.line = name, number, line


def calls_of(trace):
    seen, calls = {}, []
    for line in trace.splitlines():
        match = re.match(r"(?:\d+ +)?(\w+)\(", line)
        if match:
            name = match.group(1)
            seen[name] = seen.get(name, 0) + 1
            calls.append(Call(name, seen[name], line))
    return calls


class Case(unittest.TestCase):
    """A folder with the checkpoint p of two saves; a run would make the third."""

    def setUp(self):
        self.keep = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.keep.name)
        self.saves = {}
        self.eden(0, *TRAIN, "--epochs", "1", "--save", "p")
        self.saves[1] = self.read("p")
        for epochs in (2, 3):
            self.eden(0, *self.resume(epochs))
            self.saves[epochs] = self.read("p")
        self.assertEqual(len(set(self.saves.values())), 3)

    def tearDown(self):
        self.keep.cleanup()

    def resume(self, epochs):
        return [*TRAIN, "--epochs", str(epochs), "--resume", "p", "--save", "p"]

    def read(self, name):
        path = self.folder / name
        return path.read_bytes() if path.exists() else None

    def which(self, name):
        """The save a file is of; 0 if it is none of them, so torn or not there."""
        data = self.read(name)
        return next((k for k, save in self.saves.items() if save == data), 0)

    def reset(self):
        for path in self.folder.iterdir():
            path.unlink()
        (self.folder / "p").write_bytes(self.saves[2])
        (self.folder / "p.old").write_bytes(self.saves[1])

    def leftovers(self):
        return sorted(path.name for path in self.folder.iterdir()
                      if path.name not in ("p", "p.old", "log"))

    def eden(self, code, *words, before=(), **more):
        done = subprocess.run([*before, EDEN, *words], capture_output=True, text=True, timeout=60,
                              cwd=self.folder, env=ENVIRONMENT, **more)
        if code is not None:
            self.assertEqual(done.returncode, code, (words, done.stdout, done.stderr))
        return done

    def trace(self, *words):
        """The calls of a run that goes well."""
        with tempfile.NamedTemporaryFile("r") as out:
            self.eden(0, *words, before=["strace", "-f", "-o", out.name])
            return calls_of(out.read())

    def faulty(self, inject, *words):
        return self.eden(None, *words, before=["strace", "-f", "-qqq", "-o", "/dev/null", "-e", "trace=all",
                                               "-e", "inject=" + inject])
