#!/usr/bin/env python3
"""eden compare with its report, eden plot, and the judge of the demo's table."""
import base64
import csv
import html.parser
import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree

EDEN = os.path.abspath(os.environ.get("EDEN", "build/eden"))
SOURCE = os.environ.get("EDEN_SOURCE", os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
REPORT = ["curves.csv", "curves.png", "curves.svg", "index.html", "results.csv"]
GNUPLOT = shutil.which("gnuplot")


def eden(*words, **more):
    return subprocess.run([EDEN, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=60, encoding="utf-8", **more)


def said(*words):
    done = eden(*words)
    if done.returncode or done.stderr:
        raise AssertionError(f"eden {words}: {done.returncode} {done.stderr}")
    return done.stdout


def rows_of(text):
    """The table's rows as lists of words, by name."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("OPTIMIZER")) + 2
    rows = {}
    for line in lines[start:]:
        if not line:
            break
        rows[line.split()[0]] = line.split()[1:]
    return rows


class Page(html.parser.HTMLParser):
    """Counts what is open, and collects rows, addresses and text."""
    VOID = {"meta", "img", "source", "br", "link", "input"}

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.addresses, self.words = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "srcset", "action", "data", "poster"):
                self.addresses.append(value)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            raise AssertionError(f"</{tag}> ends another element")

    def handle_data(self, data):
        self.words.append(data)


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def at(self, *names):
        return os.path.join(self.folder, *names)

    def write(self, name, text):
        with open(self.at(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.at(name)

    def refused(self, code, reason, *words, **more):
        done = eden(*words, **more)
        self.assertEqual(done.returncode, code, f"{words}: {done.stderr}")
        self.assertRegex(done.stderr, reason)
        self.assertEqual(done.stderr.count("eden: "), 1)
        return done

    def png_size(self, path):
        with open(path, "rb") as file:
            data = file.read()
        self.assertEqual((data[:8], data[-8:-4]), (b"\x89PNG\r\n\x1a\n", b"IEND"))
        return struct.unpack(">II", data[16:24])

    def svg_texts(self, path):
        tree = xml.etree.ElementTree.parse(path)
        self.assertEqual(tree.getroot().tag, "{http://www.w3.org/2000/svg}svg")
        return ["".join(node.itertext()).strip() for node in tree.iter()
                if node.tag.endswith("}text")]


class Table(Case):
    def test_all_by_default(self):
        text = said("compare", "digits", "--epochs", "1")
        names = [entry["name"] for entry in json.loads(said("list", "--json"))]
        rows = rows_of(text)
        self.assertEqual(list(rows), ["none", *names])
        for line in text.splitlines():
            self.assertLessEqual(len(line), 80, line)
            self.assertEqual(line, line.rstrip())
        for name, cells in rows.items():
            self.assertEqual(len(cells), 9, name)
            self.assertRegex(cells[1], r"^\d+\.\d\d$")
        self.assertEqual(rows["none"][2:], ["-"] * 7)
        for name in names:
            self.assertGreater(float(rows[name][5]), 0)
            self.assertTrue(0 < float(rows[name][6]) <= 100, rows[name])

    def test_json(self):
        words = ["compare", "digits", "--optimizers", "sgd,adam", "--epochs", "2", "--seeds", "2",
                 "--seed", "7", "--target", "80", "--json"]
        told = json.loads(said(*words))
        self.assertEqual((told["seed"], told["seeds"], told["epochs"]), (7, 2, 2))
        self.assertEqual([o["name"] for o in told["optimizers"]], ["sgd", "adam"])
        control = told["control"]["runs"]
        self.assertNotEqual(control[0]["epochs"], control[1]["epochs"], "one seed's weights")
        for entry in told["optimizers"]:
            self.assertEqual([run["seed"] for run in entry["runs"]], [7, 8])
            for run, untrained in zip(entry["runs"], control):
                self.assertEqual(run["epochs"][0], untrained["epochs"][0], "other weights")
                self.assertEqual([p["epoch"] for p in run["epochs"]], [0, 1, 2])
                self.assertEqual(run["epochs"][2]["step"], 2 * told["epoch_steps"])
                reached = [p["step"] for p in run["epochs"][1:] if p["test_accuracy"] >= 0.8]
                self.assertEqual(run["steps_to_target"], min(reached, default=None))
            ends = [run["epochs"][-1]["test_accuracy"] for run in entry["runs"]]
            self.assertAlmostEqual(entry["test_accuracy"]["mean"], sum(ends) / 2, places=7)
            self.assertAlmostEqual(entry["test_accuracy"]["deviation"],
                                   abs(ends[0] - ends[1]) / 2 ** 0.5, places=7)
        self.assertEqual(told["optimizers"][1]["state_bytes_per_weight"], 8)
        again = json.loads(said(*words, "--threads", "1"))
        for one, other in zip(told["optimizers"], again["optimizers"]):
            self.assertEqual(one["runs"], other["runs"], "another number of threads")

    def test_seeds_spread(self):
        text = said("compare", "digits", "--optimizers", "sgd,lion", "--epochs", "1", "--seeds",
                    "3", "--target", "100")
        for cells in rows_of(text).values():
            self.assertEqual((cells[2], cells[5]), ("+-", "-"), "a target that was not reached")
        self.assertRegex(text, r"\+- is the standard deviation over the 3 seeds")
        self.assertLessEqual(max(map(len, text.splitlines())), 80)

    def test_regression(self):
        table = "a,b,y\n" + "".join(f"{i % 7},{i % 5},{i % 7 + 0.5 * (i % 5)}\n"
                                    for i in range(200))
        text = said("compare", "csv", self.write("t.csv", table), "--label", "y", "--optimizers",
                    "sgd,adam", "--epochs", "20", "--target-kind", "value", "--target", "0.5")
        self.assertIn("TEST LOSS", text)
        rows = rows_of(text)
        self.assertLess(float(rows["sgd"][1]), float(rows["none"][1]))
        self.assertRegex(rows["sgd"][3], r"^\d+$")

    def test_diverging(self):
        wild = ["--schedule", "absolute(constant(1e30))", "--epochs", "1"]
        done = eden("compare", "digits", "--optimizers", "sgd,lion", *wild)
        self.assertEqual(done.returncode, 65, done.stderr)
        self.assertEqual(rows_of(done.stdout)["lion"][:3], ["diverged", "-", "-"])
        self.assertRegex(done.stdout, r"sgd diverged with seed 1 at step \d+\.")
        told = json.loads(eden("compare", "digits", "--optimizers", "sgd", *wild, "--json").stdout)
        self.assertEqual((told["optimizers"][0]["diverged"], len(told["optimizers"])), (1, 1))

    def test_refusals(self):
        for reason, *words in [
                ("unknown optimizer 'sgdd'; did you mean 'sgd'", "--optimizers", "sgdd"),
                ("names sgd twice", "--optimizers", "sgd,sgd"),
                ("empty name", "--optimizers", "sgd,"),
                ("more than 100 percent", "--target", "101"),
                ("whole number", "--seeds", "0"),
                ("no function 'sine'", "--schedule", "sine(3)")]:
            with self.subTest(words):
                self.assertEqual(self.refused(64, reason, "compare", "digits", *words).stdout, "")

    @unittest.skipUnless(GNUPLOT, "gnuplot is not installed")
    def test_interrupt(self):
        running = subprocess.Popen([EDEN, "compare", "digits", "--epochs", "100000", "--report",
                                    self.at("r"), "--optimizers", "sgd"], stderr=subprocess.PIPE,
                                   stdout=subprocess.PIPE, encoding="utf-8")
        self.addCleanup(running.wait)
        self.addCleanup(running.kill)
        running.stdout.readline()
        time.sleep(0.3)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
        self.assertEqual(running.returncode, 130, err)
        self.assertIn("stopped by SIGINT", err)
        self.assertEqual(list(rows_of(out)), ["none"])
        self.assertEqual(os.listdir(self.folder), [])


class NoGnuplot(Case):
    def test_report_is_refused_before_training(self):
        os.mkdir(self.at("empty"))
        where = {"PATH": self.at("empty")}
        done = self.refused(69, "apt-get install gnuplot-nox", "compare", "digits", "--epochs",
                            "100000", "--report", self.at("r"), env=where)
        self.assertEqual(done.stdout, "")
        log = self.write("a.jsonl", HEADER + '{"step":1,"epoch":1,"loss":1}\n')
        self.refused(69, "gnuplot", "plot", log, "-o", self.at("a.png"), env=where)
        self.assertEqual(sorted(os.listdir(self.folder)), ["a.jsonl", "empty"])

    def test_failing(self):
        os.mkdir(self.at("bin"))
        self.write("bin/gnuplot", '#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "no ink" >&2\n'
                                  "exit 1\n")
        os.chmod(self.at("bin", "gnuplot"), 0o755)
        os.mkdir(self.at("r"))
        self.write("r/index.html", "old")
        self.refused(71, "gnuplot failed: no ink", "compare", "digits", "--epochs", "1",
                     "--optimizers", "sgd", "--report", self.at("r"), env={"PATH": self.at("bin")})
        self.assertEqual(os.listdir(self.at("r")), ["index.html"])
        with open(self.at("r", "index.html"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "old")


@unittest.skipUnless(GNUPLOT, "gnuplot is not installed")
class Report(Case):
    def test_files(self):
        words = ["compare", "digits", "--optimizers", "sgd,adam", "--epochs", "2", "--report"]
        text = said(*words, self.at("r"))
        self.assertIn(f"Report: {self.at('r')}/index.html", text)
        self.assertEqual(sorted(os.listdir(self.at("r"))), REPORT)
        width, height = self.png_size(self.at("r", "curves.png"))
        self.assertTrue(1500 < width < 4000 and 600 < height < 2000, (width, height))
        texts = self.svg_texts(self.at("r", "curves.svg"))
        for wanted in "sgd", "adam", "epoch":
            self.assertIn(wanted, texts)
        self.page(words)
        with open(self.at("r", "curves.csv"), newline="", encoding="utf-8") as file:
            curves = list(csv.DictReader(file))
        self.assertEqual([(p["optimizer"], p["epoch"]) for p in curves],
                         [(name, str(epoch)) for name in ("sgd", "adam") for epoch in range(3)])
        with open(self.at("r", "results.csv"), newline="", encoding="utf-8") as file:
            results = {r["optimizer"]: r for r in csv.DictReader(file)}
        self.assertEqual(list(results), ["none", "sgd", "adam"])
        shown = float(rows_of(text)["adam"][1])
        self.assertAlmostEqual(100 * float(results["adam"]["test_accuracy"]), shown, delta=.006)
        pictures = [self.read(name) for name in REPORT[:3]]
        said(*words, self.at("r"))  # over the old one
        self.assertEqual(pictures, [self.read(name) for name in REPORT[:3]], "other bytes")
        self.assertEqual(sorted(os.listdir(self.at("r"))), REPORT)

    def read(self, name):
        with open(self.at("r", name), "rb") as file:
            return file.read()

    def page(self, words):
        text = self.read("index.html").decode()
        page = Page(text)
        self.assertEqual(page.open, [])
        self.assertNotRegex(text, r"(?i)https?:|//[a-z]|@import|url\(|<script|<link")
        self.assertEqual(len(page.addresses), 4)
        for address in page.addresses:
            kind, data = address.split(",")
            self.assertEqual(kind, "data:image/svg+xml;base64")
            xml.etree.ElementTree.fromstring(base64.b64decode(data, validate=True))
        self.assertEqual(page.tags.count("tr"), 4)
        self.assertEqual(page.tags.count("td"), 3 * 10)
        self.assertIn(" ".join(["eden", *words, self.at("r")]), page.words)
        self.assertIn("prefers-color-scheme:dark", text)

    def test_hostile_names(self):
        name = "a'`touch boo`<b>&\"{x}_y.csv"
        column = "y'<i>\"&"
        self.write(name, 'a,"y\'<i>""&"\n' + "".join(f"{i % 3},{i % 2}\n" for i in range(60)))
        said("compare", "csv", self.at(name), "--label", column, "--optimizers", "sgd",
             "--epochs", "1", "--report", self.at("r"))
        page = Page(self.read("index.html").decode())
        self.assertEqual(page.open, [])
        self.assertNotIn("b", page.tags)
        self.assertNotIn("i", page.tags)
        self.assertIn("a'`touch boo`<b>&\"{x}_y", "".join(page.words))
        self.assertTrue(any("a'`touch boo`<b>&\"{x}_y" in text
                            for text in self.svg_texts(self.at("r", "curves.svg"))))
        self.assertEqual(sorted(os.listdir(self.folder)), sorted([name, "r"]))

    def test_places(self):
        file = self.write("file", "")
        words = ["compare", "digits", "--epochs", "100000", "--report"]
        for place in file, os.path.join(file, "r"), self.at("no", "r"), "/proc/r":
            with self.subTest(place):
                self.assertEqual(self.refused(73, "cannot create", *words, place).stdout, "")
        os.makedirs(self.at("r", "index.html"))
        self.refused(73, "index.html", *words, self.at("r"))
        self.assertEqual(os.listdir(self.at("r")), ["index.html"])


HEADER = ('{"command":"train","version":"0.1.0","task":"digits","data":"digits","network":"mlp",'
          '"optimizer":"sgd","classes":10}\n')
RECORDS = ('{"step":1,"epoch":1,"loss":2.0,"accuracy":0.1}\n{"step":2,"epoch":1,"loss":1.0}\n'
           '{"step":2,"epoch":1,"train_loss":1.5,"test_loss":1,"test_accuracy":0.7}\n')


@unittest.skipUnless(GNUPLOT, "gnuplot is not installed")
class Plot(Case):
    def test_curves(self):
        for name, optimizer in ("a", "sgd"), ("b", "adam"), ("c_{'`", "adam"):
            said("train", "digits", "--optimizer", optimizer, "--epochs", "1", "--threads", "1",
                 "--log", self.at(name + ".jsonl"))
        logs = [self.at(name + ".jsonl") for name in ("a", "b", "c_{'`")]
        said("plot", *logs, "-o", self.at("p.svg"))
        texts = self.svg_texts(self.at("p.svg"))
        for wanted in "sgd", "adam, b.jsonl", "adam, c_{'`.jsonl", "step", "epoch":
            self.assertIn(wanted, texts)
        said("plot", logs[0], "--output", self.at("p.png"))
        self.png_size(self.at("p.png"))
        self.assertEqual(len(os.listdir(self.folder)), 5)

    def test_torn_line_and_full_disk(self):
        log = self.write("a.jsonl", HEADER + RECORDS + '{"step":3,"epo')
        said("plot", log, "-o", self.at("p.png"))
        self.png_size(self.at("p.png"))
        self.refused(74, "cannot write the picture", "plot", log, "-o", self.at("q.png"),
                     preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)))
        self.assertEqual(sorted(os.listdir(self.folder)), ["a.jsonl", "p.png"])

    def test_refusals(self):
        good = self.write("good.jsonl", HEADER + RECORDS)
        value = self.write("value.jsonl", (HEADER + RECORDS).replace('"classes":10', '"classes":0'))
        png = ["-o", self.at("p.png")]
        bad = {"json": HEADER + RECORDS + "{]\n", "array": HEADER + "[1]\n", "header": RECORDS,
               "twice": HEADER + RECORDS + HEADER, "loss": HEADER + '{"step":1,"epoch":1}\n',
               "test": HEADER + '{"step":1,"epoch":1,"train_loss":1}\n',
               "step": HEADER + '{"step":-1,"epoch":1,"loss":1}\n', "empty": "",
               "double": HEADER + '{"step":1,"step":2,"epoch":1,"loss":1}\n'}
        lines = {"json": 5, "header": 1, "twice": "5: a second header", "empty": 1}
        for name, text in bad.items():
            with self.subTest(name):
                path = self.write(name + ".jsonl", text)
                self.refused(65, rf"{name}\.jsonl:{lines.get(name, 2)}", "plot", good, path, *png)
        self.refused(65, "has no record", "plot", self.write("new.jsonl", HEADER), *png)
        self.refused(65, "predicts classes .* a value", "plot", good, value, *png)
        self.refused(64, "neither .png nor .svg", "plot", good, "-o", self.at("p.gif"))
        self.refused(64, "neither .png nor .svg", "plot", good, "-o", self.at("p.png", "x"))
        self.refused(64, "-o FILE is missing", "plot", good)
        self.refused(64, "more than the 40 curves", "plot", *[good] * 41, *png)
        self.refused(66, "cannot read", "plot", self.at("none.jsonl"), *png)
        self.refused(66, "is a directory", "plot", self.folder, *png)
        self.refused(66, "not a regular file", "plot", "/dev/zero", *png)
        self.refused(73, "cannot create", "plot", good, "-o", self.at("no", "p.png"))
        self.assertFalse([n for n in os.listdir(self.folder) if not n.endswith(".jsonl")])


class Demo(Case):
    NAMES = ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw", "adafactor",
             "lamb", "lion"]

    def judge(self, accuracies, control="11.70"):
        text = "Installing sgd\n\nOPTIMIZER  TRAIN LOSS  ACCURACY\n    % \n"
        for name, accuracy in {"none": control, **accuracies}.items():
            if accuracy:
                text += f"{name:10} 0.1 {accuracy} 540 0.1 2.0 4 0.1\n"
        done = subprocess.run([os.path.join(SOURCE, ".ci", "demo_table")], input=text,
                              capture_output=True, encoding="utf-8", timeout=60)
        return done.returncode, done.stderr

    def test_judge(self):
        good = {name: "95.00" for name in self.NAMES}
        self.assertEqual(self.judge(good), (0, ""))
        for name in self.NAMES:
            self.assertEqual(self.judge({**good, name: None}), (1, f"demo: {name} has no row\n"))
            for bad in "94.90", "94.99", "nan", "-", "100.1", "diverged":
                code, reason = self.judge({**good, name: bad})
                self.assertEqual((code, reason[:7 + len(name)]), (1, f"demo: {name} "), bad)
        for control in "95.00", "45.01", None, "-":
            self.assertEqual(self.judge(good, control)[0], 1, control)
        self.assertIn("sgd", self.judge(good, "50.0")[1])
        self.assertIn("lion", self.judge(good, "50.0")[1])

    def test_a_real_table(self):
        text = said("compare", "digits", "--epochs", "1")
        done = subprocess.run([os.path.join(SOURCE, ".ci", "demo_table")], input=text,
                              capture_output=True, encoding="utf-8", timeout=60)
        self.assertEqual(done.returncode, 1)
        accuracy = float(rows_of(text)["sgd"][1])
        self.assertLess(accuracy, 95)
        self.assertIn(f"sgd has {accuracy} % test accuracy", done.stderr)
        self.assertNotIn("no row", done.stderr)


if __name__ == "__main__":
    if not os.path.exists(EDEN):
        print("skipped: the command was not built")
        sys.exit(77)
    unittest.main()
