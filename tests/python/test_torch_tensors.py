"""Tensors of every layout and dtype that eden.torch steps, and the process around it."""
import copy
import gc
import os
import resource
import signal
import threading
import unittest

from torch_world import FULLEST, OPTIONS, eden, gap, gradients, make, newest, run, torch, values, weights

SHAPE = (4, 3, 5, 2)
LAYOUTS = {
    "channels last": lambda t: t.to(memory_format=torch.channels_last),
    "transposed": lambda t: t.transpose(0, 3).contiguous().transpose(0, 3),
    "strided": lambda t: torch.stack([t, t + 1], -1)[..., 0],
    "offset": lambda t: torch.cat([t, t])[4:],
}


def pair(name, options, shape, layout_p, layout_g, steps=4, dtype=torch.float32):
    ends = []
    for module in (torch.optim, eden.torch):
        p = torch.nn.Parameter(layout_p(torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)))
        optimizer = make(module, name, [p], options)
        for step in range(steps):
            make_g = torch.Generator().manual_seed(step)
            p.grad = layout_g(torch.randn(shape, generator=make_g).to(dtype))
            optimizer.step()
        ends.append([p])
    return ends


class Layouts(unittest.TestCase):
    def test_any_order_of_elements(self):
        same = torch.Tensor.contiguous
        for name, options in FULLEST:
            for kind, layout in LAYOUTS.items():
                for weight, gradient in ((layout, layout), (layout, same), (same, layout)):
                    with self.subTest(name, options=options, kind=kind):
                        shape = SHAPE if name != "Adafactor" else (4, 3)
                        if name == "Adafactor" and kind in ("channels last", "transposed"):
                            weight = gradient = lambda t: t.t().contiguous().t()
                        theirs, ours = pair(name, options, shape, weight, gradient)
                        self.assertEqual(ours[0].stride(), theirs[0].stride())
                        self.assertLess(gap(ours, theirs), 1e-6)

    def test_the_order_may_change_between_steps(self):
        ends = []
        for module in (torch.optim, eden.torch):
            p = torch.nn.Parameter(weights(shapes=(SHAPE,))[0].detach())
            optimizer = module.AdamW([p])
            orders = [torch.channels_last, torch.contiguous_format, torch.channels_last, torch.contiguous_format]

            def reorder(step, _params, _optimizer):
                p.data = p.data.contiguous(memory_format=orders[step // 2])
            ends.append(run(optimizer, [p], 0, 8, reorder))
        self.assertLess(gap(*ends), 1e-6)

    def test_expanded_weights_are_refused_and_expanded_gradients_are_not(self):
        with self.assertRaisesRegex(TypeError, "parameter 0.*expanded"):
            eden.torch.SGD([torch.zeros(1).expand(4).requires_grad_()], lr=0.1)
        p = torch.nn.Parameter(torch.ones(4))
        p.grad = torch.ones(1).expand(4)
        eden.torch.SGD([p], lr=0.5).step()
        self.assertTrue(torch.equal(p.detach(), torch.full((4,), 0.5)))

    def test_sparse_gradients_are_refused_by_name(self):
        table = torch.nn.Embedding(4, 2, sparse=True)
        optimizer = eden.torch.SGD(table.parameters(), lr=0.1)
        table(torch.tensor([1])).sum().backward()
        with self.assertRaisesRegex(TypeError, "parameter 0.*sparse"):
            optimizer.step()

    def test_scalars_and_empty_tensors(self):
        for name, options in FULLEST:
            ends = []
            for module in (torch.optim, eden.torch):
                # PyTorch's divides by the number of elements.
                params = weights(shapes=((), (1,), (1, 1)) if name == "Adafactor"
                                 else ((), (0,), (3, 0), (0, 3), (1,), (1, 1)))
                ends.append(run(make(module, name, params, options), params, 0, 4))
            self.assertLess(gap(*ends), 1e-6, (name, options))

    def test_many_dimensions(self):
        theirs, ours = pair("AdamW", {}, (2, 1, 2, 1, 2, 1, 2, 1, 2, 3), torch.Tensor.contiguous,
                            torch.Tensor.contiguous)
        self.assertLess(gap(ours, theirs), 1e-6)

    @newest
    def test_matrices_of_the_last_two_dimensions(self):
        """Each is factored by itself, of whatever sides, and clipping measures the tensor; gradients that the
        least divisor decides are among them. State goes there and back."""
        for shape in ((1, 7), (7, 1), (1, 1), (3, 4, 5), (2, 3, 1, 1), (2, 3, 1, 7), (9, 10, 3, 3), (2, 3, 2, 2, 2),
                      (2, 200, 100), (2, 1, 2, 1, 2, 1, 2, 2, 3, 4)):
            for options in ({}, {"d": 100.0, "weight_decay": 0.1}, {"maximize": True}):
                for size in (1.0, 1e-5):
                    with self.subTest(shape=shape, options=options, size=size):
                        self.follow(shape, options, size)

    def follow(self, shape, options, size):
        make = torch.Generator().manual_seed(1)
        p = torch.nn.Parameter(torch.randn(shape, generator=make))
        q = torch.nn.Parameter(p.detach().clone())
        theirs, ours = torch.optim.Adafactor([p], **options), eden.torch.Adafactor([q], **options)
        for step in range(8):
            p.grad = torch.randn(shape, generator=make) * size
            p.grad *= 10 ** torch.randn(shape[0], *[1] * (len(shape) - 1), generator=make)
            q.grad, before = p.grad.clone(), p.detach().clone()
            theirs.step(), ours.step()
            rounding = 2.4e-7 * before.abs().max()
            self.assertLess((p - q).abs().max(), 2e-6 * (p - before).abs().max() + rounding)
            for key, kept in theirs.state[p].items():
                self.assertEqual(kept.shape, ours.state[q][key].shape)
                self.assertTrue(torch.allclose(kept, ours.state[q][key], rtol=1e-5, atol=0))
            if step == 3:
                ours.load_state_dict(copy.deepcopy(theirs.state_dict()))
            if step == 5:
                theirs.load_state_dict(copy.deepcopy(ours.state_dict()))
            with torch.no_grad():
                q.copy_(p)

    def test_split_makes_one_matrix(self):
        p = torch.nn.Parameter(torch.ones(2, 3, 4))
        p.grad = torch.ones_like(p)
        for split, row, col in ((1, (2, 1, 1), (1, 3, 4)), (2, (2, 3, 1), (1, 1, 4))):
            optimizer = eden.torch.Adafactor([p], split=split)
            optimizer.step()
            self.assertEqual([tuple(optimizer.state[p][key].shape) for key in ("row_var", "col_var")], [row, col])

    def test_other_sizes_of_weights_are_refused(self):
        p = torch.nn.Parameter(torch.ones(4))
        optimizer = eden.torch.Adam([p])
        run(optimizer, [p], 0, 1)
        for other in (torch.ones(9), p.data[:2]):
            p.grad, p.data = None, other
            gradients([p], 1)
            with self.assertRaisesRegex(ValueError, "parameter 0"):
                optimizer.step()
            self.assertTrue(torch.equal(p.detach(), other))

    def test_weights_made_later(self):
        with torch.device("meta"):
            model = torch.nn.Linear(3, 2)
        optimizer = eden.torch.SGD(model.parameters(), lr=0.5)
        for p in model.parameters():
            p.grad = torch.empty_like(p)
        with self.assertRaisesRegex(TypeError, "meta"):
            optimizer.step()
        optimizer.zero_grad()
        # PyTorch makes other parameters now, which take the old ones' places.
        model.to_empty(device="cpu")
        with torch.no_grad():
            for p in model.parameters():
                p.fill_(1)
                p.grad = torch.ones_like(p)
        optimizer.param_groups[0]["params"] = list(model.parameters())
        optimizer.step()
        self.assertTrue(all(bool((p == 0.5).all()) for p in model.parameters()))


class Dtypes(unittest.TestCase):
    @newest
    def test_of_16_bits(self):
        for dtype, bound in ((torch.bfloat16, 2.0 ** -5), (torch.float16, 2.0 ** -7)):
            for name in OPTIONS:
                options = {"eps": 1e-4} if name.startswith("Adam") else {}
                exact = run(make(torch.optim, name, floats := weights(dtype), options), floats, 0, 1)
                ours = run(make(eden.torch, name, own := weights(dtype), options), own, 0, 1)
                self.assertIs(ours[0].dtype, dtype)
                self.assertLess(gap(ours, exact), bound, (name, dtype))

    def test_both_in_one_optimizer(self):
        params = [weights(torch.float32)[0], weights(torch.bfloat16, 1)[0], weights(torch.float16, 2)[0]]
        alone = [torch.nn.Parameter(p.detach().clone()) for p in params]
        run(eden.torch.AdamW(params), params, 0, 3)
        for k, p in enumerate(alone):
            optimizer = eden.torch.AdamW([p])
            for step in range(3):
                make_g = torch.Generator().manual_seed(1000 + step)
                for other in alone[:k + 1]:
                    g = torch.randn(other.shape, generator=make_g)
                p.grad = g.to(p.dtype)
                optimizer.step()
        for a, b in zip(params, alone):
            self.assertTrue(torch.equal(a, b))

    def test_what_is_kept_beside_16_bits_makes_them_follow_32(self):
        # 300 steps, each below half a unit of bfloat16: nearest would stand still.
        for options in ({"master": "f32"}, {"master": "split"}, {"rounding": "kahan"}, {"rounding": "stochastic"}):
            p = torch.nn.Parameter(torch.ones(4096, dtype=torch.bfloat16))
            optimizer = eden.torch.SGD([p], lr=1e-4, **options)
            for _ in range(300):
                p.grad = torch.ones_like(p)
                optimizer.step()
            self.assertAlmostEqual(float(p.detach().float().mean()), 0.97, delta=0.004, msg=str(options))
        p = torch.nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
        p.grad = torch.ones_like(p)
        eden.torch.SGD([p], lr=1e-4).step()
        self.assertEqual(float(p.detach()[0]), 1.0)

    def test_weights_that_others_wrote_are_taken(self):
        for options in ({"master": "f32"}, {"master": "split"}, {"rounding": "kahan"}):
            for write in (lambda p: p.mul_(2), lambda p: setattr(p, "data", p.data * 2)):
                p = torch.nn.Parameter(torch.ones(64, dtype=torch.bfloat16))
                optimizer = eden.torch.SGD([p], lr=1e-4, **options)
                p.grad = torch.ones_like(p)
                optimizer.step()
                with torch.no_grad():
                    write(p)
                p.grad = torch.ones_like(p)
                optimizer.step()
                self.assertAlmostEqual(float(p.detach()[0]), 2.0, delta=0.02, msg=str(options))

    def test_state_in_other_dtypes(self):
        for state, bound in (("f32", 2e-6), ("bf16", 0.02), ("f16", 0.01), ("q8", 0.02)):
            ours = run(eden.torch.AdamW(own := weights(), state=state), own, 0, 10)
            theirs = run(torch.optim.AdamW(peer := weights()), peer, 0, 10)
            self.assertLess(gap(ours, theirs), bound, state)


class Processes(unittest.TestCase):
    def setUp(self):
        self.params = weights(shapes=((300, 300), (7,)))
        self.optimizer = eden.torch.AdamW(self.params)
        run(self.optimizer, self.params, 0, 2)

    def test_fork(self):
        # PyTorch's own threads do not outlive a fork, so that the child only steps and tells.
        gradients(self.params, 2)
        theirs, mine = os.pipe()
        child = os.fork()
        if not child:
            signal.alarm(20)
            try:
                self.optimizer.step()
                os.write(mine, repr(self.params[0].detach()[-1].tolist()).encode())
            finally:
                os._exit(0)
        os.close(mine)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.optimizer.step()
        with os.fdopen(theirs, "rb") as pipe:
            self.assertEqual(pipe.read().decode(), repr(self.params[0].detach()[-1].tolist()))

    def test_threads_each_with_its_own(self):
        ends = {}

        def work(seed):
            params = weights(seed=0, shapes=((200, 50),))
            optimizer = eden.torch.AdamW(params)
            ends[seed] = run(optimizer, params, 0, 20)[0].detach()
        workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.assertEqual(len(ends), 4)
        self.assertTrue(all(torch.equal(ends[0], end) for end in ends.values()))

    def test_two_in_one_step_are_refused(self):
        gradients(self.params, 2)
        self.optimizer._engine.lock.acquire()
        seen = []

        def other():
            try:
                self.optimizer.step()
            except eden.Error as error:
                seen.append(str(error))
        worker = threading.Thread(target=other)
        worker.start()
        worker.join()
        self.optimizer._engine.lock.release()
        self.assertIn("one thread", seen[0])
        self.optimizer.step()

    def test_an_exception_in_the_closure_or_a_hook(self):
        before = values(self.params)
        for error in (KeyboardInterrupt, ValueError):
            def closure():
                raise error
            with self.assertRaises(error):
                self.optimizer.step(closure)
        self.assertEqual(gap(self.params, before), 0)
        run(self.optimizer, self.params, 2, 3)

    def test_interrupts(self):
        def interrupt(_signal, _frame):
            raise KeyboardInterrupt
        old = signal.signal(signal.SIGALRM, interrupt)
        caught = 0
        try:
            for _ in range(20):
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.002)
                    for step in range(200):
                        gradients(self.params, step)
                        self.optimizer.step()
                except KeyboardInterrupt:
                    caught += 1
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
        finally:
            signal.signal(signal.SIGALRM, old)
        self.assertGreater(caught, 0)
        run(self.optimizer, self.params, 0, 2)
        self.assertTrue(all(bool(p.isfinite().all()) for p in self.params))

    def test_the_number_of_threads_is_torchs(self):
        before = torch.get_num_threads()
        try:
            for count in (1, 2):
                torch.set_num_threads(count)
                run(self.optimizer, self.params, 2, 3)
                self.assertEqual(self.optimizer._engine.threads, count)
        finally:
            torch.set_num_threads(before)
        other = eden.torch.AdamW(self.params, threads=1)
        run(other, self.params, 0, 1)
        self.assertEqual(other._engine.threads, 1)

    def test_nothing_is_left_behind(self):
        def rebuild(times):
            for k in range(times):
                self.optimizer.clip_value = 1.0 + k  # makes the library's side anew
                gradients(self.params, 0)
                self.optimizer.step()
        rebuild(50)
        gc.collect()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rebuild(1000)
        gc.collect()
        # State of 300 x 300 is 700 KB, so that a leak of any tensor would be hundreds of MiB.
        self.assertLess(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, 8 * 1024)


if __name__ == "__main__":
    unittest.main()
