"""Eden's steps against PyTorch's, optax's and the papers' formulas in float64, element by element.

One step is compared at a time, from the same weights, gradients and state, so that what is seen is
the step's own error. The weights themselves are float32, and the rounding of each by either library
cannot be avoided: an update agrees within 1e-6 of its size and these roundings.
"""
import copy
import math
import unittest

from torch_world import CASES, FULLEST, eden, gradients, make, run, torch, weights

try:
    import jax
    import optax
except ImportError:
    optax = None

ROUNDING = 2.0 ** -24  # one rounding of a float32, relative to its value


def off(after, exact, before):
    """By how many roundings of the weight an update is off, beyond 1e-6 of its size: the worst element."""
    after, exact, before = after.detach().double(), exact.detach().double(), before.double()
    beyond = (after - exact).abs() - 1e-6 * (exact - before).abs()
    return float((beyond / (ROUNDING * torch.maximum(after.abs(), before.abs()) + 1e-45)).max())


def exactly(name, options, params, state):
    """The step in float64: PyTorch's formulas, run in doubles."""
    doubles = [torch.nn.Parameter(p.detach().double()) for p in params]
    for d, p in zip(doubles, params):
        d.grad = p.grad.double()
    if name == "Adafactor":  # its eps comes from the dtype, which here is another
        options = {**options, "eps": (torch.finfo(torch.float32).eps if options.get("eps", (None,))[0] is None
                                      else options["eps"][0], options.get("eps", (None, 1e-3))[1])}
    referee = make(torch.optim, name, doubles, {**options, "foreach": False})
    state = copy.deepcopy(state)
    for group in state["param_groups"]:
        group["eps"] = options["eps"] if name == "Adafactor" else group.get("eps")
        group["foreach"] = False
        group["fused"] = None
    referee.load_state_dict(state)
    referee.step()
    return doubles


class WithTorch(unittest.TestCase):
    def test_100_steps(self):
        """Each step of Eden's from where PyTorch is."""
        for name, options in CASES:
            with self.subTest(name, options=options):
                params = weights(shapes=((13, 9), (17,), ()))
                peer = make(torch.optim, name, params, options)
                own = [torch.nn.Parameter(p.detach().clone()) for p in params]
                optimizer = make(eden.torch, name, own, options)
                worst, worst_peer, apart = 0.0, 0.0, 0.0
                for step in range(100):
                    before = [p.detach().clone() for p in params]
                    gradients(params, step)
                    with torch.no_grad():
                        for p, q in zip(own, params):
                            p.copy_(q)
                            p.grad = q.grad.clone()
                    for p, q in zip(own, params) if step else ():
                        for key, kept in peer.state[q].items():
                            if kept is not None:
                                optimizer.state[p][key].copy_(kept)
                    # Doubles take over state of floats, and 100 steps of the referee cost what 5 show.
                    exact = exactly(name, options, params, peer.state_dict()) if step % 20 == 19 else None
                    peer.step(), optimizer.step()
                    apart = max(apart, *map(off, own, params, before))
                    if exact:
                        worst = max(worst, *map(off, own, exact, before))
                        worst_peer = max(worst_peer, *map(off, params, exact, before))
                # Each rounds the weight, so that they are two roundings apart at most.
                self.assertLess(apart, 2.0, "Eden against PyTorch")
                # The exact step is further from both where a rule rounds on its way.
                self.assertLess(worst, max(1.0, 1.1 * worst_peer), "Eden against the exact step")

    def test_100_steps_each_on_its_own(self):
        for name, options in FULLEST:
            with self.subTest(name, options=options):
                theirs = run(make(torch.optim, name, peer := weights(), options), peer, 0, 100)
                ours = run(make(eden.torch, name, own := weights(), options), own, 0, 100)
                for a, b in zip(ours, theirs):
                    self.assertLess(float((a - b).detach().abs().max()), 1e-5 * max(1.0, float(b.detach().abs().max())))


# ---- the papers' formulas, in doubles ----------------------------------------------------

def lion(w, g, s, lr, betas, decay):
    """Chen et al. 2023, algorithm 2."""
    c = [betas[0] * m + (1 - betas[0]) * x for m, x in zip(s["m"], g)]
    s["m"] = [betas[1] * m + (1 - betas[1]) * x for m, x in zip(s["m"], g)]
    return [p - lr * (math.copysign(1, x) * (x != 0) + decay * p) for p, x in zip(w, c)]


def lamb(w, g, s, lr, betas, eps, decay):
    """You et al. 2020, algorithm 2; phi is the identity."""
    s["t"] += 1
    s["m"] = [betas[0] * m + (1 - betas[0]) * x for m, x in zip(s["m"], g)]
    s["v"] = [betas[1] * v + (1 - betas[1]) * x * x for v, x in zip(s["v"], g)]
    one, two = 1 - betas[0] ** s["t"], 1 - betas[1] ** s["t"]
    r = [m / one / (math.sqrt(v / two) + eps) + decay * p for m, v, p in zip(s["m"], s["v"], w)]
    of_w, of_r = math.sqrt(sum(p * p for p in w)), math.sqrt(sum(x * x for x in r))
    ratio = of_w / of_r if of_w > 0 and of_r > 0 else 1.0
    return [p - lr * ratio * x for p, x in zip(w, r)]


