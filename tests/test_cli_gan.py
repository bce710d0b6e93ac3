#!/usr/bin/env python3
"""`eden train gan`: digits that a classifier knows, the sheet, the same bits, refusals."""
import json
import re
import struct
import unittest
import zlib

from infolder import RunsEden

SMALL = ["--widths", "16", "--noise", "4", "--batch", "8"]


class Case(RunsEden):
    def eden(self, *words, code=0):
        done = self.run_eden(code, *words)
        return done.stdout if not code else done.stderr

    def saved(self, name, *words):
        self.eden("train", "gan", *words, "--save", name)
        return (self.folder / name).read_bytes()

    def png(self, name):
        """Width, height and the lines of a gray PNG, whose checksums agree."""
        data, at, chunks = (self.folder / name).read_bytes(), 8, {}
        self.assertEqual(data[:8], b"\x89PNG\r\n\x1a\n")
        while at < len(data):
            size, kind = struct.unpack(">I4s", data[at:at + 8])
            body = data[at + 8:at + 8 + size]
            self.assertEqual(struct.unpack(">I", data[at + 8 + size:at + 12 + size])[0],
                             zlib.crc32(kind + body))
            chunks[kind] = body
            at += 12 + size
        self.assertEqual(list(chunks), [b"IHDR", b"IDAT", b"IEND"])
        width, height, *kind = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
        self.assertEqual(kind, [8, 0, 0, 0, 0])
        raw = zlib.decompress(chunks[b"IDAT"])
        self.assertEqual(len(raw), height * (width + 1))
        lines = [raw[y * (width + 1):(y + 1) * (width + 1)] for y in range(height)]
        self.assertTrue(all(line[0] == 0 for line in lines))
        return width, height, [line[1:] for line in lines]


class Learns(Case):
    def test_learns(self):
        said = json.loads(self.eden("train", "gan", "--lr", "1e-3", "--epochs", "8", "--json"))
        history = said["history"]
        self.assertGreater(said["test_as_asked"], 0.7)
        self.assertGreater(said["test_least_class"], 0.03)
        self.assertGreater(said["test_confident"], 0.5)
        self.assertLess(said["test_loss"], history[0]["test_loss"] / 2)
        self.assertEqual([said["task"], said["data"], said["classes"], said["options"]],
                         ["gan", "digits", 0, "noise=32"])
        self.assertEqual(said["settings"]["beta1"], 0.5)
        self.assertTrue(all("test_as_asked" in e for e in history))

    def test_text(self):
        said = self.eden("train", "gan", *SMALL, "--epochs", "2", "--log", "l", "--save", "s")
        for part in ["generator 14-16-64 and discriminator 74-16-1", "2 epochs of 250 steps", "cosine(500, end=0.1)",
                     "from real ones, confident"]:
            self.assertIn(part, said)
        self.assertNotIn("sheet", said)
        records = [json.loads(line) for line in (self.folder / "l").read_text().splitlines()]
        self.assertEqual(len(records), 1 + 500 + 2)
        self.assertIn("test_least_class", records[-1])
        self.assertLess(max(map(len, said.splitlines())), 80)
        line = re.search(r"^test .*(\n .*)*", said, re.M)[0]
        self.assertRegex(line, r"least\s+class\s+\d+\.\d%,\s+as\s+asked\s+\d+\.\d%$")
        self.assertIn(line, self.eden("train", "gan", "--resume", "s", "--eval"))
        both = json.loads(self.eden("train", "gan", "--resume", "s", "--eval", "--json"))
        self.assertEqual(both["test_as_asked"], records[-1]["test_as_asked"])


class Judged(Case):
    """By the distance, which noise has much of, and not by confidence, which noise has as well."""
    FEW = ["--widths", "16", "--epochs", "2", "--threads", "1", "--json"]

    def test_compare(self):
        said = json.loads(self.eden("compare", "gan", "--optimizers", "adam", "--budget", "3", *self.FEW))
        one, = said["optimizers"]
        self.assertEqual((said["metric"]["name"], said["metric"]["rises"]), ("distance", False))
        tried = {rate["lr"]: rate["test_distance"] for rate in one["rates_tried"]}
        self.assertEqual(one["lr"], min(tried, key=tried.get))
        run = json.loads(self.eden("train", "gan", "--lr", str(one["lr"]), *self.FEW))
        self.assertAlmostEqual(one["test_distance"]["mean"], run["test_loss"], delta=1e-3)
        last = one["runs"][0]["epochs"][-1]
        for name in "test_loss", "test_confident":
            self.assertAlmostEqual(last[name], run[name], delta=1e-3)
        untrained, = said["control"]["runs"][0]["epochs"]
        self.assertGreater(untrained["test_loss"], run["test_loss"])
        self.assertGreater(untrained["test_confident"], run["test_confident"])

    def test_tune(self):
        said = json.loads(self.eden("tune", "gan", "--budget", "3", "--range-steps", "60", *self.FEW))
        tried = {rate["lr"]: rate["test_distance"] for rate in said["tries"]}
        self.assertEqual(said["recommended"]["lr"], min(tried, key=tried.get))
        text = self.eden("tune", "gan", "--budget", "2", "--range-steps", "60", *self.FEW[:-1])
        self.assertRegex(text, "(?s)DISTANCE.*has the best test distance")


