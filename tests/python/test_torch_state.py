"""State of eden.torch: saved, loaded, moved to and from torch.optim, put there and taken away by others."""
import copy
import io
import itertools
import math
import pickle
import unittest

from torch_world import CASES, FULLEST, eden, gap, gradients, make, newest, run, torch, values, weights


def both_ways(name, options, dtype, first, second, **more):
    """Ten steps in one, ten in the other, against twenty in the second's module alone."""
    start = weights(dtype)
    alone = run(make(torch.optim, name, whole := weights(dtype), options), whole, 0, 20)
    one = make(first, name, start, options)
    run(one, start, 0, 10)
    moved = [torch.nn.Parameter(p.detach().clone()) for p in start]
    two = make(second, name, moved, {**options, **more})
    two.load_state_dict(one.state_dict())
    run(two, moved, 10, 20)
    return moved, alone


class Moves(unittest.TestCase):
    def test_from_torch_and_back(self):
        for (name, options), dtype in (*((case, torch.float32) for case in CASES),
                                       *((case, torch.bfloat16) for case in FULLEST)):
            # PyTorch rounds to bfloat16 after every operation, Eden once a step: they go apart by roundings.
            bound = 2e-6 if dtype is torch.float32 else 2.0 ** -4
            for first, second in ((torch.optim, eden.torch), (eden.torch, torch.optim)):
                with self.subTest(name, options=options, dtype=dtype, second=second.__name__):
                    moved, alone = both_ways(name, options, dtype, first, second)
                    self.assertLess(gap(moved, alone), bound)

    def test_a_step_after_the_move_is_torchs(self):
        """From the same weights, gradients and state, in bfloat16 as well."""
        for (name, options), dtype in itertools.product(CASES, (torch.float32, torch.bfloat16)):
            with self.subTest(name, options=options, dtype=dtype):
                params = weights(dtype)
                one = make(torch.optim, name, params, options)
                run(one, params, 0, 10)
                moved = [torch.nn.Parameter(p.detach().clone()) for p in params]
                two = make(eden.torch, name, moved, options)
                two.load_state_dict(one.state_dict())
                run(one, params, 10, 11)
                run(two, moved, 10, 11)
                self.assertLess(gap(moved, params), 3e-7 if dtype is torch.float32 else 2.0 ** -6)

    @newest
    def test_what_is_kept_is_what_pytorch_keeps(self):
        for name, options in CASES:
            with self.subTest(name, options=options):
                kept = []
                for module in torch.optim, eden.torch:
                    optimizer = make(module, name, params := weights(), options)
                    run(optimizer, params, 0, 3)
                    kept.append({k: {key: (x.dtype, x.shape) for key, x in one.items()}
                                 for k, one in optimizer.state_dict()["state"].items()})
                self.assertEqual(*kept)

    def test_counts_where_there_are_none(self):
        """A count is kept where rounding draws numbers by it, and one that nobody keeps any more is not left behind."""
        params = weights(torch.bfloat16)
        optimizer = eden.torch.SGD(params, lr=0.1, momentum=0.9, rounding="stochastic")
        run(optimizer, params, 0, 3)
        self.assertEqual([float(kept["step"]) for kept in optimizer.state.values()], [3.0] * len(params))
        saved = optimizer.state_dict()
        saved["param_groups"][0]["rounding"] = "nearest"
        optimizer = eden.torch.SGD(params, lr=0.1, momentum=0.9)
        optimizer.load_state_dict(saved)
        run(optimizer, params, 3, 4)
        self.assertEqual([list(kept) for kept in optimizer.state.values()], [["momentum_buffer"]] * len(params))

    def test_into_8_bits(self):
        for name, options in CASES:
            with self.subTest(name, options=options):
                if name == "Adafactor" or name == "SGD" and "momentum" not in options:
                    continue
                moved, alone = both_ways(name, options, torch.float32, torch.optim, eden.torch, state="q8")
                self.assertLess(gap(moved, alone), 0.05)

    def test_of_8_bits_is_of_bytes_and_continues(self):
        params = weights()
        one = eden.torch.AdamW(params, state="q8")
        run(one, params, 0, 5)
        self.assertIs(one.state[params[0]]["exp_avg"].dtype, torch.uint8)
        other = [torch.nn.Parameter(p.detach().clone()) for p in params]
        two = eden.torch.AdamW(other, state="q8")
        two.load_state_dict(copy.deepcopy(one.state_dict()))
        for a, b in zip(run(one, params, 5, 10), run(two, other, 5, 10)):
            self.assertTrue(torch.equal(a, b))


