"""What every rule of the oracle has, and the cases it is tried on.

A rule is a class with

    name          as in the library
    defaults      every hyperparameter; a choice by its name, a flag as 0 or 1
    presets       other names, with the settings they stand for
    slots(h, rows, cols)              [(name, length, kind)] of the state that
                                      exists; kind `square` is never negative,
                                      `signed` may be
    step(h, t, rows, cols, p, g, s)   (new p, new state): lists of Number, the
                                      state in a dictionary by slot
    cases         a list of Case

Hyperparameters reach slots() and step() as Decimal, choices as text.
"""
from dataclasses import dataclass, field
from decimal import Decimal

from number import ONE, Number


@dataclass
class Case:
    """One rule under one setting, for at least ten steps.

    name      unique within the rule
    settings  what differs from the defaults
    wrong     hyperparameters of which one in 10,000 more must show
    shape     rows and columns
    grads     mixed: ordinary ones over many orders of magnitude, some zero
              plain: ordinary ones of one magnitude
              zero, tiny (1e-15), huge (three of 1e19, then mixed)
    first     the number of the first step
    steps     how many
    scale     what the caller multiplies each gradient by
    made      inputs of every step, state included, from a generator instead of
              the step before; for tensors too large to write down. The first
              step of all, whose state is zero, is not among them.
    preset    the name by which the rule is asked for
    weights   the size of the weights
    """
    name: str
    settings: dict = field(default_factory=dict)
    wrong: tuple = ("lr",)
    shape: tuple = (3, 5)
    grads: str = "mixed"
    first: int = 1
    steps: int = 10
    scale: float = 1.0
    made: bool = False
    preset: str = ""
    weights: float = 1.0


def exact(defaults, settings):
    """Defaults and settings as one dictionary of exact values."""
    unknown = set(settings) - set(defaults)
    if unknown:
        raise KeyError(f"no such hyperparameter: {unknown}")
    both = {**defaults, **settings}
    return {k: v if isinstance(v, str) else Decimal(v) for k, v in both.items()}


def average(beta, old, new):
    """The running mean beta*old + (1 - beta)*new."""
    return beta * old + (ONE - beta) * new


def with_coupled(h, name, g, p):
    """The gradients, with the decay in them if `decay` is `name`."""
    if h["decay"] != name or not h["weight_decay"]:
        return g
    return [gi + h["weight_decay"] * pi for gi, pi in zip(g, p)]


def kept(share, p):
    """What a decoupled decay leaves of a weight."""
    return p if share == 0 else (ONE - share) * p


def zeros(n):
    return [Number(0) for _ in range(n)]


# Where one magnitude suffices: cases of every rule on shapes too large to list.
def made_cases(settings=None, shapes=((1, 1000), (3, 300), (130, 9))):
    return [Case(f"made-{r}x{c}", dict(settings or {}), (), (r, c), made=True, first=f)
            for f, (r, c) in zip((2, 3, 70), shapes)]


# Gradients at the ends of what a float can square, and none at all.
def extreme_cases(settings=None, wrong=()):
    extra = dict(settings or {})
    return [Case("zero", extra, (), grads="zero"), Case("tiny", extra, wrong, grads="tiny"),
            Case("huge", extra, wrong, grads="huge")]
