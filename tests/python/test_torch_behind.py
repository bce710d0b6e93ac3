"""What others did behind the optimizer's back between two steps: state turned, moved or freed where it is, weights
put elsewhere, gradients that lie in weights."""
import unittest

from torch_world import eden, torch


def warm(name, shape=(6, 6), dtype=None, **options):
    """One parameter that both have stepped twice, and their optimizers."""
    torch.manual_seed(1)
    start, grads = torch.randn(shape), [torch.randn(shape) for _ in range(3)]
    made = []
    for module in (torch.optim, eden.torch):
        p = torch.nn.Parameter(start.clone())
        optimizer = getattr(module, name)([p], **options)
        for g in grads[:2]:
            p.grad = g.clone()
            optimizer.step()
        p.grad = grads[2].clone()
        made.append((p, optimizer))
    return made


class State(unittest.TestCase):
    def after(self, change, name="SGD", **options):
        (p, theirs), (q, ours) = warm(name, **options)
        for w, optimizer in ((p, theirs), (q, ours)):
            change(optimizer.state[w])
            optimizer.step()
        self.assertLess(float((p - q).detach().abs().max()), 1e-5)

    def test_turned_where_it_is(self):
        self.after(lambda s: s["momentum_buffer"].t_(), lr=0.1, momentum=0.9)

        def turn(s):
            s["momentum_buffer"].data = s["momentum_buffer"].data.t()
        self.after(turn, lr=0.1, momentum=0.9)

        def sign(s):
            s["momentum_buffer"].data = torch._neg_view(s["momentum_buffer"].data)
        self.after(sign, lr=0.1, momentum=0.9)

    def test_counts_of_another_dtype(self):
        for dtype in (torch.float64, torch.int64):
            def change(s):
                s["step"].data = s["step"].data.to(dtype)
            self.after(change, "AdamW", lr=0.1)

    def test_freed(self):
        for name in ("step", "exp_avg"):
            _, (q, ours) = warm("AdamW", lr=0.1)
            ours.state[q][name].untyped_storage().resize_(0)
            with self.assertRaisesRegex(TypeError, f"its state '{name}'"):
                ours.step()


class Weights(unittest.TestCase):
    def test_put_elsewhere_under_kahan_and_split(self):
        for options in ({"rounding": "kahan"}, {"master": "split"}):
            torch.manual_seed(1)
            p = torch.nn.Parameter((torch.randn(64) * 1000).bfloat16())
            optimizer = eden.torch.SGD([p], lr=1e-3, **options)
            for _ in range(3):
                p.grad = torch.randn(64).bfloat16()
                optimizer.step()
            torch.nn.utils.vector_to_parameters((torch.randn(64) / 100).bfloat16(), [p])
            before = p.detach().clone()
            optimizer.param_groups[0]["lr"] = 0.0
            p.grad = torch.randn(64).bfloat16()
            optimizer.step()
            self.assertTrue(torch.equal(before, p.detach()), options)

    def test_gradients_within_them(self):
        room = torch.zeros(100)
        p, q = torch.nn.Parameter(room[1:51]), torch.nn.Parameter(torch.zeros(50))
        optimizer = eden.torch.SGD([p, q], lr=0.1, momentum=0.9)
        for _ in range(2):
            p.grad, q.grad = torch.ones(50), torch.ones(50)
            optimizer.step()
        kept = [p.detach().clone(), q.detach().clone()]
        for a, b in ((room[:50], torch.ones(50)), (torch.ones(50), p.detach()), (p.detach(), torch.ones(50)),
                     (torch.ones(50), optimizer.state[p]["momentum_buffer"])):
            p.grad, q.grad = a, b
            with self.assertRaisesRegex(eden.Error, "overlap"):
                optimizer.step()
            self.assertTrue(torch.equal(p.detach(), kept[0]) and torch.equal(q.detach(), kept[1]))
        p.grad = q.grad = torch.ones(50)
        optimizer.step()
        self.assertTrue(torch.equal(p.detach(), q.detach()))


if __name__ == "__main__":
    unittest.main()
