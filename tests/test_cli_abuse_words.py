#!/usr/bin/env python3
"""Words and numbers that mean nothing, and surroundings that should mean nothing. Single
refusals, and what they say, are in test_cli.py and test_cli_train.py."""
import json
import os
import re
import shutil
import signal
import subprocess
import unittest

from abused import EDEN, FAST, SANITIZE, Abused

NO_NUMBERS = ["abc", "1e999", "-1e999", "nan", "inf", "-inf", "infinity", "0x10", "1,5", " 1", "1 ", "1e",
              "+5", "1_000", "١", "1\n", "", ".", "-", "1e-400", "nan(1)", "1e5e5", "0b1"]
NO_COUNTS = [*NO_NUMBERS, "1.5", "-0", "-1", "1e3", "1.0", "9223372036854775808", "18446744073709551616",
             "18446744073709551617", "340282366920938463463374607431768211457"]
# Every option of train with a number, and what else it needs.
COUNTS = {"epochs": [], "batch": [], "warmup": [], "accumulate": [], "seed": [], "threads": [],
          "log-every": ["--log", "log"], "early-stop": [], "layers": [], "heads": [], "width": [], "context": [],
          "sample": [], "examples": [], "envs": [], "horizon": [], "passes": [], "noise": [],
          "parts": [], "timeout": []}
REALS = {"dropout": [], "clip": [], "temperature": [], "body-rate": []}
TEXTS = ["widths", "schedule", "average"]


class Words(Abused):
    def test_every_number_is_known(self):
        """The tables above have every option whose value is a number."""
        text = self.eden(0, "help", "train").stdout
        found = re.findall(r"(?m)^ +--([a-z-]+)[ =](N|P|NORM|T) ", text)
        self.assertEqual({name for name, _ in found}, {*COUNTS, *REALS})

    def test_counts(self):
        for name, words in COUNTS.items():
            for value in NO_COUNTS if not SANITIZE else NO_COUNTS[::4]:
                base = [word for word in FAST if name != "threads" or word not in ("--threads", "1")]
                with self.subTest(name=name, value=value):
                    self.refused(64, f"--{name}", *base, *words, f"--{name}={value}")

    def test_zero_and_caps(self):
        """0 and powers of two beyond what is allowed; a number that is allowed but too large
        for the data or the memory is refused too."""
        for name, words in COUNTS.items():
            base = [word for word in FAST if name != "threads" or word not in ("--threads", "1")]
            values = [2**53 - 1 + 1, 2**63 - 1, 2**63] + [0, 2**31, 2**32] * (name not in ("seed", "sample"))
            for value in values:
                with self.subTest(name=name, value=value):
                    self.refused(64, f"--{name} '{value}' is not a whole number from", *base, *words, f"--{name}",
                                 str(value))
        self.refused(64, "--batch 1439 is more than the 1438", *FAST, "--batch", "1439")

    def test_reals(self):
        for name, words in REALS.items():
            for value in [*NO_NUMBERS, "-1", "1e39", "-0"] if not SANITIZE else NO_NUMBERS[::4]:
                with self.subTest(name=name, value=value):
                    self.refused(64, f"--{name}", *FAST, *words, f"--{name}={value}")

    def test_numbers_in_texts(self):
        """Numbers within the text of an option are as strict."""
        forms = {"widths": ["{}", "8,{}", "{},8"], "schedule": ["constant({})", "step({})", "cosine(9, end={})"],
                 "average": ["ema:{}", "ema:0.9:{}", "swa:{}"]}
        self.assertEqual(sorted(forms), sorted(TEXTS))
        base = ["digits", "--epochs", "1", "--threads", "1"]
        values = ["abc", "1e999", "nan", "inf", "0x10", "-1", "1e5e5", "1 2", "1.5.5"]
        for name, texts in forms.items():
            for text in texts:
                for value in values if not SANITIZE else values[::4]:
                    with self.subTest(name=name, text=text, value=value):
                        self.refused(64, "", *base, f"--{name}={text.format(value)}")

    def test_settings(self):
        """Every setting of every optimizer refuses what is no number."""
        every = json.loads(self.eden(0, "list", "--json").stdout)
        values = ["abc", "1e999", "nan", "0x1", "1,5", "1 ", "+5"]
        chance = 0
        for entry in every:
            for hyper in entry["hypers"]:
                chance += 1
                value = values[chance % len(values)]
                with self.subTest(name=entry["name"], hyper=hyper["name"], value=value):
                    self.refused(64, hyper["name"], *FAST, "--optimizer", entry["name"],
                                 f"--{hyper['name'].replace('_', '-')}={value}")

    def test_long(self):
        """A line of 1 MiB, of one word and of many; one word can have 128 KiB."""
        word = "x" * 100000
        for words in [[word] * 10, [f"--{word}"] * 10, ["--set", *[f"{word}=1"] * 10],
                      ["--lr=" + "0" * 100000 + "1" * 20000] * 8, ["--widths=" + "1," * 50000],
                      ["--schedule=" + "(" * 100000], ["--schedule=" + "constant(1)," * 9000],
                      ["a"] * 100000]:
            done = self.refused(64, "eden: ", *FAST, *words)
            self.assertLessEqual(max(map(len, done.stderr.splitlines())), 1100)


