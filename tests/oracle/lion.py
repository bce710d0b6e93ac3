"""Lion: Chen et al., "Symbolic Discovery of Optimization Algorithms",
arXiv:2302.06675, algorithm 2."""
from number import sign
from rule import Case, average, extreme_cases, kept, made_cases, with_coupled


class Lion:
    name = "lion"
    defaults = {"lr": 1e-4, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.0, "decay": "decoupled"}
    presets = {}

    @staticmethod
    def slots(h, rows, cols):
        return [("m", rows * cols, "signed")]

    @staticmethod
    def step(h, t, rows, cols, p, g, s):
        share = h["lr"] * h["weight_decay"] if h["decay"] == "decoupled" else 0
        out_p, out_m = [], []
        for pi, gi, mi in zip(p, with_coupled(h, "coupled", g, p), s["m"]):
            out_p.append(kept(share, pi) - h["lr"] * sign(average(h["beta1"], mi, gi)))
            out_m.append(average(h["beta2"], mi, gi))
        return out_p, {"m": out_m}

    two = ("lr", "beta2")
    decay = {"lr": 0.5, "weight_decay": 0.1}
    cases = [
        Case("defaults", {}, two),
        Case("one", {}, two, shape=(1, 1)),
        Case("square", {"lr": 0.1, "beta1": 0.5, "beta2": 0.8}, two, shape=(5, 7)),
        Case("scaled", {}, two, scale=-0.5),
        Case("beta1-0", {"beta1": 0.0}, two),
        Case("beta2-0", {"beta2": 0.0}, ("lr",)),
        Case("late", {}, two, first=1000),
        Case("decoupled", decay, two + ("weight_decay",)),
        Case("coupled", {**decay, "decay": "coupled"}, two + ("weight_decay",)),
        # Only a sign shows beta1: gradient and momentum that nearly cancel.
        Case("poised", {"lr": 0.1, "beta1": 0.99}, ("lr", "beta1"), grads="poised"),
        *extreme_cases({}, two),
        *made_cases({"weight_decay": 0.1}),
    ]