def adafactor(w, g, s, shape, lr, eps):
    """Shazeer and Stern 2018, algorithm 4, with their proposed settings; w and g row by row."""
    rows, cols = shape
    s["t"] += 1
    decay = 1 - s["t"] ** -0.8
    rate = max(eps[1], math.sqrt(sum(p * p for p in w) / len(w))) * min(lr, 1 / math.sqrt(s["t"]))
    squares = [x * x + eps[0] for x in g]
    row = [sum(squares[i * cols:(i + 1) * cols]) for i in range(rows)]
    col = [sum(squares[j::cols]) for j in range(cols)]
    s["r"] = [decay * a + (1 - decay) * b for a, b in zip(s["r"], row)]
    s["c"] = [decay * a + (1 - decay) * b for a, b in zip(s["c"], col)]
    whole = sum(s["r"])
    u = [x / math.sqrt(s["r"][i // cols] * s["c"][i % cols] / whole) for i, x in enumerate(g)]
    rms = math.sqrt(sum(x * x for x in u) / len(u))
    return [p - rate * x / max(1.0, rms) for p, x in zip(w, u)]


class WithPapers(unittest.TestCase):
    shape = (6, 5)

    def follow(self, optimizer, p, rule, bound=2e-5):
        """100 steps of both, each on its own."""
        w = p.detach().double().flatten().tolist()
        for step in range(100):
            gradients([p], step)
            g = p.grad.double().flatten().tolist()
            optimizer.step()
            w = rule(w, g)
            exact = torch.tensor(w, dtype=torch.float64).reshape(p.shape)
            self.assertLess(float((p.detach().double() - exact).abs().max()), bound * max(1, step / 50))

    def test_lion(self):
        for decay in (0.0, 0.1):
            p = weights(shapes=(self.shape,))[0]
            s = {"m": [0.0] * p.numel()}
            self.follow(eden.torch.Lion([p], lr=1e-3, betas=(0.9, 0.99), weight_decay=decay), p,
                        lambda w, g: lion(w, g, s, 1e-3, (0.9, 0.99), decay))

    def test_lamb(self):
        for decay in (0.0, 0.1):
            p = weights(shapes=(self.shape,))[0]
            s = {"t": 0, "m": [0.0] * p.numel(), "v": [0.0] * p.numel()}
            self.follow(eden.torch.Lamb([p], lr=1e-2, eps=1e-6, weight_decay=decay), p,
                        lambda w, g: lamb(w, g, s, 1e-2, (0.9, 0.999), 1e-6, decay))

    def test_adafactor(self):
        p = weights(shapes=(self.shape,))[0]
        s = {"t": 0, "r": [0.0] * self.shape[0], "c": [0.0] * self.shape[1]}
        self.follow(eden.torch.Adafactor([p], lr=0.01, eps=(1e-30, 1e-3), eps1_mode="added"), p,
                    lambda w, g: adafactor(w, g, s, self.shape, 0.01, (1e-30, 1e-3)))


@unittest.skipIf(optax is None, "optax is not installed (pip install optax): its steps are not compared")
class WithOptax(unittest.TestCase):
    def follow(self, optimizer, params, transform, steps=30):
        tree = [jax.numpy.asarray(p.detach().tolist(), dtype="float32") for p in params]
        state = transform.init(tree)
        change = jax.jit(transform.update)
        for step in range(steps):
            gradients(params, step)
            grads = [jax.numpy.asarray(p.grad.tolist(), dtype="float32") for p in params]
            optimizer.step()
            updates, state = change(grads, state, tree)
            tree = optax.apply_updates(tree, updates)
        for p, other in zip(params, tree):
            other = torch.tensor(other.tolist())
            self.assertLess(float((p.detach() - other).abs().max()), 1e-5)

    def test_lion(self):
        params = weights()
        self.follow(eden.torch.Lion(params, lr=1e-3, weight_decay=0.01), params,
                    optax.lion(1e-3, b1=0.9, b2=0.99, weight_decay=0.01))

    def test_lamb(self):
        params = weights()
        self.follow(eden.torch.Lamb(params, lr=1e-2, weight_decay=0.01), params,
                    optax.lamb(1e-2, b1=0.9, b2=0.999, eps=1e-6, weight_decay=0.01))

    def test_adafactor(self):
        # There the squares get eps added, here it bounds a root: small enough, neither is seen.
        params = [torch.nn.Parameter(p.detach().clone()) for p in weights() if p.dim() <= 2]
        self.follow(eden.torch.Adafactor(params, lr=1e-2, eps=(1e-30, 1e-3)), params,
                    optax.adafactor(1e-2, min_dim_size_to_factor=1, decay_rate=0.8, clipping_threshold=1.0,
                                    multiply_by_parameter_scale=True, eps=1e-30))

    def test_adam_and_sgd(self):
        for name, options, transform in (
                ("Adam", {}, optax.adam(0.01)), ("AdamW", {}, optax.adamw(0.01, weight_decay=0.01)),
                ("SGD", {"momentum": 0.9}, optax.sgd(0.01, momentum=0.9)),
                ("SGD", {"momentum": 0.9, "nesterov": True}, optax.sgd(0.01, momentum=0.9, nesterov=True))):
            params = weights()
            self.follow(make(eden.torch, name, params, options), params, transform)


if __name__ == "__main__":
    unittest.main()
