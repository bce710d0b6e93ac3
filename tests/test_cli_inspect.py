#!/usr/bin/env python3
"""`eden inspect`: what a file holds, for people and programs, whoever wrote it."""
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.append(str(pathlib.Path(__file__).parent / "corpus"))
from account import own_file, whole  # noqa: E402
from files import corpus  # noqa: E402

EDEN = os.path.abspath(os.environ.get("EDEN", "build/gcc/eden"))
DTYPES = {"F32": "f", "F64": "d", "U8": "B", "I8": "b", "U16": "H", "I16": "h", "U32": "I", "I32": "i",
          "U64": "Q", "I64": "q", "F16": "e", "BOOL": "?"}


def inspect(*words, **more):
    return subprocess.run([EDEN, "inspect", *map(str, words)], capture_output=True, timeout=60, **more)


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="eden-inspect-"))
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.f = self.folder / "f"

    def text(self, data, *words, code=0):
        self.f.write_bytes(data)
        done = inspect("f", *words, cwd=self.folder)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stderr == b"", code == 0)
        text = done.stdout.decode()
        for line in text.splitlines():
            self.assertLessEqual(len(line), 80, line)
            self.assertEqual(line, line.rstrip())
            self.assertTrue(line.isprintable(), line)
        return text

    def json(self, data, *words, code=0):
        self.f.write_bytes(data)
        done = inspect(self.f, "--json", *words)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertTrue(done.stdout.isascii())
        self.assertFalse(set(done.stdout) & {*range(10), *range(11, 32), 127})
        return json.loads(done.stdout)


class Files(Case):
    def test_numbers(self):
        """The range of every type, and what is not a number."""
        tensors, want = {}, {}
        for dtype, letter in DTYPES.items():
            values = [1, 0] if letter == "?" else [3, 1, 2] if letter.isupper() else [-3, 1, 100]
            tensors[dtype] = (dtype, [len(values)], struct.pack(f"<{len(values)}{letter}", *values))
            want[dtype] = (min(values), max(values))
        tensors["BF16"] = ("BF16", [2, 2], b"".join(struct.pack("<f", x)[2:] for x in (-0.5, 2, 0, 1)))
        want["BF16"] = (-0.5, 2)
        tensors["top"] = ("F64", [2], struct.pack("<2d", -1.7976931348623157e308, 5e-324))
        want["top"] = (-1.7976931348623157e308, 5e-324)
        tensors["long"] = ("F32", [100_000], struct.pack("<f", 1) * 300 + struct.pack("<f", -5)
                          + struct.pack("<f", 1) * 99_698 + struct.pack("<f", 7))
        want["long"] = (-5, 7)
        for own in (own_file(tensors, {}), foreign(tensors)):
            found = {t["name"]: t for t in self.json(own)["tensors"]}
            self.assertEqual({name: (t["min"], t["max"]) for name, t in found.items()}, want)
            self.assertEqual({t["nan"] + t["infinite"] for t in found.values()}, {0})
            self.text(own)

    def test_not_finite(self):
        nan, infinity = float("nan"), float("inf")
        data = foreign({"a": ("F32", [5], struct.pack("<5f", nan, infinity, -infinity, -nan, nan)),
                        "b": ("F64", [3], struct.pack("<3d", nan, -2, infinity)),
                        "none": ("F16", [0, 3], b""), "code": ("F8_E4M3", [2], b"\xff\x7f")})
        a, b, none, code = self.json(data)["tensors"]
        self.assertEqual((a["min"], a["max"], a["nan"], a["infinite"]), (None, None, 3, 2))
        self.assertEqual((b["min"], b["max"], b["nan"], b["infinite"]), (-2, -2, 1, 1))
        self.assertEqual((none["min"], none["nan"], none["shape"], none["bytes"]), (None, 0, [0, 3], 0))
        self.assertNotIn("min", code)
        self.assertIn("not finite: 3 NaN, 2 infinite", self.text(data))

    def test_foreign(self):
        """Without checksums it says that nothing can be verified."""
        data = foreign({"w": ("F32", [2], bytes(8))}, {"framework": "pt"})
        text = self.text(data)
        self.assertIn("  format      safetensors\n", text)
        self.assertIn("  checksums   none, so that damage of the data cannot be noticed\n", text)
        self.assertIn("\nMetadata\n  framework: pt\n", text)
        found = self.json(data)
        self.assertEqual((found["checksums"], found["bytes"], found["metadata"]), ("none", 8, {"framework": "pt"}))
        self.assertEqual(found["tensors"][0]["checksum"], "none")
        self.assertIn("tensors     0, 0 B\n", self.text(whole(b"{}")))

    def test_damaged(self):
        """Every tensor is looked at, and every damaged one marked."""
        data = bytearray(own_file({name: ("U8", [4], bytes(4)) for name in "abcd"}, {}))
        data[-1] ^= 1
        data[-9] ^= 1
        text = self.text(data, code=65)
        self.assertIn("checksums   2 of 4 tensors are DAMAGED\n", text)
        self.assertEqual(text.count("    DAMAGED: the data does not have its checksum\n"), 2)
        found = self.json(data, code=65)
        self.assertEqual([t["checksum"] for t in found["tensors"]], ["match", "damaged", "match", "damaged"])
        self.assertNotIn("min", found["tensors"][1])
        self.assertIn(b"'f': 2 of 4 tensors are damaged, first 'b'", inspect("f", cwd=self.folder).stderr)
        self.assertIn("the header's matches; the data was not read", self.text(data, "--no-verify"))
        found = self.json(data, "--no-verify")
        self.assertEqual((found["checksums"], found["tensors"][1]["checksum"]), ("not compared",) * 2)

    def test_checkpoint(self):
        run = self.folder / "run"
        words = ["train", "digits", "--epochs", "1", "--optimizer", "adamw", "--no-decay", "--save", run]
        subprocess.run([EDEN, *words], check=True, capture_output=True, timeout=100)
        text = self.text(run.read_bytes())
        for part in ("checkpoint of Eden 0", "weights and an optimizer's state", "steps       45, and 0 skipped",
                     "checksums   all match (CRC-64/XZ)", "\nGroups\n  default: adamw, lr=0.",
                     "  no_decay: adamw, weight_decay=0\n", "\nSchedules\n  lr.default: cosine(45",
                     "\nNotes\n  lab.", "\n  layer1.weight@m          F32 [256, 64]"):
            self.assertIn(part, text)
        self.assertEqual(self.json(run.read_bytes())["metadata"]["eden.steps"], "45")


