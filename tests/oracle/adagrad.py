"""AdaGrad: Duchi, Hazan and Singer, JMLR 12, 2011, with a diagonal matrix."""
from number import Number, ONE, over, root
from rule import Case, extreme_cases, kept, made_cases, with_coupled


class Adagrad:
    name = "adagrad"
    defaults = {
        "lr": 0.01, "eps": 1e-10, "eps_place": "outside", "initial": 0.0, "lr_decay": 0.0,
        "weight_decay": 0.0, "decay": "coupled",
    }
    presets = {}

    @staticmethod
    def slots(h, rows, cols):
        return [("s", rows * cols, "square")]

    @staticmethod
    def step(h, t, rows, cols, p, g, s):
        rate = h["lr"] / (ONE + (t - 1) * h["lr_decay"])
        share = rate * h["weight_decay"] if h["decay"] == "decoupled" else 0
        out_p, out_s = [], []
        for pi, gi, si in zip(p, with_coupled(h, "coupled", g, p), s["s"]):
            if t == 1:
                si = Number(h["initial"])
            si = si + gi * gi
            divisor = root(si + h["eps"]) if h["eps_place"] == "inside" else root(si) + h["eps"]
            out_p.append(kept(share, pi) - rate * over(gi, divisor))
            out_s.append(si)
        return out_p, {"s": out_s}

    decay = {"lr": 0.5, "weight_decay": 0.1}
    cases = [
        Case("defaults"),
        Case("one", shape=(1, 1)),
        Case("square", {"lr": 0.3}, shape=(5, 7)),
        Case("scaled", {}, scale=-0.5),
        Case("eps", {"eps": 0.01}, ("lr", "eps")),
        Case("eps-0", {"eps": 0.0}),
        Case("inside", {"lr": 0.5, "eps": 0.3, "eps_place": "inside"}, ("lr", "eps")),
        Case("initial", {"initial": 0.1}, ("lr", "initial")),
        Case("initial-later", {"initial": 0.1}, ("lr",), first=2),
        Case("optax", {"initial": 0.1, "eps": 1e-7, "eps_place": "inside"}, ("lr", "initial")),
        Case("lr-decay", {"lr_decay": 0.25}, ("lr", "lr_decay")),
        Case("lr-decay-late", {"lr_decay": 0.25}, ("lr", "lr_decay"), first=100003),
        Case("coupled", decay, ("lr", "weight_decay")),
        Case("decoupled", {**decay, "decay": "decoupled"}, ("lr", "weight_decay")),
        Case("decoupled-lr-decay", {**decay, "decay": "decoupled", "lr_decay": 0.25},
             ("lr", "weight_decay", "lr_decay")),
        *extreme_cases({}, ("lr",)),
        Case("zero-eps-0", {"eps": 0.0}, (), grads="zero"),
        Case("zero-inside", {"eps_place": "inside"}, (), grads="zero"),
        *made_cases({"eps": 1e-3, "weight_decay": 0.1}),
    ]
