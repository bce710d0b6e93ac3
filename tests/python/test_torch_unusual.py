"""What programs rarely do to their tensors, and PyTorch takes: orders in memory beside storage of Eden's own,
another default dtype, parameters that change groups, gradients with a pending sign."""
import unittest

try:
    import torch

    import eden.torch
except ImportError:
    torch = None


@unittest.skipIf(torch is None, "PyTorch is not here")
class Unusual(unittest.TestCase):
    def tearDown(self):
        torch.set_default_dtype(torch.float32)

    def test_masters_of_any_order(self):
        """A step that changes nothing leaves weights where they are."""
        for order in torch.contiguous_format, torch.channels_last:
            w = torch.nn.Parameter(torch.randn(4, 3, 5, 5).to(torch.bfloat16).to(memory_format=order))
            before = w.detach().clone()
            optimizer = eden.torch.AdamW([w], lr=0.0, weight_decay=0.0, master="f32")
            w.grad = torch.ones_like(w)
            optimizer.step()
            self.assertTrue(torch.equal(w.detach(), before), order)

    def test_default_dtype(self):
        """State is what it is under any default, and goes on from PyTorch's."""
        ends = []
        for dtype in torch.float32, torch.float64, torch.bfloat16:
            torch.set_default_dtype(dtype)
            w = torch.nn.Parameter(torch.ones(6, dtype=torch.float32))
            theirs = torch.optim.AdamW([w], lr=0.1)
            for optimizer in theirs, eden.torch.AdamW([w], lr=0.1):
                if optimizer is not theirs:
                    optimizer.load_state_dict(theirs.state_dict())
                for _ in range(3):
                    w.grad = torch.linspace(-1, 1, 6, dtype=torch.float32)
                    optimizer.step()
            self.assertEqual(float(optimizer.state_dict()["state"][0]["step"]), 6)
            ends.append(w.detach().clone())
        for end in ends[1:]:
            self.assertTrue(torch.allclose(ends[0], end, atol=1e-6))

    def test_moved_between_groups(self):
        a, b = (torch.nn.Parameter(torch.ones(1)) for _ in "ab")
        optimizer = eden.torch.SGD([{"params": [a], "lr": 0.1}, {"params": [b], "lr": 0.01}])
        for _ in range(2):
            a.grad, b.grad = torch.ones(1), torch.ones(1)
            optimizer.step()
            if len(optimizer.param_groups[1]["params"]) == 1:
                optimizer.param_groups[0]["params"].append(optimizer.param_groups[1]["params"].pop(0))
        self.assertAlmostEqual(float(b.detach()), 0.89, places=6)

    def test_pending_sign(self):
        w = torch.nn.Parameter(torch.ones(1))
        w.grad = torch.complex(torch.zeros(1), torch.ones(1)).conj().imag  # -1, and stored as 1
        self.assertTrue(w.grad.is_neg())
        eden.torch.SGD([w], lr=0.1).step()
        self.assertAlmostEqual(float(w.detach()), 1.1, places=6)

    def test_state_of_another_shape(self):
        there, here = (torch.nn.Parameter(torch.ones(s)) for s in ((4, 6), (6, 4)))
        theirs = torch.optim.AdamW([there])
        there.grad = torch.ones(4, 6)
        theirs.step()
        optimizer = eden.torch.AdamW([here])
        here.grad = torch.ones(6, 4)
        with self.assertRaises(ValueError):
            optimizer.load_state_dict(theirs.state_dict())
            optimizer.step()


if __name__ == "__main__":
    unittest.main()