class StateDicts(unittest.TestCase):
    def test_continues_to_the_bit(self):
        for name, options in FULLEST:
            with self.subTest(name, options=options):
                params = weights()
                one = make(eden.torch, name, params, options)
                run(one, params, 0, 5)
                file = io.BytesIO()
                torch.save(one.state_dict(), file)
                file.seek(0)
                other = [torch.nn.Parameter(p.detach().clone()) for p in params]
                two = make(eden.torch, name, other, options)
                two.load_state_dict(torch.load(file, weights_only=True))
                for a, b in zip(run(one, params, 5, 10), run(two, other, 5, 10)):
                    self.assertTrue(torch.equal(a, b))

    def test_a_load_leaves_the_given_dict_alone(self):
        params = weights()
        one = eden.torch.Adam(params)
        run(one, params, 0, 2)
        given = one.state_dict()
        before = copy.deepcopy(given)
        other = weights(seed=1)
        two = eden.torch.Adam(other)
        two.load_state_dict(given)
        run(two, other, 0, 3)
        for key in before["state"]:
            for name, value in before["state"][key].items():
                self.assertTrue(torch.equal(value, given["state"][key][name]))
        self.assertEqual(before["param_groups"], given["param_groups"])

    def test_a_dict_that_does_not_fit_changes_nothing(self):
        params = weights()
        one = eden.torch.Adam(params)
        run(one, params, 0, 2)
        before = copy.deepcopy(one.state_dict())
        smaller = eden.torch.Adam(weights()[:2])
        with self.assertRaises(ValueError):
            one.load_state_dict(smaller.state_dict())
        self.assertEqual(str(before), str(one.state_dict()))

    def test_state_of_another_shape_is_refused(self):
        params = weights()
        one = eden.torch.Adam(params)
        run(one, params, 0, 1)
        given = copy.deepcopy(one.state_dict())
        given["state"][0]["exp_avg"] = torch.zeros(3)
        one.load_state_dict(given)
        gradients(params, 1)
        with self.assertRaisesRegex(ValueError, "3"):
            one.step()

    @newest
    def test_names_of_parameters_are_kept(self):
        model = torch.nn.Linear(3, 2)
        one = eden.torch.SGD(model.named_parameters(), lr=0.1, momentum=0.9)
        run(one, list(model.parameters()), 0, 2)
        given = one.state_dict()
        self.assertEqual(given["param_groups"][0]["param_names"], ["weight", "bias"])
        plain = eden.torch.SGD(model.parameters(), lr=0.1, momentum=0.9)
        plain.load_state_dict(given)
        self.assertEqual(plain.param_groups[0]["param_names"], ["weight", "bias"])
        self.assertIn("param_names", repr(one))

    def test_hooks_of_both_dicts(self):
        seen = []
        one = eden.torch.SGD(weights(), lr=0.1)
        one.register_state_dict_pre_hook(lambda o: seen.append("before"))
        one.register_state_dict_post_hook(lambda o, d: {**d, "more": 1})
        given = one.state_dict()
        self.assertEqual(given.pop("more"), 1)
        two = eden.torch.SGD(weights(), lr=0.1)

        def with_lr(_optimizer, d):
            d = copy.deepcopy(d)
            d["param_groups"][0]["lr"] = 0.5
            return d
        two.register_load_state_dict_pre_hook(with_lr)
        two.register_load_state_dict_post_hook(lambda o: seen.append("loaded"))
        two.load_state_dict(given)
        self.assertEqual(two.param_groups[0]["lr"], 0.5)
        self.assertEqual(seen, ["before", "loaded"])

    def test_copies_and_pickles_go_on_alike(self):
        for remake in (copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))):
            params = weights()
            one = eden.torch.AdamW(params, clip_norm=0.5, threads=2)
            run(one, params, 0, 3)
            two = remake(one)
            theirs = two.param_groups[0]["params"]
            self.assertEqual((two.clip_norm, two.threads), (0.5, 2))
            for a, b in zip(run(one, params, 3, 6), run(two, theirs, 3, 6)):
                self.assertIsNot(a, b)
                self.assertTrue(torch.equal(a, b))

    def test_older_dicts_without_later_keys(self):
        params = weights()
        one = eden.torch.Adam(params)
        run(one, params, 0, 2)
        given = copy.deepcopy(one.state_dict())
        for group in given["param_groups"]:
            for key in ("maximize", "foreach", "capturable", "differentiable", "fused", "state", "master", "rounding",
                        "split", "decoupled_weight_decay"):
                group.pop(key)
        for kept in given["state"].values():
            kept["step"] = kept["step"].item()
        one.load_state_dict(given)
        run(one, params, 2, 3)
        self.assertEqual(one.state[params[0]]["step"], 3)


