#!/usr/bin/env python3
"""How `eden` on ranks ends: refusals in one sentence, a signal with the work saved, a failure or the
death of one rank with the end of all."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import unittest

from ranks import DIGITS, EDEN, EDEN_MPI, MPIEXEC, PLAIN_TEXT, RUN, Ranks

LONG = ["digits", "--widths", "16", "--threads", "1", "--epochs", "100000", "--save", "save"]
OPEN_MPI = "openmpi" in MPIEXEC  # whose mpirun has an exit code of its own for a run that a signal ended
# The first rank begins alone, or goes its way, and the second somewhere else, or is told more.
FIRST = 'case "${OMPI_COMM_WORLD_RANK-}${PMI_RANK-}" in 0) exec "$@";; esac; exec sleep 120'
ELSEWHERE = 'case "${OMPI_COMM_WORLD_RANK-}${PMI_RANK-}" in 1) cd elsewhere;; esac; exec "$@"'
MORE = 'case "${OMPI_COMM_WORLD_RANK-}${PMI_RANK-}" in 1) exec "$@" MORE;; esac; exec "$@"'


def children(pid):
    """The processes of eden-mpi below this one."""
    found, parents = [], {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = path.read_text().rsplit(")", 1)
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(path.parent.name)] = int(rest.split()[1]), name.split("(", 1)[1]
    for child, (_, name) in parents.items():
        at = child
        while at in parents and at != pid:
            at = parents[at][0]
        if at == pid and name.startswith("eden-mpi"):
            found.append(child)
    return found


def is_there(pid):
    return pathlib.Path(f"/proc/{pid}").exists()


class End(Ranks):
    def start(self, count, *words):
        process = subprocess.Popen([RUN, MPIEXEC, str(count), EDEN_MPI, *words], cwd=self.folder, env=PLAIN_TEXT, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(self.end, process)
        limit = time.monotonic() + 60
        while not (self.folder / "save").exists():
            self.assertLess(time.monotonic(), limit, "nothing was saved")
            self.assertIsNone(process.poll())
            time.sleep(0.05)
        return process

    def end(self, process):
        for pid in children(process.pid) if process.poll() is None else []:
            os.kill(pid, signal.SIGKILL)
        if process.poll() is None:
            process.kill()
        process.wait(30)

    def one_sentence(self, done, why):
        self.assertEqual(len(self.sentences(done)), 1, done.stderr)
        self.assertIn(why, done.stderr)

    def ends_with(self, code, run, mpich):
        """The code comes through; but MPICH's launcher at times tells one of its own for ranks that were ended."""
        for _ in range(1 if OPEN_MPI else 4):
            told = run()
            if told == code:
                return
            self.assertEqual(told, mpich)
        self.fail(f"ended with {told}, not with {code}")

    def test_one_process(self):
        for words in ["tune", "digits"], ["list"], ["bench", "sgd"], ["trace"], ["merge", "a", "b"], ["step", "sgd"]:
            done = self.ranks(3, *words, code=64)
            self.one_sentence(done, f"'eden {words[0]}' is for one process, and mpirun started 3: leave out mpirun")
            self.assertEqual(done.stdout, "")
        done = self.ranks(3, "train", "digits", "--epochs", "0", code=64)
        self.one_sentence(done, "--epochs")
        self.assertEqual(done.stderr.count("Try 'eden help train'"), 1)
        done = self.ranks(3, "train", "--help")
        self.assertEqual(done.stdout, self.alone("train", "--help").stdout)
        for words in ["--help"], ["-h"], ["--version"], ["help", "merge"]:
            self.assertEqual(self.ranks(3, *words).stdout, self.alone(*words).stdout)

    def test_one_of_many(self):
        """One that is refused and does not meet the others says so before the others end."""
        words = [RUN, MPIEXEC, "2", "sh", "-c", FIRST, "sh", EDEN_MPI, "list"]

        def run():
            done = self.run_words(words, None)
            self.one_sentence(done, "not all ranks have come to begin")
            return done.returncode
        self.ends_with(69, run, mpich=1)

    def test_unknown(self):
        """What is no command is refused by one voice."""
        for words in ["trian", "digits"], ["--twice"], []:
            done = self.ranks(3, *words, code=64)
            self.assertEqual(done.stderr.count("eden help"), 1, done.stderr)
            self.one_sentence(done, words[0] if words else "no command is given")
        shutil.copy(EDEN, self.folder / "eden")
        self.one_sentence(self.ranks(3, "trian", program="./eden", code=64), "trian")

    def test_other_words(self):
        """Ranks that were not told the same begin nothing, and hear what differs."""
        for more, named in ["--epochs=2", "'--epochs=2', and rank 0 with nothing more"], \
                           ["--seed 2", "'--seed', and rank 0 with nothing more"]:
            done = self.run_words([RUN, MPIEXEC, 2, "sh", "-c", MORE.replace("MORE", more), "sh", EDEN_MPI, "train", *DIGITS,
                                   "--save", "save"], 64)
            self.one_sentence(done, f"rank 1 was started with {named}")
            self.assertFalse((self.folder / "save").exists())
        done = self.run_words([RUN, MPIEXEC, 2, "sh", "-c", MORE.replace('"$@" MORE', '"$1" compare digits'), "sh", EDEN_MPI,
                               "train", *DIGITS], 64)
        self.one_sentence(done, "rank 1 was started with 'compare', and rank 0 with 'train'")
        done = self.run_words([RUN, MPIEXEC, 2, "sh", "-c", MORE.replace("MORE", "3"), "sh", EDEN_MPI, "train", *DIGITS,
                               "--seed"], 64)
        self.one_sentence(done, "rank 1 was started with '--seed 3', and rank 0 with nothing more")

    def stopped(self, process, rank, seconds):
        """One rank is stopped; the others end all in time, and what was saved is whole."""
        pids = sorted(children(process.pid))
        os.kill(pids[rank], signal.SIGSTOP)
        begun = time.monotonic()
        out, err = process.communicate(timeout=seconds)
        self.assertNotEqual(process.returncode, 0)
        while any(map(is_there, pids)) and time.monotonic() - begun < seconds:
            time.sleep(0.05)
        self.assertEqual([pid for pid in pids if is_there(pid)], [])
        self.alone("train", "digits", "--resume", "save", "--eval")
        return [line for line in err.splitlines() if line.startswith("eden: ")]

    def test_silent(self):
        for rank in 2, 0:
            (self.folder / "save").unlink(missing_ok=True)
            told = self.stopped(self.start(3, "train", *LONG, "--timeout", "2"), rank, 25)
            self.assertIn("waited 2 s for ", told[0])
            self.assertEqual(told[1:], [f"eden: no word from rank {rank}; all ranks are ended"] if rank else [])

    def test_second_signal(self):
        """Where the first is waited for in vain, a second ends all at once."""
        process = self.start(2, "train", *LONG)
        first, second = sorted(children(process.pid))
        os.kill(second, signal.SIGSTOP)
        time.sleep(1)
        os.kill(first, signal.SIGTERM)
        time.sleep(1)
        self.assertIsNone(process.poll())
        os.kill(first, signal.SIGTERM)
        process.communicate(timeout=10)
        self.assertNotEqual(process.returncode, 0)
        self.assertFalse((self.folder / "save.lock").exists())

    def test_without_mpi(self):
        """Copies that know nothing of each other would write to the same files."""
        shutil.copy(EDEN, self.folder / "eden")
        done = self.ranks(2, "train", *LONG, program="./eden", code=69)
        self.one_sentence(done, "this eden has no MPI")
        self.assertEqual([path.name for path in self.folder.iterdir()], ["eden"])

    def test_another_mpi(self):
        """A program of another MPI sees one process only: itself."""
        other = {"openmpi": "mpich", "mpich": "openmpi"}
        kind = pathlib.Path(EDEN_MPI).parent.name
        program = pathlib.Path(EDEN_MPI).parents[1] / other.get(kind, "none") / "eden-mpi"
        if not program.exists():
            self.skipTest("there is one MPI")
        done = self.ranks(2, "train", *LONG, program=program, code=69)
        self.one_sentence(done, "start it with the mpirun of that")
        self.assertFalse((self.folder / "save").exists())

    def test_one_fails(self):
        """What rank 1 alone cannot read ends both, with its sentence and its code."""
        (self.folder / "elsewhere").mkdir()
        (self.folder / "t.csv").write_text("a,y\n" + "1,2\n3,4\n5,7\n" * 20)
        done = self.run_words([RUN, MPIEXEC, 2, "sh", "-c", ELSEWHERE, "sh", EDEN_MPI, "train", "csv", "t.csv",
                               "--label", "y", "--log", "log"], 66)
        self.one_sentence(done, "eden: rank 1: cannot read 't.csv'")

    def elsewhere(self, code, *words):
        """Two ranks, of which the second is in another folder."""
        return self.run_words([RUN, MPIEXEC, 2, "sh", "-c", ELSEWHERE, "sh", EDEN_MPI, *words], code)

    def test_other_data(self):
        """Files of one name, with other contents, are told apart on all ranks before anything is written."""
        (self.folder / "elsewhere").mkdir()
        rows = "1,2\n3,4\n5,7\n" * 20
        (self.folder / "t.csv").write_text("a,y\n" + rows)
        (self.folder / "elsewhere/t.csv").write_text("a,y\n" + rows.replace("4", "5", 1))
        words = ["csv", "t.csv", "--label", "y", "--target", "value", "--save", "save"]
        done = self.elsewhere(65, "train", *words, "--log", "log")
        self.one_sentence(done, "the ranks differ: rank 1 has data of the checksum ")
        self.assertFalse((self.folder / "save").exists() or (self.folder / "log").exists())
        done = self.elsewhere(65, "compare", *words[:4], "--target-kind", "value", "--target", "1", "--optimizers", "sgd,adam")
        self.one_sentence(done, "the ranks differ: rank 1 has data of the checksum ")
        (self.folder / "elsewhere/t.csv").write_text("a,y\n" + rows + "1,2\n")
        self.one_sentence(self.elsewhere(65, "train", *words), "the ranks differ: rank 1 has data ")

    def test_other_checkpoint(self):
        """So are checkpoints: of another run, of another step, of other weights, and where there is none."""
        there = self.folder / "elsewhere"
        there.mkdir()
        for words, more, named in (["--seed", "1"], ["--seed", "2"], "rank 1 has seed 2, and rank 0 has seed 1"), \
                (["--batch", "240"], ["--batch", "120"], "rank 1 has batch 120, and rank 0 has batch 240"), \
                (["--widths", "16"], ["--widths", "8"], "rank 1 has widths 8, and rank 0 has widths 16"), \
                (["--optimizer", "sgd"], ["--optimizer", "adam"], "rank 1 has optimizer adam, and rank 0 has optimizer sgd"):
            for at, how in ("save", words), ("elsewhere/save", more):
                self.alone("train", "digits", "--epochs", "1", "--schedule", "constant(1)", "--save", at, *how)
            done = self.elsewhere(65, "train", "digits", "--resume", "save", "--epochs", "2", "--save", "save")
            self.one_sentence(done, f"the ranks differ: {named}")
        first = [*DIGITS, "--schedule", "constant(1)", "--save"]
        self.alone("train", *first, "save", "--epochs", "1")
        shutil.copy(self.folder / "save", there)
        self.alone("train", "digits", "--resume", "save", "--save", "save", "--epochs", "2")
        done = self.elsewhere(65, "train", "digits", "--resume", "save", "--epochs", "3")
        self.one_sentence(done, "rank 1 has a checkpoint of the checksum ")
        for words in [["--resume", "save"], ["--save", "save", "--continue"]]:
            for name in "save", "save.old":
                (there / name).unlink(missing_ok=True)
            done = self.elsewhere(None, "train", "digits", *words, "--epochs", "3")
            self.assertIn(done.returncode, (65, 66))
            self.one_sentence(done, "eden: rank 1: cannot read 'save'" if words[0] == "--resume" else
                              "rank 1 has to go on from nothing, and rank 0 has to go on from save")

    def test_diverges(self):
        words = ["digits", "--optimizer", "sgd", "--lr", "1e30", "--threads", "1"]
        done = [self.alone("train", *words, code=65), self.ranks(2, "train", *words, "--parts", "2", code=65)]
        for each in done:
            self.one_sentence(each, "training diverged at step")

    def test_busy(self):
        """One writes to a file at a time, ranks or not."""
        process = self.start(2, "train", *LONG)
        self.one_sentence(self.ranks(2, "train", *LONG, code=75), "is being written by process")
        process.send_signal(signal.SIGTERM)
        process.wait(60)

    def test_not_saved(self):
        """Something is in the way of the shards: training goes on, and the code tells."""
        (self.folder / "save.shards").write_text("mine")
        done = self.ranks(2, "train", *DIGITS, "--epochs", "1", "--save", "save", code=None)
        self.assertNotEqual(done.returncode, 0)
        self.one_sentence(done, "save.shards")
        self.assertIn("test   ", done.stdout)
        self.assertEqual((self.folder / "save.shards").read_text(), "mine")

    def stop_all(self, number):
        (self.folder / "save").unlink(missing_ok=True)
        process = self.start(3, "train", *LONG)
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)
        step = int(re.search(r"stopped by SIG\w+ at step (\d+) of", out)[1])
        words = re.search(r"mpirun -n 3 eden (train .*)", out)[1].split()
        self.assertIn(f"from step {step} of", self.told(words))
        self.assertFalse((self.folder / "save.lock").exists())
        return process.returncode

    def test_signals(self):
        """The step is finished and saved, and what is printed goes on from there."""
        for number in signal.SIGTERM, signal.SIGINT:
            self.ends_with(1 if OPEN_MPI else 128 + number, lambda number=number: self.stop_all(number), mpich=0)

    def test_signal_to_one(self):
        """It has come to all, which end at the same step."""
        for rank in 0, -1:
            (self.folder / "save").unlink(missing_ok=True)
            process = self.start(3, "train", *LONG, "--parts", "3")
            os.kill(sorted(children(process.pid))[rank], signal.SIGTERM)
            out, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 128 + signal.SIGTERM, out + err)
            self.assertIn("stopped by SIGTERM at step", out)
            self.alone("train", "digits", "--resume", "save", "--eval")

    def told(self, words):
        """The head of the run that goes on."""
        process = subprocess.Popen([EDEN, *words], cwd=self.folder, env=PLAIN_TEXT, text=True, stdout=subprocess.PIPE)
        head = ""
        while "resumed" not in head:
            line = process.stdout.readline()
            self.assertTrue(line, head)
            head += line
        process.terminate()
        process.communicate(timeout=60)
        return head

    def test_save_now(self):
        """A signal to one rank has come to all."""
        process = self.start(2, "train", *LONG)
        os.kill(max(children(process.pid)), signal.SIGUSR1)
        line = ""
        while "saved step" not in line:
            line = process.stdout.readline()
            self.assertTrue(line)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)

    def test_killed(self):
        """One is gone: so are all within 10 s, and what was saved is whole."""
        process = self.start(3, "train", *LONG)
        pids = children(process.pid)
        self.assertEqual(len(pids), 3)
        os.kill(pids[1], signal.SIGKILL)
        process.communicate(timeout=10)
        self.assertNotEqual(process.returncode, 0)
        limit = time.monotonic() + 10
        while any(map(is_there, pids)) and time.monotonic() < limit:
            time.sleep(0.05)
        self.assertEqual([pid for pid in pids if is_there(pid)], [])
        self.alone("train", "digits", "--resume", "save", "--eval")


if __name__ == "__main__":
    unittest.main()
