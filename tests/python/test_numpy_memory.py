"""eden.numpy's arrays: every kind of memory is updated in place, and every kind of gradient read."""
import array
import ctypes
import math
import mmap
import os
import struct
import subprocess
import sys
import tempfile
import unittest
import warnings
from multiprocessing import shared_memory

import eden
import eden.numpy as en

try:
    import numpy as np
except ImportError:
    np = None
try:
    import ml_dtypes
except ImportError:
    ml_dtypes = None


def floats(*values):
    return array.array("f", values)


def f32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def environment():
    root = os.path.dirname(os.path.dirname(os.path.abspath(eden.__file__)))
    return {**os.environ, "PYTHONPATH": root}


class Case(unittest.TestCase):
    def scratch(self, name="run.safetensors"):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return os.path.join(folder.name, name)


class Memory(Case):
    """Every kind of array is stepped in place."""
    def steps(self, weights, read):
        opt = en.SGD({"w": weights}, lr=0.5)
        opt.step({"w": floats(1, 2, 3, 4)})
        self.assertEqual(list(read()), [-0.5, -1, -1.5, -2])
        return opt

    def test_buffers_of_python(self):
        a = floats(0, 0, 0, 0)
        self.steps(a, lambda: a)
        raw = bytearray(16)
        self.steps(memoryview(raw).cast("f"), lambda: struct.unpack("4f", raw))
        c = (ctypes.c_float * 4)()
        self.steps(c, lambda: c)
        m = mmap.mmap(-1, 16)
        opt = self.steps(memoryview(m).cast("f"), lambda: struct.unpack("4f", m[:]))
        with self.assertRaises(BufferError):
            m.close()
        opt.close()

    def test_shared_memory(self):
        shared = shared_memory.SharedMemory(create=True, size=16)
        view = shared.buf[:16].cast("f")
        opt = self.steps(view, lambda: struct.unpack("4f", bytes(shared.buf[:16])))
        opt.close()
        view.release()
        shared.close()
        shared.unlink()

    def test_shapes_and_empty_arrays(self):
        raw, empty = bytearray(16), array.array("f")
        w = memoryview(raw).cast("f", (2, 2))
        opt = en.SGD({"w": w, "none": empty}, lr=0.5)
        opt.step({"w": memoryview(floats(1, 2, 3, 4)).cast("B").cast("f", (2, 2)), "none": array.array("f")})
        self.assertEqual(struct.unpack("4f", raw), (-0.5, -1, -1.5, -2))
        with self.assertRaisesRegex(ValueError, r"\[4\]"):
            opt.step({"w": floats(1, 2, 3, 4)})

    def test_without_numpy(self):
        code = ("import sys; sys.modules['numpy'] = None\n"
                "import array, eden.numpy\n"
                "w = array.array('f', [1, 2]); o = eden.numpy.Lion({'w': w}, lr=0.5, weight_decay=0.0)\n"
                "o.step({'w': array.array('f', [1, -1])}); m = o.state('w', 'm')\n"
                "assert list(w) == [0.5, 2.5] and type(m) is array.array and len(m) == 2, (w, m)\n")
        subprocess.run([sys.executable, "-c", code], check=True, env=environment())


