"""eden.torch in torch.optim's place: groups, closures, hooks, schedulers, scaling, defaults, refusals."""
import copy
import inspect
import itertools
import unittest
import warnings

from torch_world import CASES, OPTIONS, eden, gap, gradients, make, newest, run, torch, values, weights

from torch.optim import lr_scheduler as schedule
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook


class Classes(unittest.TestCase):
    @newest
    def test_defaults_are_torchs(self):
        for name in OPTIONS:
            theirs = inspect.signature(getattr(torch.optim, name)).parameters
            ours = inspect.signature(getattr(eden.torch, name)).parameters
            for key, parameter in theirs.items():
                with self.subTest(name, key=key):
                    self.assertIn(key, ours)
                    self.assertEqual(ours[key].default, parameter.default)
            defaults = getattr(torch.optim, name)(weights()).defaults
            own = getattr(eden.torch, name)(weights()).defaults
            # How AdamW says that it is no Adam.
            defaults = {key: value for key, value in defaults.items() if (name, key) != ("AdamW", "decoupled_weight_decay")}
            self.assertEqual({key: own[key] for key in defaults}, defaults)

    def test_order_of_positional_arguments(self):
        """Of theirs we may know fewer by place, and none by another."""
        for name in OPTIONS:
            theirs, ours = ([p.name for p in inspect.signature(getattr(module, name)).parameters.values()
                             if p.kind is p.POSITIONAL_OR_KEYWORD] for module in (torch.optim, eden.torch))
            self.assertEqual(ours, theirs[:len(ours)], name)

    def test_modules_of_torch(self):
        for name in "lr_scheduler", "swa_utils":
            self.assertIs(getattr(eden.torch, name), getattr(torch.optim, name))
            self.assertIn(name, eden.torch.__all__)
            self.assertIn(name, dir(eden.torch))

    def test_each_has_words(self):
        for name in set(eden.torch.__all__) - {"lr_scheduler", "swa_utils"}:
            kind = getattr(eden.torch, name)
            self.assertTrue(issubclass(kind, torch.optim.Optimizer))
            self.assertTrue(kind.__doc__)

    def test_repr_and_names_in_any_case(self):
        self.assertIs(eden.torch.adamw, eden.torch.AdamW)
        text = repr(eden.torch.AdamW(weights(), lr=0.25))
        self.assertTrue(text.startswith("AdamW ("))
        self.assertIn("lr: 0.25", text)
        with self.assertRaisesRegex(AttributeError, "AdamW"):
            eden.torch.Adamm

    def test_refusals_name_the_culprit(self):
        for name, arguments, kind, words in (
                ("SGD", {"lr": -1.0}, ValueError, "lr"), ("Adam", {"betas": (1.0, 0.9)}, ValueError, r"betas\[0\]"),
                ("SGD", {"nesterov": True}, ValueError, "nesterov"), ("Adam", {"lr": "x"}, TypeError, "lr"),
                ("Adam", {"lr": torch.ones(2)}, ValueError, "lr"), ("Adam", {"learning": 1}, TypeError, "learning"),
                ("Adam", {"differentiable": True}, ValueError, "differentiable"),
                ("Adam", {"state": "q4"}, ValueError, "q8"), ("Adam", {"clip_norm": -1}, ValueError, "clip_norm"),
                ("Adam", {"master": "f32"}, ValueError, "parameter 0"),
                ("Adam", {"nonfinite": "x"}, ValueError, "skip")):
            with self.subTest(name, arguments=arguments), self.assertRaisesRegex(kind, words):
                getattr(eden.torch, name)(weights(), **arguments)
        for params, kind in (([], ValueError), (torch.zeros(2), TypeError), ([1], TypeError),
                             ([torch.zeros(2, dtype=torch.float64)], TypeError),
                             ([torch.zeros(2, dtype=torch.complex64)], TypeError),
                             ([(torch.zeros(2, requires_grad=True) * 2)], ValueError)):
            with self.subTest(params=params), self.assertRaises(kind):
                eden.torch.SGD(params, lr=0.1)


