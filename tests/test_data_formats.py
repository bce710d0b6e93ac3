#!/usr/bin/env python3
"""Every file of data, good or damaged, is read as an account of the formats in Python does,
or refused for its own reason in a sentence with the file's name and a mend.

Classes of files by hand, every beginning and every byte more of good ones, and 10,000
random changes each to images, tables, and both in gzip.
"""
import concurrent.futures
import itertools
import math
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

sys.path.append(str(pathlib.Path(__file__).parent / "corpus"))
from data_account import Refused, idx, table  # noqa: E402
from data_cases import BASE, TABLE, VALUES, d01, d03, d08, d10, pack, rows  # noqa: E402

READER = pathlib.Path(os.environ.get("EDEN_BUILD", "build/gcc")) / "tests" / "data_reader"
NAME, FORMAT = 2, 12  # EDEN_E_NAME, EDEN_E_FORMAT
MUTATIONS = 10_000
SEED = 1
# What every refusal says to do; a question names the likely mistake.
MENDS = ["get ", "?", "remove ", "correct ", "save it", "unpack it", "double the quotes", "close it", "end each line",
         "predict another", "; it has ", "should name the columns", "add a ", "it takes 5", "rename one", "name it",
         "separate ", "convert ", "write the high", "take fewer", "say that", "store one", "take another seed"]


def request(case):
    files, kind = case
    if isinstance(files, bytes):
        files = {"table.csv": files}
        words = [0, [None, "class", "value"].index(kind)]
    else:
        words = [2 if kind == "cifar10" else 1, 0]
    stream = struct.pack("<4I", *words, SEED, len(files))
    for name, data in files.items():
        stream += struct.pack("<II", len(name), len(data)) + name.encode() + data
    return stream


class Answers:
    """What data_reader.c wrote, in order."""
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        found = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return found

    def next(self):
        """(status, sentence), or (0, sizes, sets, unit, hash)."""
        status, = self.take("<I")
        if status:
            size, = self.take("<I")
            self.at += size
            return status, self.data[self.at - size:self.at].decode()
        sizes = self.take("<6I")
        features, form = math.prod(sizes[:3]), "i" if sizes[3] else "f"
        sets = [(self.take(f"<{rows * features}f"), self.take(f"<{rows}{form}")) for rows in sizes[4:]]
        return 0, list(sizes), sets, *self.take("<Qd")[::-1]


def ask(cases):
    """The reader's answers to [(files, kind)], half of them from each of two processes."""
    def half(part):
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
            stream = struct.pack("<I", len(part)) + b"".join(map(request, part))
            done = subprocess.run([READER], input=stream, capture_output=True, timeout=110,
                                  env={**os.environ, "TMPDIR": folder})
            assert done.returncode == 0, done.stderr.decode()
        answers = Answers(done.stdout)
        found = [answers.next() for _ in part]
        assert answers.at == len(done.stdout)
        return found
    middle = len(cases) // 2
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return [answer for part in pool.map(half, (cases[:middle], cases[middle:])) for answer in part]


def near(got, want):
    want, slack = want if isinstance(want, tuple) else (want, abs(want) * 2.0**-23)
    return abs(got - want) <= slack


def judge(what, case, answer, test_rows):
    """The answer is the account's; returns whether it was accepted."""
    files, kind = case
    try:
        want = table(files, kind, test_rows) if isinstance(files, bytes) else idx(files)
    except Refused as e:
        want = e
    if isinstance(want, Refused) or (want is None and answer[0]):
        assert answer[0] in (FORMAT, NAME), f"{what}: {answer}, but {want}: {files}"
        assert "/eden-data-" in answer[1] and len(answer[1]) < 500, f"{what}: {answer[1]}"
        assert any(mend in answer[1] for mend in MENDS), f"{what}: no mend: {answer[1]}"
        assert want is not None or "too far apart" in answer[1], f"{what}: {answer[1]}"
        return False
    assert answer[0] == 0, f"{what}: {answer[1]}: {files}"
    _, sizes, sets, unit, _ = answer
    assert all(math.isfinite(value) for features, labels in sets for value in (*features, *labels)), what
    if want is None:
        return True
    assert sizes == want[0] and (want[2] is None or math.isclose(unit, want[2], rel_tol=1e-9)), f"{what}: {sizes} {want[0]} {unit}"
    for got, (features, labels) in zip(sets, want[1]):
        wrong = [pair for pair in zip((*got[0], *got[1]), (*features, *labels)) if not near(*pair)]
        assert not wrong and len(got[0]) == len(features), f"{what}: {wrong[:3]}: {files}"
    return True


