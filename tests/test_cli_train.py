#!/usr/bin/env python3
"""`eden train`: what it trains, prints, logs and refuses. Resuming and signals are
in test_cli_resume.py."""
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
import unittest

from infolder import InFolder

EDEN = os.path.abspath(os.environ.get("EDEN", "build/eden"))
NAMES = ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw", "adafactor", "lamb",
         "lion"]


class Case(InFolder):
    def path(self, name):
        return str(self.folder / name)

    def run_eden(self, *words, **more):
        return subprocess.run([EDEN, *words], capture_output=True, text=True, timeout=60,
                              cwd=self.folder, **more)

    def train(self, *words, **more):
        done = self.run_eden("train", *words, **more)
        self.assertEqual((done.returncode, done.stderr), (0, ""), words)
        return done.stdout

    def digits(self, *words, **more):
        """The JSON of a short run."""
        done = self.run_eden("train", "digits", "--epochs", "2", "--json", *words, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def refused(self, code, part, *words):
        before = sorted(os.listdir(self.folder))
        done = self.run_eden("train", *words)
        self.assertEqual(done.returncode, code, (words, done.stderr))
        self.assertIn(part, done.stderr)
        self.assertTrue(done.stderr.startswith("eden: "))
        self.assertLessEqual(done.stderr.count("\n"), 2)
        self.assertEqual(done.stdout, "")
        self.assertEqual(sorted(os.listdir(self.folder)), before)

    def records(self, name):
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]


