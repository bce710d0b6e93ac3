"""eden.torch: settings that change on the way, that do nothing, or that cannot be."""
import os
import subprocess
import sys
import unittest

from torch_world import torch  # noqa: F401  (skips without PyTorch)

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
        self.refused("SGD: lr = nan has to be finite and at least 0", "SGD", [p], lr=float("nan"))
        self.refused(r"Adam: betas\[0\] = 1.0 has to be at least 0, below 1", "Adam", [p], betas=(1.0, 0.9))
        self.refused("beta2_decay = -1.5 has to be at least -1, below 0", "Adafactor", [p], beta2_decay=-1.5)
        self.refused("trust_low is above trust_high", "Lamb", [p], trust_low=2.0, trust_high=1.0)
        self.refused("clip_norm is of the whole optimizer", "SGD", [{"params": [p], "clip_norm": 1.0}])

    def test_idle_as_pytorch(self):
        """PyTorch takes a dampening without momentum, where it does nothing."""
        p = weights(2)
        p.grad = torch.ones(2)
        before = p.detach().clone()
        eden.torch.SGD([p], lr=0.5, dampening=0.3).step()
        self.assertTrue(torch.equal(p, before - 0.5))

    def test_factored_at_once(self):
        self.refused("3 dimensions, and Adafactor factors matrices.*split=1", "Adafactor", [weights(2, 3, 4)])
        eden.torch.Adafactor([weights(2, 3, 4)], split=1)

    def test_lookahead(self):
        p = weights(2)
        p.grad = torch.ones(2)
        optimizer = eden.torch.SGD([p], momentum=0.9, lookahead=True)
        with self.assertRaisesRegex(eden.Error, "lookahead = 1 wants"):
            optimizer.step()


class Eight(unittest.TestCase):
    """State of 8 bits goes on in floats, and then in PyTorch."""
    def test_to_floats(self):
        for name, keys in (("Adam", ("exp_avg", "exp_avg_sq")), ("SGD", ("momentum_buffer",))):
            p = weights(30, 40)
            words = {"momentum": 0.9} if name == "SGD" else {}
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
