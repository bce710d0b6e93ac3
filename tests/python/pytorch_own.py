#!/usr/bin/env python3
"""PyTorch's own tests of its optimizers, with Eden's classes in their place.

    git clone --depth 1 https://github.com/pytorch/pytorch          # of the installed version
    python tests/python/pytorch_own.py pytorch/test/test_optim.py pytorch/test/optim/*.py

Says for each class how many tests ran and passed, and names those that did not. The files are PyTorch's and no part of
this project. With --as-they-are PyTorch's classes run them, to tell what fails with those, too.
"""
import argparse
import os
import re
import sys
import types
import unittest

import torch

NAMES = ("SGD", "Adam", "AdamW", "Adagrad", "RMSprop", "Adafactor")
# Doubles and complex numbers are refused, and a step is not differentiated: those tests have no meaning here.
APART = re.compile(r"float64|complex|ifferentiable|second_order|cuda|xpu|mps", re.ASCII)


def put_in_place():
    """Eden's classes where PyTorch's tests look for them, and of their table only the rows of these."""
    import torch.testing._internal.common_optimizers as table
    import eden.torch
    table.optim_db[:] = [row for row in table.optim_db if row.optim_cls.__name__ in NAMES]
    for row in table.optim_db:
        row.supported_impls = tuple(way for way in row.supported_impls if way != "differentiable")
        row.optim_cls = getattr(eden.torch, row.optim_cls.__name__)
    for name in NAMES:
        setattr(torch.optim, name, getattr(eden.torch, name))


def load(path):
    """The tests of one file, which may import others beside it."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    module = types.ModuleType("own_" + re.sub(r"\W", "_", os.path.basename(path)))
    module.__file__ = path
    sys.modules[module.__name__] = module
    with open(path, encoding="utf-8") as file:
        exec(compile(file.read(), path, "exec"), module.__dict__)
    mine = {name: made for name, made in vars(module).items()
            if isinstance(made, type) and issubclass(made, unittest.TestCase)}
    return unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromTestCase(made) for made in mine.values())


def whose(test):
    """The class that a test's name says, or several."""
    words = re.split(r"[_.]", test.id())
    for name in NAMES:
        if name in words or name.lower() in words[-3:]:
            return name
    return "several or schedules"


def flat(suite):
    for test in suite:
        yield from flat(test) if isinstance(test, unittest.TestSuite) else [test]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="FILE", help="PyTorch's test_optim.py and others")
    parser.add_argument("--as-they-are", action="store_true", help="with PyTorch's classes")
    words = parser.parse_args()
    if not words.as_they_are:
        put_in_place()
    rows, failed = {}, []
    for test in flat(unittest.TestSuite(map(load, words.files))):
        row = rows.setdefault(whose(test), {"apart": 0, "skipped": 0, "ran": 0, "passed": 0})
        if APART.search(test.id()):
            row["apart"] += 1
            continue
        result = unittest.TestResult()
        test.run(result)
        bad = result.failures + result.errors + [(test, "") for _ in result.unexpectedSuccesses]
        row["skipped"] += bool(result.skipped)
        row["ran"] += not result.skipped
        row["passed"] += not result.skipped and not bad
        for _, why in bad[:1]:
            failed.append((test.id().split(".", 1)[1], why.strip().split("\n")[-1][:160]))
    print(f"PyTorch {torch.__version__}\n\n{'':22}{'ran':>6}{'passed':>8}{'skipped':>9}{'not applicable':>16}")
    for name, row in sorted(rows.items()) + [("all", {k: sum(r[k] for r in rows.values()) for k in next(iter(rows.values()))})]:
        print(f"{name:22}{row['ran']:6}{row['passed']:8}{row['skipped']:9}{row['apart']:16}")
    for name, why in failed:
        print(f"FAIL {name}: {why}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
