#!/usr/bin/env python3
"""`eden train` that stops and goes on: signals, --resume, --eval, outputs that fail."""
import json
import os
import pty
import re
import resource
import shlex
import signal
import subprocess
import time
import unittest

from infolder import InFolder

EDEN = os.path.abspath(os.environ.get("EDEN", "build/eden"))
TIMES = ("seconds", "step_seconds", "optimizer_seconds")
SMALL = ["--widths", "16"]
ENDLESS = ["--epochs", "100000", *SMALL]


class Case(InFolder):
    def train(self, code, *words, **more):
        done = subprocess.run([EDEN, "train", *words], capture_output=True, text=True, timeout=60,
                              cwd=self.folder, **more)
        self.assertEqual(done.returncode, code, (words, done.stdout, done.stderr))
        return done

    def refused(self, code, part, *words):
        done = self.train(code, *words)
        self.assertIn(part, done.stderr)
        self.assertEqual(done.stdout, "")

    def start(self, *words, **more):
        more.setdefault("stdout", subprocess.PIPE)
        return subprocess.Popen([EDEN, "train", "digits", *words], stderr=subprocess.PIPE,
                                text=True, cwd=self.folder, **more)

    def wait_for(self, name, size=1):
        path = self.folder / name
        for _ in range(2000):
            if path.exists() and path.stat().st_size >= size:
                return
            time.sleep(0.005)
        self.fail(f"{name} did not appear")

    def bytes(self, name):
        return (self.folder / name).read_bytes()

    def log(self, name):
        records = [json.loads(line) for line in (self.folder / name).read_text().splitlines()]
        return [{key: value for key, value in r.items() if key not in TIMES} for r in records]


