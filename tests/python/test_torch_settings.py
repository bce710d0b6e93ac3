"""eden.torch: settings that change on the way, that do nothing, or that cannot be."""
import os
import subprocess
import sys
import unittest

from torch_world import newest, torch  # noqa: F401  (skips without PyTorch)

import eden


def weights(*shape):
    return torch.nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(1)))


class Changes(unittest.TestCase):
    """A setting that adds or drops state between two steps."""
    def drive(self, optimizer, p, values, key):
        generator = torch.Generator().manual_seed(2)
        for value in values:
            p.grad = torch.randn(p.shape, generator=generator)
            optimizer.param_groups[0][key] = value
            optimizer.step()
        return p.detach()

    def test_as_pytorch(self):
        values = (0.9, 0.9, 0.0, 0.0, 0.9, 0.5)
        for first in (0.9, 0.0):
            given = values if first else values[::-1]
            ours, theirs = weights(4, 4), weights(4, 4)
            a = self.drive(eden.torch.SGD([ours], lr=0.1, momentum=first), ours, given, "momentum")
            b = self.drive(torch.optim.SGD([theirs], lr=0.1, momentum=first), theirs, given, "momentum")
            self.assertLess((a - b).abs().max(), 1e-6)

    def test_state_comes(self):
        """Where PyTorch fails for state it does not have, it begins with zeros: as if the earlier steps
        had left none."""
        for name, key, off, on in (("RMSprop", "momentum", 0.0, 0.9), ("RMSprop", "centered", False, True),
                                   ("Adam", "amsgrad", False, True)):
            p = weights(4, 4)
            optimizer = getattr(eden.torch, name)([p])
            self.drive(optimizer, p, (off, off, on, on, off, on), key)
            self.assertEqual(float(optimizer.state[p]["step"]), 6)
            self.assertEqual(len(optimizer.state[p]), 3 if name != "Adam" else 4)