class Marks(Abused):
    """What a terminal obeys or turns round is never passed on."""

    C1 = "".join(map(chr, range(0x80, 0xa0)))
    TURNS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"

    def clean(self, text, marks):
        self.assertFalse(set(text) & set(marks), ascii(text))

    def test_errors(self):
        for marks in self.C1, self.TURNS:
            name = f"a{marks}b"
            for words in [["train", "csv", name + ".csv", "--label", "x"], ["train", name], [name], ["train", "--" + name],
                          ["train", "digits", "--optimizer", name], ["train", "digits", "--lr", name],
                          ["train", "digits", "--set", f"{name}=1"], ["train", "digits", "--schedule", name],
                          ["train", "digits", "--resume", name], ["train", "digits", "--save", f"{name}/c"],
                          ["train", "digits", "--log", f"{name}/c"], ["inspect", name], ["plot", name, "-o", "x.svg"],
                          ["show", name], ["compare", "digits", "--optimizers", name], ["help", name],
                          ["step", "adam", "--params", name, "--grads", name, "--out", "o"]]:
                done = self.eden(None, *words)
                self.assertIn(done.returncode, (64, 66, 73), words)
                self.clean(done.stderr, marks)
                if "--schedule" not in words:
                    self.assertIn("?" * min(len(marks), 20), done.stderr, words)
        self.assertIn("'\u00e9\u4e2d\U0001f600\u00a0'", self.eden(66, "inspect", "\u00e9\u4e2d\U0001f600\u00a0").stderr)

    def test_tables(self):
        """On stdout as well; the command to go on with is spelled so that a shell has the name."""
        for marks in self.C1, self.TURNS:
            name = f"a{marks}b.csv"
            self.write(name, "x,y,z\n" + "".join(f"{i},{i % 7},{i % 3}\n" for i in range(50)))
            words = ["csv", name, "--label", "z", "--model", "logistic", "--threads", "1", "--epochs"]
            self.clean(self.train(0, *words, "1", "--save", name + ".st").stdout, marks)
            self.assertTrue(self.train(0, *words, "1", "--json").stdout.isascii())
            for more in [], ["--report", name + ".d"]:
                done = self.eden(0, "compare", *words, "1", "--optimizers", "sgd,adam", *more)
                self.clean(done.stdout + done.stderr, marks)
            run = self.start(*words, "1000000", "--save", f"it's {name}.st", "--log", "log")
            self.grows("log")
            run.send_signal(signal.SIGTERM)
            out, _ = self.ends(run, 143)
            self.clean(out, marks)
            command = out.splitlines()[-1].strip()
            self.assertTrue(command.startswith("eden train csv $'"), ascii(command))
            done = subprocess.run(["bash", "-c", command.replace("eden", "printf '%s\\0'", 1)], capture_output=True,
                                  check=True)
            said = done.stdout.decode().split("\0")
            self.assertEqual((said[2], said[4]), (name, f"it's {name}.st"))


