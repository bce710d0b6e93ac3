"""eden.numpy misused: every mistake is an exception with a sentence, and nothing has changed."""
import array
import ctypes
import math
import tempfile
import unittest

import eden
import eden.numpy as en
from array_world import Refused, floats

try:
    import numpy as np
except ImportError:
    np = None


class Arrays(Refused):
    """P01: the wrong kinds of arrays."""
    def test_no_arrays(self):
        for wrong in (None, [1.0, 2.0], (1.0,), 3, 0.5, True, "w", {}, {1.0}, object(), Ellipsis, 1j):
            self.refused(TypeError, "'w' is .*NumPy", en.SGD, {"w": wrong})
            if wrong is not None:
                self.refused(TypeError, "gradient of 'w' is .*NumPy", self.opt.step, {"w": wrong})

    def test_buffers_of_other_types(self):
        for wrong in (array.array("d", [1, 2]), array.array("i", [1, 2]), b"12345678", bytearray(8),
                      memoryview(b"1234"), (ctypes.c_double * 2)(), (ctypes.c_float.__ctype_be__ * 2)(),
                      (ctypes.c_void_p * 2)()):
            self.refused(TypeError, "float32, float16 or bfloat16", en.SGD, {"w": wrong})
            self.refused(TypeError, "float32, float16 or bfloat16", self.opt.step, {"w": wrong})

    def test_weights_that_cannot_be_written(self):
        self.refused(ValueError, "read-only", en.SGD, {"w": memoryview(floats(1)).toreadonly()})
        self.refused(ValueError, "read-only", en.SGD, {"w": memoryview(b"12345678").cast("f")})
        self.refused(ValueError, "contiguous", en.SGD, {"w": memoryview(floats(1, 2, 3, 4))[::2]})
        self.refused(ValueError, "contiguous", en.SGD, {"w": memoryview(floats(1, 2, 3, 4))[::-1]})

    def test_read_only_or_strided_gradients_are_read(self):
        self.opt.step({"w": memoryview(floats(1, 1)).toreadonly()})
        self.opt.step({"w": memoryview(floats(1, 9, 2, 9))[::-2][::-1]})
        self.assertEqual(list(self.w), [0.5 - 4.5, 1.5 - 4.5])

    def test_shapes(self):
        for wrong in (floats(1), floats(1, 2, 3), memoryview(floats(1, 2)).cast("B").cast("f", (2, 1)), floats()):
            self.refused(ValueError, "shape", self.opt.step, {"w": wrong})

    def test_an_array_given_twice(self):
        w, b = floats(1, 2), floats(3)
        self.refused(ValueError, "'b' lies where the array 'a' does", en.SGD, {"a": w, "b": w})
        self.refused(ValueError, "'c' lies where the array 'a' does", en.SGD, {"a": w, "b": b, "c": memoryview(w)})
        opt = en.SGD({"a": w, "none": floats(), "either": floats()}, lr=1.0)
        self.refused(ValueError, "'b' lies where the array 'a' does", opt.add, {"b": w})
        self.refused(ValueError, "'b' lies where the array 'a' does", opt.add_group, "g", {"b": w})
        self.refused(LookupError, "the array 'a' is there already", opt.add, {"a": w})
        self.assertEqual(opt.names, ["a", "none", "either"])
        opt.step({"a": floats(1, 1)})
        self.assertEqual(list(w), [0, 1])

    def test_the_mend_is_for_what_was_given(self):
        if np is None:
            self.skipTest("NumPy is not there")
        wide = np.zeros(2)
        self.refused(TypeError, r"array 'w' is float64.*keep that array", en.SGD, {"w": wide})
        self.refused(TypeError, r"gradient of 'w' is float64.*pass g\.astype\('float32'\)$", self.opt.step,
                     {"w": wide})
        self.opt.step({"w": wide.astype("float32")})

    def test_overlapping_memory(self):
        whole = memoryview(floats(1, 2, 3))
        opt = en.SGD({"a": whole[:2], "b": whole[1:]})
        self.refused(eden.Error, "'a'|'b'", opt.step, {"a": floats(1, 1)})
        self.assertEqual(whole.tolist(), [1, 2, 3])

    def test_weights_as_gradients_are_those_before_the_step(self):
        whole = memoryview(floats(*range(8)))
        opt = en.SGD({"a": whole[:4], "b": whole[4:]}, lr=1.0)
        opt.step({"a": whole[1:5], "b": whole[:4]})
        self.assertEqual(whole.tolist(), [-1, -1, -1, -1, 4, 4, 4, 4])
        opt.step({"a": whole[:4], "b": whole[4:]})
        self.assertEqual(whole.tolist(), [0] * 8)

    @unittest.skipUnless(np, "NumPy is not here")
    def test_arrays_of_numpy(self):
        good = np.ones((4, 4), np.float32)
        for wrong in (np.ones(2), np.ones(2, ">f4"), np.ones(2, object), np.ones(2, int), np.ones(2, bool),
                      np.ones(2, complex), np.ones(2, [("a", "f4")]), np.array(["a"]), np.ones(2, "M8[s]"),
                      np.float64(1)):
            self.refused(TypeError, "array 'w'", en.SGD, {"w": wrong})
            self.refused(TypeError, "gradient of 'w'", self.opt.step, {"w": wrong})
        for wrong in (good.T[:, :2], good[::-1], good[:, ::2], good[1:3, 1:3], np.ones((3, 4), np.float32).T):
            self.refused(ValueError, "contiguous", en.SGD, {"w": wrong})
        for wrong in (np.broadcast_to(np.float32(1), 3), np.float32(1)):
            self.refused(ValueError, "read-only", en.SGD, {"w": wrong})
        self.refused(TypeError, "aligned", en.SGD, {"w": np.frombuffer(bytearray(9), np.float32, 2, 1)})
        self.refused(TypeError, "masked", en.SGD, {"w": np.ma.masked_array(good, good > 0)})
        self.refused(ValueError, "dimensions", en.SGD, {"w": np.ones([1] * 9, np.float32)})

    def test_names(self):
        for wrong in (3, None, b"w", ("w",)):
            self.refused(TypeError, "text", en.SGD, {wrong: floats(1)})
        for wrong in ("", "a\0b", "\ud800", "x" * 256, "a\nb", "__metadata__"):
            self.refused((eden.Error, ValueError), ".", en.SGD, {wrong: floats(1)})
        for wrong in ([self.w], self.w, None, "w", iter([])):
            self.refused(TypeError, "dict", en.SGD, wrong)
            self.refused(TypeError, "dict", self.opt.step, wrong)
        self.refused(LookupError, "'v'.*'w'", self.opt.step, {"v": floats(1)})
        self.refused(LookupError, "already", self.opt.add, {"w": floats(1)})
        self.refused(LookupError, "no group 'g'", self.opt.add, {"v": floats(1)}, group="g")
        self.refused(LookupError, "no rule 'x'", self.opt.add_group, "g", rule="x")
        self.refused(TypeError, "option", self.opt.add, {"v": floats(1)}, lr=1.0)