class Refusals(unittest.TestCase):
    def refused(self, words, name, *args, **kwargs):
        with self.assertRaisesRegex(ValueError, words):
            getattr(eden.torch, name)(*args, **kwargs)

    def test_sentences(self):
        p = weights(3, 3)
        self.refused("SGD: nesterov .* has no effect without momentum above 0", "SGD", [p], nesterov=True)
        self.refused("SGD: nesterov wants dampening = 0", "SGD", [p], nesterov=True, momentum=0.9, dampening=0.1)
        self.refused("SGD: Invalid lr value: nan; lr has to be finite and at least 0", "SGD", [p], lr=float("nan"))
        self.refused(r"Adam: Invalid beta parameter at index 0: 1.0; betas\[0\] has to be at least 0, below 1", "Adam",
                     [p], betas=(1.0, 0.9))
        self.refused("Invalid beta2_decay value: -1.5; beta2_decay has to be at least -1, below 0", "Adafactor",
                     [p], beta2_decay=-1.5)
        self.refused("trust_low is above trust_high", "Lamb", [p], trust_low=2.0, trust_high=1.0)
        self.refused("clip_norm is of the whole optimizer", "SGD", [{"params": [p], "clip_norm": 1.0}])

    def test_idle_as_pytorch(self):
        """PyTorch takes a dampening without momentum, where it does nothing."""
        p = weights(2)
        p.grad = torch.ones(2)
        before = p.detach().clone()
        eden.torch.SGD([p], lr=0.5, dampening=0.3).step()
        self.assertTrue(torch.equal(p, before - 0.5))

    @newest
    def test_idle_in_mid_run(self):
        """What a class refuses may come to do nothing later, or in a group: PyTorch goes on."""
        for name, options, change in (
                ("SGD", {"momentum": 0.9, "nesterov": True}, {"momentum": 0.0}),
                ("Adam", {"weight_decay": 0.1, "decoupled_weight_decay": True}, {"weight_decay": 0.0}),
                ("Adam", {"decoupled_weight_decay": True}, {"weight_decay": 0.1})):
            ends = []
            for module in torch.optim, eden.torch:
                p, q = weights(3, 3), weights(2, 3)
                optimizer = getattr(module, name)([{"params": [p]}, {"params": [q], **change}], lr=0.1, **options)
                for step in range(6):
                    if step == 3:
                        optimizer.param_groups[0].update(change)
                        optimizer.load_state_dict(optimizer.state_dict())
                    for w in p, q:
                        w.grad = torch.linspace(-1, 1, w.numel()).view(w.shape)
                    optimizer.step()
                ends.append(torch.cat([p.detach(), q.detach()]))
            self.assertLess((ends[0] - ends[1]).abs().max(), 1e-6, (name, options))

    @newest
    def test_states_of_torch_with_idle_settings(self):
        p = weights(3)
        for there, here in (("Adam", "Adam"), ("AdamW", "Adam"), ("AdamW", "AdamW")):
            p.grad = torch.ones(3)
            options = {"decoupled_weight_decay": True} if there == "Adam" else {}
            theirs = getattr(torch.optim, there)([p], weight_decay=0.0, **options)
            theirs.step()
            optimizer = getattr(eden.torch, here)([p])
            optimizer.load_state_dict(theirs.state_dict())
            before = p.detach().clone()
            optimizer.step()
            self.assertGreater((p - before).abs().min(), 1e-4)

    def test_states_that_cannot_be(self):
        """What the class refuses is not loaded either, and nothing has changed then."""
        p = weights(3)
        for word in "differentiable", "capturable":
            theirs = torch.optim.Adam([p], lr=0.25)
            state = theirs.state_dict()
            state["param_groups"][0][word] = True
            optimizer = eden.torch.Adam([p], lr=0.1)
            with self.assertRaisesRegex(ValueError, f"{word} = True.*param_groups"):
                optimizer.load_state_dict(state)
            self.assertEqual((optimizer.param_groups[0]["lr"], optimizer.param_groups[0][word]), (0.1, False))

    def test_words_of_a_refusal(self):
        with self.assertRaisesRegex(ValueError, "SGD: nesterov = True has no effect without momentum above 0"):
            eden.torch.SGD([weights(2)], nesterov=True)
        with self.assertRaisesRegex(ValueError, "SGD: decay = 'decoupled' has no effect without weight_decay"):
            eden.torch.SGD([weights(2)], decay="decoupled")

    @newest
    def test_sentences_say_what_python_calls_it(self):
        """What the library itself refuses, in a step."""
        def step(kind, p, g=1.0, **options):
            p.grad = torch.full_like(p, g)
            kind([("wide", p)], **options).step()

        def shared():
            p, q = (torch.nn.Parameter(weights(4).detach()) for _ in "pq")
            q.data = p.data
            p.grad, q.grad = torch.ones(4), torch.ones(4)
            eden.torch.SGD([p, q]).step()
        for words, call in (
                ("parameter 'wide'.* cannot be 'q8'; use 'bf16'",
                 lambda: step(eden.torch.Adafactor, weights(3, 4), state="q8")),
                (r"weights of parameter 0 \(of group 0, \(4,\)\) and the weights of parameter 1 .* overlap", shared),
                ("gradient of parameter 'wide' is NaN at element 0",
                 lambda: step(eden.torch.SGD, weights(3), float("nan"), nonfinite="refuse")),
                ("parameter 'wide': lookahead = 1 .* wants 'f32', master = 'f32' or master = 'split'",
                 lambda: step(eden.torch.SGD, torch.nn.Parameter(weights(3).detach().bfloat16()), momentum=0.9,
                              lookahead=True))):
            with self.assertRaisesRegex(eden.Error, words) as caught:
                call()
            self.assertNotRegex(str(caught.exception), r"(?i)eden_|config\.|tensor '|'0'")

    def test_keywords_that_there_are_not(self):
        p = weights(2)
        for words, call in (
                (r"AdamW\(\) got an unexpected keyword argument 'weight_decy'; did you mean 'weight_decay'\? It takes "
                 "params, lr, betas, ", lambda: eden.torch.AdamW([p], weight_decy=0.1)),
                (r"SGD\(\) got an unexpected keyword argument 'zzz'. It takes params, lr, ",
                 lambda: eden.torch.SGD([p], zzz=0.1)),
                (r"SGD\(\): multiple values for argument 'lr'", lambda: eden.torch.SGD([p], 0.1, lr=0.1))):
            with self.assertRaisesRegex(eden.InvalidTypeError, words):
                call()

    @newest
    def test_in_the_words_that_are_known(self):
        """Programs look for PyTorch's own sentences."""
        p = torch.nn.Parameter(torch.zeros(2))
        for name, options, words in (
                ("SGD", {"momentum": -0.5}, "Invalid momentum value: -0.5"), ("RMSprop", {"momentum": -1.0},
                 "Invalid momentum value: -1.0"), ("Adagrad", {"lr_decay": -0.5}, "Invalid lr_decay value: -0.5"),
                ("AdamW", {"weight_decay": -1}, "Invalid weight_decay value: -1"),
                ("Adam", {"betas": (1.0, 0.0)}, "Invalid beta parameter at index 0: 1.0"),
                ("SGD", {"lr": torch.tensor([0.1, 0.2])}, "Tensor lr must be 1-element")):
            for module in (torch.optim, eden.torch):
                with self.assertRaisesRegex(ValueError, words):
                    getattr(module, name)([p], **options)

    @newest
    def test_fused_on_no_device(self):
        for module in (torch.optim, eden.torch):
            p = torch.nn.Parameter(torch.zeros(2, device="meta"))
            p.grad = torch.zeros(2, device="meta")
            optimizer = module.Adam([p], fused=True)
            with self.assertRaisesRegex(RuntimeError, "`fused=True` requires all the params to be floating point Tensors"):
                optimizer.step()

    def test_lookahead(self):
        p = weights(2)
        p.grad = torch.ones(2)
        optimizer = eden.torch.SGD([p], momentum=0.9, lookahead=True)
        with self.assertRaisesRegex(eden.Error, "with optimizer.lookahead"):
            optimizer.step()

    def test_lookahead_is_nesterov(self):
        """Nesterov's method as he wrote it: the gradient of |w - 1|^2 / 2 at w - lr*momentum*v, in doubles."""
        def loss(p):
            return ((p - 1) ** 2).sum() / 2
        for closure in (True, False):
            p, lr, momentum = weights(3), 0.1, 0.9
            optimizer = eden.torch.SGD([p], lr=lr, momentum=momentum, lookahead=True)
            w, v = p.detach().double().clone(), torch.zeros(3, dtype=torch.float64)

            def backward():
                optimizer.zero_grad()
                value = loss(p)
                value.backward()
                return value
            for _ in range(20):
                ahead = w - lr * momentum * v
                v = momentum * v + (ahead - 1)
                w = w - lr * v
                if closure:
                    value = optimizer.step(backward)
                else:
                    with optimizer.lookahead():
                        value = backward()
                        optimizer.step()
                self.assertLess(abs(float(value.detach()) - float(loss(ahead))), 1e-5)
                self.assertLess((p.detach() - w).abs().max(), 1e-5)

    def test_lookahead_without_a_step(self):
        p = weights(3)
        optimizer = eden.torch.SGD([p], lr=0.1, momentum=0.9, lookahead=True)
        def backward():
            p.grad = torch.ones(3)
        optimizer.step(backward)
        before = p.detach().clone()
        with self.assertRaisesRegex(KeyError, "mine"), optimizer.lookahead():
            self.assertGreater((p - before).abs().min(), 0.05)
            with self.assertRaisesRegex(eden.Error, "look ahead already"), optimizer.lookahead():
                pass
            raise KeyError("mine")
        self.assertTrue(torch.allclose(p, before))
        plain = eden.torch.SGD([weights(3)], momentum=0.9)
        with self.assertRaisesRegex(eden.Error, "lookahead"), plain.lookahead():
            pass


