#!/usr/bin/env python3
"""Signals: once, twice, in the midst of a save, to save now, to stand still. What a first
signal says and that the run resumes to the same bits is in test_cli_resume.py."""
import contextlib
import os
import re
import resource
import select
import signal
import subprocess
import unittest

import faulty
from abused import ENDLESS, FAST, Abused


class Moments(Abused):
    def test_save_now(self):
        """SIGUSR1 saves in the midst of an epoch, and a run from there has the same bits. The
        log is a pipe, so that the run waits for its reader."""
        words = [*FAST, "--epochs", "2", "--batch", "1", "--schedule", "constant(1)"]
        os.mkfifo(self.folder / "log")
        log = os.open(self.folder / "log", os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, log)
        run = self.start(*words, "--save", "a", "--log", "log", stdout=subprocess.PIPE)
        out, said, asked = run.stdout.fileno(), b"", False
        while b"saved step" not in said and run.poll() is None:
            ready, _, _ = select.select([log, out], [], [], 60)
            self.assertTrue(ready)
            if out in ready:
                said += os.read(out, 4096)
                continue
            records = b""
            with contextlib.suppress(BlockingIOError):  # it was opened and closed in between
                records = os.read(log, 4096)
            if records and not asked:
                run.send_signal(signal.SIGUSR1)
                asked = True
        run.kill()
        run.wait(60)
        found = re.search(rb"saved step (\d+)\n", said)
        self.assertTrue(found, said)
        step = int(found.group(1))
        self.assertEqual(self.step("a"), step)
        self.assertLess(step, 1438)
        self.train(0, *words, "--resume", "a", "--save", "a")
        self.train(0, *words, "--save", "b")
        self.assertEqual(self.read("a"), self.read("b"))

    def test_save_now_without_save(self):
        run = self.start(*ENDLESS, "--log", "log")
        self.grows("log")
        run.send_signal(signal.SIGUSR1)
        self.assertTrue(select.select([run.stderr], [], [], 30)[0])
        self.assertEqual(run.stderr.readline(),
                         "eden: SIGUSR1 asks to save, but there is no --save; training goes on\n")
        self.grows("log")
        run.send_signal(signal.SIGTERM)
        self.ends(run, 143)

    def test_stopped(self):
        """SIGSTOP and SIGCONT change nothing but the time it takes."""
        words = [*FAST, "--epochs", "60"]
        run = self.start(*words, "--save", "a", "--log", "log")
        self.grows("log")
        run.send_signal(signal.SIGSTOP)
        _, status = os.waitpid(run.pid, os.WUNTRACED)
        self.assertTrue(os.WIFSTOPPED(status), status)
        self.refused(75, f"process {run.pid} on ", *words, "--save", "a")
        run.send_signal(signal.SIGCONT)
        self.ends(run, 0)
        self.train(0, *words, "--save", "b")
        self.assertEqual(self.read("a"), self.read("b"))

    def test_early(self):
        """Before the first step there is nothing to finish; nothing is left behind. The run has
        its locks, and waits for the reader of a full pipe."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while os.write(writer, b"x" * 4096):
                pass
        os.set_blocking(writer, True)
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
            run = self.start(*ENDLESS, "--save", "a", "--log", "log", stdout=writer)
            self.until("locked", lambda: self.size("log.lock"))
            run.send_signal(number)
            self.ends(run, 128 + number)
            self.assertEqual(self.names(), [])

    def test_processor_time(self):
        """The limit on processor time warns with SIGXCPU every second, then kills."""
        done = self.train(128 + signal.SIGXCPU, "digits", "--widths", "1024,1024", "--epochs", "10000",
                          "--threads", "1", "--optimizer", "sgd", "--save", "a", preexec_fn=lambda:
                          resource.setrlimit(resource.RLIMIT_CPU, (1, 30)))
        said = re.search(r"stopped by SIGXCPU at step (\d+) of \d+; resume with\n  eden train digits "
                         r"--resume a --save a --threads 1\n$", done.stdout)
        self.assertEqual(self.step("a"), int(said.group(1)))
        self.assertEqual(self.names(), ["a", "a.old"])

    def test_file_size(self):
        """SIGXFSZ is a failing write and no death, from wherever it comes."""
        run = self.start(*ENDLESS, "--log", "log")
        self.grows("log")
        run.send_signal(signal.SIGXFSZ)
        self.grows("log", 10000)
        self.assertIsNone(run.poll())
        run.send_signal(signal.SIGINT)
        self.ends(run, 130)


@faulty.needs_strace
class InASave(faulty.Case):
    """Signals that arrive as a save calls the system, which no timing could promise."""

    def signalled(self, *signals, epochs=4):
        self.reset()
        inject = [word for number, call in signals
                  for word in ("-e", f"inject={call}:signal={number.name}:when=1")]
        return self.eden(None, *self.resume(epochs), before=["strace", "-f", "-qqq", "-o", "/dev/null", "-e",
                                                         "trace=fsync,renameat,linkat", *inject])

    def test_once(self):
        """The save is finished, so there are two whole checkpoints, and the exit code tells."""
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU:
            for call in "fsync", "renameat", "linkat":
                done = self.signalled((number, call))
                self.assertEqual(done.returncode, 128 + number, done.stderr)
                self.assertIn(f"stopped by {number.name} at step 135 of 180", done.stdout)
                self.assertEqual((self.which("p.old"), self.leftovers()), (2, []))
                self.eden(0, *self.resume(4))
                whole = self.read("p")
                self.reset()
                self.eden(0, *self.resume(4))
                self.assertEqual(self.read("p"), whole)

    def test_harmless(self):
        for number in signal.SIGUSR1, signal.SIGXFSZ, signal.SIGPIPE, signal.SIGWINCH:
            done = self.signalled((number, "fsync"))
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("epoch 4/4", done.stdout)
            self.assertEqual(self.leftovers(), [])

    def test_twice(self):
        """The second ends it at once: the old checkpoint stays, and the next run clears up."""
        for (first, at), (second, then), kept in [
                ((signal.SIGINT, "fsync"), (signal.SIGINT, "linkat"), 2),
                ((signal.SIGTERM, "fsync"), (signal.SIGHUP, "linkat"), 2),
                ((signal.SIGTERM, "linkat"), (signal.SIGINT, "renameat"), 3)]:
            done = self.signalled((first, at), (second, then), epochs=3)
            self.assertEqual(done.returncode, 128 + second, done.stderr)
            self.assertNotIn("test   ", done.stdout)
            self.assertEqual(self.which("p"), kept)
            self.assertIn(self.which("p.old"), (1, 2))
            self.assertEqual([name for name in self.leftovers() if name.endswith(".lock")], [])
            self.eden(0, *self.resume(4))
            self.assertEqual(self.leftovers(), [])


class Ignored(Abused):
    def test_caller(self):
        """A caller that ignores SIGUSR1 or SIGXCPU has it ignored."""
        def ignore():
            for number in signal.SIGUSR1, signal.SIGXCPU, signal.SIGINT:
                signal.signal(number, signal.SIG_IGN)
        run = self.start(*ENDLESS, "--save", "a", "--log", "log", preexec_fn=ignore)
        self.grows("log")
        for number in signal.SIGUSR1, signal.SIGXCPU, signal.SIGINT:
            run.send_signal(number)
        self.grows("log", 10000)
        self.assertIsNone(run.poll())
        run.send_signal(signal.SIGTERM)
        out, err = self.ends(run, 143)
        self.assertNotIn("saved step", out)
        self.assertEqual(err, "")


if __name__ == "__main__":
    unittest.main()