class StateOfOthers(unittest.TestCase):
    def setUp(self):
        self.params = weights()
        self.optimizer = eden.torch.Adam(self.params)
        run(self.optimizer, self.params, 0, 3)

    def fresh(self):
        params = [torch.nn.Parameter(p.detach().clone()) for p in self.params]
        return params, eden.torch.Adam(params)

    def test_cleared(self):
        params, optimizer = self.fresh()
        self.optimizer.state.clear()
        for a, b in zip(run(self.optimizer, self.params, 3, 5), run(optimizer, params, 3, 5)):
            self.assertTrue(torch.equal(a, b))

    def test_replaced_and_written(self):
        for change in (lambda kept: kept.update(exp_avg=torch.zeros_like(kept["exp_avg"])),
                       lambda kept: kept["exp_avg"].zero_()):
            params, optimizer = self.fresh()
            optimizer.load_state_dict(self.optimizer.state_dict())
            theirs = [torch.nn.Parameter(p.detach().clone()) for p in params]
            peer = torch.optim.Adam(theirs)
            peer.load_state_dict(copy.deepcopy(self.optimizer.state_dict()))
            run(optimizer, params, 3, 4)
            run(peer, theirs, 3, 4)
            for o, ps in ((optimizer, params), (peer, theirs)):
                for p in ps:
                    change(o.state[p])
                run(o, ps, 4, 6)
            self.assertLess(gap(params, theirs), 1e-6)

    def test_shared(self):
        params, optimizer = self.fresh()
        optimizer.load_state_dict(self.optimizer.state_dict())
        for p in self.params:
            for value in self.optimizer.state[p].values():
                value.share_memory_()
            p.share_memory_()
        run(self.optimizer, self.params, 3, 6)
        run(optimizer, params, 3, 6)
        for a, b in zip(values(self.params), values(params)):
            self.assertTrue(torch.equal(a, b))
        self.assertTrue(self.optimizer.state[self.params[0]]["exp_avg"].is_shared())


class Counts(unittest.TestCase):
    """A state whose count of steps is none is refused, wherever it was put, and nothing has changed."""
    def test_loaded(self):
        for wrong in (-1, -1.0, 0.5, math.nan, math.inf, torch.tensor(-3.0), torch.tensor([1.0, 2.0]), "x", None, 1j):
            params = weights()
            optimizer = eden.torch.Adam(params)
            run(optimizer, params, 0, 2)
            wrong_dict, before = copy.deepcopy(optimizer.state_dict()), values(params)
            wrong_dict["state"][1]["step"] = wrong
            with self.assertRaisesRegex(ValueError, "parameter 1: its state says step = .* no count of steps"):
                optimizer.load_state_dict(wrong_dict)
            self.assertEqual(float(optimizer.state[params[1]]["step"]), 2)
            self.assertEqual([p.tolist() for p in params], [p.tolist() for p in before])

    def test_written(self):
        for wrong in (-1.0, 0.5, math.nan, math.inf):
            for replace in (True, False):
                params = weights()
                optimizer = eden.torch.Adam(params)
                run(optimizer, params, 0, 2)
                before = values(params)
                if replace:
                    optimizer.state[params[1]]["step"] = wrong
                else:
                    optimizer.state[params[1]]["step"].fill_(wrong)
                with self.assertRaisesRegex(ValueError, "parameter .*1.*: its state says step = .* no count of steps"):
                    optimizer.step()
                self.assertEqual([p.tolist() for p in params], [p.tolist() for p in before])


if __name__ == "__main__":
    unittest.main()