class Output(Case):
    def test_lines(self):
        text = self.train("digits", "--epochs", "2", "--threads", "2", "--no-decay",
                          "--optimizer", "adamw")
        lines = text.splitlines()
        for part in ["data      digits", "1,438 training and 359 test examples of 8 x 8, 10 classes",
                     "model     mlp 64-", ", lr 0.", "seed 1, 2 threads",
                     "2 epochs of 45 steps"]:
            self.assertIn(part, text)
        epochs = [line for line in lines if line.startswith("epoch ")]
        self.assertEqual(len(epochs), 2)
        self.assertRegex(epochs[1], r"^epoch 2/2  loss \d\.\d{4}  test loss \d\.\d{4}  "
                                    r"accuracy \d\d\.\d\d%  lr \S+  0:\d\d$")
        self.assertRegex(lines[-2], r"^test      loss \d\.\d{4}, accuracy \d\d\.\d\d%$")
        self.assertRegex(lines[-1], r"^time      0:\d\d, \S+ ms a step, \d+% of it in the optimizer$")
        self.assertNotIn("\r", text)
        for line in lines:
            self.assertLessEqual(len(line), 80, line)

    def test_json(self):
        done = self.run_eden("train", "digits", "--epochs", "2", "--json", "--optimizer", "nesterov")
        result = json.loads(done.stdout)
        self.assertIn("epoch 2/2", done.stderr)
        self.assertEqual((result["step"], result["steps"], result["epochs"]), (90, 90, 2))
        self.assertEqual((result["optimizer"], result["task"], result["stopped"]),
                         ("nesterov", "digits", None))
        self.assertEqual(result["settings"]["momentum"], 0.9)
        self.assertEqual(result["settings"]["nesterov"], 1)
        self.assertGreater(result["test_accuracy"], 0.8)
        self.assertEqual([e["epoch"] for e in result["history"]], [1, 2])
        self.assertEqual(result["history"][1]["test_loss"], result["test_loss"])
        self.assertEqual(result["state_bytes_per_weight"], 4)
        self.assertGreaterEqual(result["seconds"], result["step_seconds"])

    def test_average(self):
        """Averages are tested and not trained by; a checkpoint knows them."""
        plain = self.digits("--schedule", "constant(1)")
        first, second = [self.digits("--schedule", "constant(1)", "--average", how, "--save", "a")
                         for how in ("swa:46", "ema:0.9:46:2")]
        for result in first, second:
            self.assertEqual([e["train_loss"] for e in result["history"]],
                             [e["train_loss"] for e in plain["history"]])
            self.assertEqual(result["history"][0]["test_loss"], plain["history"][0]["test_loss"])
            self.assertNotEqual(result["test_loss"], plain["test_loss"])
        self.assertNotEqual(first["test_loss"], second["test_loss"])
        self.assertEqual((plain["average"], second["average"]), (None, "ema:0.9:46:2"))
        text = self.train("digits", "--resume", "a", "--eval")
        self.assertIn("average   ema:0.9:46:2; test results are of the averaged weights", text)
        self.assertIn("loss %.4f," % second["test_loss"], text)

    def test_log(self):
        result = self.digits("--log", "a.jsonl", "--clip", "1", "--schedule", "cosine(90)",
                             "--warmup", "4")
        records = self.records("a.jsonl")
        header, steps = records[0], [r for r in records if "loss" in r]
        epochs = [r for r in records if "train_loss" in r]
        self.assertEqual((header["command"], header["clip"], header["schedule"], header["warmup"]),
                         ("train", 1, "cosine(90)", 4))
        self.assertEqual([r["step"] for r in steps], list(range(1, 91)))
        self.assertEqual([r["step"] for r in epochs], [45, 90])
        self.assertEqual(len(records), 1 + 90 + 2)
        self.assertEqual(records[46]["train_loss"], epochs[0]["train_loss"])
        self.assertEqual(epochs, result["history"])
        rate = header["settings"]["lr"]
        self.assertLess(steps[0]["lr"], 0.3 * rate)
        self.assertLess(steps[-1]["lr"], 1e-3 * rate)
        self.assertTrue(all(r["grad_norm"] > 0 and 0 <= r["accuracy"] <= 1 for r in steps))
        self.assertLess(steps[-1]["loss"], steps[0]["loss"])
        # The mean of an epoch is that of its steps, whose last batch is smaller.
        mean = (32 * sum(r["loss"] for r in steps[:44]) + 30 * steps[44]["loss"]) / 1438
        self.assertAlmostEqual(mean, epochs[0]["train_loss"], 9)
        self.digits("--log", "b.jsonl", "--log-every", "30")
        self.assertEqual([r["step"] for r in self.records("b.jsonl")[1:]], [30, 45, 60, 90, 90])
        self.assertNotIn("grad_norm", self.records("b.jsonl")[1])

    def terminal(self, columns, **environment):
        """What a run of many steps writes to a terminal of so many columns."""
        main, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        env = {**os.environ, "TERM": "xterm", **environment}
        words = ["train", "digits", "--epochs", "30", "--model", "logistic"]
        run = subprocess.Popen([EDEN, *words], stdout=other, stderr=subprocess.DEVNULL, env=env)
        os.close(other)
        text = b""
        while True:
            try:
                more = os.read(main, 65536)
            except OSError:
                more = b""
            if not more:
                break
            text += more
        os.close(main)
        self.assertEqual(run.wait(60), 0)
        return text.decode()

    def bars(self, text):
        """What stood on the line that is redrawn, without escapes."""
        line = next(line for line in text.split("\r\n") if "\r" in line)
        bars = [re.sub(r"\033\[\d*m", "", part) for part in line.split("\r") if part.strip()]
        self.assertTrue(bars.pop().startswith("test      loss"))
        return bars

    def test_bar(self):
        text = self.terminal(80)
        self.assertIn("\033[1m", text)
        bars = self.bars(text)
        self.assertTrue(all(len(bar) < 80 for bar in bars), bars)
        self.assertRegex(bars[0], r"^epoch 1/30   0% \[>  .*\]  loss \S+  batch \d+%  0:00 < ")
        self.assertIn("epoch 30/30 100% [====================]  loss ", text.replace("\033[0m", ""))
        self.assertRegex(text, r"\r\n?test      loss")
        self.assertNotIn("epoch 1/30  train", text)

    def test_narrow_bar(self):
        for columns in 12, 20, 40, 60:
            for bar in self.bars(self.terminal(columns)):
                self.assertLess(len(bar), columns)

    def test_no_colour(self):
        text = self.terminal(80, NO_COLOR="1")
        self.assertNotIn("\033", text)
        self.assertIn("100% [====", text)

    def test_dumb_terminal(self):
        text = self.terminal(80, TERM="dumb")
        self.assertNotIn("\033", text)
        self.assertNotIn("\r", text.replace("\r\n", "\n"))
        self.assertIn("epoch 30/30  loss", text)


