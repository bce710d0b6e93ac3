#!/usr/bin/env python3
"""`eden step` on tensors of 16 bits, and with state of fewer."""
import fractions
import math
import os
import struct
import subprocess
import unittest

from infolder import InFolder
from tensorfile import floats, read, tensor, write, write_own

EDEN = os.path.abspath(os.environ.get("EDEN", "build/eden"))
BITS = {"BF16": 8, "F16": 11}       # of precision
LEAST = {"BF16": -126, "F16": -14}  # the least exponent of a normal number
ROUNDINGS = "nearest", "master", "split", "stochastic", "kahan"


def nearest(dtype, x):
    """To nearest, ties to even, by the definition; x is exact."""
    if x == 0:
        return 0.0
    quantum = fractions.Fraction(2) ** (max(math.frexp(abs(x))[1] - 1, LEAST[dtype]) - BITS[dtype] + 1)
    return float(round(fractions.Fraction(x) / quantum) * quantum)


def pack(dtype, values):
    if dtype == "F16":
        return struct.pack(f"<{len(values)}e", *values)
    data = b"".join(struct.pack("<f", value) for value in values)
    return data if dtype == "F32" else b"".join(data[i + 2:i + 4] for i in range(0, len(data), 4))


def unpack(dtype, data):
    if dtype == "BF16":
        data = b"".join(b"\0\0" + data[i:i + 2] for i in range(0, len(data), 2))
    code, size = ("e", 2) if dtype == "F16" else ("f", 4)
    return list(struct.unpack(f"<{len(data) // size}{code}", data))


def made(dtype, shape, seed):
    """A tensor of numbers that the dtype has."""
    data = unpack("F32", tensor(shape, seed)[2])
    return dtype, shape, pack(dtype, data if dtype == "F32" else [nearest(dtype, x) for x in data])


class Case(InFolder):
    def setUp(self):
        super().setUp()
        self.p, self.g, self.o, self.s, self.t = (self.folder / name for name in "pgost")

    def step(self, code, *words, params=None, out=None):
        words = [EDEN, "step", *map(str, words), "--params", params or self.p, "--grads", self.g,
                 "--out", out or self.o]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout), (code, ""), (words, done.stderr))
        return done.stderr

    def bad(self, code, part, *words, **more):
        self.o.unlink(missing_ok=True)
        self.assertIn(part, self.step(code, *words, **more))
        self.assertFalse(self.o.exists())

    def values(self, path, name):
        dtype, _, data = read(path)[0][name]
        return unpack(dtype, data)


