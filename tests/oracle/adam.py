"""Adam and AdamW: Kingma and Ba, arXiv:1412.6980; AMSGrad: Reddi et al.,
arXiv:1904.09237; decoupled decay: Loshchilov and Hutter, arXiv:1711.05101."""
from number import ONE, larger, over, root
from rule import Case, average, extreme_cases, kept, made_cases, with_coupled


class Adam:
    name = "adam"
    defaults = {
        "lr": 0.001, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "eps_root": 0.0,
        "eps_uncorrected": 0, "bias_correction": 1, "amsgrad": "off", "weight_decay": 0.0,
        "decay": "coupled",
    }
    presets = {}

    @staticmethod
    def slots(h, rows, cols):
        n = rows * cols
        return ([("m", n, "signed"), ("v", n, "square")]
                + [("top", n, "square")] * (h["amsgrad"] != "off"))

    @staticmethod
    def share(h):
        """The part of a weight that decoupled decay takes, by name of the choice."""
        decay = h["weight_decay"]
        if h["decay"] == "decoupled":
            return h["lr"] * decay
        return h["lr"] / h["lr_max"] * decay if h["decay"] == "scheduled" else 0

    @classmethod
    def step(cls, h, t, rows, cols, p, g, s):
        corrected = h["bias_correction"]
        bc1 = ONE - h["beta1"] ** t if corrected else ONE
        bc2 = ONE - h["beta2"] ** t if corrected else ONE
        eps = h["eps"] / bc2.sqrt() if h["eps_uncorrected"] else h["eps"]
        share = cls.share(h)
        out = {name: [] for name, _, _ in cls.slots(h, rows, cols)}
        out_p = []
        for i, (pi, gi) in enumerate(zip(p, with_coupled(h, "coupled", g, p))):
            m = average(h["beta1"], s["m"][i], gi)
            v = average(h["beta2"], s["v"][i], gi * gi)
            w = over(v, bc2)
            if h["amsgrad"] == "raw":
                top = larger(s["top"][i], v)
                w = over(top, bc2)
            elif h["amsgrad"] == "corrected":
                w = top = larger(s["top"][i], w)
            out["m"].append(m)
            out["v"].append(v)
            if "top" in out:
                out["top"].append(top)
            moved = h["lr"] * over(over(m, bc1), root(w + h["eps_root"]) + eps)
            out_p.append(kept(share, pi) - moved)
        return out_p, out

    three = ("lr", "beta1", "beta2")
    decay = {"lr": 0.5, "weight_decay": 0.1}
    shared_cases = [
        Case("defaults", {}, three),
        Case("one", {}, three, shape=(1, 1)),
        Case("square", {"lr": 0.1, "beta1": 0.8, "beta2": 0.95}, three, shape=(5, 7)),
        Case("scaled", {}, three, scale=-0.5),
        Case("late", {}, three, first=997),
        Case("very-late", {}, three, first=10 ** 15),
        Case("beta1-0", {"beta1": 0.0}, ("lr", "beta2")),
        Case("beta2-0", {"beta2": 0.0}, ("lr", "beta1")),
        Case("eps", {"eps": 0.01}, three + ("eps",)),
        Case("eps-0", {"eps": 0.0}, three),
        Case("eps-root", {"lr": 0.5, "eps_root": 0.1}, three + ("eps_root",)),
        Case("eps-root-only", {"lr": 0.5, "eps": 0.0, "eps_root": 0.1}, three + ("eps_root",)),
        Case("uncorrected", {"eps": 0.01, "eps_uncorrected": 1}, three + ("eps",)),
        Case("uncorrected-raw", {"eps": 0.01, "eps_uncorrected": 1, "amsgrad": "raw"}, three),
        Case("no-bias", {"bias_correction": 0}, three),
        Case("no-bias-eps", {"bias_correction": 0, "eps": 0.01}, three + ("eps",)),
        Case("raw", {"amsgrad": "raw", "beta2": 0.5}, three),
        Case("corrected", {"amsgrad": "corrected", "beta2": 0.5}, three),
        Case("corrected-early", {"amsgrad": "corrected"}, three),
        Case("raw-no-bias", {"amsgrad": "raw", "bias_correction": 0, "beta2": 0.5}, three),
        Case("corrected-no-bias", {"amsgrad": "corrected", "bias_correction": 0, "beta2": 0.5},
             three),
        *extreme_cases({}, three),
        Case("raw-huge", {"amsgrad": "raw"}, three, grads="huge"),
        Case("zero-eps-0", {"eps": 0.0, "amsgrad": "raw"}, (), grads="zero"),
        *made_cases({"weight_decay": 0.1}),
    ]
    cases = shared_cases + [
        Case("coupled", decay, three + ("weight_decay",)),
        Case("decoupled", {**decay, "decay": "decoupled"}, three + ("weight_decay",)),
        Case("raw-coupled", {**decay, "amsgrad": "raw"}, three),
        Case("raw-decoupled", {**decay, "amsgrad": "raw", "decay": "decoupled"}, three),
    ]


class Adamw(Adam):
    name = "adamw"
    defaults = {**Adam.defaults, "weight_decay": 0.01, "decay": "decoupled", "lr_max": 0.0}
    all_three = Adam.three + ("weight_decay",)
    cases = Adam.shared_cases + [
        Case("no-decay", {"weight_decay": 0.0}, Adam.three),
        Case("decay", Adam.decay, all_three),
        Case("scheduled", {**Adam.decay, "decay": "scheduled", "lr_max": 0.7},
             all_three + ("lr_max",)),
        Case("scheduled-raw", {**Adam.decay, "decay": "scheduled", "lr_max": 0.7,
                               "amsgrad": "raw"}, all_three),
        Case("corrected-decay", {**Adam.decay, "amsgrad": "corrected"}, all_three),
    ]
