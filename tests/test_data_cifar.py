#!/usr/bin/env python3
"""Files of CIFAR-10, good or damaged, are read as an account of the format in Python does,
or refused for their own reason in a sentence with the file's name and a mend.
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
from data_account import BATCHES, Refused, cifar10  # noqa: E402
from infolder import InFolder  # noqa: E402
from test_data_formats import READER, ask, change, near  # noqa: E402

EDEN = os.path.abspath(os.environ.get("EDEN", "build/eden"))
READER = READER.resolve()
SANITIZED = os.environ.get("EDEN_SANITIZE") == "ON"
MEMORY, IO, FORMAT = 6, 11, 12  # EDEN_E_MEMORY and so on
RECORD, MIB = 3073, 1 << 20


def images(count, random_, label=None):
    return b"".join(bytes([random_.randrange(10) if label is None else label]) + random_.randbytes(3072)
                    for _ in range(count))


def folder(seed=1, count=1):
    random_ = random.Random(seed)
    return {name: images(count, random_) for name in BATCHES}


class Read(unittest.TestCase):
    def judge(self, what, files, answer):
        """The answer is the account's; returns whether it was accepted."""
        try:
            sizes, sets, _ = cifar10(files)
        except Refused:
            self.assertEqual(answer[0], FORMAT, what)
            self.assertRegex(answer[1], r"eden-data-.*(get |unpack )", what)
            return False
        self.assertEqual(answer[0], 0, (what, answer[1]))
        self.assertEqual(answer[1], sizes, what)
        for (features, labels), (want, want_labels) in zip(answer[2], sets):
            self.assertEqual(list(labels), want_labels, what)
            self.assertEqual(len(features), len(want), what)
            wrong = [pair for pair in zip(features, want) if not near(*pair)]
            self.assertEqual(wrong, [], what)
        return True

    def check(self, cases, words=None):
        accepted = 0
        for (what, files), answer in zip(cases, ask([(files, "cifar10") for _, files in cases])):
            accepted += self.judge(what, files, answer)
            if words:
                self.assertIn(words, str(answer[1]), what)
        return accepted

    def test_good(self):
        random_ = random.Random(3)
        flat = {name: bytes([3]) + bytes(1024) + bytes([7]) * 1024 + random_.randbytes(1024) for name in BATCHES}
        uneven = {name: images(1 + i * 7, random_) for i, name in enumerate(BATCHES)}
        cases = [("one each", folder()), ("several", folder(2, 40)), ("uneven", uneven),
                 ("channels that are the same everywhere", flat),
                 ("gzipped under the name of a plain file", {n: gzip.compress(d) for n, d in folder(5).items()}),
                 ("in two members", {n: gzip.compress(d[:9]) + gzip.compress(d[9:]) for n, d in folder(6).items()})]
        self.assertEqual(self.check(cases), len(cases))

    def test_sizes(self):
        base, cases = folder(), []
        for size in 0, 1, 3072, 3074, 2 * RECORD - 1, 33 * RECORD + 1:
            for name in BATCHES[0], BATCHES[5]:
                cases.append((f"{size} bytes of {name}", {**base, name: bytes(size)}))
        self.assertEqual(self.check(cases, "images of CIFAR-10 are 3,073 bytes each"), 0)

    def test_labels(self):
        base, random_, cases = folder(), random.Random(4), []
        for label in 10, 11, 128, 255:
            for name in BATCHES[2], BATCHES[5]:
                bad = images(2, random_) + images(1, random_, label) + images(40, random_)
                cases.append((f"label {label} of {name}", {**base, name: bad}))
        self.assertEqual(self.check(cases, "of image 2 (from 0) is above 9"), 0)

    def test_changes(self):
        random_, cases = random.Random(7), []
        for i in range(200):
            files = folder(i)
            name = random_.choice(BATCHES)
            data = gzip.compress(files[name]) if i % 2 else files[name]
            if i % 4 == 0:  # a change of its size is found at once: mostly change what is there
                at = random_.randrange(0, RECORD, random_.choice((1, RECORD)))
                data = data[:at] + bytes([random_.randrange(256)]) + data[at + 1:]
            else:
                data = change(data, random_)
            cases.append((f"change {i}", {**files, name: data}))
        accepted = self.check(cases)
        self.assertTrue(20 < accepted < 180, accepted)