class Training(Case):
    def test_every_optimizer(self):
        for name in NAMES:
            result = self.digits("--optimizer", name)
            self.assertGreater(result["test_accuracy"], 0.5, name)
            self.assertIn("digits", result["lr_source"])

    def test_threads_and_seeds(self):
        one = self.digits("--threads", "1", "--save", "a")
        self.digits("--threads", "3", "--save", "b")
        self.assertEqual((self.folder / "a").read_bytes(), (self.folder / "b").read_bytes())
        other = self.digits("--seed", "2")
        self.assertNotEqual(one["test_loss"], other["test_loss"])

    def test_settings(self):
        for words, name, value in [
                (["--optimizer", "adamw", "--beta2", "0.99"], "beta2", 0.99),
                (["--optimizer", "sgd", "--set", "momentum=0.5", "nesterov=1"], "momentum", 0.5),
                (["--optimizer", "rmsprop", "--centered"], "centered", 1),
                (["--optimizer", "adafactor", "--relative-step", "0"], "relative_step", 0),
                (["--optimizer", "sgd", "--weight-decay", "0.01", "--decay", "decoupled"],
                 "decay", "decoupled"),
                (["--optimizer", "nesterov", "--nesterov=0", "--lookahead"], "lookahead", 1),
                (["--optimizer", "lion", "--lr", "0.00025"], "lr", 0.00025)]:
            result = self.digits(*words)
            self.assertEqual(result["settings"][name], value, words)
            self.assertGreater(result["test_accuracy"], 0.5, words)

    def test_models(self):
        for words, network in [
                (["--model", "logistic"], "logistic 64-10"),
                (["--widths", "32,16", "--dropout", "0", "--lr", "0.001"],
                 "mlp 64-32-16-10"),
                (["--widths", "32", "--norm", "layer", "--dropout", "0.2", "--lr", "0.001"],
                 "mlp 64-32-10, layer"),
                (["--model", "cnn", "--widths", "8", "--optimizer", "adam", "--lr", "0.01"],
                 "cnn 1x8x8-8-10")]:
            result = self.digits(*words)
            self.assertTrue(result["network"].startswith(network), result["network"])
            self.assertGreater(result["test_accuracy"], 0.3, words)
        self.assertEqual(self.digits("--accumulate", "3")["steps"], 30)

    def test_adjusted_rate(self):
        self.assertIn("lr 0.125 (given)", self.train("digits", "--epochs", "1", "--optimizer", "sgd",
                                                     "--lr", "0.125"))

    def test_csv_classes(self):
        rows = [f"{x % 7},{x % 5},{'red' if (x % 7) > (x % 5) else 'blue'}" for x in range(200)]
        (self.folder / "t.csv").write_text("a,b,colour\n" + "\n".join(rows) + "\n")
        text = self.train("csv", "t.csv", "--label", "colour", "--epochs", "20")
        self.assertIn("160 training and 40 test examples of 2 columns, 2 classes", text)
        self.assertGreater(float(re.search(r"accuracy ([\d.]+)%\ntime", text).group(1)), 85)

    def test_csv_values(self):
        rows = [f"{x % 7},{x % 5},{1.5 * (x % 7) - (x % 5) + 0.25}" for x in range(200)]
        (self.folder / "t.csv").write_text("a,b,y\n" + "\n".join(rows) + "\n")
        done = self.run_eden("train", "csv", "t.csv", "--label", "y", "--model", "logistic",
                             "--epochs", "20", "--json", "--log", "log", "--optimizer", "sgd",
                             "--lr", "0.05")
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(done.stdout)
        self.assertIsNone(result["test_accuracy"])
        self.assertEqual(result["classes"], 0)
        self.assertLess(result["test_loss"], 0.01)
        self.assertNotIn("accuracy", done.stderr)
        self.assertIsNone(self.records("log")[1]["accuracy"])
        text = self.train("csv", "t.csv", "--label", "a", "--target", "value", "--epochs", "1")
        self.assertIn("a value to predict", text)


