"""State of eden.torch that belongs to no step: made for one that was not taken, or taken away by others. PyTorch's
rules keep no count where only the first step differs, and with dampening that step shows."""
import copy
import math
import unittest
import unittest.mock

from torch_world import eden, gap, torch

SGD = {"lr": 0.1, "momentum": 0.5, "dampening": 0.5}


def fill(p, value):
    p.grad = None if value is None else torch.full_like(p, value)


class Interrupting:
    """The library, with an interrupt behind a step."""
    def __init__(self, lib):
        self._lib = lib

    def __getattr__(self, name):
        return getattr(self._lib, name)

    def eden_batch_take_step(self, *arguments):
        self._lib.eden_batch_take_step(*arguments)
        raise KeyboardInterrupt


def ones(dtype=torch.float32):
    return torch.nn.Parameter(torch.ones(4, dtype=dtype))


def renew(optimizer, way):
    """Make the optimizer forget all but its state."""
    if way == "load":
        optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    elif way == "option":
        optimizer.clip_norm = 1e9
    elif way == "group":
        optimizer.add_param_group({"params": [ones()]})


class NotTaken(unittest.TestCase):
    def test_skipped_and_then_without_a_gradient(self):
        """Its state is PyTorch's to see as soon as it is stepped with."""
        for name, options in (("SGD", {"momentum": 0.9}), ("Lion", {}), ("AdamW", {})):
            a, b = ones(), ones()
            optimizer = getattr(eden.torch, name)([a, b], lr=0.1, nonfinite="skip", **options)
            for values in ((1.0, math.inf), (1.0, None), (1.0, 1.0), (1.0, 1.0)):
                fill(a, values[0]), fill(b, values[1])
                optimizer.step()
            self.assertEqual(len(optimizer.state_dict()["state"]), 2)
            there = copy.deepcopy(optimizer)
            for p in there.param_groups[0]["params"]:
                fill(p, 1.0)
            optimizer.step(), there.step()
            self.assertTrue(torch.equal(b, there.param_groups[0]["params"][1]))

    def test_masters_outlive_a_skipped_step(self):
        """Also where it would have begun a momentum."""
        for other in False, True:
            w, more = ones(torch.bfloat16), ones(torch.bfloat16)
            optimizer = eden.torch.SGD([w, more], lr=2.0 ** -10, master="f32", nonfinite="skip")
            for _ in range(3):
                fill(w, 1.0), fill(more, 1.0)
                optimizer.step()
            optimizer.param_groups[0]["momentum"] = 0.5
            fill(w, math.inf), fill(more, None if other else 1.0)
            optimizer.step()
            self.assertEqual([list(kept) for kept in optimizer.state.values()], [["master"]] * 2)
            for p in w, more:
                fill(p, 1.0)
            optimizer.step()
            for p in w, more:
                self.assertEqual(optimizer.state[p]["master"].tolist(), [1 - 4 * 2.0 ** -10] * 4)

    def test_what_came_before_the_first_step(self):
        """A gradient that is refused, a look ahead, a step of others alone: the first gradient counts in full."""
        def refused(optimizer, a, b):
            a.grad, b.grad = torch.ones(4).to_sparse(), torch.ones(4)
            self.assertRaises(TypeError, optimizer.step)

        def infinite(optimizer, a, b):
            fill(a, math.inf), fill(b, 1.0)
            self.assertRaises(eden.GradientError, optimizer.step)

        def noted(optimizer, a, b):
            optimizer.state[a]["note"] = torch.ones(1)
            optimizer.state[b]
            fill(a, None), fill(b, None)
            optimizer.step()

        def looked(optimizer, a, b):
            with optimizer.lookahead():
                pass

        def looked_and_refused(optimizer, a, b):
            with optimizer.lookahead():
                infinite(optimizer, a, b)

        for before in refused, infinite, noted, looked, looked_and_refused:
            for way in "nothing", "load", "option", "group":
                with self.subTest(before.__name__, way=way):
                    a, b = ones(), ones()
                    more = {"lookahead": True} if before in (looked, looked_and_refused) else {}
                    optimizer = eden.torch.SGD([a, b], nonfinite="refuse", **SGD, **more)
                    before(optimizer, a, b)
                    renew(optimizer, way)
                    for k in range(2):
                        def closure(k=k):
                            fill(a, k + 1.0), fill(b, k + 1.0)
                        optimizer.step(closure)
                    buffers = [optimizer.state[p]["momentum_buffer"].tolist() for p in (a, b)]
                    self.assertEqual(buffers, [[1.5] * 4] * 2)

    def test_an_interrupt_behind_the_call(self):
        """Which is where Python raises one that came within it."""
        from eden import _torch_engine
        for name, options in (("SGD", SGD), ("Adam", {"lr": 0.1})):
            for way in "nothing", "load", "option", "group":
                ends = []
                for interrupted in False, True:
                    a, b = ones(), ones()
                    optimizer = getattr(eden.torch, name)([a, b], **options)
                    for k in range(3):
                        fill(a, k + 1.0), fill(b, None if k == 0 else -1.0)
                        if interrupted and k < 2:
                            with unittest.mock.patch.object(_torch_engine, "lib", Interrupting(_torch_engine.lib)):
                                self.assertRaises(KeyboardInterrupt, optimizer.step)
                            renew(optimizer, way)
                        else:
                            optimizer.step()
                    ends.append([a.tolist(), b.tolist(), *([x.tolist() for x in kept.values()]
                                                           for kept in optimizer.state.values())])
                self.assertEqual(*ends)

    def test_an_interrupt_while_state_is_handed_over(self):
        """The next step goes on there."""
        class Interrupted(dict):
            def setdefault(self, key, default):
                if key is b and not self.get("done"):
                    self["done"] = True
                    raise KeyboardInterrupt
                return super().setdefault(key, default)

        a, b = ones(), ones()
        optimizer = eden.torch.Adam([a, b], lr=0.1)
        optimizer.state = Interrupted()
        fill(a, 1.0), fill(b, 1.0)
        self.assertRaises(KeyboardInterrupt, optimizer.step)
        optimizer.step()
        self.assertEqual([float(optimizer.state[p]["step"]) for p in (a, b)], [2.0, 2.0])

    def test_skipped_steps_are_counted_on(self):
        """Also where gradients come in turn, and for rules and settings without state."""
        for name, options in (("SGD", {}), ("SGD", SGD), ("Adam", {})):
            a, b = ones(), ones()
            optimizer = getattr(eden.torch, name)([a, b], nonfinite="skip", **options)
            for k in range(6):
                fill(a, None if k % 2 else math.nan), fill(b, math.nan if k % 2 else None)
                optimizer.step()
                self.assertEqual(optimizer.skipped, k + 1)
                if k == 3:
                    optimizer.clip_norm = 1.0

    def test_engines_last_where_gradients_come_in_turn(self):
        a, b = ones(), ones()
        optimizer, seen = eden.torch.SGD([a, b], lr=0.1), []
        for k in range(6):
            fill(a, None if k % 2 else 1.0), fill(b, 1.0 if k % 2 else None)
            optimizer.step()
            seen.append(optimizer._engine)
        self.assertTrue(all(engine is seen[1] for engine in seen[1:]))

    def test_state_made_before_gradients(self):
        """For all that share it, and for what is thawed while the weights look ahead."""
        a, b = ones(), ones()
        optimizer = eden.torch.Adam([a, b])
        fill(a, 1.0)
        optimizer.step()
        optimizer.share_memory()
        self.assertTrue(all(optimizer.state[p]["exp_avg"].is_shared() for p in (a, b)))
        optimizer = eden.torch.SGD([a, b], lookahead=True, **SGD)
        for thawed in False, True:
            b.requires_grad_(thawed)
            optimizer.step(lambda: (fill(a, 1.0), fill(b, 1.0 if b.requires_grad else None)))
        self.assertEqual(optimizer.state[b]["momentum_buffer"].tolist(), [1.0] * 4)
        optimizer = eden.torch.SGD([a, b], **SGD)
        optimizer.share_memory()
        there = eden.torch.SGD([a, b], **SGD)
        there.load_state_dict(optimizer.state_dict())
        for each in optimizer, there:
            fill(a, 1.0), fill(b, 1.0)
            each.step()
            self.assertEqual(each.state[b]["momentum_buffer"].tolist(), [0.5] * 4)

    def test_a_count_of_none(self):
        """As a step that was refused left it, with stochastic rounding or when SGD had counts: nothing was stepped."""
        w = ones()
        optimizer = eden.torch.SGD([w], **SGD)
        saved = optimizer.state_dict()
        saved["state"] = {0: {"step": torch.tensor(0.0), "momentum_buffer": torch.zeros(4)}}
        optimizer.load_state_dict(saved)
        fill(w, 1.0)
        optimizer.step()
        self.assertEqual(optimizer.state[w]["momentum_buffer"].tolist(), [1.0] * 4)

    def test_no_state_where_nothing_was_stepped(self):
        a, b = ones(), ones()
        for name in "SGD", "AdamW":
            optimizer = getattr(eden.torch, name)([a, b], lr=0.1, nonfinite="refuse")
            fill(a, 1.0), fill(b, math.inf)
            self.assertRaises(eden.GradientError, optimizer.step)
            self.assertEqual(optimizer.state_dict()["state"], {})

    def test_a_first_step_that_was_not_taken(self):
        """What it would have begun is begun by the next, in another optimizer too: its gradient counts in full."""
        for nonfinite, other in (("skip", False), ("skip", True), ("refuse", True)):
            w, there = torch.nn.Parameter(torch.ones(4)), torch.nn.Parameter(torch.ones(4))
            options = {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}
            optimizer = eden.torch.SGD([w], nonfinite=nonfinite, **options)
            w.grad = torch.full((4,), math.inf)
            if nonfinite == "skip":
                optimizer.step()
            else:
                self.assertRaises(eden.GradientError, optimizer.step)
            self.assertEqual(optimizer.state_dict()["state"], {})
            if other:
                saved = optimizer.state_dict()
                optimizer = eden.torch.SGD([w], **options)
                optimizer.load_state_dict(saved)
            peer = torch.optim.SGD([there], **options)
            for k in range(3):
                w.grad, there.grad = torch.full((4,), k + 1.0), torch.full((4,), k + 1.0)
                optimizer.step(), peer.step()
                w.data = w.data.clone()  # all is looked at again
            self.assertLess(gap([w], [there]), 1e-6)

    def test_a_look_ahead_without_a_step(self):
        """It makes the velocity, and the first step is still the first."""
        ends = []
        for looks in 0, 2:
            w = torch.nn.Parameter(torch.ones(4))
            optimizer = eden.torch.SGD([w], lr=0.1, momentum=0.9, dampening=0.5, lookahead=True)
            for k in range(looks):
                with optimizer.lookahead():
                    pass
            for k in range(2):
                with optimizer.lookahead():
                    w.grad = torch.full((4,), k + 1.0)
                    optimizer.step()
            ends.append(w.detach())
        self.assertTrue(torch.equal(*ends))


