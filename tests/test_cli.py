#!/usr/bin/env python3
"""The command line as a whole: what it prints, what it refuses, and how."""
import contextlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

EDEN = os.path.abspath(os.environ.get("EDEN", "build/eden"))
NAMES = ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw", "adafactor", "lamb",
         "lion"]
COMMANDS = ["list", "show", "train", "compare", "tune", "step", "inspect", "merge", "plot", "trace", "advise", "evidence",
            "bench", "help"]


def eden(*words, **more):
    more.setdefault("stdout", subprocess.PIPE)
    return subprocess.run([EDEN, *words], stderr=subprocess.PIPE, timeout=60, **more)


def said(*words, **more):
    done = eden(*words, **more)
    if done.returncode or done.stderr:
        raise AssertionError(f"eden {words}: {done.returncode} {done.stderr}")
    return done.stdout.decode()


def listed():
    return {entry["name"]: entry for entry in json.loads(said("list", "--json"))}


class Case(unittest.TestCase):
    def narrow(self, text):
        for line in text.splitlines():
            self.assertLessEqual(len(line), 80, line)
            self.assertEqual(line, line.rstrip())
        self.assertTrue(text.endswith("\n") and "\n\n\n" not in text)


class Help(Case):
    def test_every_command(self):
        overview = said("help")
        self.narrow(overview)
        self.assertEqual(said("--help"), overview)
        self.assertEqual(said("-h"), overview)
        for command in COMMANDS:
            self.assertRegex(overview, rf"(?m)^  {command}\b")
        for command in [*COMMANDS, "generate"]:
            with self.subTest(command):
                text = said("help", command)
                self.narrow(text)
                self.assertTrue(text.startswith(f"usage: eden {command}"))
                self.assertIn(f"\n  eden {command}", text[text.index("Examples:"):])
                for form in ["--help"], ["-h"], ["x", "--help"]:
                    if command != "list" or "x" not in form:
                        self.assertEqual(said(command, *form), text)
                self.assertNotRegex(text, r"\{\w+\}")

    def test_settings_are_flags(self):
        settings = {h["name"] for entry in listed().values() for h in entry["hypers"]}
        for command in "train", "step":
            text = said("help", command)
            for name in settings:
                self.assertRegex(text, rf"(?m)^  --(set )?{name}[ =]")

    def test_version(self):
        self.assertRegex(said("--version"), r"^eden \d+\.\d+\.\d+\n$")