@unittest.skipUnless(np, "NumPy is not here")
class Numpy(Case):
    def test_in_place_at_any_place(self):
        whole = np.zeros((6, 4), np.float32)
        opt = en.SGD({"w": whole[2:4]}, lr=0.5)
        opt.step({"w": np.ones((2, 4), np.float32)})
        self.assertEqual(whole.sum(), -4)
        self.assertEqual(whole[2:4].sum(), -4)

    def test_gradients_in_any_order(self):
        g = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
        back = np.ascontiguousarray(g.transpose(2, 0, 1)).transpose(1, 2, 0)
        wide = np.zeros((2, 6, 8), np.float32)[:, ::2, ::2]
        wide[...] = g
        for given in (g, np.asfortranarray(g), back, wide, g[::-1, ::-1][::-1, ::-1]):
            w = np.zeros((2, 3, 4), np.float32)
            en.SGD({"w": w}, lr=1.0).step({"w": given})
            np.testing.assert_array_equal(w, -g)
        w = np.zeros((2, 3, 4), np.float32)
        en.SGD({"w": w}, lr=1.0).step({"w": g[::-1, :, ::-1]})
        np.testing.assert_array_equal(w, -g[::-1, :, ::-1])
        g.flags.writeable = False
        en.SGD({"w": w}, lr=1.0).step({"w": g})
        w = np.zeros(4, np.float32)
        en.SGD({"w": w}, lr=1.0).step({"w": np.broadcast_to(np.float32(2), 4)})
        self.assertEqual(w.tolist(), [-2] * 4)

    def test_subclasses_memmap_and_scalars(self):
        class Kind(np.ndarray):
            pass
        w = np.zeros(4, np.float32).view(Kind)
        en.SGD({"w": w}, lr=0.5).step({"w": np.ones(4, np.float32)})
        self.assertEqual(w.tolist(), [-0.5] * 4)
        path = self.scratch("w")
        m = np.memmap(path, np.float32, "w+", shape=(4,))
        en.SGD({"w": m}, lr=0.5).step({"w": w.view(np.ndarray)})
        m.flush()
        self.assertEqual(np.fromfile(path, np.float32).tolist(), [0.25] * 4)
        one = np.array(1, np.float32)
        opt = en.SGD({"w": one}, lr=0.5)
        opt.step({"w": np.float32(1)})
        self.assertEqual((one[()], opt.steps), (0.5, 1))

    def test_state_has_the_weights_shape(self):
        opt = en.Adafactor({"w": np.ones((3, 5), np.float32)}, beta1=0.9, min_factored=1)
        opt.step({"w": np.ones((3, 5), np.float32)})
        shapes = set()
        for slot in (s.name for s in type(opt)._spelling.rule.slots):
            try:
                kept = opt.state("w", slot)
            except eden.Error:
                continue
            self.assertEqual(kept.dtype, np.float32)
            shapes.add(kept.shape)
        self.assertIn((3, 5), shapes)
        self.assertTrue(shapes & {(3,), (5,)})

    def test_first_dimensions_that_make_the_rows(self):
        for split, want in ((1, {(2,), (12,)}), (2, {(6,), (4,)})):
            opt = en.Adafactor({"w": np.ones((2, 3, 4), np.float32)}, min_factored=1, split=split)
            opt.step({"w": np.ones((2, 3, 4), np.float32)})
            shapes = set()
            for slot in type(opt)._spelling.rule.slots:
                try:
                    shapes.add(opt.state("w", slot.name).shape)
                except eden.Error:
                    pass
            self.assertLessEqual(want, shapes)

    def test_sixteen_bits(self):
        kinds = [np.float16] + ([ml_dtypes.bfloat16] if ml_dtypes else [])
        for kind in kinds:
            w = np.array([1, 2, -3], kind)
            opt = en.SGD({"w": w}, lr=0.5)
            opt.step({"w": np.array([1, -1, 0.5], kind)})
            self.assertEqual(w.astype(np.float64).tolist(), [0.5, 2.5, -3.25])
            with self.assertRaisesRegex(TypeError, "grad_dtype"):
                opt.step({"w": np.ones(3, np.float32)})
            opt = en.SGD({"w": w}, lr=0.5, grad_dtype="f32")
            opt.step({"w": np.ones(3, np.float32)})
            self.assertEqual(w.astype(np.float64).tolist(), [0, 2, -3.75])
            opt = en.SGD({"w": w}, lr=1.0, accumulate=2)
            opt.step({"w": np.ones(3, np.float32)})
            opt.step({"w": np.ones(3, kind)})
            self.assertEqual(w.astype(np.float64).tolist(), [-1, 1, -4.75])

    @unittest.skipUnless(ml_dtypes, "ml_dtypes is not here")
    def test_small_steps_are_kept_beside_the_weights(self):
        """Below 1 bfloat16 has steps of 2^-8; a step of 2^-10 is lost unless something keeps it."""
        for words, want in (({}, 1), ({"master": "f32"}, 1 - 2**-8), ({"master": "split"}, 1 - 2**-8),
                            ({"rounding": "kahan"}, 1 - 2**-8)):
            w = np.ones(4, ml_dtypes.bfloat16)
            opt = en.SGD({"w": w}, lr=2.0**-10, **words)
            for _ in range(4):
                opt.step({"w": np.ones(4, ml_dtypes.bfloat16)})
            self.assertEqual(w.astype(float).tolist(), [want] * 4, words)
        n = 1 << 14
        w = np.ones(n, ml_dtypes.bfloat16)
        en.SGD({"w": w}, lr=2.0**-10, rounding="stochastic", seed=3).step({"w": np.ones(n, ml_dtypes.bfloat16)})
        down = (w.astype(float) == 1 - 2**-8).mean()
        self.assertLess(abs(down - 0.25), 6 * math.sqrt(0.25 * 0.75 / n))

    def test_numbers_of_numpy(self):
        opt = en.SGD({"w": np.ones(2, np.float32)}, lr=np.float32(0.1), accumulate=np.int64(1),
                     seed=np.uint64(2**64 - 1))
        self.assertEqual(opt.get("lr"), f32(0.1))
        opt.set(lr=np.float64(0.1), momentum=np.int8(0))
        self.assertEqual(opt.get("lr"), 0.1)


class OnlyDLPack:
    """An array that can be reached through DLPack alone."""
    def __init__(self, of, old=False):
        self.of, self.old = of, old

    def __dlpack__(self, **words):
        return self.of.__dlpack__() if self.old else self.of.__dlpack__(**words)


