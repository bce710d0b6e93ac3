"""What programs rarely do to their tensors, and PyTorch takes: orders in memory beside storage of Eden's own,
another default dtype, parameters that change groups, pending signs, tensors of no elements or of no memory."""
import copy
import unittest
import warnings

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

    def test_pending_sign_of_weights(self):
        """Also where it comes later, at the same address, and in an order of their own."""
        for shape, name in (((6,), "SGD"), ((4, 3), "AdamW"), ((2, 3, 4, 4), "Adam")):
            ends = []
            for module in torch.optim, eden.torch:
                w = torch.linspace(-1, 1, torch.Size(shape).numel()).view(shape)
                w = w.to(memory_format=torch.channels_last) if len(shape) == 4 else w.t() if len(shape) == 2 else w
                p = torch.nn.Parameter(torch._neg_view(w.clone()))
                optimizer = getattr(module, name)([p], lr=0.1)
                for step in range(6):
                    if step in (2, 4):
                        p.data = torch._neg_view(p.data) if step == 2 else torch._neg_view(p.data.neg())
                    p.grad = torch.linspace(0.5, -1, p.numel()).view(p.shape)
                    optimizer.step()
                ends.append(p.detach().resolve_neg().clone())
            self.assertLess((ends[0] - ends[1]).abs().max(), 1e-6)

    def test_pending_sign_of_state(self):
        ends = []
        for module in torch.optim, eden.torch:
            w = torch.nn.Parameter(torch.ones(3))
            optimizer = module.SGD([w], lr=0.1, momentum=0.9)
            optimizer.state[w]["momentum_buffer"] = torch._neg_view(torch.ones(3))
            w.grad = torch.ones(3)
            optimizer.step()
            ends.append(w.detach())
        self.assertTrue(torch.allclose(*ends))

    def test_another_shape_of_as_many(self):
        """State is of the shape that was; PyTorch refuses as well."""
        for options in {}, {"split": 1}:
            w = torch.nn.Parameter(torch.ones(4, 6))
            optimizer = eden.torch.Adafactor([w], **options)
            w.grad = torch.ones(4, 6)
            optimizer.step()
            w.data = w.data.view(6, 4)
            before = w.detach().clone()
            w.grad = torch.ones(6, 4)
            with self.assertRaisesRegex(ValueError, "parameter 0.*row_var"):
                optimizer.step()
            self.assertTrue(torch.equal(w, before))

    def test_gradient_of_another_shape_of_as_many(self):
        w = torch.nn.Parameter(torch.ones(4, 6))
        w.grad = torch.ones(4, 6)
        optimizer = eden.torch.SGD([w], lr=0.1)
        optimizer.step()
        w.data = w.data.view(6, 4)
        with self.assertRaisesRegex(ValueError, r"gradient of parameter 0.*\(4, 6\)"):
            optimizer.step()

    def test_momentum_that_comes(self):
        """Its first step takes the whole gradient, as PyTorch's does, however many steps there were without."""
        for saved in False, True:
            ends = []
            for module in torch.optim, eden.torch:
                w = torch.nn.Parameter(torch.ones(4))
                optimizer = module.SGD([w], lr=0.1, dampening=0.5)
                for step in range(9):
                    group = optimizer.param_groups[0]
                    group["momentum"] = (0.9, 0.0)[step < 3 or step == 5]
                    if saved and step == 3:
                        state = copy.deepcopy(optimizer.state_dict())
                        optimizer = module.SGD([w], lr=0.3)
                        optimizer.load_state_dict(state)
                    w.grad = torch.linspace(-1, 1, 4) * (step + 1)
                    optimizer.step()
                ends.append(w.detach())
            self.assertLess((ends[0] - ends[1]).abs().max(), 1e-6)

    def test_momentum_that_comes_beside_a_master(self):
        """Which says no more than a count that there were steps."""
        w = torch.nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
        optimizer = eden.torch.SGD([w], lr=2.0 ** -10, dampening=0.5, master="f32")
        for step in range(3):
            optimizer.param_groups[0]["momentum"] = 0.5 * (step == 2)
            w.grad = torch.ones_like(w)
            optimizer.step()
        self.assertEqual(optimizer.state[w]["momentum_buffer"].tolist(), [1.0] * 4)
        self.assertEqual(optimizer.state[w]["master"].tolist(), [1 - 3 * 2.0 ** -10] * 4)

    def test_a_buffer_that_is_none(self):
        """As older PyTorch saves SGD's."""
        w = torch.nn.Parameter(torch.ones(4))
        there = torch.optim.SGD([w], lr=0.1, momentum=0.9, dampening=0.5)
        w.grad = torch.ones(4)
        there.step()
        state = there.state_dict()
        state["state"][0]["momentum_buffer"] = None
        optimizer = eden.torch.SGD([w], lr=0.1, momentum=0.9, dampening=0.5)
        optimizer.load_state_dict(state)
        w.grad = torch.full((4,), 2.0)
        optimizer.step()
        self.assertTrue(torch.equal(optimizer.state[w]["momentum_buffer"], torch.full((4,), 2.0)))

    def test_one_count_given_to_two(self):
        ends = []
        for shared in True, False:
            step = torch.tensor(1.0)
            a, b = (torch.nn.Parameter(torch.ones(2)) for _ in "ab")
            optimizer = eden.torch.Adam([a, b], lr=0.1)
            for w in a, b:
                optimizer.state[w] = {"step": step if shared else step.clone(), "exp_avg": torch.zeros(2),
                                      "exp_avg_sq": torch.zeros(2)}
            for k in range(3):
                a.grad = b.grad = torch.tensor([1.0, -0.5]) * (k + 1)
                optimizer.step()
            self.assertEqual([float(optimizer.state[w]["step"]) for w in (a, b)], [4, 4])
            ends.append(b.detach())
        self.assertTrue(torch.equal(*ends))

    def test_one_buffer_given_to_two(self):
        a, b = (torch.nn.Parameter(torch.ones(2)) for _ in "ab")
        optimizer = eden.torch.SGD([a, b], lr=0.1, momentum=0.9)
        buffer = torch.ones(2)
        for w in a, b:
            optimizer.state[w]["momentum_buffer"] = buffer
            w.grad = torch.ones(2)
        with self.assertRaisesRegex(eden.Error, "parameter 0 .*parameter 1 .*overlap"):
            optimizer.step()

    def test_hooks_of_a_lookahead(self):
        w, seen = torch.nn.Parameter(torch.ones(3)), []
        optimizer = eden.torch.SGD([w], lr=0.1, momentum=0.9, lookahead=True)
        optimizer.register_step_pre_hook(lambda *_: seen.append("before"))
        optimizer.register_step_post_hook(lambda *_: seen.append("after"))

        def closure():
            optimizer.zero_grad()
            loss = (w * w).sum()
            loss.backward()
            return loss
        self.assertEqual(float(optimizer.step(closure).detach()), 3)
        self.assertEqual(seen, ["before", "after"])

    def test_no_elements(self):
        """They count their steps, and their state goes to PyTorch."""
        for name, options in (("AdamW", {}), ("Adam", {"amsgrad": True}), ("SGD", {"momentum": 0.9}), ("RMSprop", {})):
            kept = []
            for module in torch.optim, eden.torch:
                none, more = torch.nn.Parameter(torch.ones(0, 3)), torch.nn.Parameter(torch.ones(0))
                optimizer = getattr(module, name)([none, more], lr=0.1, **options)
                for k in range(3):
                    none.grad, more.grad = torch.ones(0, 3), None if k else torch.ones(0)
                    optimizer.step()
                kept.append([{key: (torch.as_tensor(value).shape, float(value) if key == "step" else None)
                              for key, value in optimizer.state[w].items()} for w in (none, more)])
            self.assertEqual(*kept)
            there = getattr(torch.optim, name)([none, more], lr=0.1, **options)
            there.load_state_dict(optimizer.state_dict())
            there.step()

    def test_no_memory(self):
        """Freed, or a tensor that only stands for one: each is named."""
        from torch._subclasses.fake_tensor import FakeTensorMode
        with FakeTensorMode():
            fake = torch.nn.Parameter(torch.ones(3))
            fake.grad = torch.ones(3)

        def freed(which):
            w = torch.nn.Parameter(torch.ones(3))
            optimizer = eden.torch.AdamW([w])
            w.grad = torch.ones(3)
            optimizer.step()
            {"weights": w, "gradient": w.grad, "state": optimizer.state[w]["exp_avg"]}[which].untyped_storage().resize_(0)
            optimizer.step()

        def step_fake():
            eden.torch.SGD([fake], lr=0.1).step()
        for words, call in (("parameter 0 .*FakeTensor", step_fake), ("parameter 0 .*freed", lambda: freed("weights")),
                            ("gradient of parameter 0 .*freed", lambda: freed("gradient")),
                            ("parameter 0 .*exp_avg.*freed", lambda: freed("state"))):
            with self.assertRaisesRegex(TypeError, words):
                call()

    def master_behind_its_back(self, write, shape=(64, 5), dtype=torch.bfloat16 if torch else None, steps=3):
        """Weights of a run whose p.data is written, what the writes should have made of them, and warnings."""
        ends = []
        for through in (lambda p: p.data), (lambda p: p.detach()):
            w = torch.nn.Parameter(torch.linspace(-1, 1, torch.Size(shape).numel()).view(shape).to(dtype))
            others = [torch.nn.Parameter(torch.ones(3, dtype=dtype)), torch.nn.Parameter(torch.ones(0, dtype=dtype))]
            optimizer = eden.torch.SGD([others[0], w, others[1]], lr=1e-2, master="f32")
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                for step in range(steps):
                    for p in (w, *others):
                        p.grad = torch.full_like(p, 0.5)
                    with torch.no_grad():
                        write(through(w) if step else w.detach())
                    optimizer.step()
            ends.append((w.detach().clone(), [str(one.message) for one in said]))
        return ends

    def test_masters_of_weights_that_others_write(self):
        """Through p.data nothing is counted: what differs from its master is found all the same, and said once."""
        for dtype in torch.bfloat16, torch.float16:
            for write in (lambda t: t.fill_(3), lambda t: t.mul_(2), lambda t: t.neg_()):
                (behind, said), (counted, nothing) = self.master_behind_its_back(write, dtype=dtype)
                self.assertTrue(torch.equal(behind, counted))
                self.assertEqual((len(said), nothing), (1, []))
                self.assertRegex(said[0], "parameter 1 .*p.data.*no_grad")
        # A few of many are found when their turn comes, if they are written again and again.
        few = torch.zeros(64, 5, dtype=torch.bool)
        few[40, 2:4] = True
        (behind, said), (counted, _) = self.master_behind_its_back(lambda t: t.masked_fill_(few, 2.0), steps=60)
        self.assertEqual(len(said), 1)
        self.assertTrue(torch.equal(behind, counted))

    def test_no_word_about_what_steps_did(self):
        """NaN, infinity, other orders, a look-ahead, a state that was loaded: all of these are the optimizer's own."""
        def watch(optimizer, params, value=0.5, load=False):
            for step in range(4):
                for p in params:
                    p.grad = torch.full_like(p, value)
                if optimizer.param_groups[0]["lookahead"]:
                    optimizer.step(lambda: 0.0)
                else:
                    optimizer.step()
                if load:
                    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for dtype in torch.bfloat16, torch.float16:
                for value, more in ((0.5, {}), (float("nan"), {}), (1e4, {"lr": 1e4}), (float("nan"), {"nonfinite": "skip"}),
                                    (1e-7, {}), (0.5, {"momentum": 0.9, "lookahead": True})):
                    whole = torch.linspace(-1, 1, 60).to(dtype)
                    for w in whole, whole.view(10, 6).t() if "lookahead" not in more else whole, whole.view(1, 3, 4, 5).to(
                            memory_format=torch.channels_last), whole[::1], whole.view(10, 6)[:, 1:3].contiguous():
                        params = [torch.nn.Parameter(w.clone(memory_format=torch.preserve_format))]
                        optimizer = eden.torch.SGD(params, **{"lr": 0.1, "master": "f32", **more})
                        watch(optimizer, params, value)
                        watch(optimizer, params, value, load=True)
                strided = torch.nn.Parameter(torch.linspace(-1, 1, 60).to(dtype).view(10, 6)[:, ::2])
                watch(eden.torch.SGD([strided], lr=0.1, master="f32"), [strided])

    def test_windows(self):
        """Rows that share elements are several places in PyTorch's formulas and one in memory; rows apart are not."""
        memory = torch.arange(12.0)
        with self.assertRaisesRegex(TypeError, "parameter 0 .*one in memory"):
            eden.torch.SGD([torch.nn.Parameter(memory.as_strided((3, 2), (1, 1)))])
        for shape, stride in (((3, 2), (2, 1)), ((2, 3), (1, 2)), ((3, 2), (4, 1)), ((3, 1, 2), (3, 1, 1)), ((0, 3), (1, 1))):
            w = torch.nn.Parameter(memory.clone().as_strided(shape, stride))
            optimizer = eden.torch.SGD([w], lr=1.0)
            before = w.detach().clone()
            w.grad = torch.ones(shape)
            optimizer.step()
            self.assertTrue(torch.equal(w.detach(), before - 1))

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
