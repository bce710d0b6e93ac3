"""RMSprop: Tieleman and Hinton, lecture 6.5, 2012; centered and with momentum as
in Graves, arXiv:1308.0850."""
from number import ONE, Number, larger, over, root
from rule import Case, average, extreme_cases, kept, made_cases, with_coupled


class Rmsprop:
    name = "rmsprop"
    defaults = {
        "lr": 0.01, "alpha": 0.9, "eps": 1e-8, "eps_place": "inside", "momentum": 0.0,
        "lr_in_momentum": 0, "centered": 0, "initial": 0.0, "bias_correction": 0,
        "weight_decay": 0.0, "decay": "coupled",
    }
    presets = {}

    @staticmethod
    def slots(h, rows, cols):
        n = rows * cols
        return ([("v", n, "square")] + [("a", n, "small")] * bool(h["centered"])
                + [("b", n, "signed")] * bool(h["momentum"]))

    @staticmethod
    def step(h, t, rows, cols, p, g, s):
        alpha, lr, mu = h["alpha"], h["lr"], h["momentum"]
        g = with_coupled(h, "coupled", g, p)
        share = lr * h["weight_decay"] if h["decay"] == "decoupled" else 0
        fix = ONE / (ONE - alpha ** t) if h["bias_correction"] else ONE
        out = {name: [] for name, _, _ in Rmsprop.slots(h, rows, cols)}
        out_p = []
        for i, (pi, gi) in enumerate(zip(p, g)):
            start = Number(h["initial"]) if t == 1 else s["v"][i]
            v = average(alpha, start, gi * gi)
            out["v"].append(v)
            w = fix * v
            if h["centered"]:
                a = average(alpha, s["a"][i], gi)
                out["a"].append(a)
                # Graves: the mean of the squares less the square of the mean.
                w = larger(w - (fix * a) * (fix * a), 0)
            eps = h["eps"]
            u = over(gi, root(w + eps) if h["eps_place"] == "inside" else root(w) + eps)
            if mu:
                b = mu * s["b"][i] + (lr if h["lr_in_momentum"] else ONE) * u
                out["b"].append(b)
                moved = b if h["lr_in_momentum"] else lr * b
            else:
                moved = lr * u
            out_p.append(kept(share, pi) - moved)
        return out_p, out

    two = ("lr", "alpha")
    heavy = {"momentum": 0.9}
    decay = {"lr": 0.5, "weight_decay": 0.1}
    cases = [
        Case("defaults", {}, two),
        Case("one", {}, two, shape=(1, 1)),
        Case("square", {"alpha": 0.99}, two, shape=(5, 7)),
        Case("scaled", {}, two, scale=-0.5),
        Case("alpha-0", {"alpha": 0.0}),
        Case("eps", {"eps": 0.01}, two + ("eps",)),
        Case("eps-0", {"eps": 0.0}, two),
        Case("outside", {"eps": 0.01, "eps_place": "outside"}, two + ("eps",)),
        Case("initial", {"initial": 1.0}, two + ("initial",)),
        Case("initial-later", {"initial": 1.0}, two, first=2),
        Case("bias", {"bias_correction": 1}, ("lr",)),
        Case("bias-late", {"bias_correction": 1, "alpha": 0.99}, two, first=50),
        Case("momentum", heavy, two + ("momentum",)),
        Case("momentum-inside", {**heavy, "lr_in_momentum": 1}, two + ("momentum",)),
        Case("centered", {"centered": 1}, two),
        Case("centered-5x7", {"centered": 1, "eps": 1e-3}, two, shape=(5, 7)),
        Case("centered-outside", {"centered": 1, "eps": 1e-3, "eps_place": "outside"}, two),
        Case("centered-bias", {"centered": 1, "bias_correction": 1, "eps": 0.01}, ("lr", "eps")),
        Case("centered-initial", {"centered": 1, "initial": 1.0}, two + ("initial",)),
        Case("centered-momentum", {"centered": 1, **heavy}, two + ("momentum",)),
        Case("centered-momentum-inside", {"centered": 1, **heavy, "lr_in_momentum": 1}, two),
        Case("coupled", decay, two + ("weight_decay",)),
        Case("decoupled", {**decay, "decay": "decoupled"}, two + ("weight_decay",)),
        Case("momentum-coupled", {**heavy, **decay}, two),
        Case("momentum-decoupled", {**heavy, **decay, "decay": "decoupled"}, two),
        Case("centered-coupled", {"centered": 1, **decay}, two),
        Case("centered-decoupled", {"centered": 1, **decay, "decay": "decoupled"}, two),
        Case("pytorch", {"alpha": 0.99, "eps_place": "outside", **heavy, "centered": 1}, two),
        Case("timm", {"eps": 1e-10, "initial": 1.0, **heavy, "lr_in_momentum": 1}, two),
        *extreme_cases({}, two),
        Case("centered-zero", {"centered": 1, **heavy}, (), grads="zero"),
        Case("centered-huge", {"centered": 1, **heavy}, ("lr",), grads="huge"),
        Case("zero-eps-0", {"eps": 0.0}, (), grads="zero"),
        *made_cases({"centered": 1, **heavy, "eps": 1e-3}),
    ]