class List(Case):
    def test_table(self):
        text = said("list")
        self.narrow(text)
        for name in NAMES:
            self.assertRegex(text, rf"(?m)^{name} +\w.* (19|20)\d\d +[\d.]+ +\d+$")
        self.assertEqual([line.split()[0] for line in text.splitlines()[2:12]], NAMES)

    def test_json(self):
        every = listed()
        self.assertEqual(list(every), NAMES)
        for entry in every.values():
            self.assertEqual(set(entry) - {"preset_settings"}, {
                "name", "title", "rule", "year", "paper", "formula", "hypers", "slots",
                "state_bytes_per_weight", "peers"})
            self.assertTrue(entry["paper"] and entry["formula"] and entry["title"])
            for h in entry["hypers"]:
                self.assertTrue(h["doc"] and h["kind"] in ("real", "flag", "choice"))
                if h["kind"] == "choice":
                    self.assertIn(h["default"], h["choices"])
                    continue
                self.assertGreaterEqual(h["default"], h["low"])
                self.assertTrue(h["high"] is None or h["default"] <= h["high"])
            for slot in entry["slots"]:
                self.assertEqual(set(slot), {"name", "shape", "when", "doc"})
            self.assertEqual(json.loads(said("show", entry["name"], "--json")), entry)
        beta1, = [h for h in every["adam"]["hypers"] if h["name"] == "beta1"]
        self.assertEqual([beta1[key] for key in ("default", "low", "high", "low_open", "high_open")],
                         [0.9, 0, 1, False, True])
        self.assertEqual({name: entry["state_bytes_per_weight"] for name, entry in every.items()},
                         dict(zip(NAMES, [0, 4, 4, 4, 4, 8, 8, 8 / 1024, 8, 4])))
        self.assertEqual([slot["name"] for slot in every["adam"]["slots"]][:2], ["m", "v"])
        self.assertEqual((every["nesterov"]["rule"], every["sgd"]["rule"]), ("sgd", "sgd"))
        self.assertIn("nesterov=1", every["nesterov"]["preset_settings"])

    def test_show(self):
        for name, entry in listed().items():
            with self.subTest(name):
                text = said("show", name)
                self.narrow(text)
                flat = " ".join(text.split())
                self.assertNotIn(" h.", text)
                self.assertRegex(text, rf"^{name}: .*(\n.+)+\n\nUpdate\n")
                for part in [entry["title"], entry["paper"], entry["formula"], "bytes a weight",
                             *(peer[key] for peer in entry["peers"] for key in ("name", "note"))]:
                    self.assertIn(" ".join(part.split()), flat)
                for peer in entry["peers"]:
                    self.assertIn(peer["settings"], text.replace(",\n            ", ","))
                for h in entry["hypers"]:
                    shown, = re.findall(rf"(?m)^  {h['name']} +(\S+) ", text)
                    self.assertEqual(shown if h["kind"] == "choice" else float(shown), h["default"])
                for slot in entry["slots"]:
                    self.assertRegex(text, rf"(?m)^  {slot['name']} +{slot['shape']} ")


class Generated(Case):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="eden-cli-")
        self.addCleanup(shutil.rmtree, self.folder)

    def test_man(self):
        text = said("generate", "man")
        self.assertTrue(text.startswith(".TH EDEN 1 ") and "'" not in text)
        for line in text.splitlines():
            self.assertRegex(line, r"^(\.(TH|SH|SS|TP|PP|B|BR|nf|fi|nh|ad)\b|[^.']|$)")
        for word in [*COMMANDS, *NAMES]:
            self.assertRegex(text, rf"(?m)^\.(SS eden|B) {word}\b")
        if not shutil.which("groff"):
            return
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=text.encode(),
                              capture_output=True, check=True)
        self.assertEqual(done.stderr, b"")
        page = re.sub(r"\x1b\[[\d;]*m|.\x08", "", done.stdout.decode())
        for part in "'bias$:weight_decay=0'", "--state-out FILE", "NO_COLOR":
            self.assertIn(part, page)

    def complete(self, *words):
        """What bash offers for the last word."""
        script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _eden\n'
                  'for word in "${COMPREPLY[@]}"; do echo "$word"; done')
        done = subprocess.run(["bash", "-c", script, "bash", os.path.join(self.folder, "eden.bash"),
                               "eden", *words], capture_output=True, check=True, cwd=self.folder)
        self.assertEqual(done.stderr, b"")
        return done.stdout.decode().splitlines()

    def test_completion(self):
        path = os.path.join(self.folder, "eden.bash")
        with open(path, "w", encoding="utf-8") as file:
            file.write(said("generate", "completion"))
        subprocess.run(["bash", "-n", path], check=True)
        os.mkdir(os.path.join(self.folder, "sub folder"))
        with open(os.path.join(self.folder, "some file"), "w", encoding="utf-8"):
            pass
        self.assertEqual(self.complete(""), ["--help", "--version", *COMMANDS])
        self.assertEqual(self.complete("s"), ["show", "step"])
        self.assertEqual(self.complete("show", "a"), ["adagrad", "adam", "adamw", "adafactor"])
        self.assertEqual(self.complete("step", "l"), ["lamb", "lion"])
        self.assertEqual(self.complete("help", "pl"), ["plot"])
        self.assertEqual(self.complete("train", ""), ["digits", "mnist", "cifar10", "sparse", "finetune", "csv", "text",
                                                      "rl", "gan"])
        self.assertEqual(self.complete("train", "csv", "so"), ["some file"])
        self.assertEqual(self.complete("train", "--model", ""), ["logistic", "mlp", "cnn", "resnet"])
        self.assertEqual(self.complete("train", "--model", "="), ["logistic", "mlp", "cnn", "resnet"])
        self.assertEqual(self.complete("train", "--model", "=", "c"), ["cnn"])
        self.assertEqual(self.complete("train", "--optimizer", "li"), ["lion"])
        self.assertEqual(self.complete("train", "--beta"), ["--beta1", "--beta2"])
        self.assertEqual(self.complete("train", "--epochs", ""), [])
        self.assertEqual(self.complete("step", "--state-out", "some"), ["some file"])
        self.assertEqual(self.complete("compare", "--report", "s"), ["sub folder"])
        self.assertEqual(self.complete("plot", "-o", "some"), ["some file"])
        self.assertEqual(self.complete("list", "--"), ["--help", "--json"])


