#!/usr/bin/env python3
"""Kill `eden train` and `eden step` at every call of the system that a save makes, and fail
every such call: the checkpoint is the new one or the one before it, whole, and the run says so."""
import json
import random
import signal
import subprocess
import time
import unittest

import faulty
from faulty import CAUSE, EDEN, ENVIRONMENT, LONG, TRAIN
from tensorfile import tensor, write

STEP = ["step", "adam", "--threads", "1", "--params", "w", "--grads", "g", "--out", "w", "--state-out", "s"]

MEMORY = ("mmap", "munmap", "mprotect", "mremap", "madvise", "brk", "futex")


def save_of(calls):
    """The calls from the first that looks at the place of the save."""
    first = next(i for i, call in enumerate(calls) if "O_DIRECTORY" in call.line)
    while calls[first - 1].name in ("access", "newfstatat", "readlink", "getcwd"):
        first -= 1
    return calls[first:]


@faulty.needs_strace
class Calls(faulty.Case):
    def check_file(self, call, what):
        now, old = self.which("p"), self.which("p.old")
        self.assertIn((now, old), ((2, 1), (3, 1), (3, 2)), (what, call.line))
        return now

    def test_kill(self):
        self.reset()
        calls = self.trace(*self.resume(3))
        chosen = calls if LONG else save_of(calls)
        kills = {2: 0, 3: 0}
        for call in chosen:
            if call.name in ("exit_group", "execve"):
                continue
            self.reset()
            done = self.faulty(f"{call.name}:signal=KILL:when={call.number}", *self.resume(3))
            # Where the kernel places memory decides how often it is asked for more.
            if done.returncode != 0 or call.name not in MEMORY:
                self.assertIn(done.returncode, (-signal.SIGKILL, 128 + signal.SIGKILL), call.line)
            now = self.check_file(call, "kill")
            kills[now] += 1
            # The next run takes it from there, and leaves nothing of the killed one.
            self.eden(0, *self.resume(3))
            self.assertEqual(self.which("p"), 3, call.line)
            if now == 2:
                self.assertEqual((self.which("p.old"), self.leftovers()), (2, []), call.line)
        self.assertGreater(min(kills.values()), 2)
        print(f"killed at {sum(kills.values())} calls: {kills[3]} new, {kills[2]} old, 0 torn")

    def test_errors(self):
        names = ("openat", "write", "pwrite64", "fsync", "fdatasync", "rename", "renameat", "link",
                 "linkat", "close", "unlink", "unlinkat", "flock", "fcntl", "newfstatat")
        self.reset()
        calls = self.trace(*self.resume(3))
        chosen = [call for call in (calls if LONG else save_of(calls)) if call.name in names]
        within = {id(call) for call in save_of(calls)}
        counts = {"failed": 0, "unharmed": 0}
        for call in chosen:
            for code in CAUSE:
                self.reset()
                done = self.faulty(f"{call.name}:error={code}:when={call.number}", *self.resume(3))
                now = self.check_file(call, code)
                words = (code, call.line, done.returncode, done.stderr)
                if done.returncode == 0:
                    self.assertEqual(now, 3, words)
                    counts["unharmed"] += 1
                    continue
                counts["failed"] += 1
                self.assertGreater(done.returncode, 0, words)
                self.assertNotEqual(done.stderr, "", words)
                if id(call) in within:
                    self.assertIn(done.returncode, (71, 73, 74, 77), words)
                    self.check_sentence(call, CAUSE[code], now, done.stderr, words)
                self.assertEqual(self.leftovers() if call.name != "unlinkat" else [], [], words)
        self.assertGreater(counts["failed"], 30)
        print(f"{counts['failed'] + counts['unharmed']} errors at {len(chosen)} calls: "
              f"{counts['failed']} told, {counts['unharmed']} of no consequence, 0 torn")

    def check_sentence(self, call, cause, now, text, words):
        if "write(1," in call.line:
            self.assertIn("cannot write the output", text, words)
            return
        self.assertIn("'p'", text, words)
        self.assertIn(cause, text, words)
        if now == 3:
            self.assertIn("the new file is in place", text, words)

    def test_for_ever(self):
        """A disk that has broken for good."""
        for name in ("openat", "write", "fsync", "renameat", "linkat"):
            self.reset()
            first = next(call.number for call in save_of(self.trace(*self.resume(3)))
                         if call.name == name)
            for code in ("EIO", "ENOSPC", "EDQUOT"):
                self.reset()
                done = self.faulty(f"{name}:error={code}:when={first}+", *self.resume(3))
                self.assertIn(done.returncode, (73, 74), done.stderr)
                # When nothing can be written, neither can a sentence.
                self.assertIn(CAUSE[code] if name != "write" else "", done.stderr)
                self.assertEqual((self.which("p"), self.which("p.old")), (2, 1))


def generations(folder, *words):
    """Weights w and state s of four steps, each in place: their bytes after each."""
    saves = {}
    for k in range(1, 5):
        state = ["--state", "s"] if k > 1 else []
        subprocess.run([EDEN, *STEP, *words, *state], cwd=folder, env=ENVIRONMENT, check=True, timeout=60)
        saves[k] = {name: (folder / name).read_bytes() for name in ("w", "s")}
    return saves


