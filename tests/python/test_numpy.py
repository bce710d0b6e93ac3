"""eden.numpy: what its steps, settings and files are, against formulas in float64 or in fractions."""
import inspect
import math
import unittest
from fractions import Fraction

import eden
import eden.numpy as en
from array_world import Near, floats


class Formulas(Near):
    """Each formula is written here again, in float64."""
    start = (0.5, -1.25, 2.0)
    grads = [(0.3, -0.2, 0.05), (-0.1, -0.4, 0.0), (0.2, 0.1, -0.3), (0.7, -0.9, 0.2)]

    def run_rule(self, opt, w):
        for g in self.grads:
            opt.step({"w": floats(*g)})
        return list(w)

    def test_sign_of_interpolated_momentum(self):
        w, m = list(self.start), [0.0] * 3
        for g in self.grads:
            for i in range(3):
                c = 0.9 * m[i] + 0.1 * g[i]
                w[i] -= 1e-2 * ((c > 0) - (c < 0) + 0.1 * w[i])
                m[i] = 0.99 * m[i] + 0.01 * g[i]
        a = floats(*self.start)
        opt = en.Lion({"w": a}, lr=1e-2, betas=(0.9, 0.99), weight_decay=0.1)
        self.near(self.run_rule(opt, a), w)
        self.near(opt.state("w", "m"), m)
        self.assertEqual((opt.steps, opt.steps_of("w")), (4, 4))

    def test_adam_with_bias_correction(self):
        w, m, v = list(self.start), [0.0] * 3, [0.0] * 3
        for t, g in enumerate(self.grads, 1):
            for i in range(3):
                m[i] = 0.8 * m[i] + 0.2 * g[i]
                v[i] = 0.95 * v[i] + 0.05 * g[i]**2
                w[i] -= 0.1 * (m[i] / (1 - 0.8**t)) / (math.sqrt(v[i] / (1 - 0.95**t)) + 1e-6)
        a = floats(*self.start)
        self.near(self.run_rule(en.Adam({"w": a}, lr=0.1, betas=(0.8, 0.95), eps=1e-6), a), w)

    def test_momentum(self):
        w, b = list(self.start), [0.0] * 3
        for g in self.grads:
            for i in range(3):
                b[i] = 0.9 * b[i] + g[i]
                w[i] -= 0.1 * b[i]
        a = floats(*self.start)
        self.near(self.run_rule(en.SGD({"w": a}, lr=0.1, momentum=0.9), a), w)

    def test_the_gradient_is_taken_ahead(self):
        """Of the loss x^2/2, whose gradient is x: the original form of Nesterov's."""
        x, v = 1.0, 0.0
        a = floats(1)
        opt = en.SGD({"w": a}, lr=0.25, momentum=0.5, lookahead=True)
        for _ in range(5):
            with opt.lookahead():
                self.near(a, [x + 0.5 * v])
                opt.step({"w": floats(a[0])})
            v = 0.5 * v - 0.25 * (x + 0.5 * v)
            x += v
            self.near(a, [x])
        with opt.lookahead():
            self.assertNotAlmostEqual(a[0], x, 4)
        self.near(a, [x])
        opt.schedule("lr", lambda s: 2)  # the point ahead is of this step's rate
        with opt.lookahead():
            self.near(a, [x + 2 * 0.5 * v])

    def test_presets_and_spellings_of_names(self):
        self.assertIs(en.lion, en.Lion)
        self.assertIs(en.ADAMW, en.AdamW)
        with self.assertRaises(AttributeError):
            en.Nobody
        with self.assertRaisesRegex(TypeError, "in common"):
            en.Optimizer({})
        self.assertLess({"Lion", "RMSprop", "Nesterov"}, set(dir(en)))
        for name in eden.rules():
            self.assertTrue(issubclass(getattr(en, name), en.Optimizer))
        a, b = floats(1), floats(1)
        nesterov, sgd = en.Nesterov({"w": a}, lr=0.1), en.SGD({"w": b}, lr=0.1, momentum=0.9, nesterov=True)
        for opt in (nesterov, sgd, nesterov, sgd):
            opt.step({"w": floats(1)})
        self.assertEqual(a, b)

    def test_words_come_from_the_table(self):
        for name in eden.rules():
            kind = getattr(en, name)
            for word in ("Args:", "State:", "weights: dict", "clip_norm"):
                self.assertIn(word, kind.__doc__)
        self.assertIn("lr: ", inspect.getdoc(en.Lion))
        self.assertEqual(inspect.signature(en.Adam).parameters["betas"].default, (0.9, 0.999))