class Groups(unittest.TestCase):
    @newest
    def test_names_of_any_kind(self):
        """Names are for people: two groups may use one, and it may be empty, long, or anything."""
        for first, second in (("weight", "weight"), ("", "x" * 500), ("__metadata__", "a\0b\n"), ("0", "1"), ("1", "0")):
            p, q = weights(shapes=((3, 2), (2,)))
            optimizer = eden.torch.AdamW([{"params": [(first, p)]}, {"params": [(second, q)]}], lr=0.1)
            plain = weights(shapes=((3, 2), (2,)))
            self.assertEqual(gap(run(optimizer, [p, q], 0, 3), run(eden.torch.AdamW(plain, lr=0.1), plain, 0, 3)), 0)
            optimizer.nonfinite = "refuse"
            q.grad = torch.full((2,), float("nan"))
            with self.assertRaises(eden.GradientError) as caught:
                optimizer.step()
            self.assertIn(f"the gradient of parameter {second!r} (of group 1, (2,)) is NaN", str(caught.exception))

    def test_parameters_that_are_made_later(self):
        ends = []
        for module in torch.optim, eden.torch:
            torch.manual_seed(0)
            layer = torch.nn.LazyLinear(3)
            optimizer = module.AdamW(layer.parameters(), lr=0.1)
            optimizer.step()
            for _ in range(2):
                layer(torch.ones(2, 4)).sum().backward()
                optimizer.step()
            ends.append([layer.weight, layer.bias])
        self.assertLess(gap(*ends), 1e-6)
        optimizer = eden.torch.SGD(torch.nn.LazyLinear(3).parameters(), momentum=0.9, lookahead=True)
        with self.assertRaisesRegex(ValueError, "parameter 0 .*no shape yet"), optimizer.lookahead():
            pass

    def test_shared_memory(self):
        """For programs with several processes on one set of weights, as of PyTorch's Adagrad."""
        for module in torch.optim, eden.torch:
            p = torch.nn.Parameter(torch.ones(4))
            optimizer = module.Adagrad([p], lr=0.1, initial_accumulator_value=0.5)
            optimizer.share_memory()
            shared = optimizer.state[p]["sum"]
            self.assertTrue(shared.is_shared())
            p.grad = torch.ones(4)
            optimizer.step()
            self.assertTrue(optimizer.state[p]["sum"] is shared and shared.is_shared())
            self.assertTrue(torch.equal(shared, torch.full((4,), 1.5)))
        self.assertTrue(optimizer.state[p]["step"].is_shared())
        # As another process has it, which begins as late as this.
        first, second = eden.torch.Adagrad([p], lr=0.1), eden.torch.Adagrad([p], lr=0.1)
        first.share_memory()
        second.state[p] = dict(first.state[p])
        second.step(), first.step()
        self.assertEqual((float(first.state[p]["step"]), second.state[p]["sum"][0]), (2, 2))

    def test_groups_have_their_own_settings(self):
        for name in OPTIONS:
            ends = []
            for module in (torch.optim, eden.torch):
                params = weights()
                optimizer = getattr(module, name)([{"params": params[:2], "lr": 0.02, "weight_decay": 0.2},
                                                   {"params": params[2:], "maximize": True}], lr=0.01)
                ends.append(run(optimizer, params, 0, 5))
            self.assertLess(gap(*ends), 1e-6, name)

    def test_a_group_added_later(self):
        ends = []
        for module in (torch.optim, eden.torch):
            params = weights()
            optimizer = module.Adam(params[:2])

            def add(step, all_params, o):
                if step == 3:
                    o.add_param_group({"params": params[2:], "lr": 0.1})
            run(optimizer, params, 0, 6, add)
            ends.append(params)
        self.assertLess(gap(*ends), 1e-6)

    def test_nothing_is_half_added(self):
        params = weights()
        optimizer = eden.torch.Adam(params[:2])
        run(optimizer, params, 0, 1)
        for bad in ({"params": params[:1]}, {"params": params[2:], "lr": -1}, {"params": [torch.zeros(1).double()]},
                    {"params": params[2:], "state": "q4"}, {"params": params[2:], "betas": 3}):
            with self.assertRaises(ValueError if "state" in bad or "lr" in bad else Exception):
                optimizer.add_param_group(bad)
            self.assertEqual(len(optimizer.param_groups), 1)
        run(optimizer, params, 1, 2)

    def test_a_setting_out_of_range_later_stops_the_step_before_it_begins(self):
        params = weights()
        optimizer = eden.torch.Adam(params)
        run(optimizer, params, 0, 1)
        before = values(params)
        optimizer.param_groups[0]["lr"] = -1.0
        with self.assertRaisesRegex(ValueError, "lr"):
            optimizer.step()
        self.assertEqual(gap(before, params), 0)
        optimizer.param_groups[0]["lr"] = 0.1
        optimizer.step()

    def test_lr_may_be_a_tensor(self):
        lr = torch.tensor(0.01)
        one, two = weights(), weights()
        a, b = eden.torch.AdamW(one, lr=lr), eden.torch.AdamW(two, lr=0.01)
        run(a, one, 0, 2), run(b, two, 0, 2)
        lr.fill_(0.05)
        b.param_groups[0]["lr"] = 0.05
        run(a, one, 2, 4), run(b, two, 2, 4)
        self.assertLess(gap(one, two), 1e-6)


