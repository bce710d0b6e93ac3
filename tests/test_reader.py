#!/usr/bin/env python3
"""Every class of malformed file is refused, for its own reason, and every good one read.

The corpus is made here, by tests/corpus, and judged twice: by the reader, and by the
account of the format in Python. Then every beginning of good files, every value of
every byte of a header, and bits flipped in a larger file. With the argument
--reference, the classes are also compared with the `safetensors` package.
"""
import os
import pathlib
import random
import re
import struct
import subprocess
import sys

sys.path.append(str(pathlib.Path(__file__).parent / "corpus"))
from account import Refused, own_file, parse, whole  # noqa: E402
from files import corpus, strangers  # noqa: E402

READER = pathlib.Path(os.environ.get("EDEN_BUILD", "build/gcc")) / "tests" / "reader"
FORMAT = 12  # EDEN_E_FORMAT

FOREIGN = whole(b'{"__metadata__":{"k":"v\\u00e9"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
                b'"b":{"shape":[],"dtype":"U8","data_offsets":[8,9]}} ', bytes(range(9)))
OWN = own_file({"a": ("F32", [2], bytes(8)), "b@m": ("BF16", [3], b"123456")},
               {"eden.format": "1", "eden.parts": "weights", "note": "\u00e9"})


def judge(requests):
    """The reader's answer to each of [(letter, file)]."""
    stream = b"".join(letter + struct.pack("<Q", len(data)) + data for letter, data in requests)
    done = subprocess.run([READER], input=stream, capture_output=True, timeout=110)
    assert done.returncode == 0, done.stderr.decode()
    lines = done.stdout.decode().split("\n")
    assert len(lines) == len(requests) + 1
    return lines[:-1]


def is_format(data):
    try:
        parse(data)
        return True
    except Refused:
        return False


def test_classes():
    classes = list(corpus())
    ids = [id_ for id_, _, _ in classes]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[A-K]\d+a?", id_) for id_ in ids)
    good = wrong = 0
    for (id_, data, words), answer in zip(classes, judge([(b"f", data) for _, data, _ in classes])):
        status, sentence = answer.split(" ", 1)
        if words is None:
            assert status == "0", f"{id_}: refused: {answer}"
            good += 1
        else:
            assert int(status) == FORMAT, f"{id_}: status {answer}"
            assert words in sentence, f"{id_}: '{sentence}' lacks '{words}'"
            wrong += 1
        # Checksums are beyond the format; an account of nested JSON would take a stack.
        if id_[0] not in "GH":
            assert is_format(data) == (words is None), f"{id_}: Python says otherwise"
    assert wrong >= 180 and good >= 40
    return f"{wrong} classes refused for their reasons, {good} at the edge read"


def test_strangers():
    """What is not quite of a kind gets no hint."""
    files = list(strangers())
    hints = [answer.partition("; it looks like ")[2] for answer in judge([(b"f", data) for data in files])]
    for data, hint in zip(files, hints):
        assert not hint, (data[:20], hint)
    return f"{len(files)} files that are nearly of a kind, none taken for it"


def test_beginnings():
    """No shorter file is a file."""
    good = [data for _, data, words in corpus() if words is None and 10 < len(data) < 2000] + [FOREIGN, OWN]
    tried = 0
    for data, answer in zip(good, judge([(b"p", data) for data in good])):
        assert answer == "0" * len(data), data
        tried += len(data)
    return f"{tried} beginnings of {len(good)} good files, 0 accepted"


def test_bytes():
    """Python and Eden agree on every value of every byte before the data."""
    foreign, own = judge([(b"b", FOREIGN), (b"b", OWN)])
    start = 8 + struct.unpack("<Q", FOREIGN[:8])[0]
    accepted = 0
    for at in range(start):
        for step in range(1, 256):
            data = bytearray(FOREIGN)
            data[at] = (data[at] + step) & 255
            want = is_format(bytes(data))
            accepted += want
            assert foreign[at * 255 + step - 1] == "01"[want], bytes(data)
    assert 0 < accepted < len(foreign)
    assert set(own) == {"0"} and len(own) % 255 == 0
    return (f"{len(foreign)} headers that differ in a byte, judged alike, {accepted} of them good; "
            f"{len(own)} with checksums, 0 accepted")


def test_bits():
    data = random.Random(5).randbytes(32768)
    file = own_file({"a": ("F32", [4096], data[:16384]), "b": ("U8", [16384], data[16384:])}, {})
    answer, = judge([(b"r", file)])
    assert answer == "0" * 100_000
    return "100000 flipped bits of a larger file, 0 accepted"


# Where the format's text says no, or says nothing, and the reference goes on: white space
# around the object, fields it does not know, names and keys that stand twice, metadata
# that is null, zero bytes, sizes that overflow before a 0, very long names and shapes.
STRICTER = """B09 B10 B18 B19 B43 B52 B57 B58 D05 D16 D17 D20 D46 D65 D91 D93 E08 E91 E92""".split()


def compare_with_reference():
    """Eden refuses all that the reference refuses, and beyond it these and checksums."""
    import safetensors
    classes = list(corpus())
    stricter, laxer = [], []
    for (id_, data, _), answer in sorted(zip(classes, judge([(b"f", data) for _, data, _ in classes]))):
        try:
            safetensors.deserialize(data)
            theirs = True
        except Exception:  # any of its errors is a refusal
            theirs = False
        if theirs != answer.startswith("0 "):
            (stricter if theirs else laxer).append(id_)
    assert not laxer, laxer
    assert [id_ for id_ in stricter if id_[0] != "G"] == sorted(STRICTER), stricter
    print(f"safetensors {safetensors.__version__} refuses nothing that Eden accepts, and accepts "
          f"{len(STRICTER)} classes that Eden refuses, checksums aside")


def main():
    if not READER.exists():
        print("skipped: the reader was not built, for it needs cmocka")
        return 77
    if sys.argv[1:] == ["--reference"]:
        compare_with_reference()
        return 0
    for test in (test_classes, test_strangers, test_beginnings, test_bytes, test_bits):
        print(test(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