class TakenAway(unittest.TestCase):
    def test_while_there_was_no_gradient(self):
        """State that is gone begins anew, as PyTorch's does, for all or for one."""
        for name, options in (("SGD", SGD), ("AdamW", {"lr": 0.1}), ("Adam", {"lr": 0.1, "amsgrad": True}),
                              ("RMSprop", {"lr": 0.1, "momentum": 0.9})):
            for everyone in False, True:
                with self.subTest(name, everyone=everyone):
                    ends = []
                    for module in torch.optim, eden.torch:
                        a, b = ones(), ones()
                        optimizer = getattr(module, name)([a, b], **options)
                        fill(a, 1.0), fill(b, 1.0)
                        optimizer.step()
                        if everyone:
                            optimizer.zero_grad(), optimizer.state.clear()
                        else:
                            fill(b, None)
                            del optimizer.state[b]
                        optimizer.step()
                        self.assertEqual(len(optimizer.state), 0 if everyone else 1)
                        for value in -1.0, 2.0:
                            fill(a, value), fill(b, value)
                            optimizer.step()
                        ends.append([a, b])
                        self.assertEqual(len(optimizer.state), 2)
                    self.assertLess(gap(*ends), 1e-6)

    def test_with_16_bits(self):
        """The library lets go of what is gone."""
        for words in {"master": "f32"}, {"master": "split"}, {"rounding": "kahan"}:
            ends = []
            for gone in False, True:
                w, other = ones(torch.bfloat16), ones(torch.bfloat16)
                optimizer = eden.torch.SGD([w, other], lr=2.0 ** -10, **words)
                for step in range(6):
                    fill(w, None if step == 2 else 1.0), fill(other, 1.0)
                    if step == 2 and gone:
                        del optimizer.state[w]
                    optimizer.step()
                    held = [torch.full((4,), 7.0) for _ in range(64)]  # where freed memory would be
                ends.append((w.detach(), held))
                self.assertEqual(len(optimizer.state[w]), 1)
            self.assertLess((ends[0][0] - ends[1][0]).abs().max(), 2.0 ** -7)

    def test_keys_that_are_no_parameters(self):
        w = ones()
        optimizer = eden.torch.SGD([w], **SGD)
        optimizer.state["note"] = 3
        for value in 1.0, 2.0:
            fill(w, value)
            optimizer.step()
        self.assertEqual(optimizer.state[w]["momentum_buffer"].tolist(), [1.5] * 4)


if __name__ == "__main__":
    unittest.main()