class Steps(unittest.TestCase):
    def test_zero_grad_and_closures(self):
        p = torch.nn.Parameter(torch.ones(3))
        optimizer = eden.torch.SGD([p], lr=0.5)

        def closure():
            optimizer.zero_grad()
            loss = (p ** 2).sum()
            loss.backward()
            return loss
        with torch.no_grad():
            self.assertEqual(float(optimizer.step(closure)), 3.0)
        self.assertTrue(torch.equal(p.detach(), torch.zeros(3)))
        optimizer.zero_grad(set_to_none=False)
        self.assertTrue(torch.equal(p.grad, torch.zeros(3)))
        optimizer.zero_grad()
        self.assertIsNone(p.grad)
        self.assertIsNone(optimizer.step())

    def test_hooks_of_a_step(self):
        seen = []
        one, two = weights(), weights()
        a, b = eden.torch.SGD(one, lr=0.1), eden.torch.SGD(two, lr=0.1)
        handles = [register_optimizer_step_pre_hook(lambda *_: seen.append(0)),
                   register_optimizer_step_post_hook(lambda *_: seen.append(3)),
                   a.register_step_pre_hook(lambda *_: seen.append(1)),
                   a.register_step_post_hook(lambda *_: seen.append(2))]
        run(a, one, 0, 1)
        self.assertEqual(seen, [0, 1, 2, 3])
        for handle in handles:
            handle.remove()
        run(a, one, 1, 2), run(b, two, 0, 2)
        self.assertEqual(seen, [0, 1, 2, 3])
        self.assertEqual(gap(one, two), 0)

    def test_frozen_and_absent_gradients(self):
        for name, options in CASES:
            def some(step, params, _):
                params[1].grad = None if step % 2 else params[1].grad
                params[2].grad = None if step < 3 else params[2].grad
                params[3].requires_grad_(step > 1)
                if step <= 1:
                    params[3].grad = None
                if step == 4:
                    for p in params:
                        p.grad = None
            ends = []
            for module in (torch.optim, eden.torch):
                params = weights()
                ends.append(run(make(module, name, params, options), params, 0, 8, some))
            self.assertLess(gap(*ends), 1e-6, (name, options))

    def test_a_step_in_place_is_noticed_by_backward(self):
        p = torch.nn.Parameter(torch.ones(3))
        optimizer = eden.torch.SGD([p], lr=0.1)
        loss = (p * p).sum()
        p.grad = torch.ones(3)
        optimizer.step()
        with self.assertRaisesRegex(RuntimeError, "modified by an inplace operation"):
            loss.backward()

    def test_not_finite(self):
        for how in ("apply", "skip", "refuse"):
            params = weights()
            optimizer = eden.torch.SGD(params, lr=0.1, nonfinite=how)
            before = values(params)
            gradients(params, 0)
            params[1].grad[2] = float("nan")
            if how == "refuse":
                with self.assertRaises(eden.GradientError):
                    optimizer.step()
            else:
                optimizer.step()
            self.assertEqual(any(bool(p.isnan().any()) for p in params), how == "apply")
            self.assertEqual(optimizer.skipped, how == "skip")
            if how != "apply":
                self.assertEqual(gap(before, params), 0)


class Clipping(unittest.TestCase):
    def test_in_the_step_as_before_it(self):
        for name in OPTIONS:
            one, two = weights(), weights()
            clipped = make(torch.optim, name, one, {})
            own = getattr(eden.torch, name)(two, lr=0.01, clip_norm=1.0)
            for step in range(5):
                gradients(one, step), gradients(two, step)
                norm = torch.nn.utils.clip_grad_norm_(one, 1.0)
                clipped.step(), own.step()
                self.assertAlmostEqual(own.grad_norm, float(norm), delta=1e-5 * float(norm))
            self.assertLess(gap(two, one), 3e-6, name)

    def test_by_value_and_by_torch(self):
        one, two, three = weights(), weights(), weights()
        a, b = torch.optim.SGD(one, lr=0.1), eden.torch.SGD(two, lr=0.1, clip_value=0.5)
        c = eden.torch.SGD(three, lr=0.1)
        for ps in (one, two, three):
            gradients(ps, 0)
        torch.nn.utils.clip_grad_value_(one, 0.5)
        torch.nn.utils.clip_grad_value_(three, 0.5)
        a.step(), b.step(), c.step()
        self.assertLess(max(gap(two, one), gap(three, one)), 1e-7)

    @newest
    def test_grad_scaler(self):
        ends = []
        for module in (torch.optim, eden.torch):
            p = torch.nn.Parameter(torch.ones(4))
            optimizer = module.AdamW([p], lr=0.1)
            scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
            for step in range(6):
                optimizer.zero_grad()
                scaler.scale((p * (float("inf") if step == 2 else step + 1)).sum()).backward()
                scaler.unscale_(optimizer)
                torch.nn.utils.clip_grad_norm_([p], 1.0)
                scaler.step(optimizer)
                scaler.update()
            ends.append([p])
        self.assertTrue(bool(ends[0][0].isfinite().all()))
        self.assertLess(gap(*ends), 1e-6)


