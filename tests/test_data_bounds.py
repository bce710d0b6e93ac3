#!/usr/bin/env python3
"""Data that is huge, endless or no file at all takes bounded memory and time, and a sentence.

The memory is bounded by the system: the reader has just so many MiB of address space, but
where a sanitizer needs its own.
"""
import gzip
import os
import pathlib
import random
import socket
import subprocess
import sys
import unittest

sys.path.append(str(pathlib.Path(__file__).parent / "corpus"))
from data_account import IMAGES  # noqa: E402
from data_cases import BASE, TABLE, array, rows  # noqa: E402
from infolder import InFolder  # noqa: E402

BUILD = pathlib.Path(os.environ.get("EDEN_BUILD", "build/gcc")).resolve()
EDEN = os.path.abspath(os.environ.get("EDEN", "build/eden"))
SANITIZED = os.environ.get("EDEN_SANITIZE") == "ON"
READER = BUILD / "tests" / "data_reader"
MEMORY, IO, FORMAT = 6, 11, 12  # EDEN_E_MEMORY and so on
MIB = 1 << 20


class Case(InFolder):
    def read(self, path, label, mebibytes):
        """(status, sentence) within so much memory and a few seconds."""
        words = [READER, path, label, "0" if SANITIZED else str(mebibytes)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        status, seconds, sentence = done.stdout.split(" ", 2)
        self.assertLess(float(seconds), 30 if SANITIZED else 8)
        return int(status), sentence

    def refused(self, want, words, path="t.csv", label="y", mebibytes=64):
        status, sentence = self.read(path, label, mebibytes)
        self.assertEqual(status, want, sentence)
        for part in words.split("|"):
            self.assertIn(part, sentence)
        self.assertIn(f"'{path}", sentence)

    def images(self):
        for name, data in BASE.items():
            (self.folder / name).unlink(missing_ok=True)  # it may be a link
            (self.folder / name).write_bytes(data)


class Sizes(Case):
    def columns(self, count):
        names = ",".join([f"c{i}" for i in range(count - 1)])
        lines = "".join([f"{i % 2}" + f",{i}" * (count - 1) + "\n" for i in range(5)])
        (self.folder / "t.csv").write_text(f"y,{names}\n{lines}")

    def test_columns(self):
        """A million columns are read, in memory of their number; one more is refused."""
        self.columns(1_000_000)
        self.assertEqual(self.read("t.csv", "y", 256)[0], 0)
        self.columns(1_000_001)
        self.refused(FORMAT, "line 1: more than 1000000 fields; take fewer", mebibytes=64)

    def test_line(self):
        """A line of 1 GiB, stored and in gzip, in front of the rows and behind them."""
        piece = gzip.compress(b"x" * 16 * MIB, 9, mtime=0)
        (self.folder / "t.csv").write_bytes(piece * 64)
        self.refused(FORMAT, "line 1: the record is longer than 67108864 bytes", mebibytes=192)
        head = rows("1,0", "2,1", "3,0", '4,"')
        (self.folder / "t.csv").write_bytes(gzip.compress(head, mtime=0) + piece * 64)
        words = "line 5: the record is longer than 67108864 bytes; is a quote left open?"
        self.refused(FORMAT, words, mebibytes=192)
        (self.folder / "t.csv").write_bytes(head + b"x" * 65 * MIB)
        self.refused(FORMAT, words, mebibytes=192)

    def test_no_data(self):
        """Files that take no place on the disk: 8 TiB of zero bytes."""
        self.images()
        for name, words, path, label in (("t.csv", "line 1, field 1: a zero byte", "t.csv", "y"),
                                         (IMAGES[0], "no IDX file", ".", "-")):
            with open(self.folder / name, "wb") as file:
                try:
                    file.truncate(8 << 40)
                except OSError:
                    self.skipTest("no sparse files here")
            self.refused(FORMAT, words, path, label, 16)

    @unittest.skipIf(SANITIZED, "memory is not bounded")
    def test_images_of_4_gibibytes(self):
        """All is there that the header promises, but not the memory for it."""
        labels = {name.replace("images-idx3", "labels-idx1"): array([1], [0]) for name in IMAGES}
        for name in IMAGES:
            with open(self.folder / name, "wb") as file:
                file.write(array([1, 65537, 65535], b""))
                file.truncate(16 + 2**32 - 1)
        for name, data in labels.items():
            (self.folder / name).write_bytes(data)
        self.refused(MEMORY, "there is not enough memory", ".", "-", 256)


class Bombs(Case):
    def test_table(self):
        """1 GiB of rows in a megabyte stops after 128 MiB; as much as real data packs is read."""
        row = b"1," + b"x" * (MIB - 3) + b"\n"
        (self.folder / "t.csv").write_bytes(gzip.compress(b"a,y\n", mtime=0) + gzip.compress(row, 9, mtime=0) * 1024)
        self.assertLess((self.folder / "t.csv").stat().st_size, 2 * MIB)
        self.refused(FORMAT, "holds more than 200 times its |bytes, as no data does; if it is to be trusted, unpack it")
        noise = random.Random(1).randbytes(6000).hex().encode()
        members = [gzip.compress(bytes([b"12"[i]]) + b"," + noise + b"xy"[i:i + 1] * (MIB - 12003) + b"\n", 9, mtime=0)
                   for i in range(2)]
        (self.folder / "t.csv").write_bytes(gzip.compress(b"a,y\n", mtime=0) + b"".join(members) * 70)
        self.assertGreater(140 * MIB / (self.folder / "t.csv").stat().st_size, 100)
        self.assertEqual(self.read("t.csv", "y", 64), (0, "\n"))

    def test_images(self):
        """A header that promises what a bomb holds takes no memory."""
        self.images()
        black = gzip.compress(bytes(16 * MIB), 9, mtime=0) * 64
        (self.folder / IMAGES[0]).write_bytes(gzip.compress(array([1024, 1024, 1024], b""), mtime=0) + black)
        self.refused(FORMAT, "promises 1073741840 bytes, and it cannot hold more than 2|unpack it", ".", "-")
        (self.folder / IMAGES[0]).write_bytes(gzip.compress(BASE[IMAGES[0]], mtime=0) + black)
        self.refused(FORMAT, "goes on behind the 18 bytes", ".", "-")

    def test_empty_members(self):
        """A million members without content say nothing, and take no memory."""
        whole = gzip.compress(TABLE, mtime=0)
        (self.folder / "t.csv").write_bytes(gzip.compress(b"", mtime=0) * 1_000_000 + whole)
        self.assertEqual(self.read("t.csv", "y", 32), (0, "\n"))


class NoFiles(Case):
    def make(self, path):
        """What is no file, by its name and the words about it."""
        os.mkdir(path / "folder")
        os.mkfifo(path / "pipe")
        os.symlink("nothing", path / "dangling")
        os.symlink("loop", path / "loop")
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(path / "socket"))
        made = [("folder", "is a directory where a file is expected"), ("pipe", "is no regular file; copy its content"),
                ("dangling", "No such file"), ("loop", "symbolic links"), ("socket", "cannot open"), ("x" * 300, "too long"),
                ("folder/none", "No such file"), ("/dev/null", "is no regular file"), ("/dev/zero", "is no regular file"),
                ("/dev/tty", ""), ("/proc/self/mem", "cannot read '/proc/self/mem'|Input/output error")]
        if os.geteuid():
            (path / "closed").write_bytes(TABLE)
            os.chmod(path / "closed", 0)
            made.append(("closed", "Permission denied"))
        return made

    def test_table(self):
        for name, words in self.make(self.folder):
            with self.subTest(name):
                status, sentence = self.read(name, "y", 16)
                self.assertEqual(status, IO, sentence)
                for part in ("'" + name[:200], *words.split("|")):
                    self.assertIn(part, sentence)
        os.symlink("real.csv", self.folder / "link")
        (self.folder / "real.csv").write_bytes(TABLE)
        self.assertEqual(self.read("link", "y", 16)[0], 0)

    def test_images(self):
        others = self.folder / "others"
        others.mkdir()
        made = self.make(others)
        for file in BASE:
            for name, words in made:
                if len(name) > 255:
                    continue
                with self.subTest(name):
                    self.images()
                    os.remove(self.folder / file)
                    os.symlink(others / name, self.folder / file)
                    status, sentence = self.read(".", "-", 16)
                    self.assertEqual(status, IO, sentence)
                    self.assertIn(file, sentence)
                    if words not in ("No such file", "cannot open") and "mem" not in name:
                        self.assertIn(words, sentence)
        for folder, words in (("t.csv", "is not a directory"), ("none", "cannot open the directory 'none'"),
                              ("others", "has none of train-images-idx3-ubyte"), ("/dev/null", "is not a directory")):
            (self.folder / "t.csv").write_bytes(TABLE)
            self.refused(IO, words, folder, "-", 16)