class Resume(Case):
    def test_longer(self):
        """Two epochs, then two more, are four: every bit and every record."""
        for name in "adamw", "nesterov":
            words = ["digits", "--optimizer", name, "--schedule", "step(100)"]
            self.train(0, *words, "--epochs", "4", "--save", "all", "--log", "all.jsonl",
                       "--log-every", "7")
            self.train(0, *words, "--epochs", "2", "--save", "part", "--log", "part.jsonl",
                       "--log-every", "7")
            self.train(0, "digits", "--epochs", "4", "--resume", "part", "--save", "part", "--log",
                       "part.jsonl", "--log-every", "7")
            self.assertEqual(self.bytes("all"), self.bytes("part"))
            self.assertEqual(self.log("all.jsonl"), self.log("part.jsonl"))

    def test_dropped_records(self):
        """A log that is ahead of its checkpoint, and torn, is taken back to it."""
        flat = ["--schedule", "constant(1)"]
        self.train(0, "digits", "--epochs", "2", "--save", "a", "--log", "a.jsonl", *flat)
        lines = (self.folder / "a.jsonl").read_text().splitlines()
        ahead = lines + ['{"step": 91, "epoch": 3, "loss": 1}', '{"step": 92, "ep']
        (self.folder / "b.jsonl").write_text("\n".join(ahead))
        self.train(0, "digits", "--epochs", "3", "--resume", "a", "--log", "b.jsonl")
        self.train(0, "digits", "--epochs", "3", "--log", "c.jsonl", *flat)
        self.assertEqual(self.log("b.jsonl"), self.log("c.jsonl"))
        seconds = [json.loads(line)["seconds"] for line in
                   (self.folder / "b.jsonl").read_text().splitlines()[1:]]
        self.assertEqual(seconds, sorted(seconds))
        self.assertEqual([p.name for p in self.folder.glob("*.part")], [])
        (self.folder / "c.jsonl").write_text(lines[0].replace('"seed":1', '"seed":2') + "\n")
        self.refused(65, "not the log of the run", "digits", "--epochs", "3", "--resume", "a",
                     "--log", "c.jsonl", "--json")
        self.assertIn('"seed":2', (self.folder / "c.jsonl").read_text())
        self.train(0, "digits", "--epochs", "3", "--resume", "a", "--log", "new.jsonl")
        self.assertEqual([r["step"] for r in self.log("new.jsonl")[1:3]], [91, 92])

    def test_complete(self):
        self.train(0, "digits", "--epochs", "1", "--save", "a")
        before = self.bytes("a")
        text = self.train(0, "digits", "--resume", "a", "--save", "a").stdout
        self.assertRegex(text, r"resumed   from step 45 of 45: nothing is left; a larger --epochs goes on\ntest      loss")
        self.assertEqual(self.bytes("a"), before)

    def test_contradictions(self):
        self.train(0, "digits", "--epochs", "2", "--optimizer", "adamw", "--beta2", "0.99", "--save",
                   "a", "--seed", "3", "--no-decay")
        before = self.bytes("a")
        for part, *words in [
                ("--optimizer lion contradicts the checkpoint, which has adamw", "--optimizer",
                 "lion"),
                ("--beta2 0.9 contradicts the checkpoint, which has 0.99", "--beta2", "0.9"),
                ("--beta1 0.8 contradicts the checkpoint, which has 0.9", "--set", "beta1=0.8"),
                ("--batch 16 contradicts the checkpoint, which has 32", "--batch", "16"),
                ("--seed 4 contradicts the checkpoint, which has 3", "--seed", "4"),
                ("--model logistic contradicts the checkpoint, which has mlp", "--model",
                 "logistic"),
                ("--widths 5 contradicts the checkpoint, which has the default", "--widths", "5"),
                ("--schedule constant(1) contradicts", "--schedule", "constant(1)"),
                ("--warmup 3 contradicts the checkpoint, which has the default", "--warmup", "3"),
                ("--clip 3 contradicts", "--clip", "3"),
                ("--dropout 0.5 contradicts", "--dropout", "0.5"),
                ("--accumulate 2 contradicts", "--accumulate", "2"),
                ("--average swa contradicts the checkpoint, which has the default", "--average", "swa"),
                ("--epochs 1 contradicts the checkpoint, which has 2", "--epochs", "1")]:
            with self.subTest(words):
                self.refused(64, part, "digits", "--resume", "a", "--save", "a", *words)
        self.train(0, "digits", "--resume", "a", "--optimizer", "adamw", "--beta2", "0.99",
                   "--batch", "32", "--model", "mlp", "--seed", "3", "--no-decay", "--threads", "1")
        self.assertEqual(self.bytes("a"), before)
        self.train(0, "digits", "--epochs", "1", "--optimizer", "sgd", "--save", "b")
        self.refused(64, "--no-decay contradicts the checkpoint", "digits", "--resume", "b",
                     "--no-decay")

    def test_other_data(self):
        rows = [f"{x % 7},{x % 5},{x % 3}" for x in range(100)]
        (self.folder / "t.csv").write_text("a,b,c\n" + "\n".join(rows) + "\n")
        csv = ["csv", "t.csv", "--label", "c"]
        self.train(0, *csv, "--epochs", "1", "--seed", "5", "--save", "a")
        self.train(0, *csv, "--epochs", "2", "--resume", "a")
        self.refused(65, "with data t instead of digits", "digits", "--resume", "a")
        self.refused(65, "the contents of t have changed", "csv", "t.csv", "--label", "b",
                     "--resume", "a", "--epochs", "2")
        (self.folder / "t.csv").write_text("a,b,c\n" + "\n".join(rows[1:] + rows[:1]) + "\n")
        self.refused(65, "the contents of t have changed", *csv, "--resume", "a")

    def test_bad_checkpoints(self):
        self.train(0, "digits", "--epochs", "1", "--save", "a")
        whole = self.bytes("a")
        self.refused(66, "cannot read 'none'", "digits", "--resume", "none")
        self.refused(66, "is a directory", "digits", "--resume", ".")
        for name, data in [("short", whole[:len(whole) // 2]), ("empty", b""),
                           ("text", b"hello" * 100), ("longer", whole + b"x"),
                           ("flipped", whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])]:
            (self.folder / name).write_bytes(data)
            self.refused(65, name, "digits", "--resume", name, "--epochs", "2")
        header = b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
        (self.folder / "other").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
        self.refused(65, "not the checkpoint of a training run", "digits", "--resume", "other")

    def test_eval(self):
        done = self.train(0, "digits", "--epochs", "1", "--save", "a", "--json")
        trained = json.loads(done.stdout)
        before = self.bytes("a")
        shown = json.loads(self.train(0, "digits", "--resume", "a", "--eval", "--json").stdout)
        for key in "step", "test_loss", "test_accuracy", "optimizer", "settings", "network":
            self.assertEqual(shown[key], trained[key])
        text = self.train(0, "digits", "--resume", "a", "--eval").stdout
        self.assertIn(f"accuracy {100 * trained['test_accuracy']:.2f}%\n", text)
        self.assertNotIn("epoch 1/", text)
        for words in ["--save", "b"], ["--log", "b"], ["--epochs", "3"], \
                ["--log", "b", "--log-every", "2"]:
            self.refused(64, "does nothing with --eval", "digits", "--resume", "a", "--eval", *words)
        self.assertEqual(self.bytes("a"), before)


class Signals(Case):
    def interrupt(self, number, *words):
        """Stop an endless run in its midst; what it said."""
        (self.folder / "log").unlink(missing_ok=True)
        run = self.start(*ENDLESS, "--log", "log", *words)
        self.wait_for("log", 20000)
        run.send_signal(number)
        out, err = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 128 + number, err)
        self.assertEqual(err, "")
        return out

    def test_saved(self):
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
            out = self.interrupt(number, "--save", "it's")
            self.assertRegex(out, rf"stopped by {number.name} at step \d+ of 4500000; resume with\n"
                                  rf"  eden train digits --resume 'it'\\''s' --save 'it'\\''s' "
                                  rf"--log log\n$")

    def test_same_bits(self):
        """Stopped in mid-epoch and resumed by the command that was printed."""
        words = ["--epochs", "100", "--optimizer", "adam", *SMALL]
        self.train(0, "digits", *words, "--save", "all", "--log", "all.jsonl")
        run = self.start(*words, "--save", "part", "--log", "log")
        self.wait_for("log", 20000)
        run.send_signal(signal.SIGINT)
        out, _ = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 130, out)
        command = shlex.split(out.splitlines()[-1])
        self.assertEqual(command[:3], ["eden", "train", "digits"])
        text = self.train(0, *command[2:]).stdout
        self.assertRegex(text, r"resumed   from step \d+ of 4500")
        self.assertEqual(self.bytes("all"), self.bytes("part"))
        self.assertEqual(self.log("all.jsonl"), self.log("log"))

    def test_unsaved(self):
        out = self.interrupt(signal.SIGINT)
        self.assertRegex(out, r"stopped by SIGINT at step \d+ of 4500000; nothing was saved, as "
                              r"there was no --save\n$")

    def test_json(self):
        run = self.start(*ENDLESS, "--log", "log", "--json", "--save", "a")
        self.wait_for("log", 20000)
        run.send_signal(signal.SIGTERM)
        out, err = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 143)
        self.assertEqual(json.loads(out)["stopped"], "SIGTERM")
        self.assertIn("--resume a --save a --log log --json\n", err)

    def test_ignored(self):
        """What the caller ignores, as nohup does, stays ignored."""
        run = self.start(*ENDLESS, "--log", "log",
                         preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        self.wait_for("log", 20000)
        run.send_signal(signal.SIGHUP)
        time.sleep(0.1)
        self.assertIsNone(run.poll())
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=60)
        self.assertEqual(run.returncode, 143)

    def test_twice(self):
        """A step that takes long, and no wish to wait for it."""
        self.train(0, "digits", "--epochs", "1", "--model", "cnn", "--widths", "4", "--save", "a")
        before = self.bytes("a")
        run = self.start("--epochs", "5", "--model", "cnn", "--widths", "256,256", "--batch", "1438",
                         "--threads", "1", "--save", "a", "--log", "log")
        self.wait_for("log")
        time.sleep(0.2)
        run.send_signal(signal.SIGINT)
        time.sleep(0.1)
        self.assertIsNone(run.poll())
        began = time.monotonic()
        run.send_signal(signal.SIGINT)
        out, _ = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 130)
        self.assertLess(time.monotonic() - began, 1)
        self.assertNotIn("stopped by", out)
        self.assertEqual(self.bytes("a"), before)

    def test_terminal(self):
        """Ctrl-C as the keyboard sends it."""
        pid, main = pty.fork()
        if not pid:
            os.chdir(self.folder)
            os.environ["TERM"] = "xterm"
            os.execv(EDEN, [EDEN, "train", "digits", *ENDLESS, "--save", "a"])
        text = b""
        while text.count(b"\r") < 20:
            text += os.read(main, 4096)
        os.write(main, b"\x03")
        try:
            while more := os.read(main, 4096):
                text += more
        except OSError:
            pass
        os.close(main)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 130)
        self.assertRegex(text.decode(), r"\r +\rstopped by SIGINT at step \d+ of 4500000; resume "
                                        r"with\r\n  eden train digits --resume a --save a\r\n$")


