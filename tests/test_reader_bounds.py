#!/usr/bin/env python3
"""The largest headers take no more than four times their bytes, and little time.

The memory is bounded by the system: the reader has just so much address space. Of `eden inspect`,
which loads libraries of its own, what is resident at most is measured.
"""
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

READER = pathlib.Path(os.environ.get("EDEN_BUILD", "build/gcc")) / "tests" / "reader"
EDEN = os.environ.get("EDEN", "build/gcc/eden")
MEMORY, FORMAT = 6, 12  # EDEN_E_MEMORY, EDEN_E_FORMAT
FACTOR = 4
SLACK = 1 << 18  # the allocator's own, and the file's name
MOST = 100_000_000


def million_tensors():
    places = list(range(1_000_000))
    random.Random(3).shuffle(places)
    return "{" + ",".join([f'"t{i}":{{"dtype":"U8","shape":[1],"data_offsets":[{p},{p + 1}]}}'
                           for i, p in enumerate(places)]) + "}", 1_000_000, True


def million_texts():
    return '{"__metadata__":{' + ",".join([f'"t{i}":""' for i in range(1_000_000)]) + "}}", 0, True


def short_tensors():
    """As many as a header has room for, all of them empty."""
    return "{" + ",".join([f'"{i:x}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'
                           for i in range(1_000_000)]) + "}", 0, True


def aliases():
    """A hundred thousand tensors in the same bytes."""
    return "{" + ",".join([f'"t{i}":{{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}'
                           for i in range(100_000)]) + "}", 8, False


def spaces():
    return "{}" + " " * (MOST - 2), 0, True


def one_text():
    return '{"__metadata__":{"k":"' + "x" * (MOST - 27) + '"}}  ', 0, True


def one_name():
    return '{"' + "x" * (MOST - 2), 0, False


def depth():
    return '{"a":' + "[" * (MOST - 5), 0, False


def depth_of_texts():
    return '{"__metadata__":{"k":' + "{" * (MOST - 21), 0, False


def same_name():
    return "{" + ",".join(['"t":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'] * 1_900_000) + "}", 0, False


def many_dimensions():
    return '{"a":{"shape":[' + "1," * (MOST // 2 - 8), 0, False


def reader(path, bytes_):
    done = subprocess.run([READER, path, str(bytes_)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    status, seconds, number, sentence = done.stdout.split(" ", 3)
    return int(status), float(seconds), int(number), sentence


def test(folder, make):
    text, data, good = make()
    assert len(text) <= MOST
    with open(folder / "big", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text.encode() + bytes(data))
    status, seconds, number, sentence = reader(folder / "big", FACTOR * len(text) + SLACK)
    assert status == (0 if good else FORMAT), f"{make.__name__}: {status} {sentence}"
    assert seconds < 5, f"{seconds} s"  # a machine at work on something else is slow
    if make is million_tensors:
        assert number < 1_000_000
    # Without room for the header itself there is a refusal and no crash.
    assert reader(folder / "big", len(text) // 2)[0] == MEMORY
    return f"{make.__name__}: {len(text)} bytes, {seconds:.2f} s, within {FACTOR} times that"


# A process starts with the pages of the one that forks it counted as its own, so a small one forks.
SMALL = """import os, subprocess, sys
run = subprocess.Popen(sys.argv[2:], stdout=open(sys.argv[1], "wb"))
_, status, used = os.wait4(run.pid, 0)
print(os.waitstatus_to_exitcode(status), used.ru_maxrss * 1024)"""


def resident(*words):
    """The most bytes in memory that a command had at a time, its code, and its output's end."""
    with tempfile.NamedTemporaryFile() as out:
        done = subprocess.run([sys.executable, "-S", "-c", SMALL, out.name, EDEN, "inspect", *map(str, words)],
                              capture_output=True, text=True, timeout=120, check=True)
        code, most = map(int, done.stdout.split())
        out.seek(-5, os.SEEK_END)
        return most, code, out.read()


def test_inspect(folder, make, *ways):
    """The same bound for the command that prints them, over what it takes for nothing."""
    text, data, good = make()
    assert good
    (folder / "none").write_bytes(struct.pack("<Q", 2) + b"{}")
    with open(folder / "big", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text.encode() + bytes(data))
    told = []
    for words in ways:
        least, (most, code, end) = resident(folder / "none", *words)[0], resident(folder / "big", *words)
        assert code == 0 and (end.endswith(b"}\n") or not words), (make.__name__, words, code, end)
        assert most - least <= FACTOR * len(text), f"{make.__name__} {words}: {most - least} bytes"
        assert most - least > len(text) * 0.9, "what was measured was not this"
        told.append(f"{(most - least) / len(text):.2f}")
    return f"eden inspect, {make.__name__}: {len(text)} bytes, {', '.join(told)} times that"


def test_lie(folder):
    """A length that the file has, but nothing behind it: no memory is asked for."""
    with open(folder / "sparse", "wb") as file:
        file.write(struct.pack("<Q", MOST))
        try:
            file.truncate(1 << 43)
        except OSError:
            return "no sparse files here"
    status, seconds, _, sentence = reader(folder / "sparse", SLACK)
    assert status == FORMAT and "must begin with '{'" in sentence, sentence
    return f"8 TB of nothing: {seconds:.2f} s, within {SLACK} bytes"


def main():
    if os.environ.get("EDEN_SANITIZE") == "ON" or not READER.exists():
        print("skipped: sanitizers take address space of their own")
        return 77
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for make in (million_tensors, million_texts, aliases, spaces, one_text, one_name, depth, depth_of_texts,
                     same_name, many_dimensions):
            print(test(folder, make), flush=True)
        print(test_lie(folder))
        if os.access(EDEN, os.X_OK):
            print(test_inspect(folder, million_tensors, [], ["--json"]), flush=True)
            print(test_inspect(folder, million_texts, ["--json"]), flush=True)
            print(test_inspect(folder, short_tensors, ["--json"]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