class Refusals(Case):
    """Everything here is refused with one clean line and a hint, and leaves nothing."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="eden-cli-")
        self.addCleanup(shutil.rmtree, self.folder)

    def bad(self, text, *words, code=64):
        done = eden(*words, cwd=self.folder)
        lines = done.stderr.decode().splitlines()
        with self.subTest(words[:4] if len(str(words)) < 400 else text):
            self.assertEqual((done.returncode, done.stdout), (code, b""), lines)
            self.assertIn(text, lines[0])
            self.assertTrue(lines[0].startswith("eden: "))
            self.assertLessEqual(len(lines), 2)
            self.assertLessEqual(len(lines[0]), 1100)
            self.assertTrue(all(line.isprintable() for line in lines), lines)
            self.assertEqual(os.listdir(self.folder), [])
        return lines

    def test_nearest(self):
        for word, *words in [
            ("list", "lst"), ("compare", "comapre"), ("train", "help", "trian"),
            ("'adam'", "show", "adm"), ("'adafactor'", "show", "adafacter"),
            ("'adamw'", "step", "adamww"), ("'nesterov'", "show", "nestorov"),
            ("'lion'", "train", "digits", "--optimizer", "loin"),
            ("'digits'", "train", "digts"), ("'mnist'", "compare", "minst"),
            ("'--epochs'", "train", "digits", "--epocsh", "1"),
            ("'--optimizer'", "train", "digits", "--optimiser", "lion"),
            ("'--weight_decay'", "train", "digits", "--weigth-decay", "1"),
            ("'--beta1'", "train", "digits", "--btea1=1"),
            ("'--json'", "list", "--jsn"),
            ("'cnn'", "train", "digits", "--model", "cnm"),
            ("'lr'", "train", "digits", "--optimizer", "lion", "--set", "rl=1"),
            ("'beta1'", "step", "adam", "--set", "bta1=0.5"),
        ]:
            self.assertRegex(self.bad("did you mean", *words)[0], word)

    def test_unknown(self):
        self.bad("no command is given")
        self.bad("unknown command 'zzzzzzzz'", "zzzzzzzz")
        self.bad("unknown command ''", "")
        self.bad("unknown optimizer 'zzzzzzzz'; 'eden list' shows all", "show", "zzzzzzzz")
        self.bad("has no setting 'zzzzzzzz'; it has lr", "step", "lion", "--set", "zzzzzzzz=1")
        self.bad("no option '--zzzzzzzz'", "list", "--zzzzzzzz")
        self.bad("no option '-z'", "list", "-z")
        self.bad("no option '-x'", "list", "--json", "-xh")
        self.bad("no option '-?'", "list", b"-\xff")
        self.bad("before the command", "--json", "list")
        self.bad("before the command", "--", "list")
        self.bad("before the command", "-V")
        self.bad("stands alone", "--version", "list")
        self.bad("none of man, completion", "generate", "nothing")

    def test_operands(self):
        self.bad("takes no operand", "list", "x")
        self.bad("takes no operand", "list", "--", "--json")
        self.bad("usage: eden show NAME", "show")
        self.bad("usage: eden train TASK", "train")
        self.bad("usage: eden show NAME", "show", "--")
        self.bad("operand is empty", "show", "")
        self.bad("one operand too many", "show", "adam", "lion")
        self.bad("unknown optimizer '--json'", "show", "--", "--json")
        self.assertEqual(said("show", "--", "lion"), said("show", "lion"))

    def test_options(self):
        train = "train", "digits"
        self.bad("'--epochs' needs a value", *train, "--epochs")
        self.bad("'-o' needs a value", "plot", "x", "-o")
        self.bad("--epochs is empty", *train, "--epochs", "")
        self.bad("--epochs is empty", *train, "--epochs=")
        self.bad("--epochs is given twice", *train, "--epochs", "1", "--epochs", "1")
        self.bad("--json is given twice", "list", "--json", "--json")
        self.bad("--lr is given twice", *train, "--lr", "1", "--lr", "1")
        self.bad("lr is given twice", *train, "--lr", "1", "--set", "lr=2")
        self.bad("takes no value", "list", "--json=1")
        self.bad("can mean several", *train, "--log=x", "--l", "1")
        self.bad("is none of logistic|mlp|cnn", *train, "--model", "transformer")
        self.bad("NAME=VALUE", *train, "--set", "lr")
        self.bad("NAME=VALUE", *train, "--set", "=1")
        self.bad("NAME=VALUE", *train, "--set", "lr=1,,beta1=0")

    def test_numbers(self):
        train = "train", "digits", "--optimizer", "adam"
        for value in ("abc", "nan", "inf", "-inf", "1e999", "0x10", "1,5", " 1", "1 ", "+5", "-0",
                      "1e-400", "1e", ".", "-", "--", "1e5x", "\u0661"):
            self.bad(f"lr = '{value}' is not a number", *train, f"--lr={value}")
            self.bad("NAME=VALUE" if "," in value else "lr", *train, "--set", f"lr={value}")
        self.bad("is not a number", *train, "--lr=")
        self.bad("lr = -1 is outside", *train, "--lr", "-1")
        self.bad("beta1 = 0.99999999 rounded to float is outside [0, 1)", *train, "--beta1", "0.99999999")
        self.bad("lr = 1e39 rounded to float is outside [0, inf)", *train, "--lr", "1e39")
        for value in "1", "1.0", "2", "-0.1":
            self.bad(f"beta1 = {value} is outside [0, 1)", *train, "--beta1", value)
        self.bad("amsgrad", *train, "--amsgrad", "sometimes")
        for option in "--batch", "--epochs", "--threads", "--warmup", "--early-stop":
            for value in ("0", "-1", "1.5", "abc", "1e3", " 1", "+1", "2147483648000",
                          "9223372036854775808", "18446744073709551617"):
                self.bad(f"{option} '{value}' is not a whole number from 1 to", *train, option, value)
        self.bad("--seed '9007199254740992'", *train, "--seed", "9007199254740992")
        self.bad("--dropout '1' is outside 0 to 0.99", *train, "--dropout", "1")
        self.bad("--clip '0'", *train, "--clip", "0")

    def test_hostile(self):
        """Long, broken and malicious words are cut and shown harmless."""
        for word in (b"x" * 102400, b"--" + b"x" * 102400, b"--lr=" + b"9" * 102400,
                     b"\xff\xfe\x80", b"--\xff", b"--set=\xff=\xfe", b"\x1b[31m\n\r\t\x07",
                     b"--\x1b]0;title\x07", "\u009b31m".encode(), b"\xed\xa0\x80", b"\xc0\xaf",
                     b"%s%n%1000000d", b"--%n", "\u00e9".encode() * 51200):
            self.bad("eden: ", word)
            for words in [("list",), ("show",), ("train", "digits"), ("step", "adam", "--set"),
                          ("train", "digits", "--optimizer"), ("train", "digits", "--model"),
                          ("train", "digits", "--epochs"), ("train", "digits", "--lr"), ("help",)]:
                self.bad("eden: ", *words, word)
        self.bad("'?[31m??'", "show", b"\x1b[31m\n\x07")
        self.bad("'\u00e9?\u20ac'", "show", "\u00e9\u0085\u20ac".encode())


class Streams(Case):
    LINES = [["list"], ["list", "--json"], ["show", "adam"], ["show", "adam", "--json"], ["help"],
             ["help", "train"], ["generate", "man"], ["generate", "completion"], ["--version"]]

    def lost(self, **more):
        for words in self.LINES:
            with self.subTest(words):
                done = eden(*words, **more)
                self.assertEqual(done.returncode, 74)
                self.assertRegex(done.stderr.decode(), r"^eden: cannot write the output.*\n$")

    def test_full(self):
        if os.path.exists("/dev/full"):
            with open("/dev/full", "wb") as full:
                self.lost(stdout=full)

    def test_closed(self):
        self.lost(stdout=None, preexec_fn=lambda: os.close(1))

    def test_broken_pipe(self):
        reader, writer = os.pipe()
        os.close(reader)
        for words in self.LINES:
            with self.subTest(words):
                done = eden(*words, stdout=writer)
                self.assertEqual((done.returncode, done.stderr), (-signal.SIGPIPE, b""))
        self.lost(stdout=writer, restore_signals=False)
        os.close(writer)
        done = subprocess.run(["bash", "-o", "pipefail", "-c", '"$1" list --json | head -1', "bash",
                               EDEN], capture_output=True, check=False)
        self.assertEqual(done.stdout, b"[\n")
        self.assertEqual(done.stderr, b"")
        self.assertIn(done.returncode, (0, 128 + signal.SIGPIPE))

    def test_all_closed(self):
        done = subprocess.run([EDEN, "list"], check=False, close_fds=True,
                              preexec_fn=lambda: [os.close(i) for i in range(3)])
        self.assertEqual(done.returncode, 74)

    def on_terminal(self, **environment):
        master, slave = pty.openpty()
        base = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TERM")}
        done = eden("list", stdout=slave, env={**base, **environment})
        os.close(slave)
        text = b""
        with contextlib.suppress(OSError):  # what Linux says at the end of a terminal that is closed
            while more := os.read(master, 65536):
                text += more
        os.close(master)
        self.assertEqual(done.returncode, 0)
        return b"\x1b" in text

    def test_colours(self):
        self.assertTrue(self.on_terminal(TERM="xterm"))
        self.assertTrue(self.on_terminal(TERM="xterm", NO_COLOR=""))
        self.assertFalse(self.on_terminal(TERM="xterm", NO_COLOR="1"))
        self.assertFalse(self.on_terminal(TERM="dumb"))
        self.assertFalse(self.on_terminal())
        self.assertNotIn("\x1b", said("list", env={**os.environ, "TERM": "xterm"}))

    def test_locale(self):
        """Numbers have points whatever the locale, here one with a decimal comma."""
        names = subprocess.run(["locale", "-a"], capture_output=True, check=False).stdout.decode()
        comma = re.search(r"(?m)^(de_DE|fr_FR|es_ES)\S*$", names)
        if not comma:
            self.skipTest("no locale with a decimal comma is installed")
        env = {**os.environ, "LC_ALL": comma.group()}
        for words in self.LINES:
            self.assertEqual(said(*words, env=env), said(*words))
        self.assertEqual(eden("train", "digits", "--lr", "0,1", env=env).returncode, 64)

    def test_environment(self):
        """Nothing is needed from the environment."""
        self.assertEqual(said("list", env={}), said("list"))


if __name__ == "__main__":
    if not os.access(EDEN, os.X_OK):
        print(f"skipped: there is no command {EDEN}")
        sys.exit(77)
    unittest.main()