@unittest.skipUnless(os.path.exists(EDEN), "the command was not built")
class Command(Case):
    """Exit codes and the one line that the user sees."""
    def train(self, code, words, *operands):
        done = subprocess.run([EDEN, "train", *operands], capture_output=True, text=True, timeout=60, cwd=self.folder,
                              stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(words, " ".join(done.stderr.split()))
        self.assertTrue(done.stderr.startswith("eden: ") and done.stdout == "", done)
        self.assertNotIn("Sanitizer", done.stderr)

    def test_tables(self):
        for code, words, data in [
                (65, "'t.csv', line 3, column 'a': 'x' is not a number; remove the column or the row",
                 rows("1,0", "x,1")), (65, "'t.csv', line 2: 1 field, but the header has 2 columns; correct it", rows("1")),
                (65, "'t.csv' is empty; its first line should name the columns", b""),
                (65, "'t.csv' ends in the middle of its gzip data; get it again", gzip.compress(TABLE)[:-3]),
                (65, "'t.csv' has no column 'y'; it has a, b", b"a,b\n1,2\n"),
                (65, "put a letter in front, or say that the label is a value", rows(*[f"1,{2**53 + i}" for i in range(5)]))]:
            (self.folder / "t.csv").write_bytes(data)
            self.train(code, words, "csv", "t.csv", "--label", "y")
        os.mkfifo(self.folder / "pipe")
        for name in "pipe", "/dev/zero", ".":
            self.train(66, f"'{name}' is", "csv", name, "--label", "y")

    def test_images(self):
        for words, data in [("promises 34 bytes, and it cannot hold more than 33; get it again", BASE[IMAGES[0]][:-1]),
                            ("00 00 0d 03 instead of 00 00 08 03: only unsigned bytes (08) are read; convert the values",
                             b"\0\0\x0d\3" + BASE[IMAGES[0]][4:]), ("goes on behind the 18 bytes", BASE[IMAGES[0]] + b"x")]:
            self.images()
            (self.folder / IMAGES[0]).write_bytes(data)
            self.train(65, words, "mnist", ".")
        os.remove(self.folder / IMAGES[0])
        os.mkfifo(self.folder / IMAGES[0])
        self.train(66, "train-images-idx3-ubyte' is no regular file", "mnist", ".")


if __name__ == "__main__":
    if not READER.exists():
        print("skipped: data_reader was not built")
        sys.exit(77)
    unittest.main()