class Sheet(Case):
    def test_sheet(self):
        said = self.eden("train", "gan", *SMALL, "--epochs", "1", "--save", "s", "--sheet", "a.png")
        self.assertIn("sheet     10 images of each class in a.png", said)
        width, height, lines = self.png("a.png")
        self.assertEqual((width, height), (728, 728))
        self.assertTrue(all(set(lines[y]) == {255} for y in range(8)))
        self.assertGreater(len(set(b"".join(lines))), 20)
        self.eden("train", "gan", "--resume", "s", "--eval", "--sheet", "b.svg")
        svg = (self.folder / "b.svg").read_text()
        squares = re.findall(r'<rect x="(\d+)" y="(\d+)" width="(\d+)" height="8" fill="#(..)', svg)
        self.assertGreater(len(squares), 500)
        drawn = [bytearray(b"\xff" * 728) for _ in range(728)]
        for x, y, run, gray in squares:
            for line in range(int(y), int(y) + 8):
                drawn[line][int(x):int(x) + int(run)] = bytes([int(gray, 16)]) * int(run)
        self.assertEqual([bytes(line) for line in drawn], lines)

    def test_json(self):
        said = json.loads(self.eden("train", "gan", *SMALL, "--epochs", "1", "--json", "--sheet", "a.png"))
        self.assertEqual(said["epochs"], 1)
        self.png("a.png")

    def test_refused(self):
        self.assertIn("'a.gif' ends in neither .png nor .svg",
                      self.eden("train", "gan", "--sheet", "a.gif", code=64))
        for other in "log", "save":
            self.assertIn(f"--sheet and --{other} are the same file",
                          self.eden("train", "gan", "--sheet", "a.png", f"--{other}", "a.png", code=64))
        self.assertIn("gone/a.png", self.eden("train", "gan", "--sheet", "gone/a.png", code=73))
        self.assertIn("--sheet is for gan alone", self.eden("train", "digits", "--sheet", "a.png", code=64))


class Bits(Case):
    def test_same_bits(self):
        words = [*SMALL, "--schedule", "constant(1)"]
        one = self.saved("a", *words, "--epochs", "2", "--threads", "1")
        self.assertEqual(one, self.saved("b", *words, "--epochs", "2", "--threads", "3"))
        self.saved("c", *words, "--epochs", "1")
        self.eden("train", "gan", "--resume", "c", "--epochs", "2", "--save", "c")
        self.assertEqual(one, (self.folder / "c").read_bytes())

    def test_storage_and_optimizers(self):
        for more in (["--dtype", "bf16", "--rounding", "kahan", "--state-dtype", "q8", "--dropout", "0.2"],
                     ["--average", "ema:0.9", "--accumulate", "3", "--optimizer", "adamw", "--no-decay"]):
            words = [*SMALL, *more, "--schedule", "constant(1)"]
            whole = self.saved("a", *words, "--epochs", "2")
            self.saved("b", *words, "--epochs", "1")
            self.eden("train", "gan", "--resume", "b", "--epochs", "2", "--save", "b")
            self.assertEqual(whole, (self.folder / "b").read_bytes(), more)


class Refused(Case):
    def test_options(self):
        for part, *words in [
                ("--model is not for gan, which has a generator and a discriminator", "gan", "--model",
                 "mlp"),
                ("--label is for csv; gan has nothing to predict", "gan", "--label", "x"),
                ("--target is for csv; gan has nothing to predict", "gan", "--target", "class"),
                ("--noise is for gan alone", "rl", "--noise", "8"),
                ("--envs is for rl alone", "gan", "--envs", "8"),
                ("gan comes with Eden and takes no 'x'", "gan", "x"),
                ("batch = 5000 is more than the 1438 training examples", "gan", "--batch", "5000"),
                ("--noise", "gan", "--noise", "0")]:
            self.assertIn(part, self.eden("train", *words, code=64))
        self.assertIn("eden compare has no option '--sheet'", self.eden("compare", "gan", "--sheet", "s.png", code=64))

    def test_help(self):
        said = " ".join(self.eden("help", "train").split())
        for part in ["'gan'", "--noise N", "--sheet FILE", "Frechet distance"]:
            self.assertIn(part, said)


if __name__ == "__main__":
    unittest.main()