@faulty.needs_strace
class Steps(faulty.Case):
    """`eden step` in place: weights and state are old or new, whole, each with the one before."""

    def setUp(self):
        super().setUp()
        for path in self.folder.iterdir():
            path.unlink()
        for name, seed in ("w", 1), ("g", 2):
            write(self.folder / name, {"a": tensor([40, 30], seed)})
        self.steps = generations(self.folder)

    def reset(self):
        for path in self.folder.iterdir():
            if path.name != "g":
                path.unlink()
        for name in "w", "s":
            (self.folder / name).write_bytes(self.steps[2][name])
            (self.folder / (name + ".old")).write_bytes(self.steps[1][name])

    def place(self, name):
        data = self.read(name)
        return next((k for k, save in self.steps.items() if save[name[0]] == data), 0)

    def states(self):
        return tuple(self.place(name) for name in ("w", "w.old", "s", "s.old"))

    def strangers(self):
        return sorted({path.name for path in self.folder.iterdir()} - {"g", "w", "w.old", "s", "s.old"})

    def calls(self):
        self.reset()
        calls = self.trace(*STEP, "--state", "s")
        self.assertEqual((self.states(), self.strangers()), ((3, 2, 3, 2), []))
        chosen = [call for call in calls if call.name not in ("exit_group", "execve", *MEMORY)]
        self.own = {id(call) for call in chosen[next(i for i, c in enumerate(chosen) if '"w' in c.line):]}
        first = next(i for i, call in enumerate(chosen) if ".eden-step" in call.line)
        return chosen if LONG else chosen[first::3]

    def test_kill(self):
        seen = {}
        for call in self.calls():
            self.reset()
            done = self.faulty(f"{call.name}:signal=KILL:when={call.number}", *STEP, "--state", "s")
            self.assertIn(done.returncode, (-signal.SIGKILL, 128 + signal.SIGKILL), call.line)
            now = self.states()
            self.assertIn(now, ((2, 1, 2, 1), (2, 1, 3, 1), (2, 1, 3, 2), (3, 1, 3, 2), (3, 2, 3, 2)), call.line)
            seen[now] = seen.get(now, 0) + 1
            # The next step goes on from there, and clears up.
            self.eden(0, *STEP, "--state", "s")
            self.assertEqual(self.strangers(), [], call.line)
            if now[0] == now[2]:
                self.assertEqual(self.states(), (now[0] + 1, now[0], now[0] + 1, now[0]), call.line)
            else:
                self.assertEqual((self.place("w.old"), self.place("s.old")), (now[0], now[2]), call.line)
        self.assertGreaterEqual(min(seen.get((2, 1, 2, 1), 0), seen.get((3, 2, 3, 2), 0)), 2)
        print(f"step killed at {sum(seen.values())} calls: {len(seen)} states, 0 torn")

    def test_errors(self):
        names = ("openat", "write", "fsync", "rename", "renameat", "link", "linkat", "close", "unlink", "flock")
        tried = 0
        for call in self.calls():
            for code in CAUSE if call.name in names else ():
                self.reset()
                done = self.faulty(f"{call.name}:error={code}:when={call.number}", *STEP, "--state", "s")
                words, now = (code, call.line, done.returncode, done.stderr), self.states()
                tried += 1
                if done.returncode == 0:
                    self.assertEqual((now[0], now[2]), (3, 3), words)
                    continue
                if id(call) in self.own:  # what comes before is the dynamic linker's
                    self.assertIn(done.returncode, (66, 71, 73, 74, 77), words)
                    self.assertRegex(done.stderr, "'[wsg]'|cannot write the output", words)
                else:
                    self.assertGreater(done.returncode, 0, words)
                self.assertTrue(all(now) and (now[0], now[2]) in ((2, 2), (2, 3), (3, 3)), words)
                if (now[0], now[2]) == (3, 3):
                    self.assertIn("the new file is in place", done.stderr, words)
                if "unlink" not in call.name:
                    self.assertEqual(self.strangers(), [], words)
        self.assertGreater(tried, 20)
        print(f"{tried} errors of a step's calls: 0 torn")


class Moments(faulty.Case):
    def test_random(self):
        """Killed at any time while it saves every few milliseconds."""
        chance, states, count = random.Random(1), set(), 1000 if LONG else 25
        for _ in range(count):
            self.reset()
            run = subprocess.Popen([EDEN, *self.resume(1000000)], cwd=self.folder, env=ENVIRONMENT,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.01 + chance.random() * 0.1)
            run.kill()
            self.assertEqual(run.wait(), -signal.SIGKILL)
            steps = []
            for name in ("p", "p.old"):
                done = self.eden(0, *TRAIN, "--resume", name, "--eval", "--json")
                steps.append(json.loads(done.stdout)["step"])
            self.assertIn(steps[0] - steps[1], (45, 90))
            states.add(steps[0])
        self.assertGreater(len(states), 2)
        print(f"{count} kills at random moments: {len(states)} different checkpoints, 0 torn")


if __name__ == "__main__":
    unittest.main(verbosity=2)