class Steps(Case):
    def test_descent(self):
        """Every pair of dtypes: the weight's dtype stays, and the step is that of the formula."""
        pairs = [(a, b) for a in ("F32", "BF16", "F16") for b in ("F32", "BF16", "F16")]
        write(self.p, {a + b: made(a, [3, 7], i) for i, (a, b) in enumerate(pairs)})
        write(self.g, {a + b: made(b, [3, 7], i + 50) for i, (a, b) in enumerate(pairs)})
        self.step(0, "sgd", "--lr", "0.125")
        out = read(self.o)[0]
        for a, b in pairs:
            self.assertEqual(out[a + b][:2], (a, [3, 7]))
            for old, grad, new in zip(*(self.values(path, a + b) for path in (self.p, self.g, self.o))):
                want = struct.unpack("f", struct.pack("f", old - grad / 8))[0]
                self.assertEqual(new, want if a == "F32" else nearest(a, want))

    def test_kept(self):
        """Steps too small to move a weight by themselves: all but nearest arrive."""
        for dtype in "BF16", "F16":
            write(self.p, {"w": (dtype, [64], pack(dtype, [1.0] * 64))})
            write(self.g, {"w": (dtype, [64], pack(dtype, [-1.0] * 64))})
            for rounding in ROUNDINGS:
                if (dtype, rounding) == ("F16", "split"):
                    continue
                self.step(0, "sgd", "--lr", "0.0001", "--repeat", "2000", "--rounding", rounding)
                mean = sum(self.values(self.o, "w")) / 64
                self.assertAlmostEqual(mean, 1 if rounding == "nearest" else 1.2, delta=0.02)

    def test_resume(self):
        """Steps through files make the bits of --repeat, whatever is kept between them."""
        write(self.p, {"a": made("BF16", [40, 9], 1), "b": made("F32", [33], 2),
                       "c": made("BF16", [5], 3)})
        write(self.g, {"a": made("F16", [40, 9], 4), "b": made("BF16", [33], 5)})
        for optimizer in "adamw", "momentum":
            for rounding in ROUNDINGS:
                for state in "f32", "bf16", "f16", "q8":
                    words = [optimizer, "--lr", "0.001"]
                    store = ["--rounding", rounding, "--state-dtype", state]
                    self.step(0, *words, *store, "--repeat", "3", "--state-out", self.s)
                    whole = self.o.read_bytes(), self.s.read_bytes()
                    self.step(0, *words, *store, "--state-out", self.t, "--threads", "2")
                    self.step(0, optimizer, "--state", self.t, "--state-out", self.t, params=self.o)
                    # To say it again changes nothing.
                    self.step(0, optimizer, *store, "--state", self.t, "--state-out", self.t,
                              params=self.o)
                    self.assertEqual((self.o.read_bytes(), self.t.read_bytes()), whole, store)

    def test_threads(self):
        write(self.p, {"w": made("BF16", [300, 400], 1)})
        write(self.g, {"w": made("BF16", [300, 400], 2)})
        for rounding in ROUNDINGS:
            outs = []
            for threads in "1", "2":
                self.step(0, "adamw", "--rounding", rounding, "--state-dtype", "q8", "--repeat", "2",
                          "--threads", threads, "--state-out", self.s)
                outs.append((self.o.read_bytes(), self.s.read_bytes()))
            self.assertEqual(*outs)

    def test_state_dtype(self):
        write(self.p, {"w": made("F32", [300], 1), "h": made("F16", [4], 2)})
        write(self.g, {"w": made("F32", [300], 3), "h": made("F32", [4], 4)})
        for word, dtype, square in [("f32", "F32", "F32"), ("bf16", "BF16", "BF16"),
                                    ("f16", "F16", "BF16"), ("q8", "U8", "U8")]:
            self.step(0, "adam", "--state-dtype", word, "--state-out", self.s)
            tensors, metadata = read(self.s)
            for name in "w", "h":
                self.assertEqual(tensors[name + "@m"][0], dtype)
                self.assertEqual(tensors[name + "@v"][0], square)
            self.assertEqual(metadata["eden.storage.h"], f"f16,{word},nearest")

    def test_checkpoint(self):
        """What `eden train` saved, seed of chance included."""
        subprocess.run([EDEN, "train", "digits", "--epochs", "1", "--widths", "8", "--dtype", "bf16",
                        "--rounding", "stochastic", "--state-dtype", "q8", "--seed", "7",
                        "--optimizer", "adamw", "--save", self.p], check=True, capture_output=True)
        tensors, metadata = read(self.p)
        weights = {name: entry for name, entry in tensors.items() if "@" not in name}
        write(self.g, {name: ("F32", shape, floats(*[0.5] * (len(data) // 2)))
                       for name, (_, shape, data) in weights.items()})
        self.step(0, "adamw", "--state", self.p, "--state-out", self.s)
        out, after = read(self.o)[0], read(self.s)[1]
        self.assertEqual({name: entry[0] for name, entry in out.items()}, dict.fromkeys(weights, "BF16"))
        self.assertEqual((metadata["eden.seed"], after["eden.seed"]), ("7", "7"))
        self.assertEqual(int(after["eden.steps"]), int(metadata["eden.steps"]) + 1)


    def test_running_means(self):
        """What `eden train` keeps but does not train stays as it is, step after step."""
        subprocess.run([EDEN, "train", "digits", "--epochs", "1", "--widths", "8", "--norm", "batch",
                        "--optimizer", "adamw", "--state-dtype", "q8", "--save", self.p], check=True,
                       capture_output=True)
        before = read(self.p)[0]
        still = {"norm1.mean", "norm1.variance"}
        weights = {name for name in before if "@" not in name}
        self.assertLess(still, weights)
        write(self.g, {name: ("F32", before[name][1], floats(*[0.5] * (len(before[name][2]) // 4)))
                       for name in weights - still})
        self.step(0, "adamw", "--state", self.p, "--state-out", self.s)
        self.step(0, "adamw", "--state", self.s, "--state-out", self.s, params=self.o)
        after = read(self.o)[0]
        self.assertEqual(set(after), weights)
        for name in weights:
            self.assertEqual(after[name] == before[name], name in still, name)


class Refusals(Case):
    def setUp(self):
        super().setUp()
        write(self.p, {"w": made("BF16", [300], 1)})
        write(self.g, {"w": made("F32", [300], 2)})

    def test_without_effect(self):
        self.bad(64, "--state-dtype q8 does nothing: sgd", "sgd", "--state-dtype", "q8")
        self.step(0, "sgd", "--state-dtype", "q8", "--group", "w:momentum=0.5")
        self.bad(64, "--rounding 'down'", "sgd", "--rounding", "down")
        self.bad(64, "--state-dtype 'q4'", "adam", "--state-dtype", "q4")
        write(self.p, {"w": made("F32", [300], 1)})
        self.bad(64, "--rounding kahan does nothing: no weight has 16 bits", "sgd", "--rounding",
                 "kahan")
        write(self.p, {"w": made("F16", [300], 1)})
        self.bad(64, "split is for BF16, and the weight 'w' is F16", "sgd", "--rounding", "split")

    def test_other_state(self):
        self.step(0, "adam", "--rounding", "kahan", "--state-dtype", "bf16", "--state-out", self.s)
        for part, *words in [
                ("--state-dtype q8 contradicts the state, which has bf16", "--state-dtype", "q8"),
                ("--rounding split contradicts the state, which has kahan", "--rounding", "split")]:
            self.bad(64, part, "adam", "--state", self.s, *words)
        state, metadata = read(self.s)
        write_own(self.t, state, {**metadata, "eden.storage.w": "bf16,q3"})
        self.bad(65, "eden.storage.w = 'bf16,q3' makes no sense", "adam", "--state", self.t)
        write(self.p, {"w": made("F32", [300], 1)})
        self.bad(65, "the weight 'w' is F32, and the state is of one that is stored as bf16", "adam",
                 "--state", self.s)

    def test_factored(self):
        write(self.p, {"w": made("BF16", [20, 15], 1)})
        write(self.g, {"w": made("F32", [20, 15], 2)})
        self.bad(64, "factors this matrix", "adafactor", "--state-dtype", "q8")


if __name__ == "__main__":
    unittest.main()
