"""What is asked of many tensors at once: it says no of each that a step could not take as it took the last."""
import unittest
from unittest import mock

from torch_world import eden, torch

from eden import _torch_alike


class Alike(unittest.TestCase):
    def others(self):
        plain = torch.zeros(4, 6)
        yield from (None, torch.zeros(6, 4), torch.zeros(24), torch.zeros(6, 4).t(), torch.zeros(4, 12)[:, ::2],
                    plain.double(), plain.bfloat16(), plain.to_sparse(), plain.to("meta"), torch._neg_view(plain),
                    torch.zeros(4, 6, dtype=torch.complex64), torch.nn.Parameter(plain))

    def test_no_of_what_differs(self):
        plain = torch.zeros(4, 6)
        same = _torch_alike.alike([plain, torch.ones(3)])
        for other in self.others():
            self.assertFalse(same(other, torch.ones(3)), other)
        self.assertEqual(same(torch.ones(4, 6), torch.zeros(3)), same is not _torch_alike.never)

    def test_a_call_that_does_not_tell_is_not_used(self):
        class Blind:
            def __init__(self, *_tensors, **_words):
                self.check = lambda *_tensors: True
        module = "torch._C._dynamo.guards"
        for instead in (Blind, lambda *a, **k: 1 / 0):
            with mock.patch(f"{module}.TensorGuards", instead, create=True):
                self.assertIsNone(_torch_alike._guards())
        self.assertIs(_torch_alike.alike([]), _torch_alike.never)

    def test_steps_without_it_are_the_same(self):
        def run():
            torch.manual_seed(3)
            params = [torch.nn.Parameter(torch.randn(4, 6)), torch.nn.Parameter(torch.randn(5))]
            optimizer = eden.torch.AdamW(params, lr=0.1)
            for step in range(6):
                for p in params:
                    grad = torch.randn(p.shape)
                    p.grad = grad.t().contiguous().t() if step == 3 and p.dim() == 2 else grad
                if step == 4:
                    params[0].data = params[0].data.t().contiguous().t()
                if step == 2:
                    params[1].grad = None
                optimizer.step()
            return [p.detach().clone() for p in params]
        quick = run()
        with mock.patch.object(_torch_alike, "_GUARDS", None):
            slow = run()
        for a, b in zip(quick, slow):
            self.assertTrue(torch.equal(a, b))


if __name__ == "__main__":
    unittest.main()