def foreign(tensors, texts=None):
    header, data = {"__metadata__": texts or {}}, b""
    for name, (dtype, shape, stored) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(stored)]}
        data += stored
    return whole(json.dumps(header).encode(), data)


class Strangers(Case):
    def test_names(self):
        """Whatever a name is, no line breaks, no terminal obeys, and JSON has it exactly."""
        names = ["\x1b[2J\x1b]0;x\x07", "a\nb\r\tc", "\u202egnp.exe", "\u200b", "\u0085\u009b1m", "back\\slash",
                 "\U0001f600" * 40, "x" * 3000, "\u4e2d\u6587", "e\u0301", "%s%n", "\u00e9t\u00e9", "\x7f", "\u00ad",
                 "n" * 30]
        data = foreign({name: ("F32", [1] * (i % 9), bytes(4)) for i, name in enumerate(names)},
                       {name: name * 3 for name in names})
        text = self.text(data)
        for part in (r"  \x1b[2J\x1b]0;x\x07 ", r"  a\x0ab\x0d\x09c ", r"  \u202egnp.exe ", r"  \u0085\u009b1m",
                     r"  back\\slash ", r"  e\u0301 ", "  %s%n ", "  \u00e9t\u00e9 ", r"\U01f600", "xxx...xxx"):
            self.assertIn(part, text)
        found = self.json(data)
        self.assertEqual([t["name"] for t in found["tensors"]], names)
        self.assertEqual(found["metadata"], {name: name * 3 for name in names})

    def test_shapes(self):
        """More dimensions than an optimizer takes, and sides that no double holds."""
        for shape in [1] * 9, [2] + [1] * 63, [0, 2**63], [0, 2**64 - 1, 1], [2**53 + 1, 0], [0] * 64:
            size = 0 if 0 in shape else 2 if shape[0] == 2 else 1
            data = foreign({"a": ("U8", shape, bytes(size)), "b": ("U8", [1], b"x")})
            for words in [], ["--no-verify"]:
                found = self.json(data, *words)["tensors"]
                self.assertIn((shape, size), [(t["shape"], t["bytes"]) for t in found])
                self.assertEqual({t["name"] for t in found}, {"a", "b"})
            self.assertIn("  a       ", self.text(data))
        self.assertIn(" U8 [0, 1844674...5, 1] ", self.text(foreign({"a": ("U8", [0, 2**64 - 1, 1], b"")})))
        damaged = own_file({"a": ("U8", [1] * 9, b"x")}, {})
        damaged = damaged[:-1] + b"y"
        self.assertEqual(self.json(damaged, code=65)["tensors"][0]["shape"], [1] * 9)
        huge = foreign({"a": ("U8", [0, 2**63], b"")})
        self.assertEqual(self.json(huge)["tensors"][0]["shape"], [0, 2**63])

    def test_characters(self):
        """Every character of the first plane, and of others, is told apart."""
        texts = [chr(c) for c in (*range(1, 0xd800), *range(0xe000, 0x10000), 0x10000, 0x10ffff, 0x1f600)]
        names = ["".join(texts[i:i + 500]) for i in range(0, len(texts), 500)]
        found = self.json(foreign({name: ("U8", [0], b"") for name in names}, {name: name for name in names}))
        self.assertEqual(([t["name"] for t in found["tensors"]], found["metadata"]),
                         (names, {name: name for name in names}))

    def test_corpus(self):
        """What the reader refuses is refused here, in one line, with code 65."""
        classes = [(id_, data, words) for id_, data, words in corpus() if id_[0] in "AGK" or id_.endswith("7")]
        for id_, data, words in classes:
            with self.subTest(id_):
                self.f.write_bytes(data)
                done = inspect(self.f)
                self.assertEqual(done.returncode, 65 if words else 0, done.stderr)
                self.assertEqual(done.stderr.count(b"\n"), 1 if words else 0)
                if words and "is damaged" not in words:
                    self.assertIn(words, done.stderr.decode())
                    self.assertEqual(done.stdout, b"")

    def test_no_file(self):
        os.mkfifo(self.folder / "fifo")
        for path, part in ((self.folder / "absent", b"No such file"), (self.folder, b"it is a folder"),
                           (self.folder / "fifo", b"a device or a pipe"), ("/dev/zero", b"a device or a pipe")):
            done = inspect(path)
            self.assertEqual((done.returncode, done.stdout), (66, b""), done.stderr)
            self.assertIn(part, done.stderr)

    def test_usage(self):
        for words in ([], ["a", "b"], ["f", "--verify"], ["f", "--json=1"]):
            self.assertEqual(inspect(*words).returncode, 64)
        with open("/dev/full", "wb") as full:
            self.f.write_bytes(whole(b"{}"))
            done = subprocess.run([EDEN, "inspect", self.f], stdout=full, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(done.returncode, 74, done.stderr)


if __name__ == "__main__":
    unittest.main()
