"""Adafactor: Shazeer and Stern, arXiv:1804.04235, algorithms 4 to 6, with the
settings by which well-known programs differ from it."""
from decimal import Decimal

from number import ONE, Number, larger, mean, over, root
from rule import Case, average, extreme_cases, made_cases


def factored(h, rows, cols):
    return rows > 1 and min(rows, cols) >= h["min_factored"]


class Adafactor:
    name = "adafactor"
    defaults = {
        "lr": 0.01, "relative_step": 1, "scale_parameter": 1, "decay_rate": 0.8, "eps1": 1e-30,
        "eps1_mode": "added", "eps2": 1e-3, "clip": 1.0, "beta1": 0.0, "weight_decay": 0.0,
        "decay": "lr", "min_factored": 1.0,
    }
    presets = {}

    @staticmethod
    def slots(h, rows, cols):
        if factored(h, rows, cols):
            second = [("r", rows, "square"), ("c", cols, "square")]
        else:
            second = [("v", rows * cols, "square")]
        return second + [("m", rows * cols, "signed")] * bool(h["beta1"])

    @staticmethod
    def second_moment(h, t, rows, cols, g, s):
        """The state of the second moment after this step, and its root by element."""
        beta = ONE - Decimal(t) ** -h["decay_rate"]
        clamped = h["eps1_mode"] == "clamped"
        squares = [x * x + (0 if clamped else h["eps1"]) for x in g]
        if not factored(h, rows, cols):
            v = [average(beta, a, b) for a, b in zip(s["v"], squares)]
            return {"v": v}, [root(larger(x, h["eps1"] ** 2) if clamped else x) for x in v]
        r = [average(beta, s["r"][i], mean(squares[i * cols:(i + 1) * cols])) for i in range(rows)]
        c = [average(beta, s["c"][j], mean(squares[j::cols])) for j in range(cols)]
        over_all = mean(r)
        if clamped:
            over_all = larger(over_all, h["eps1"])
        v = [over(x * y, over_all) for x in r for y in c]
        return {"r": r, "c": c}, [root(larger(x, h["eps1"] ** 2) if clamped else x) for x in v]

    @classmethod
    def step(cls, h, t, rows, cols, p, g, s):
        state, roots = cls.second_moment(h, t, rows, cols, g, s)
        u = [over(x, y) for x, y in zip(g, roots)]
        rho = min(h["lr"], ONE / Decimal(t).sqrt()) if h["relative_step"] else h["lr"]
        a = Number(rho)
        if h["scale_parameter"]:
            a = rho * larger(root(mean([x * x for x in p])), h["eps2"])
        if h["clip"]:
            a = over(a, larger(over(root(mean([x * x for x in u])), h["clip"]), 1))
        d = [a * x for x in u]
        if h["beta1"]:
            state["m"] = d = [average(h["beta1"], x, y) for x, y in zip(s["m"], d)]
        share = Number(h["weight_decay"])
        if h["decay"] == "lr":
            share = h["lr"] * share
        elif h["decay"] == "step":
            share = cls.unclipped(h, rho, p) * share
        return [x - share * x - y if h["weight_decay"] else x - y for x, y in zip(p, d)], state

    @staticmethod
    def unclipped(h, rho, p):
        if not h["scale_parameter"]:
            return Number(rho)
        return rho * larger(root(mean([x * x for x in p])), h["eps2"])

    two = ("lr", "decay_rate")
    big = {"lr": 0.3}
    vector = (1, 15)
    cases = [
        Case("defaults", {}, ("lr",)),
        Case("one", {}, ("lr",), shape=(1, 1)),
        Case("square", big, ("lr", "decay_rate"), shape=(5, 7)),
        Case("tall", big, two, shape=(8, 3)),
        Case("column", big, two, shape=(12, 1)),
        Case("vector", big, two, shape=vector),
        Case("scaled", big, two, scale=-0.5),
        Case("late", {"lr": 1.0, "beta1": 0.9}, ("decay_rate", "beta1"), first=997),
        # With lr = 1 the cap is never reached after the first step; then it always is.
        Case("relative", {"lr": 1.0}, ("decay_rate",)),
        Case("relative-across", {"lr": 0.4}, ("decay_rate", "lr"), first=1),
        Case("absolute", {"lr": 0.7, "relative_step": 0}, two),
        Case("unscaled", {**big, "scale_parameter": 0}, two),
        Case("unscaled-absolute", {**big, "relative_step": 0, "scale_parameter": 0}, two),
        Case("decay-rate", {**big, "decay_rate": 0.3}, two),
        Case("decay-rate-1", {**big, "decay_rate": 1.0}, ("lr",)),
        Case("eps1", {**big, "eps1": 0.01}, two + ("eps1",)),
        Case("eps1-0", {**big, "eps1": 0.0}, two),
        Case("eps1-vector", {**big, "eps1": 0.01}, two + ("eps1",), shape=vector),
        Case("clamped", {**big, "eps1": 0.2, "eps1_mode": "clamped"}, ("lr", "eps1")),
        Case("clamped-all", {**big, "eps1": 5.0, "eps1_mode": "clamped"}, ("lr", "eps1")),
        Case("clamped-least", {**big, "eps1": 1e-7, "eps1_mode": "clamped"}, two),
        Case("clamped-vector", {**big, "eps1": 0.2, "eps1_mode": "clamped"}, ("lr", "eps1"),
             shape=vector),
        Case("clamped-zero", {**big, "eps1": 1e-7, "eps1_mode": "clamped"}, (), grads="zero"),
        Case("eps2", {**big, "eps2": 5.0}, two + ("eps2",)),
        Case("eps2-off", {**big, "eps2": 0.0}, two),
        Case("clip", {**big, "clip": 0.3}, two + ("clip",)),
        Case("clip-vector", {**big, "clip": 0.3}, two + ("clip",), shape=vector),
        Case("clip-off", {**big, "clip": 0.0}, two),
        Case("clip-high", {**big, "clip": 100.0}, two),
        Case("beta1", {**big, "beta1": 0.9}, two + ("beta1",)),
        Case("beta1-vector", {**big, "beta1": 0.9}, two + ("beta1",), shape=vector),
        Case("decay-lr", {**big, "weight_decay": 0.1}, two + ("weight_decay",)),
        Case("decay-step", {**big, "weight_decay": 0.3, "decay": "step"}, two + ("weight_decay",)),
        Case("decay-step-unscaled", {**big, "weight_decay": 0.3, "decay": "step",
                                     "scale_parameter": 0}, two + ("weight_decay",)),
        Case("decay-plain", {**big, "weight_decay": 0.01, "decay": "plain"},
             two + ("weight_decay",)),
        Case("decay-beta1", {**big, "weight_decay": 0.1, "beta1": 0.9}, two + ("weight_decay",)),
        Case("decay-vector", {**big, "weight_decay": 0.1, "decay": "plain"},
             two + ("weight_decay",), shape=vector),
        Case("min-factored-at", {**big, "min_factored": 3.0}, two + ("min_factored",)),
        Case("min-factored-above", {**big, "min_factored": 4.0}, two),
        Case("min-factored-beta1", {**big, "min_factored": 4.0, "beta1": 0.9}, two),
        Case("weights-0", big, two, weights=0.0),
        *extreme_cases(big, two),
        Case("zero-vector", big, (), shape=vector, grads="zero"),
        Case("tiny-vector", big, two, shape=vector, grads="tiny"),
        Case("huge-vector", big, two, shape=vector, grads="huge"),
        Case("zero-eps1-0", {**big, "eps1": 0.0, "beta1": 0.9}, (), grads="zero"),
        *made_cases(big),
        *made_cases({**big, "beta1": 0.9, "weight_decay": 0.1}, ((300, 3),)),
        Case("made-200x100", big, (), (200, 100), made=True, first=2),
        Case("made-3x300-vector", {**big, "min_factored": 128.0, "beta1": 0.9}, (), (3, 300),
             made=True, first=2),
    ]