class Eight(unittest.TestCase):
    """State of 8 bits goes on in floats, and then in PyTorch."""
    def test_to_floats(self):
        for name, keys in (("Adam", ("exp_avg", "exp_avg_sq")), ("SGD", ("momentum_buffer",))):
            p = weights(30, 40)
            words = {"lr": 1e-3, "momentum": 0.9} if name == "SGD" else {}
            small, wide = (getattr(eden.torch, name)([p], **words, **more) for more in ({"state": "q8"}, {}))
            exact = getattr(torch.optim, name)([weights(30, 40)], **words)
            for _ in range(3):
                p.grad = weights(30, 40).detach()
                exact.param_groups[0]["params"][0].grad = p.grad.clone()
                small.step()
                exact.step()
            wide.load_state_dict(small.state_dict())
            wide.step()
            peer = getattr(torch.optim, name)([p], **words)
            peer.load_state_dict(wide.state_dict())
            exact.step()
            for key in keys:
                want = exact.state[exact.param_groups[0]["params"][0]][key]
                got = wide.state[p][key]
                self.assertIs(got.dtype, torch.float32)
                self.assertLess((got - want).abs().max() / want.abs().max(), 0.05)
                self.assertTrue(torch.equal(peer.state[p][key], got))


class Exit(unittest.TestCase):
    def test_thread_in_a_step(self):
        """The interpreter ends while another thread is in a step: PyTorch's threads may abort then, but
        nothing is read after it was freed."""
        code = ("import sys, threading, time, torch, eden.torch\n"
                "p = torch.nn.Parameter(torch.zeros(1 << 20)); p.grad = torch.ones(1 << 20)\n"
                "o = eden.torch.Adam([p], threads=2); o.step()\n"
                "def run():\n    while True: o.step()\n"
                "threading.Thread(target=run, daemon=True).start(); time.sleep(0.2)\n")
        root = os.path.dirname(os.path.dirname(os.path.abspath(eden.__file__)))
        done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": root},
                              capture_output=True, timeout=100)
        self.assertIn(done.returncode, (0, -6))


if __name__ == "__main__":
    unittest.main()