SCHEDULERS = {
    "LambdaLR": lambda o: schedule.LambdaLR(o, lambda step: 0.9 ** step),
    "MultiplicativeLR": lambda o: schedule.MultiplicativeLR(o, lambda step: 0.95),
    "StepLR": lambda o: schedule.StepLR(o, 7), "MultiStepLR": lambda o: schedule.MultiStepLR(o, [5, 20]),
    "ConstantLR": lambda o: schedule.ConstantLR(o), "LinearLR": lambda o: schedule.LinearLR(o),
    "ExponentialLR": lambda o: schedule.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda o: schedule.PolynomialLR(o, 25, 2.0),
    "CosineAnnealingLR": lambda o: schedule.CosineAnnealingLR(o, 10),
    "CosineAnnealingWarmRestarts": lambda o: schedule.CosineAnnealingWarmRestarts(o, 5, 2),
    "CyclicLR": lambda o: schedule.CyclicLR(o, 0.001, 0.1, step_size_up=4),
    "OneCycleLR": lambda o: schedule.OneCycleLR(o, 0.1, total_steps=40),
    "SequentialLR": lambda o: schedule.SequentialLR(
        o, [schedule.ConstantLR(o, 0.1), schedule.ExponentialLR(o, 0.9)], [6]),
    "ChainedScheduler": lambda o: schedule.ChainedScheduler(
        [schedule.ConstantLR(o, 0.1), schedule.ExponentialLR(o, 0.9)]),
    "ReduceLROnPlateau": lambda o: schedule.ReduceLROnPlateau(o, patience=2),
    "SWALR": lambda o: torch.optim.swa_utils.SWALR(o, 0.05),
}


class Schedules(unittest.TestCase):
    def trace(self, module, name, scheduler):
        params, rates = weights(), []
        optimizer = make(module, name, params, {"momentum": 0.9} if name in ("SGD", "RMSprop") else {})
        schedulers = scheduler(optimizer)

        def note(step, _params, o):
            rates.append((o.param_groups[0]["lr"], o.param_groups[0].get("momentum"),
                          o.param_groups[0].get("betas")))
        for step in range(30):
            run(optimizer, params, step, step + 1, note)
            schedulers.step(*([1.0] if isinstance(schedulers, schedule.ReduceLROnPlateau) else []))
        return rates, params

    @newest
    def test_every_kind(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for (name, scheduler), kind in itertools.product(SCHEDULERS.items(), ("SGD", "AdamW")):
                with self.subTest(name, kind=kind):
                    theirs, their_end = self.trace(torch.optim, kind, scheduler)
                    ours, our_end = self.trace(eden.torch, kind, scheduler)
                    self.assertEqual(ours, theirs)
                    self.assertGreater(len(set(ours)), 1)
                    self.assertLess(gap(our_end, their_end), 3e-6)

    @newest
    def test_no_kind_is_forgotten(self):
        known = {name for name, kind in vars(schedule).items() if isinstance(kind, type)
                 and issubclass(kind, schedule.LRScheduler) and not name.startswith("_")}
        self.assertEqual(known - {"LRScheduler"}, set(SCHEDULERS) - {"SWALR"})


class Dropins(unittest.TestCase):
    def test_averaged_weights(self):
        model = torch.nn.Linear(3, 2)
        averaged = torch.optim.swa_utils.AveragedModel(model)
        optimizer = eden.torch.SGD(model.parameters(), lr=0.1)
        seen = []
        for step in range(4):
            run(optimizer, list(model.parameters()), step, step + 1)
            averaged.update_parameters(model)
            seen.append(model.weight.detach().clone())
        self.assertLess(gap([averaged.module.weight], [sum(seen) / 4]), 1e-6)

    def test_compile_of_a_step_is_a_graph_break(self):
        params = weights()
        plain = [torch.nn.Parameter(p.detach().clone()) for p in params]
        optimizer, other = eden.torch.AdamW(params), eden.torch.AdamW(plain)

        @torch.compile(backend="eager")
        def step():
            optimizer.step()
        for k in range(3):
            gradients(params, k), gradients(plain, k)
            step(), other.step()
        self.assertEqual(gap(params, plain), 0)

    def test_options_are_attributes(self):
        optimizer = eden.torch.SGD(weights(), lr=0.1, clip_norm=2.0)
        self.assertEqual(optimizer.clip_norm, 2.0)
        optimizer.clip_norm = 0.5
        self.assertEqual(copy.deepcopy(optimizer).clip_norm, 0.5)
        with self.assertRaises(ValueError):
            optimizer.clip_norm = -1
        self.assertEqual(optimizer.clip_norm, 0.5)


if __name__ == "__main__":
    unittest.main()
