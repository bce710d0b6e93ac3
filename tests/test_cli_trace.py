#!/usr/bin/env python3
"""eden trace: its table, its JSON, its pictures, and what it refuses."""
import contextlib
import json
import math
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import unittest
import xml.etree.ElementTree

from infolder import InFolder

EDEN = os.path.abspath(os.environ.get("EDEN", "build/eden"))
SURFACES = ["ravine", "rosenbrock", "beale", "himmelblau", "saddle", "plateau", "noisy", "slope",
            "first-steps"]
GNUPLOT = shutil.which("gnuplot")


def eden(*words, **more):
    more.setdefault("stdout", subprocess.PIPE)
    return subprocess.run([EDEN, "trace", *words], stderr=subprocess.PIPE, timeout=90,
                          encoding="utf-8", **more)


def said(*words, **more):
    done = eden(*words, **more)
    if done.returncode or done.stderr:
        raise AssertionError(f"eden trace {words}: {done.returncode} {done.stderr}")
    return done.stdout


def cells_of(text):
    """The table's rows as lists of words."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("OPTIMIZER"))
    return [line.split() for line in lines[start + 2:lines.index("", start)]]


def rows_of(text):
    return {cells[0]: cells[1:] for cells in cells_of(text)}


class Case(InFolder):
    def at(self, name):
        return str(self.folder / name)

    def refused(self, code, reason, *words, **more):
        done = eden(*words, **more)
        self.assertEqual(done.returncode, code, f"{words}: {done.stderr}")
        self.assertRegex(done.stderr, reason)
        self.assertEqual(done.stderr.count("eden: "), 1)
        return done


class Table(Case):
    def narrow(self, text):
        for line in text.splitlines():
            self.assertLessEqual(len(line), 80, line)
            self.assertEqual(line, line.rstrip())
        self.assertTrue(text.endswith("\n") and "\n\n\n" not in text)

    def test_list(self):
        text = said()
        self.narrow(text)
        self.assertEqual([line.split()[0] for line in text.splitlines()], ["SURFACE", *SURFACES])
        told = json.loads(said("--json"))
        self.assertEqual([entry["name"] for entry in told], SURFACES)
        for entry, line in zip(told, text.splitlines()[1:]):
            self.assertTrue(line.endswith(" " + entry["shows"]))

    def test_every_surface(self):
        for surface in SURFACES:
            with self.subTest(surface):
                text = said(surface)
                self.narrow(text)
                self.assertTrue(text.startswith(f"{surface}: "))
                self.assertNotIn("diverged", text)
                told = json.loads(said(surface, "--json"))
                rows = cells_of(text)
                self.assertEqual(len(rows), len(told["optimizers"]))
                self.assertGreaterEqual(len(rows), 2)
                for (_, *cells), entry in zip(rows, told["optimizers"]):
                    self.assertEqual(cells[0], f"{entry['lr']:.3g}")
                    self.assertEqual(cells[1], f"{entry['loss']:.2g}")
                    self.assertEqual(cells[2], f"{entry['distance']:.2g}")
                    self.assertEqual(cells[3], str(entry["reached_at"] or "-"))
                    self.assertEqual(cells[4], f"{entry['length']:.3g}")
                    self.assertEqual(cells[5], str(entry["turns"]))

    def test_json_adds_up(self):
        told = json.loads(said("himmelblau", "--json", "--steps", "60"))
        surface = told["surface"]
        self.assertEqual(told["steps"], 60)
        for entry in told["optimizers"]:
            path = entry["path"]
            self.assertEqual((len(path), len(entry["losses"])), (61, 61))
            self.assertEqual([round(v, 6) for v in path[0]], surface["start"])
            gaps = [min(math.dist(p, m) for m in surface["minima"]) for p in path]
            self.assertAlmostEqual(gaps[-1], entry["distance"], places=6)
            away = max(i for i, gap in enumerate(gaps) if gap > surface["near"])
            self.assertEqual(entry["reached_at"], away + 1 if away < 60 else None)
            steps = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(path, path[1:])]
            self.assertAlmostEqual(sum(math.hypot(*s) for s in steps), entry["length"], places=4)
            way = steps[:entry["reached_at"] or 60]
            turns = sum(a[0] * b[0] + a[1] * b[1] < 0 for a, b in zip(way, way[1:]))
            self.assertEqual(entry["turns"], turns)
            for (x, y), loss in zip(path, entry["losses"]):
                want = (x * x + y - 11) ** 2 + (x + y * y - 7) ** 2
                self.assertAlmostEqual(loss, want, delta=1e-5 * (1 + want))

    def test_what_it_shows(self):
        """The sentences that the surfaces are there for, read off the table."""
        ravine = rows_of(said("ravine", "--optimizers", "sgd,momentum"))
        self.assertGreater(int(ravine["sgd"][5]), 5)
        self.assertLess(int(ravine["momentum"][3]), int(ravine["sgd"][3]))
        steps = {o["name"]: [math.dist(a, b) for a, b in zip(o["path"], o["path"][1:])]
                 for o in json.loads(said("slope", "--json", "--steps", "60", "--optimizers",
                                          "adagrad,rmsprop"))["optimizers"]}
        self.assertAlmostEqual(steps["adagrad"][59] / steps["adagrad"][0], 60 ** -0.5, delta=0.01)
        self.assertAlmostEqual(steps["rmsprop"][59] / steps["rmsprop"][39], 1, delta=0.2)
        right, wrong = json.loads(said("first-steps", "--json"))["optimizers"]
        firsts = [math.dist(o["path"][0], o["path"][1]) for o in (right, wrong)]
        self.assertAlmostEqual(firsts[0], 0.1 * 2 ** 0.5, places=4)
        self.assertAlmostEqual(firsts[1] / firsts[0], 0.1 / 0.001 ** 0.5, places=2)

    def test_steps_of_one_length(self):
        """Where steps never shrink, the rate is one whose path ends at the minimum all the same."""
        for surface, least in ("ravine", 1e-4), ("plateau", 1e-4), ("saddle", 1e-3), ("noisy", 0.11), ("beale", 0.11):
            one, = json.loads(said(surface, "--json", "--optimizers", "lion"))["optimizers"]
            self.assertLess(one["distance"], least, surface)

    def test_settings_and_rates(self):
        rows = rows_of(said("ravine", "--lr", "0.01", "--optimizers", "sgd,adam"))
        self.assertEqual([cells[0] for cells in rows.values()], ["0.01", "0.01"])
        for list_ in ("sgd:lr=0.01,momentum=0.5;adam", "sgd:lr=0.01,momentum=0.5,adam"):
            rows = rows_of(said("ravine", "--optimizers", list_))
            self.assertEqual(list(rows), ["sgd:momentum=0.5", "adam"])
            self.assertEqual(rows["sgd:momentum=0.5"][0], "0.01")
        text = said("ravine", "--optimizers", "sgd:momentum=0.5,lr_in_momentum=1;momentum")
        self.narrow(text)
        self.assertIn("\nsgd:momentum=0.5,lr_in_momentum=1\n", text)

    def test_seeds(self):
        first = said("noisy", "--json")
        self.assertEqual(first, said("noisy", "--json", "--seed", "1"))
        self.assertNotEqual(first, said("noisy", "--json", "--seed", "2"))
        base = {**os.environ, "EDEN_ISA": "base"}
        self.assertEqual(first, said("noisy", "--json", env=base), "another instruction set")

    def test_divergence(self):
        done = eden("ravine", "--optimizers", "sgd:lr=1,adam:lr=0.5")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("sgd diverged at step 2.", done.stdout)
        self.assertEqual(rows_of(done.stdout)["sgd"][1:4], ["diverged", "-", "-"])
        self.refused(65, "every optimizer diverged", "ravine", "--optimizers", "sgd", "--lr", "1")

    def test_colours(self):
        for environment, coloured in ({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False):
            master, slave = pty.openpty()
            rest = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
            done = eden("saddle", stdout=slave, env={**rest, **environment})
            os.close(slave)
            text = b""
            with contextlib.suppress(OSError):  # what Linux says at the end of a terminal that is closed
                while more := os.read(master, 65536):  # the kernel may bring it in parts
                    text += more
            os.close(master)
            self.assertEqual(done.returncode, 0)
            self.assertEqual(b"\x1b[" in text, coloured)


class Refusals(Case):
    def test_words(self):
        for reason, *words in [
                ("unknown surface 'sadle'; did you mean 'saddle'", "sadle"),
                ("unknown surface 'xyzzy'; 'eden trace' lists all", "xyzzy"),
                ("unknown optimizer 'adamm'; did you mean", "ravine", "--optimizers", "adamm"),
                ("empty name", "ravine", "--optimizers", "sgd,"),
                ("empty name", "ravine", "--optimizers", ";sgd"),
                ("empty name", "ravine", "--optimizers", ":lr=1"),
                ("names sgd twice", "ravine", "--optimizers", "sgd,sgd"),
                ("names sgd twice", "ravine", "--optimizers", "sgd:lr=1,sgd:lr=1"),
                ("stands behind no name", "ravine", "--optimizers", "sgd,lr=1"),
                ("no setting follows 'sgd:'", "ravine", "--optimizers", "sgd:"),
                ("sgd has no setting 'beta1'", "ravine", "--optimizers", "sgd:beta1=0.9"),
                ("outside", "ravine", "--optimizers", "adam:beta1=2"),
                ("lr is given twice", "ravine", "--optimizers", "sgd:lr=1", "--lr", "2"),
                ("sgd: nesterov", "ravine", "--optimizers", "sgd:nesterov=1"),
                ("--seed changes nothing: ravine has no noise", "ravine", "--seed", "3"),
                ("whole number", "ravine", "--steps", "0"),
                ("whole number", "ravine", "--steps", "100001"),
                ("none of .png, .svg and .gif", "ravine", "-o", "a.pdf"),
                ("none of .png, .svg and .gif", "ravine", "-o", "a.png/x"),
                ("more than the 10 paths", "ravine", "-o", "a.png", "--optimizers",
                 ",".join(f"sgd:lr={i}e-3" for i in range(1, 12))),
                ("--steps needs a surface", "--steps", "3"),
                ("one operand too many", "ravine", "saddle")]:
            with self.subTest(words):
                self.assertEqual(self.refused(64, reason, *words).stdout, "")

    def test_places(self):
        (self.folder / "empty").mkdir()
        gone = self.refused(69, "apt-get install gnuplot-nox", "ravine", "-o", self.at("a.png"),
                            env={"PATH": self.at("empty")})
        lost = self.refused(73, "cannot create", "ravine", "-o", self.at("none/a.png"))
        self.assertEqual((gone.stdout, lost.stdout), ("", ""), "told before it was refused")
        self.assertEqual(said("ravine", env={"PATH": self.at("empty")}), said("ravine"))
        self.assertEqual([p.name for p in self.folder.iterdir()], ["empty"])

    @unittest.skipUnless(os.path.exists("/dev/full"), "no /dev/full")
    def test_full_disk(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = eden("ravine", stdout=full)
        self.assertEqual(done.returncode, 74, done.stderr)


@unittest.skipUnless(GNUPLOT, "gnuplot is not installed")
class Pictures(Case):
    def drawn(self, name, *words):
        said(*words, "-o", self.at(name))
        self.assertEqual([p.name for p in self.folder.iterdir() if p.name.startswith(".")], [])
        return (self.folder / name).read_bytes()

    def test_svg(self):
        for surface in SURFACES:
            with self.subTest(surface):
                data = self.drawn("a.svg", surface)
                tree = xml.etree.ElementTree.fromstring(data)
                self.assertEqual((tree.tag, tree.get("width")), ("{http://www.w3.org/2000/svg}svg", "820"))
                texts = ["".join(node.itertext()).strip() for node in tree.iter()
                         if node.tag.endswith("}text")]
                told = json.loads(said(surface, "--json"))
                self.assertIn(told["surface"]["formula"], texts)
                for entry in told["optimizers"]:
                    self.assertTrue([t for t in texts if t.startswith(entry["name"])
                                     and t.endswith(f", lr {entry['lr']:.3g}")], texts)
                for text in "start", "minimum", "step", "x", "y":
                    self.assertIn(text, texts)
                self.assertLess(len(data), 600_000)
        self.assertEqual(data, self.drawn("b.svg", surface))

    def test_png(self):
        data = self.drawn("a.png", "saddle")
        self.assertEqual((data[:8], data[-8:-4]), (b"\x89PNG\r\n\x1a\n", b"IEND"))
        width, height = struct.unpack(">II", data[16:24])
        self.assertEqual(width, 2 * 820)
        self.assertTrue(880 < height < 1100)

    def test_gif(self):
        data = self.drawn("a.gif", "first-steps")
        self.assertEqual((data[:6], data[-1:]), (b"GIF89a", b";"))
        self.assertEqual(struct.unpack("<H", data[6:8]), (820,))
        self.assertIn(b"NETSCAPE2.0", data)
        frames = len(re.findall(rb"\x21\xf9\x04.{4}\x00\x2c", data, re.S))
        self.assertTrue(30 <= frames <= 60, frames)
        self.assertLess(len(data), 2_000_000)

    def test_odd_ones(self):
        text = self.drawn("a.svg", "ravine", "--optimizers", "sgd:lr=1,adam").decode()
        self.assertIn("sgd, lr 1: diverged at step 2", text)
        self.drawn("b.svg", "ravine", "--steps", "1")
        self.drawn("c.gif", "noisy", "--steps", "1")
        text = self.drawn("d.svg", "rosenbrock", "--steps", "20000", "--optimizers",
                          "sgd,rmsprop").decode()
        self.assertLess(len(text), 600_000)
        orange = re.findall(r"stroke='rgb\(213, +94, +0\)'\s+d='([^']*)'", text)
        right = max(float(x) for d in orange for x in re.findall(r"[ML](\d+\.\d+),", d))
        self.assertAlmostEqual(right, 46 + 400 + 76 + 264, delta=2, msg="not drawn to its end")
        self.drawn("e.svg", "ravine", "--lr", "0", "--optimizers", "sgd")
        self.refused(65, "every optimizer diverged", "ravine", "--lr", "1", "--optimizers", "sgd",
                     "-o", self.at("f.png"))
        self.assertTrue((self.folder / "f.png").exists())


if __name__ == "__main__":
    if not os.path.exists(EDEN):
        print("skipped: the command was not built")
        sys.exit(77)
    unittest.main()