class WholeSteps(Near):
    """Numbers that are sums of powers of two: every result is exact."""
    def test_clip_by_value_and_by_norm(self):
        a = floats(0, 0)
        en.SGD({"w": a}, lr=1.0, clip_value=2.0).step({"w": floats(3, -0.5)})
        self.assertEqual(list(a), [-2, 0.5])
        b, c = floats(0), floats(0)
        opt = en.SGD({"b": b, "c": c}, lr=1.0, clip_norm=2.5)
        opt.step({"b": floats(3), "c": floats(4)})
        self.assertEqual((b[0], c[0], opt.grad_norm), (-1.5, -2, 5))

    def test_maximize(self):
        a = floats(1)
        en.SGD({"w": a}, lr=0.5, maximize=True).step({"w": floats(1)})
        self.assertEqual(a[0], 1.5)

    def test_micro_batches_are_summed(self):
        a, b = floats(1, 2), floats(5)
        opt = en.SGD({"a": a, "b": b}, lr=1.0, accumulate=4)
        for i in range(4):
            self.assertEqual(list(a), [1, 2])
            opt.step({"a": floats(i, 1)})
        self.assertEqual(list(a), [1 - Fraction(0 + 1 + 2 + 3, 4), 1])
        self.assertEqual((b[0], opt.steps, opt.steps_of("b")), (5, 1, 0))

    def test_a_refused_micro_batch_gives_up_the_step(self):
        a = floats(1)
        opt = en.SGD({"a": a}, lr=1.0, accumulate=2)
        opt.step({"a": floats(math.nan)})
        with self.assertRaises(eden.GradientError):
            opt.step({"a": floats(1)})
        opt.step({"a": floats(1)})
        self.assertEqual(a[0], 1)
        opt.step({"a": floats(2)})
        self.assertEqual((a[0], opt.steps), (1 - 1.5, 1))

    def test_a_step_refused_for_settings_keeps_its_micro_batches(self):
        a = floats(1)
        opt = en.SGD({"a": a}, lr=1.0, momentum=0.0, accumulate=2)
        opt.step({"a": floats(1)})
        opt.schedule("lr", lambda s: math.nan)
        with self.assertRaises(eden.Error):
            opt.step({"a": floats(3)})
        opt.schedule("lr", None)
        opt.step({"a": floats(3)})
        self.assertEqual((a[0], opt.steps), (-1, 1))

    def test_weights_that_come_between_micro_batches(self):
        a, b = floats(1), floats(1)
        opt = en.SGD({"a": a}, lr=1.0, accumulate=2)
        opt.step({"a": floats(2)})
        opt.add({"b": b})
        opt.step({"a": floats(1), "b": floats(1)})
        self.assertEqual((a[0], b[0], opt.steps), (1 - 1.5, 0.5, 1))

    def test_micro_batches_wait_for_files(self):
        path, a = self.scratch(), floats(1)
        opt = en.SGD({"a": a}, lr=1.0, accumulate=2)
        opt.save(path)
        opt.step({"a": floats(8)})
        with self.assertRaisesRegex(eden.Error, "pending"):
            opt.save(path)
        opt.load(path)
        opt.step({"a": floats(1)})
        opt.step({"a": floats(1)})
        self.assertEqual(a[0], 0)

    def test_loss_scale(self):
        a = floats(1)
        opt = en.SGD({"w": a}, lr=1.0, loss_scale=8.0)
        self.assertEqual(opt.loss_scale, 8)
        opt.step({"w": floats(8 * 0.25)})
        self.assertEqual(a[0], 0.75)
        opt.step({"w": floats(math.inf)})
        self.assertEqual((a[0], opt.loss_scale, opt.skipped, opt.steps), (0.75, 4, 1, 1))

    def test_nonfinite(self):
        for bad in (math.nan, math.inf, -math.inf):
            a = floats(1, 2)
            opt = en.SGD({"w": a}, lr=1.0)
            with self.assertRaisesRegex(eden.GradientError, "'w'"):
                opt.step({"w": floats(1, bad)})
            self.assertEqual((list(a), opt.steps), ([1, 2], 0))
            opt = en.SGD({"w": a}, lr=1.0, nonfinite="skip")
            opt.step({"w": floats(1, bad)})
            self.assertEqual((list(a), opt.steps, opt.skipped), ([1, 2], 0, 1))
            en.SGD({"w": a}, lr=1.0, nonfinite="apply").step({"w": floats(1, bad)})
            self.assertEqual(a[0], 0)
            self.assertFalse(math.isfinite(a[1]))

    def test_averages(self):
        a, seen = floats(1), []
        ema = en.SGD({"w": a}, lr=1.0, average="ema", average_decay=0.5)
        for g in (1, -2, 4):
            ema.step({"w": floats(g)})
            seen.append(Fraction(a[0]))
        weights = [Fraction(1, 4), Fraction(1, 2), 1]
        want = sum(p * w for p, w in zip(seen, weights)) / sum(weights)
        self.near(ema.average_of("w"), [float(want)])
        last = a[0]
        with ema.averaged():
            self.near(a, [float(want)])
            with self.assertRaises(eden.Error):
                ema.step({"w": floats(1)})
        self.assertEqual(a[0], last)
        b = floats(0)
        swa = en.SGD({"w": b}, lr=1.0, average="swa", average_start=2, average_every=2)
        for _ in range(4):
            swa.step({"w": floats(-1)})
        self.assertEqual(list(swa.average_of("w")), [3])  # of steps 2 and 4

    def test_groups_inherit_field_by_field(self):
        w, b, n = floats(1), floats(1), floats(1)
        opt = en.SGD({"w": w}, lr=0.5, weight_decay=0.5, decay="coupled")
        opt.add_group("plain", {"b": b}, weight_decay=0.0)
        opt.add_group("signs", {"n": n}, rule="lion", lr=0.25, weight_decay=0.0)
        opt.step({name: floats(1) for name in "wbn"})
        self.assertEqual((w[0], b[0], n[0]), (1 - 0.5 * 1.5, 0.5, 0.75))
        opt.set(lr=1.0)
        opt.set("plain", weight_decay=1.0)
        self.assertEqual((opt.get("lr", "plain"), opt.get("lr", "signs"), opt.get("weight_decay")), (1, 0.25, 0.5))
        opt.step({"b": floats(0)})
        self.assertEqual((b[0], w[0], opt.steps_of("w"), opt.steps_of("b")), (0, 0.25, 1, 2))
        opt.add_group("class", {"z": floats(1)}, rule=en.AdamW, betas=(0.5, 0.75))
        self.assertEqual(opt.get("betas", "class"), (0.5, 0.75))
        self.assertEqual(opt.names, ["w", "b", "n", "z"])

    def test_get_and_set_by_name(self):
        opt = en.Adam({"w": floats(1)}, lr=0.5)
        opt.set(betas=(0.5, 0.25), amsgrad="raw")
        self.assertEqual((opt.get("beta1"), opt.get("betas"), opt.get("amsgrad")), (0.5, (0.5, 0.25), "raw"))
        with self.assertRaises(ValueError):
            opt.set(lr=0.25, eps=-1.0)
        self.assertEqual(opt.get("lr"), 0.5)
        opt.set(beta2=0.75)
        self.assertEqual(opt.get("betas"), (0.5, 0.75))

    def test_frozen(self):
        a, path = floats(1), self.scratch()
        opt = en.SGD({"w": floats(1)}, lr=1.0)
        opt.add({"f": a}, frozen=True)
        opt.step({"w": floats(1), "f": floats(1)})
        self.assertEqual(a[0], 1)
        opt.save(path)
        a[0] = 9
        opt.load(path)
        self.assertEqual(a[0], 1)


if __name__ == "__main__":
    unittest.main()