class Failures(Case):
    def limited(self, size, *words):
        """A run that may not write files beyond `size` bytes."""
        return subprocess.run([EDEN, "train", "digits", *words], capture_output=True, text=True,
                              cwd=self.folder, timeout=60, preexec_fn=lambda: resource.setrlimit(
                                  resource.RLIMIT_FSIZE, (size, size)))

    def test_save(self):
        self.train(0, "digits", "--epochs", "1", "--save", "a")
        before = self.bytes("a")
        done = self.limited(1000, "--epochs", "2", "--save", "a")
        self.assertEqual(done.returncode, 74, done.stderr)
        self.assertEqual(len(re.findall(r"^eden: .*'a'.*; training goes on$", done.stderr, re.M)), 1)
        self.assertEqual(done.stderr.count("\n"), 2)
        self.assertIn("test      loss", done.stdout)
        self.assertNotIn("saved", done.stdout)
        self.assertEqual(self.bytes("a"), before)
        self.assertEqual(os.listdir(self.folder), ["a"])

    def test_folder_lost(self):
        (self.folder / "d").mkdir()
        run = self.start(*ENDLESS, "--save", "d/a", "--log", "log")
        self.wait_for("log", 20000)
        (self.folder / "d").rename(self.folder / "e")
        self.assertIn("training goes on", run.stderr.readline())
        run.send_signal(signal.SIGTERM)
        out, err = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 73, err)
        self.assertIn("nothing was saved\n", out)

    def test_log(self):
        done = self.limited(5000, "--epochs", "2", "--log", "log")
        self.assertEqual(done.returncode, 74, done.stderr)
        self.assertRegex(done.stderr, r"^eden: cannot write 'log': .*; training goes on without a "
                                      r"log\n$")
        self.assertIn("epoch 2/2", done.stdout)
        done = self.train(74, "digits", "--epochs", "1", "--log", "/dev/full")
        self.assertNotIn("epoch 1/1", done.stdout)

    def test_stdout(self):
        with open("/dev/full", "w") as full:
            run = self.start("--epochs", "2", "--save", "a", stdout=full)
            _, err = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 74)
        self.assertIn("cannot write the output", err)
        self.assertGreater(len(self.bytes("a")), 10000)


if __name__ == "__main__":
    unittest.main()
