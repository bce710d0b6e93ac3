"""LAMB: You et al., arXiv:1904.00962, algorithm 2; the bounds are those of phi."""
from number import ONE, Number, norm, over, root
from rule import Case, average, extreme_cases, kept, made_cases


def bounded(x, low, high):
    """x within [low, high], each where it is not 0."""
    if low and x.value < low:
        return Number(low)
    if high and x.value > high:
        return Number(high)
    return x


class Lamb:
    name = "lamb"
    defaults = {
        "lr": 0.001, "beta1": 0.9, "beta2": 0.999, "eps": 1e-6, "bias_correction": 1,
        "grad_averaging": 1, "weight_decay": 0.01, "decay": "inside", "adapt": "always",
        "norm_low": 0.0, "norm_high": 0.0, "trust_low": 0.0, "trust_high": 0.0,
    }
    presets = {}

    @staticmethod
    def slots(h, rows, cols):
        return [("m", rows * cols, "signed"), ("v", rows * cols, "square")]

    @staticmethod
    def trust(h, p, u):
        if h["adapt"] == "decayed" and not h["weight_decay"]:
            return Number(ONE)
        of_p, of_u = norm(p), norm(u)
        ratio = Number(ONE)
        if of_p.value and of_u.value:
            ratio = over(bounded(of_p, h["norm_low"], h["norm_high"]), of_u)
        return bounded(ratio, h["trust_low"], h["trust_high"])

    @staticmethod
    def step(h, t, rows, cols, p, g, s):
        bc1 = ONE - h["beta1"] ** t if h["bias_correction"] else ONE
        bc2 = ONE - h["beta2"] ** t if h["bias_correction"] else ONE
        gain = ONE - h["beta1"] if h["grad_averaging"] else ONE
        m = [h["beta1"] * mi + gain * gi for mi, gi in zip(s["m"], g)]
        v = [average(h["beta2"], vi, gi * gi) for vi, gi in zip(s["v"], g)]
        u = [over(over(mi, bc1), root(over(vi, bc2)) + h["eps"]) for mi, vi in zip(m, v)]
        share = 0
        if h["decay"] == "inside":
            u = [ui + h["weight_decay"] * pi for ui, pi in zip(u, p)]
        else:
            share = h["lr"] * h["weight_decay"]
        rate = h["lr"] * Lamb.trust(h, p, u)
        return [kept(share, pi) - rate * ui for pi, ui in zip(p, u)], {"m": m, "v": v}

    three = ("lr", "beta1", "beta2")
    decay = {"lr": 0.1, "weight_decay": 0.5}
    cases = [
        Case("defaults", {}, three),
        # With one weight the ratio cancels what the betas do.
        Case("one", {}, ("lr",), shape=(1, 1)),
        Case("square", {"lr": 0.1, "beta1": 0.8, "beta2": 0.95}, three, shape=(5, 7)),
        Case("scaled", {}, three, scale=-0.5),
        Case("late", {}, three, first=997),
        Case("eps", {"eps": 0.01}, three + ("eps",)),
        Case("eps-0", {"eps": 0.0}, three),
        Case("no-bias", {"bias_correction": 0}, three),
        Case("no-averaging", {"grad_averaging": 0}, three),
        Case("no-decay", {"weight_decay": 0.0}, three),
        Case("decay", decay, three + ("weight_decay",)),
        Case("decoupled", {**decay, "decay": "decoupled"}, three + ("weight_decay",)),
        Case("decayed", {**decay, "adapt": "decayed"}, three),
        Case("decayed-no-decay", {"weight_decay": 0.0, "adapt": "decayed"}, three),
        Case("decayed-no-decay-bounds", {"weight_decay": 0.0, "adapt": "decayed",
                                         "trust_high": 0.1}, three),
        # Weights of zero: the ratio is 1, and the bounds still hold.
        Case("weights-0", {}, three, weights=0.0),
        Case("weights-0-bounds", {"trust_high": 0.5, "norm_low": 3.0}, ("lr", "trust_high"),
             weights=0.0),
        Case("norm-low", {"norm_low": 30.0}, three + ("norm_low",)),
        Case("norm-low-off", {"norm_low": 0.01}, three),
        Case("norm-high", {"norm_high": 0.5}, three + ("norm_high",)),
        Case("norm-high-off", {"norm_high": 100.0}, three),
        Case("norm-both", {"norm_low": 0.5, "norm_high": 1.0}, three + ("norm_high",)),
        Case("trust-low", {"trust_low": 5.0}, three + ("trust_low",)),
        Case("trust-low-off", {"trust_low": 0.001}, three),
        Case("trust-high", {"trust_high": 0.5}, three + ("trust_high",)),
        Case("trust-high-off", {"trust_high": 100.0}, three),
        Case("trust-both", {"trust_low": 0.01, "trust_high": 0.02}, three + ("trust_high",)),
        *extreme_cases({}, three),
        Case("zero-no-decay", {"weight_decay": 0.0}, (), grads="zero"),
        Case("zero-eps-0", {"eps": 0.0}, (), grads="zero"),
        Case("zero-both", {"weight_decay": 0.0, "eps": 0.0}, (), grads="zero", weights=0.0),
        *made_cases({"lr": 0.1}),
        *made_cases({"lr": 0.1, "decay": "decoupled"}, ((300, 3),)),
        Case("made-1x20000", {"lr": 0.1}, (), (1, 20000), made=True, first=2),
    ]