class Numbers(Refused):
    """P04: exact, or refused."""
    def test_settings(self):
        for wrong in (True, None, "0.1", [0.1], b"1", 2**64 + 1, 2**53 + 1, 10**400, object()):
            self.refused((TypeError, ValueError), "lr", self.opt.set, lr=wrong)
        self.refused(TypeError, "lr", self.opt.set, lr=1j)
        for wrong in (math.nan, math.inf, -1.0, -5e-324):
            self.refused(ValueError, "lr", self.opt.set, lr=wrong)
            self.refused(ValueError, "lr", en.SGD, {"w": floats(1)}, lr=wrong)
        self.refused(LookupError, "no setting 'speed'", self.opt.set, speed=1.0)
        self.refused(LookupError, "no setting 'speed'", self.opt.get, "speed")
        self.refused(TypeError, "speed", en.SGD, {}, speed=1.0)
        self.refused(ValueError, "betas", en.Adam, {}, betas=(0.9,))
        self.refused(ValueError, "nesterov", en.SGD, {}, nesterov=True, momentum=0.0)
        self.assertEqual(self.opt.get("lr"), 0.5)

    @unittest.skipUnless(np, "NumPy is not here")
    def test_scalars_of_numpy(self):
        for wrong in (np.True_, np.int64(2**53 + 1), np.float64("nan"), np.complex64(1), np.str_("1"), np.bytes_(b"1"),
                      np.timedelta64(1), np.datetime64("2000-01-01"), np.ones(2), np.array("1")):
            self.refused((TypeError, ValueError), "lr|real", self.opt.set, lr=wrong)
        for wrong in (np.True_, np.float64(1), np.int64(-1)):
            self.refused((TypeError, ValueError), "seed", en.SGD, {}, seed=wrong)

    def test_options(self):
        for name in ("accumulate", "seed", "threads", "loss_scale_window", "average_every"):
            for wrong in (2**64, -1, 1.0, math.nan, True, "1", 10**400):
                self.refused((TypeError, ValueError), name, en.SGD, {}, **{name: wrong, "average": "swa",
                                                                         "loss_scale": 2.0})
        for words in ({"threads": 257}, {"threads": 0}, {"accumulate": 0}, {"nonfinite": "drop"}, {"clip_norm": -1.0},
                      {"clip_value": math.nan}, {"loss_scale": 3.0}, {"average": "mean"}, {"average_start": 3},
                      {"average": "ema"}, {"average": "ema", "average_decay": 1.0}, {"maximize": 2}, {"state": "f64"},
                      {"master": "f16"}, {"rounding": "up"}, {"master": "f32", "rounding": "kahan"}, {"split": 9},
                      {"grad_dtype": "q8"}, {"frozen": "no"}, {"state": ["f32"]}, {"master": "split"},
                      {"rounding": "kahan"}):
            self.refused((TypeError, ValueError), next(iter(words)), en.SGD, {"w": floats(1)}, **words)

    def test_steps_and_losses(self):
        for wrong in (0, -1, 2**64, 1.0, True, math.nan):
            self.refused((eden.Error, TypeError, ValueError), "step", self.opt.get, "lr", step=wrong)
        for wrong in (None, "1", True, 2**1100):
            self.refused((TypeError, ValueError), "loss", self.opt.report, wrong)
        self.refused(eden.Error, "foo", self.opt.schedule, "lr", "foo(1)")
        self.refused(TypeError, "schedule", self.opt.schedule, "lr", 0.5)
        self.refused(eden.Error, "nesterov", self.opt.schedule, "nesterov", lambda s: 1)

    def test_a_group_that_is_refused_is_not_there(self):
        self.refused(ValueError, "nesterov", self.opt.add_group, "g", nesterov=True)
        self.refused(ValueError, "betas|beta1", self.opt.add_group, "g", rule="adam", betas=(1.0, 0.5))
        self.refused(TypeError, "'v'", self.opt.add_group, "g", {"v": [1.0]})
        self.refused(LookupError, "no setting", self.opt.add_group, "g", speed=1.0)
        self.refused(LookupError, "no group 'g'", self.opt.get, "lr", "g")
        self.opt.set(momentum=0.5)
        self.opt.add_group("g", {"v": floats(1)}, nesterov=True)

    def test_a_function_that_is_refused_is_not_called(self):
        self.refused(eden.Error, "nesterov", self.opt.schedule, "nesterov", lambda step: 1 / 0)
        self.refused(eden.Error, "speed", self.opt.schedule, "speed", lambda step: 1 / 0)

    def test_sentences_say_what_python_calls_it(self):
        opt = en.SGD({"w": floats(1)}, lr=1.0, momentum=0.5, lookahead=True, average="swa", accumulate=2)
        for words, call in (("wants lookahead", lambda: opt.step({"w": floats(1)})),
                            ("averaged: no step", opt.averaged().__enter__),
                            ("^clip_norm = ", lambda: en.SGD({}, clip_norm=-1.0)),
                            ("get: ", lambda: opt.get("lr", step=0))):
            with self.assertRaisesRegex(eden.Error, words) as caught:
                call()
            self.assertNotRegex(str(caught.exception), "(?i)eden_|config")

    def test_paths(self):
        for call in (self.opt.save, self.opt.load):
            for wrong in ("a\0b", b"a\0b", "\ud800", ""):
                self.refused((ValueError, eden.Error), ".", call, wrong)
            for wrong in (3, None, 0.5, [], bytearray(b"x")):
                self.refused(TypeError, "path", call, wrong)
            self.refused(ValueError, "parts", call, "/nowhere/x", parts="some")
            self.refused(OSError, "nowhere", call, "/nowhere/x")
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"no checkpoint at all")
            file.flush()
            self.refused(eden.FormatError, ".", self.opt.load, file.name)
        for wrong in (3, None, b"v"):
            self.refused(TypeError, "note", self.opt.notes.__setitem__, "k", wrong)
            self.refused(TypeError, "note", self.opt.notes.get, wrong)

if __name__ == "__main__":
    unittest.main()