def learn_test_rows():
    """Which rows the seed draws for the test: the first of all choices that fit rising values."""
    counts = range(5, 15)
    tables = [rows(*[f"{2**i},{i % 2}" for i in range(n)]) for n in counts]
    known = {}
    for n, data, answer in zip(counts, tables, ask([(data, None) for data in tables])):
        for choice in itertools.combinations(range(n), n // 5):
            try:
                judge("", (data, None), answer, {n: choice})
            except AssertionError:
                continue
            assert n not in known
            known[n] = choice
    for n, count in (1000, 1001), (1001, 1002), (23, 24):
        known.setdefault(n, ())
    assert len([n for n in counts if n in known]) == len(counts)
    return known


def test_classes(known):
    good = bad = 0
    cases = [(what, files, words, kind[0] if kind else None)
             for part in (d01, d03, d08, d10) for what, files, words, *kind in part()]
    assert len({what for what, *_ in cases}) == len(cases)
    for (what, files, words, kind), answer in zip(cases, ask([(c[1], c[3]) for c in cases])):
        assert (words is None) == (answer[0] == 0), f"{what}: {answer[:2]}"
        for part in (words or "").split("|"):
            assert part in str(answer[1]), f"{what}: '{answer[1]}' lacks '{part}'"
        if answer[0] or sum(answer[1][4:]) < 15:  # beyond, the test rows are not known
            judge(what, (files, kind), answer, known)
        good += words is None
        bad += words is not None
    assert bad > 600 and good > 60
    return f"{bad} classes refused for their reasons, {good} read right"


def test_overflow(known):
    """A mean that is finite and a deviation that is not; a test row out of all proportion."""
    columns = [(["0", "-1.65e308", "1.7e308", "-1.65e308"], "0"), (["1e-300", "2e-300", "4e-300", "0"], "1e10")]
    for column, tested in columns:
        for kind in None, "value":
            values = [*column]
            values.insert(known[5][0], tested)
            lines = [f"{value},{i % 2}" if kind is None else f"{i},{value}" for i, value in enumerate(values)]
            status, sentence = ask([(rows(*lines), kind)])[0]
            assert status == FORMAT and "values too large or too far apart to be scaled" in sentence, (lines, sentence)
    return f"{2 * len(columns)} columns that overflow where they are scaled"


def test_beginnings(known):
    cases = []
    for files in BASE, {name: pack(data) for name, data in BASE.items()}:
        for name, data in files.items():
            cases += [({**files, name: data[:n]}, None) for n in range(len(data))]
            cases += [({**files, name: data + bytes([more])}, None) for more in range(256)]
    for data in TABLE, pack(TABLE), VALUES, pack(VALUES):
        cases += [(data[:n], None) for n in range(len(data))]
        cases += [(data + bytes([more]), None) for more in range(256)]
    # Targets that only one row differs in: refused where the seed draws that for the test.
    cases += [(rows(*[f"{k},{1.5 + (k == i)}" for k in range(n)]), "value") for n in range(5, 10) for i in range(n)]
    accepted = sum(judge("a beginning or a byte more", case, answer, known) for case, answer in zip(cases, ask(cases)))
    assert 30 < accepted < 600, accepted
    return f"{len(cases)} beginnings and bytes more, {accepted} of them whole tables"


def change(data, random_):
    """One to three changes: a byte, a bit, a cut, an insertion, a copy of a part."""
    data = bytearray(data)
    for _ in range(random_.choice((1, 1, 2, 3))):
        at = random_.randrange(len(data) + 1)
        kind = random_.randrange(6)
        if kind == 0:
            data[at:at + 1] = bytes([random_.randrange(256)])
        elif kind == 1 and at < len(data):
            data[at] ^= 1 << random_.randrange(8)
        elif kind == 2:
            data[at:at + 1] = random_.choice(b'\0\xff"\n\r,0e-.').to_bytes(1, "big")
        elif kind == 3:
            del data[at:at + random_.choice((1, 1, 2, 8))]
        elif kind == 4:
            data[at:at] = bytes([random_.choice(b'0123456789,\n"-e. \x03')])
        else:
            data[at:at] = data[at // 2:at // 2 + random_.randrange(9)]
    return bytes(data)


def test_mutations(known, name, zipped, seed):
    random_ = random.Random(seed)
    cases, names = [], list(BASE)
    for i in range(MUTATIONS):
        if name == "images":
            which = names[i % 4]
            data = pack(BASE[which]) if zipped else BASE[which]
            cases.append(({**BASE, which: change(data, random_)}, None))
        else:
            data = (TABLE, VALUES)[i % 2]
            cases.append((change(pack(data) if zipped else data, random_), (None, "class", "value")[i % 3]))
    accepted = sum(judge(f"change {i}", case, answer, known)
                   for i, (case, answer) in enumerate(zip(cases, ask(cases))))
    assert MUTATIONS / 100 < accepted < 0.8 * MUTATIONS, accepted
    return f"{MUTATIONS} changes of {name}{' in gzip' if zipped else ''}, {accepted} read alike, the others refused"


def main():
    if not READER.exists():
        print("skipped: data_reader was not built")
        return 77
    known = learn_test_rows()
    print(test_classes(known), flush=True)
    print(test_overflow(known), flush=True)
    print(test_beginnings(known), flush=True)
    for seed, (name, zipped) in enumerate(itertools.product(("images", "tables"), (False, True))):
        print(test_mutations(known, name, zipped, seed), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