class Refusals(Case):
    def test_lines(self):
        for part, *words in [
                ("unknown optimizer 'adamm'; did you mean 'adam'", "digits", "--optimizer", "adamm"),
                ("unknown task 'digit'; did you mean 'digits'?", "digit"),
                ("unknown task 'zzzz'; there are digits, mnist, cifar10, sparse, finetune, csv, text, rl and gan", "zzzz"),
                ("did you mean '--optimizer'?", "digits", "--optimiser", "x"),
                ("lr = 'abc' is not a number", "digits", "--lr", "abc"),
                ("lr = 'nan' is not a number", "digits", "--lr", "nan"),
                ("lr = -1 is outside [0, inf)", "digits", "--lr=-1"),
                ("lr = '1e999' is not a number", "digits", "--lr", "1e999"),
                ("beta1 = 1 is outside [0, 1)", "digits", "--optimizer", "adam", "--beta1", "1"),
                ("--batch '0' is not a whole number", "digits", "--batch", "0"),
                ("--epochs '0' is not a whole number", "digits", "--epochs", "0"),
                ("--batch 5000 is more than the 1438", "digits", "--batch", "5000"),
                ("--model 'mpl' is unknown; did you mean 'mlp'", "digits", "--model", "mpl"),
                ("sgd has no setting 'beta1'", "digits", "--optimizer", "sgd", "--beta1", "0.9"),
                ("dampening", "digits", "--optimizer", "sgd", "--dampening", "0.1"),
                ("no weight decay (--weight-decay is 0)", "digits", "--optimizer", "sgd",
                 "--no-decay"),
                ("'cosin'", "digits", "--schedule", "cosin(3)"),
                ("accumulate = 46 is more than the 45 batches", "digits", "--accumulate", "46"),
                ("average 'mean': no average is called so", "digits", "--average", "mean"),
                ("takes no 'x'", "digits", "x"),
                ("mnist needs the folder", "mnist"),
                ("csv needs the file", "csv"),
                ("csv needs --label COLUMN", "csv", "x.csv"),
                ("--label is for csv", "digits", "--label", "x"),
                ("--target is for csv", "digits", "--target", "class"),
                ("--eval needs --resume", "digits", "--eval"),
                ("--log-every does nothing without --log", "digits", "--log-every", "3"),
                ("--log and --save are the same file", "digits", "--log", "x", "--save", "x"),
                ("widths", "digits", "--widths", "12,x")]:
            with self.subTest(words):
                self.refused(64, part, *words)

    def test_data(self):
        (self.folder / "t.csv").write_text("a,b\n1,2\n3\n")
        (self.folder / "empty").mkdir()
        self.refused(65, "t.csv", "csv", "t.csv", "--label", "b")
        (self.folder / "t.csv").write_text("a,b\n" + "1,2\n2,1\n" * 10)
        self.refused(65, "'c'", "csv", "t.csv", "--label", "c")
        self.refused(64, "would overwrite the data", "csv", "t.csv", "--label", "b", "--save",
                     "./t.csv")
        self.refused(66, "none.csv", "csv", "none.csv", "--label", "b")
        self.refused(66, "is a directory", "csv", "empty", "--label", "b")
        self.refused(66, "is not a directory", "mnist", "t.csv")
        self.refused(66, "empty", "mnist", "empty")
        self.refused(66, "nowhere", "mnist", "nowhere")

    def test_divergence(self):
        self.digits("--optimizer", "sgd", "--save", "a")
        before = (self.folder / "a").read_bytes()
        done = self.run_eden("train", "digits", "--optimizer", "sgd", "--lr", "1e20", "--save", "a",
                             "--log", "log", "--json")
        self.assertEqual((done.returncode, done.stdout), (65, ""))
        self.assertRegex(done.stderr, r"eden: training diverged at step \d+: .*; lower the "
                                      r"learning rate \(lr is \S+\)\n$")
        self.assertEqual((self.folder / "a").read_bytes(), before)
        self.assertEqual(self.records("log")[0]["optimizer"], "sgd")
        done = self.run_eden("train", "digits", "--optimizer", "sgd", "--save", "a", "--schedule",
                             "multistep(1e20, 50)")
        self.assertEqual(done.returncode, 65)
        self.assertRegex(done.stderr, r"\); 'a' still holds step 45\n$")

    def test_outputs(self):
        (self.folder / "d").mkdir()
        for option in "--save", "--log":
            self.refused(73, "no/x", "digits", option, "no/x")
            self.refused(73, "d", "digits", option, "d")
        self.refused(73, "no ordinary file", "digits", "--save", "/dev/null")
        if os.geteuid():
            (self.folder / "d").chmod(0o500)
            self.refused(77, "d/x", "digits", "--save", "d/x")


if __name__ == "__main__":
    unittest.main()
