#!/usr/bin/env python3
"""Write tests/vectors/RULE.txt: what every rule must compute, to 60 digits.

usage: tests/oracle/make.py [--check] [RULE...]

--check writes nothing and fails if a file is not what would be written.
tests/oracle/README.md explains the oracle and the files.
"""
import math
import pathlib
import sys
from concurrent.futures import ProcessPoolExecutor

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from adafactor import Adafactor  # noqa: E402
from adagrad import Adagrad  # noqa: E402
from adam import Adam, Adamw  # noqa: E402
from data import Source, made, sampled  # noqa: E402
from lamb import Lamb  # noqa: E402
from lion import Lion  # noqa: E402
from number import Number, to_float32, ulp_exponent  # noqa: E402
from rmsprop import Rmsprop  # noqa: E402
from rule import exact  # noqa: E402
from sgd import Sgd  # noqa: E402

RULES = (Lamb, Adafactor, Adagrad, Adam, Adamw, Lion, Rmsprop, Sgd)  # the slowest first
VECTORS = pathlib.Path(__file__).resolve().parent.parent / "vectors"

HEAD = """# Made by tests/oracle/make.py; tests/oracle/README.md explains the format.
"""


def expected(x):
    """VALUE, VALUE@K where the ulp is 2^K instead of the value's own, or VALUE?
    where rounding errors may decide the value."""
    text = f"{float(x.value):.10g}"
    if not x.fair:
        return text + "?"
    k = ulp_exponent(x.size)
    return text if k == ulp_exponent(abs(float(text))) else f"{text}@{k}"


def numbers(texts):
    return [Number(to_float32(t)) for t in texts]


def settings_text(settings):
    return " ".join(f"{k}={v!r}" if isinstance(v, float) else f"{k}={v}"
                    for k, v in settings.items())


def scaled(case, g):
    return g if case.scale == 1 else [case.scale * x for x in g]


def line(name, texts):
    return f"{name} {' '.join(texts)}"


def stepped(rule, h, case, out):
    """A case whose every step begins at the float32 state that the step before
    should have left; beside it a free run in full precision."""
    rows, cols = case.shape
    n, source = rows * cols, Source(rule, case)
    slots = rule.slots(h, rows, cols)
    p = source.weights(n)
    state = {name: source.state(kind, length) for name, length, kind in slots}
    out.append(line("p", p))
    out.extend(line(name, values) for name, values in state.items())
    free_p, free = numbers(p), {k: numbers(v) for k, v in state.items()}
    most = [x.size for x in free_p]
    for t in range(case.first, case.first + case.steps):
        g = source.gradients(h, t, n, state)
        out.append(f"step {t}")
        out.append(line("g", g))
        g = scaled(case, numbers(g))
        new_p, new = rule.step(h, t, rows, cols, numbers(p), g,
                               {k: numbers(v) for k, v in state.items()})
        p = [expected(x) for x in new_p]
        state = {k: [expected(x) for x in v] for k, v in new.items()}
        assert list(state) == [name for name, _, _ in slots], state.keys()
        out.append(line("p", p))
        out.extend(line(k, v) for k, v in state.items())
        free_p, free = rule.step(h, t, rows, cols, free_p, g, free)
        most = [max(a, x.size) for a, x in zip(most, free_p)]
    scale = math.sqrt(sum(x * x for x in most))
    out.append(f"free {scale:.6g} " + " ".join(
        f"{float(x.value):.10g}" + ("" if x.fair else "?") for x in free_p))


def generated(rule, h, case, out):
    """A case whose inputs are generated anew for each step, state included, and
    whose outputs are samples."""
    rows, cols = case.shape
    n = rows * cols
    slots = rule.slots(h, rows, cols)
    out.append(line("made", [kind for _, _, kind in slots]))
    for t in range(case.first, case.first + case.steps):
        p, g = (list(map(Number, made(k, i, t, n))) for i, k in enumerate("pg"))
        state = {}
        for i, (name, length, kind) in enumerate(slots):
            state[name] = list(map(Number, made(kind, 2 + i, t, length)))
        new_p, new = rule.step(h, t, rows, cols, p, scaled(case, g), state)
        out.append(f"step {t}")
        for name, values in {"p": new_p, **new}.items():
            out.append(line(name, [expected(values[i]) for i in sampled(len(values))]))


def write_case(rule, case, out):
    preset = rule.presets[case.preset] if case.preset else {}
    h = exact(rule.defaults, {**preset, **case.settings})
    out += ["", f"case {case.name}", f"rule {case.preset or rule.name}"]
    if case.settings:
        out.append(f"set {settings_text(case.settings)}")
    if case.wrong:
        out.append(line("wrong", case.wrong))
    out.append(f"shape {case.shape[0]} {case.shape[1]}")
    if case.scale != 1:
        out.append(f"scale {case.scale}")
    out.append(line("slots", [name for name, _, _ in rule.slots(h, *case.shape)]))
    (generated if case.made else stepped)(rule, h, case, out)
    out.append("end")


def vectors(rule):
    names = [case.name for case in rule.cases]
    assert len(set(names)) == len(names), f"{rule.name}: two cases of one name"
    out = [f"defaults {rule.name} {settings_text(rule.defaults)}"]
    for name, settings in rule.presets.items():
        out.append(f"defaults {name} {settings_text({**rule.defaults, **settings})}")
    for case in rule.cases:
        write_case(rule, case, out)
    return HEAD + "\n".join(out) + "\n"


def main(arguments):
    check = "--check" in arguments
    names = [a for a in arguments if a != "--check"]
    unknown = set(names) - {rule.name for rule in RULES}
    if unknown:
        sys.exit(f"the oracle has no rule {', '.join(sorted(unknown))}")
    rules = [rule for rule in RULES if not names or rule.name in names]
    stale = []
    with ProcessPoolExecutor() as pool:
        for rule, text in zip(rules, pool.map(vectors, rules)):
            path = VECTORS / f"{rule.name}.txt"
            if not check:
                VECTORS.mkdir(exist_ok=True)
                path.write_text(text)
                print(f"{path.name}: {len(rule.cases)} cases, {len(text)} bytes")
            elif not path.exists() or path.read_text() != text:
                stale.append(path.name)
    if stale:
        sys.exit(f"tests/vectors: {', '.join(stale)}: not what tests/oracle/make.py writes")


if __name__ == "__main__":
    main(sys.argv[1:])