class Folders(InFolder):
    def put(self, files):
        for path in self.folder.iterdir():
            path.unlink()
        for name, data in files.items():
            (self.folder / name).write_bytes(data)

    def refused(self, want, *parts, mebibytes=64):
        words = [READER, ".", "+", "0" if SANITIZED else str(mebibytes)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, cwd=self.folder)
        status, seconds, sentence = done.stdout.split(" ", 2)
        self.assertEqual(int(status), want, sentence)
        self.assertLess(float(seconds), 30 if SANITIZED else 8)
        for part in parts:
            self.assertIn(part, sentence)

    def test_missing(self):
        for name in BATCHES:
            files = folder()
            del files[name]
            self.put(files)
            self.refused(IO, f"has neither {name} nor {name}.gz; get the binary version")
            (self.folder / (name + ".gz")).write_bytes(gzip.compress(folder()[name]))
            self.refused(0)
        self.put({"data_batch_1": b"\x80\x02}q", "test_batch": b"\x80\x02}q"})
        self.refused(IO, "it has the version for Python; get the binary version")
        self.put({})
        (self.folder / "cifar-10-batches-bin").mkdir()
        self.refused(IO, "name the folder cifar-10-batches-bin in it")
        (self.folder / "cifar-10-batches-bin").rmdir()

    def test_no_files(self):
        self.put(folder())
        path = self.folder / BATCHES[3]
        path.unlink()
        os.mkfifo(path)
        self.refused(IO, BATCHES[3], "no regular file")
        path.unlink()
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(path))
            self.refused(IO, BATCHES[3])
        path.unlink()
        path.mkdir()
        self.refused(IO, BATCHES[3], "a directory where a file is expected")
        path.rmdir()

    def test_bounds(self):
        """A gigabyte is the most, stored or unpacked, and a bomb stops before."""
        self.put(folder())
        path = self.folder / BATCHES[4]
        with open(path, "wb") as file:
            file.truncate((1 << 30) + 1)
        self.refused(FORMAT, "has 1073741825 bytes, and at most 1073741824 are read")
        piece = gzip.compress(bytes(16 * MIB), 9, mtime=0)
        path.write_bytes(piece * 64)
        # Floats take four times the bytes, and room grows by doubling.
        self.refused(FORMAT, "holds more than 200 times its", mebibytes=1700)
        if not SANITIZED:
            path.write_bytes(images(40, random.Random(1)) * 400)
            self.refused(MEMORY, "there is not enough memory", mebibytes=64)

    def test_command(self):
        self.put(folder(1, 8))
        words = [EDEN, "train", "cifar10", ".", "--widths", "4,4", "--batch", "8", "--epochs", "1"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, cwd=self.folder)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("40 training and 8 test examples of 3 x 32 x 32, 10 classes", done.stdout)
        self.assertIn("model     resnet 3x32x32-4-4-10, batch norm", done.stdout)
        done = subprocess.run([EDEN, "train", "cifar10"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 64)
        self.assertIn("cifar10 needs the folder of its binary files: eden train cifar10 DIR", done.stderr)
        done = subprocess.run([EDEN, "train", "cifar10", BATCHES[0]], capture_output=True, text=True, timeout=60,
                              cwd=self.folder)
        self.assertEqual(done.returncode, 66)
        self.assertIn("is not a directory", done.stderr)


if __name__ == "__main__":
    if not READER.exists():
        print("skipped: data_reader was not built")
        sys.exit(77)
    unittest.main()