def torch_that_says_what_may_be_written():
    try:
        import torch
        torch.zeros(1).__dlpack__(max_version=(1, 0))
    except (ImportError, TypeError):
        raise unittest.SkipTest("PyTorch with DLPack 1 is not here") from None
    return torch


class DLPack(Case):
    @unittest.skipUnless(np and np.lib.NumpyVersion(np.__version__) >= "2.1.0", "NumPy 2.1 is not here")
    def test_without_buffers(self):
        w, g = np.zeros((2, 3), np.float32), np.arange(6, dtype=np.float32).reshape(3, 2)
        opt = en.SGD({"w": OnlyDLPack(w)}, lr=1.0)
        opt.step({"w": OnlyDLPack(g.T)})
        np.testing.assert_array_equal(w, -g.T)
        opt.step({"w": OnlyDLPack(np.ascontiguousarray(g.T), old=True)})
        np.testing.assert_array_equal(w, -2 * g.T)
        with self.assertRaisesRegex(ValueError, "DLPack"):
            en.SGD({"w": OnlyDLPack(w, old=True)})
        fixed = np.zeros(3, np.float32)
        fixed.flags.writeable = False
        with self.assertRaisesRegex(ValueError, "read-only"):
            en.SGD({"w": OnlyDLPack(fixed)})
        with self.assertRaisesRegex(TypeError, "float32"):
            en.SGD({"w": OnlyDLPack(np.zeros(3))})
        with self.assertRaisesRegex(TypeError, "capsule"):
            class Wrong:
                def __dlpack__(self, **_):
                    return 5
            en.SGD({"w": Wrong()})

    def test_torch(self):
        torch = torch_that_says_what_may_be_written()
        for kind in (torch.float32, torch.bfloat16, torch.float16):
            w = torch.zeros(2, 3, dtype=kind)
            opt = en.SGD({"w": w}, lr=0.5)
            opt.step({"w": torch.arange(6, dtype=kind).reshape(3, 2).T})
            self.assertEqual(w.tolist(), [[0, -1, -2], [-0.5, -1.5, -2.5]])
        with self.assertRaisesRegex(TypeError, "detach"):
            en.SGD({"w": torch.zeros(2, requires_grad=True)})
        w = torch.zeros(4)
        opt = en.SGD({"w": w}, lr=0.5)
        w.resize_(1 << 20)
        with self.assertRaisesRegex(ValueError, "resized or moved"):
            opt.step({"w": torch.zeros(4)})

    def test_torch_pending(self):
        """What DLPack does not carry: a sign or a conjugate to come."""
        torch = torch_that_says_what_may_be_written()
        w = torch.zeros(3)
        opt = en.SGD({"w": w}, lr=0.5)
        negative, conjugate = torch._neg_view(torch.ones(3)), torch.ones(3, dtype=torch.complex64).conj()
        for wrong, words in ((negative, "pending sign.*resolve_neg"), (conjugate, "array 'v'|gradient of 'w'")):
            with self.assertRaisesRegex(TypeError, words):
                opt.step({"w": wrong})
            with self.assertRaisesRegex(TypeError, words):
                en.SGD({"v": wrong})
        w.data = negative.data
        with self.assertRaisesRegex((TypeError, ValueError), "the array 'w'"):
            opt.step({"w": torch.ones(3)})

    def test_torch_without_memory(self):
        torch = torch_that_says_what_may_be_written()
        from torch._subclasses.fake_tensor import FakeTensorMode
        w, freed = torch.zeros(3), torch.ones(3)
        opt = en.SGD({"w": w, "none": torch.zeros(0)}, lr=0.5)
        freed.untyped_storage().resize_(0)
        with FakeTensorMode():
            fake = torch.ones(3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for wrong in freed, fake:
                with self.assertRaisesRegex(TypeError, "gradient of 'w' has no memory"):
                    opt.step({"w": wrong})
                with self.assertRaisesRegex(TypeError, "array 'v' has no memory"):
                    en.SGD({"v": wrong})
        opt.step({"w": torch.ones(3), "none": torch.zeros(0)})
        self.assertEqual((opt.steps, opt.steps_of("none"), w.tolist()), (1, 1, [-0.5] * 3))

    def test_jax(self):
        try:
            import jax.numpy as jnp
        except ImportError:
            self.skipTest("JAX is not here")
        for kind in (jnp.float32, jnp.bfloat16):
            with self.assertRaisesRegex(ValueError, "read-only"):
                en.SGD({"w": jnp.zeros(3, kind)})
        w = floats(0, 0, 0)
        en.SGD({"w": w}, lr=1.0).step({"w": jnp.arange(3, dtype=jnp.float32)})
        self.assertEqual(list(w), [0, -1, -2])
        v = floats(0, 0, 0)
        en.SGD({"w": v}, lr=1.0, grad_dtype="bf16").step({"w": jnp.arange(3, dtype=jnp.bfloat16)})
        self.assertEqual(list(v), [0, -1, -2])


if __name__ == "__main__":
    unittest.main()
