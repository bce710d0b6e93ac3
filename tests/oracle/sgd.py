"""Gradient descent: Robbins and Monro 1951; Polyak 1964; Nesterov 1983 with the
two forms of Sutskever et al., ICML 2013."""
from number import ONE
from rule import Case, extreme_cases, kept, made_cases, with_coupled, zeros


class Sgd:
    name = "sgd"
    defaults = {
        "lr": 0.01, "momentum": 0.0, "dampening": 0.0, "nesterov": 0, "lookahead": 0,
        "lr_in_momentum": 0, "weight_decay": 0.0, "decay": "coupled",
    }
    presets = {"momentum": {"momentum": 0.9}, "nesterov": {"momentum": 0.9, "nesterov": 1}}

    @staticmethod
    def slots(h, rows, cols):
        return [("b", rows * cols, "signed")] if h["momentum"] else []

    @staticmethod
    def step(h, t, rows, cols, p, g, s):
        lr, mu = h["lr"], h["momentum"]
        g = with_coupled(h, "coupled", g, p)
        share = lr * h["weight_decay"] if h["decay"] == "decoupled" else 0
        if not mu:
            return [kept(share, pi) - lr * gi for pi, gi in zip(p, g)], {}
        gain = ONE if t == 1 else ONE - h["dampening"]
        enter, leave = (lr, ONE) if h["lr_in_momentum"] else (ONE, lr)
        b = [mu * bi + enter * gain * gi for bi, gi in zip(s["b"], g)]
        if h["lookahead"]:
            # p is the look-ahead point already: what is left of -lr*b is the gradient's part.
            moved = [lr * gain * gi for gi in g]
        elif h["nesterov"]:
            moved = [lr * gi + leave * mu * bi for gi, bi in zip(g, b)]
        else:
            moved = [leave * bi for bi in b]
        return [kept(share, pi) - di for pi, di in zip(p, moved)], {"b": b}

    heavy = {"momentum": 0.9}
    both = ("lr", "momentum")
    decay = {"lr": 0.5, "weight_decay": 0.1}
    cases = [
        Case("defaults"),
        Case("one", shape=(1, 1)),
        Case("square", {"lr": 0.3}, shape=(5, 7)),
        Case("scaled", {"lr": 0.3}, scale=-0.5),
        Case("lr-0", {"lr": 0.0}, ()),
        Case("coupled", decay, ("lr", "weight_decay")),
        Case("decoupled", {**decay, "decay": "decoupled"}, ("lr", "weight_decay")),
        Case("preset-momentum", {}, both, preset="momentum"),
        Case("preset-nesterov", {}, both, preset="nesterov"),
        Case("momentum", {"momentum": 0.5, "lr": 0.1}, both, shape=(5, 7)),
        Case("momentum-one", heavy, both, shape=(1, 1)),
        Case("momentum-scaled", heavy, both, scale=-0.5),
        Case("momentum-coupled", {**heavy, **decay}, both + ("weight_decay",)),
        Case("momentum-decoupled", {**heavy, **decay, "decay": "decoupled"},
             both + ("weight_decay",)),
        Case("dampening", {**heavy, "dampening": 0.3}, both + ("dampening",)),
        Case("dampening-later", {**heavy, "dampening": 0.3}, both + ("dampening",), first=2),
        Case("dampening-1", {**heavy, "dampening": 1.0}, ("lr",)),
        Case("dampening-coupled", {**heavy, **decay, "dampening": 0.3}, both),
        Case("nesterov", {**heavy, "nesterov": 1, "lr": 0.1}, both, shape=(5, 7)),
        Case("nesterov-coupled", {**heavy, **decay, "nesterov": 1}, both + ("weight_decay",)),
        Case("nesterov-decoupled", {**heavy, **decay, "nesterov": 1, "decay": "decoupled"}, both),
        Case("inside", {**heavy, "lr_in_momentum": 1}, both),
        Case("inside-dampening", {**heavy, "lr_in_momentum": 1, "dampening": 0.3}, both),
        Case("inside-nesterov", {**heavy, "lr_in_momentum": 1, "nesterov": 1}, both),
        Case("inside-coupled", {**heavy, **decay, "lr_in_momentum": 1}, both),
        Case("inside-decoupled", {**heavy, **decay, "lr_in_momentum": 1, "decay": "decoupled"},
             both),
        Case("lookahead", {**heavy, "lookahead": 1}, both),
        Case("lookahead-coupled", {**heavy, **decay, "lookahead": 1}, both),
        Case("lookahead-dampening", {**heavy, "lookahead": 1, "dampening": 0.3}, both),
        Case("lookahead-inside", {**heavy, "lookahead": 1, "lr_in_momentum": 1}, both),
        *extreme_cases({**heavy, "lr": 0.1}, ("lr", "momentum")),
        Case("plain-zero", {}, (), grads="zero"),
        Case("plain-huge", {}, ("lr",), grads="huge"),
        *made_cases({**heavy, "nesterov": 1, "weight_decay": 0.1}),
    ]
