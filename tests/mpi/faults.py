#!/usr/bin/env python3
"""Ranks that are killed or stopped: all end in time, and nothing committed is lost.

usage: tests/mpi/faults.py MPIEXEC PROGRAM [KILLS]

Each of KILLS rounds starts 2 to 4 ranks of tests/mpi/endless.c on one folder and kills
one at a random moment. Within 10 s all have to be gone; the next round has to load no
fewer steps than the one before. Every fourth round stops a rank instead, and the others
end by their time-out. At the end a run that nothing disturbs goes to the last step, and
has the weights of one that was never interrupted.
"""
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

RUN = pathlib.Path(__file__).with_name("run.sh")
ENDLESS = 10 ** 9
TIMEOUT = 2      # of the optimizer, where a rank is stopped
END_WITHIN = 10  # seconds, after a kill


def start(mpiexec, program, ranks, *words):
    process = subprocess.Popen([RUN, mpiexec, str(ranks), program, *map(str, words)], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
    return process, Lines(process)


class Lines:
    """What a process has written so far, read by a thread."""

    def __init__(self, process):
        self.lines, self.process = [], process
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def values(self, word):
        return [line.split()[-1] for line in list(self.lines) if word + " " in line]

    def wait_for(self, word, count, seconds):
        end = time.monotonic() + seconds
        while len(self.values(word)) < count:
            if time.monotonic() > end or (self.process.poll() is not None and not self.thread.is_alive()):
                raise SystemExit(f"no {count} lines '{word}': {self.lines}")
            time.sleep(0.01)
        return self.values(word)


def is_alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def one_fault(mpiexec, program, folder, ranks, stop, moments):
    """Start ranks, disturb one, see all end; returns the steps that they loaded."""
    process, lines = start(mpiexec, program, ranks, folder, TIMEOUT, ENDLESS)
    pids = [int(pid) for pid in lines.wait_for("process", ranks, 60)]
    try:
        loaded = int(lines.wait_for("loaded", 1, 60)[0])
        time.sleep(moments.uniform(0, 0.6))
        os.kill(moments.choice(pids), signal.SIGSTOP if stop else signal.SIGKILL)
        begun = time.monotonic()
        allowed = END_WITHIN + (TIMEOUT if stop else 0)
        while time.monotonic() - begun < allowed and (process.poll() is None or any(map(is_alive, pids))):
            time.sleep(0.02)
        took = time.monotonic() - begun
        left = [pid for pid in pids if is_alive(pid)]
        if process.poll() is None or left:
            raise SystemExit(f"{took:.1f} s after the {'stop' if stop else 'kill'} of one of {ranks} ranks, "
                             f"{left} are there still")
        if process.returncode == 0:
            raise SystemExit("a disturbed run ended as if all were well")
        return loaded, took
    finally:
        for pid in pids:  # those of this round alone
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        process.wait(30)


def undisturbed(mpiexec, program, folder, ranks, steps):
    process, lines = start(mpiexec, program, ranks, folder, 60, steps)
    process.wait(100)
    lines.thread.join(5)
    if process.returncode:
        raise SystemExit(f"an undisturbed run failed: {process.returncode} {lines.lines}")
    return int(lines.values("loaded")[0]), lines.values("weights")[0]


def main():
    mpiexec, program = sys.argv[1:3]
    kills = int(sys.argv[3]) if len(sys.argv) > 3 else 6
    moments = random.Random(int(os.environ.get("EDEN_FAULT_SEED", "7")))
    longest, last = 0.0, 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = os.path.join(scratch, "run")
        for k in range(kills):
            loaded, took = one_fault(mpiexec, program, folder, 2 + k % 3, k % 4 == 3, moments)
            longest = max(longest, took)
            if loaded < last:
                raise SystemExit(f"round {k} loaded {loaded} steps, and {last} had been loaded before")
            last = loaded
        probe, _ = undisturbed(mpiexec, program, folder, 1, 0)
        steps = probe + 4
        _, weights = undisturbed(mpiexec, program, folder, 3, steps)
        _, wanted = undisturbed(mpiexec, program, os.path.join(scratch, "fresh"), 1, steps)
        if weights != wanted:
            raise SystemExit(f"after {kills} faults step {steps} has other weights")
    print(f"{kills} faults, the longest end {longest:.1f} s; {probe} steps kept, and their bits")


if __name__ == "__main__":
    main()