class Surroundings(Abused):
    """The same bits whatever the environment says."""

    def setUp(self):
        super().setUp()
        self.words = ["digits", "--epochs", "1", "--threads", "2", "--save"]
        self.train(0, *self.words, "plain")
        self.plain = self.read("plain")

    def same(self, **environment):
        base = {key: value for key, value in os.environ.items() if environment.get(key, "") is not None}
        env = {**base, **{key: value for key, value in environment.items() if value is not None}}
        with self.subTest(environment):
            done = self.train(0, *self.words, "a", env=env)
            self.assertEqual(done.stderr, "")
            self.assertEqual(self.read("a"), self.plain)
        (self.folder / "a").unlink(missing_ok=True)

    def test_hostile(self):
        long = "x" * 100000
        names = ["PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ", "TERM", "COLUMNS"]
        for value in None, "", long, "/none", "\x1b[31m%s%n", b"\xff\xfe".decode("utf-8", "surrogateescape"):
            self.same(**{name: value for name in names})

    def test_threads(self):
        """What the BLAS takes for its number of threads changes nothing."""
        for value in "abc", "0", "-1", "100000", "", "4294967297":
            self.same(OMP_NUM_THREADS=value, OPENBLAS_NUM_THREADS=value, GOTO_NUM_THREADS=value)

    def test_launchers(self):
        """What launchers set; but where an MPI's has started several, one that has no MPI does not
        train by itself, to files that all of them would write to."""
        self.same(SLURM_NTASKS="8", SLURM_PROCID="7", WORLD_SIZE="4", RANK="9", LOCAL_RANK="-1")
        shutil.copy(EDEN, self.folder / "alone")
        for name in "OMPI_COMM_WORLD", "PMI", "MV2_COMM_WORLD":
            env = {**os.environ, f"{name}_SIZE": "4", f"{name}_RANK": "0"}
            done = subprocess.run(["./alone", "train", *self.words, "a"], env=env, cwd=self.folder, timeout=60,
                                  capture_output=True, text=True, stdin=subprocess.DEVNULL)
            self.assertEqual(done.returncode, 69, done.stderr)
            self.assertIn("this eden has no MPI", done.stderr)
            self.assertFalse((self.folder / "a").exists())
            listed = subprocess.run(["./alone", "list"], env=env, cwd=self.folder, timeout=60, capture_output=True, text=True)
            self.assertEqual((listed.returncode, listed.stdout), (64, ""))
            self.assertIn("'eden list' is for one process", listed.stderr)

    def test_clock(self):
        """Zones, and a clock that stands in 1970 and 2106 and jumps by days at every look: names
        come from no clock and no record has a time that runs backwards."""
        self.same(TZ="Pacific/Kiritimati")
        shim = os.path.join(os.environ.get("EDEN_BUILD", "build/gcc"), "tests", "clock-preload.so")
        for start, jump in ("0", "-86400"), ("0", "86400"), ("4294967295", "-1"), ("-5", "3"):
            self.same(LD_PRELOAD=shim, EDEN_CLOCK=start, EDEN_CLOCK_JUMP=jump,
                      ASAN_OPTIONS="verify_asan_link_order=0")
            self.assertEqual(self.names(), ["plain"])
        done = subprocess.run(["date", "+%Y"], capture_output=True, text=True, check=True,
                              env={**os.environ, "LD_PRELOAD": shim, "EDEN_CLOCK": "0"})
        self.assertEqual(done.stdout, "1970\n")  # it does show them


if __name__ == "__main__":
    unittest.main()
