"""eden.numpy's memory, interrupts, threads, processes and ends: an optimizer is whole at any moment, or closed."""
import array
import copy
import ctypes
import gc
import importlib
import math
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import unittest
import weakref

import eden
import eden.numpy as en
from eden import _array_base
from array_world import Refused, floats

try:
    import numpy as np
except ImportError:
    np = None


def environment():
    root = os.path.dirname(os.path.dirname(os.path.abspath(eden.__file__)))
    return {**os.environ, "PYTHONPATH": root}


def run(code):
    """A program of its own; what it prints."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env=environment(), capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0 and not done.stderr, (done.returncode, done.stderr)
    return done.stdout


class Lives(Refused):
    """P02: what becomes of memory."""
    def test_memory_cannot_go(self):
        w, raw = floats(1, 2), bytearray(8)
        opt = en.SGD({"w": w, "raw": memoryview(raw).cast("f")}, lr=1.0)
        for change in (lambda: w.append(1), lambda: w.pop(), lambda: raw.extend(b"x"), raw.clear):
            with self.assertRaises(BufferError):
                change()
        opt.close()
        w.append(1)
        raw.clear()

    def test_arrays_are_kept_and_let_go(self):
        class Held(array.array):
            pass
        w, g = Held("f", [1, 2]), Held("f", [1, 1])
        seen, seen_g = weakref.ref(w), weakref.ref(g)
        opt = en.SGD({"w": w}, lr=1.0)
        opt.step({"w": g})
        del w, g
        gc.collect()
        self.assertIsNone(seen_g())
        opt.step({"w": floats(1, 1)})
        self.assertEqual(list(seen()), [-1, 0])
        opt.close()
        gc.collect()
        self.assertIsNone(seen())

    @unittest.skipUnless(np, "NumPy is not here")
    def test_arrays_that_move_in_spite_of_it(self):
        w = np.zeros(4, np.float32)
        opt = en.SGD({"w": w}, lr=1.0)
        with self.assertRaises(ValueError):
            w.resize(1 << 20)
        w.resize(1 << 20, refcheck=False)
        for call in (lambda: opt.step({}), lambda: opt.save("/nowhere"), lambda: opt.load("/nowhere")):
            self.refused(ValueError, "resized or moved", call)
        v = np.zeros(4, np.float32)
        opt = en.SGD({"w": v}, lr=1.0)
        v.flags.writeable = False
        self.refused(ValueError, "read-only", opt.step, {"w": np.ones(4, np.float32)})
        self.assertEqual(v.tolist(), [0] * 4)

    @unittest.skipUnless(np and np.lib.NumpyVersion(np.__version__) >= "2.1.0", "NumPy 2.1 is not here")
    def test_memory_that_is_exchanged(self):
        class Holder:
            def __dlpack__(self, **words):
                return self.of.__dlpack__(**words)
        holder = Holder()
        holder.of = first = np.zeros(4, np.float32)
        opt = en.SGD({"w": holder}, lr=1.0)
        holder.of = np.zeros(4, np.float32)
        self.refused(ValueError, "resized or moved", opt.step, {"w": first})
        holder.of = first
        opt.step({"w": np.ones(4, np.float32)})
        self.assertEqual(first.tolist(), [-1] * 4)

    def test_gradients_are_let_go_at_once(self):
        """Memory of a gradient can be weights afterwards, which may not overlap what the library knows."""
        g = floats(1, 1)
        self.opt.step({"w": g})
        self.opt.add({"g": g})
        with tempfile.TemporaryDirectory() as folder:
            self.opt.save(os.path.join(folder, "a"))

    def test_what_is_collected_is_freed(self):
        opt = en.SGD({"w": floats(1)}, lr=1.0)
        free = opt._finalizer
        self.assertTrue(free.alive)
        del opt
        gc.collect()
        self.assertFalse(free.alive)


class Interrupts(Refused):
    """P03: exceptions, signals, threads, processes."""
    def test_exceptions_of_functions(self):
        for error in (ValueError("mine"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()):
            def bad(step):
                raise error
            self.opt.schedule("lr", bad)
            with self.assertRaises(type(error)) as caught:
                self.opt.step({"w": floats(1, 1)})
            self.assertIs(caught.exception, error)
            self.opt.schedule("lr", None)
            self.refused(ValueError, "shape", self.opt.step, {"w": floats(1)})
        self.assertEqual(list(self.w), [1, 2])

    def test_values_of_functions(self):
        for wrong in (None, "1", True, [1], math.nan, math.inf, -1.0, 1e300, 2**2000):
            self.opt.schedule("lr", lambda step: wrong)
            with self.assertRaises((eden.Error, TypeError, ValueError)):
                self.opt.step({"w": floats(1, 1)})
            self.opt.schedule("lr", None)
        self.refused(ValueError, "shape", self.opt.step, {"w": floats(1)})

    def test_functions_may_ask_and_not_change(self):
        def changes(step):
            self.opt.step({"w": floats(1, 1)})
        self.opt.schedule("lr", changes)
        with self.assertRaisesRegex(eden.Error, "in use"):
            self.opt.step({"w": floats(1, 1)})
        self.opt.schedule("lr", None)
        self.refused(ValueError, "shape", self.opt.step, {"w": floats(1)})

    def test_an_interrupt_leaves_whole_steps(self):
        """A signal comes at any moment of many steps; then so many steps have been taken as are counted."""
        def interrupt(*_):
            raise KeyboardInterrupt
        before = signal.signal(signal.SIGALRM, interrupt)
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        n, g = 20000, 0
        w = array.array("f", bytes(4 * n))
        opt = en.SGD({"w": w}, lr=1.0, accumulate=2)
        ones = array.array("f", [1.0]) * n
        for _ in range(60):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.002)
                for _ in range(2000):
                    opt.step({"w": ones})
            except KeyboardInterrupt:
                g += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            self.assertEqual((w[0], w[n - 1]), (-opt.steps, -opt.steps))
        self.assertGreater(g, 0)

    def test_an_interrupt_before_it_was_given_back(self):
        """What a call of this thread that is over has left does not hold up the next; another thread's does."""
        use = _array_base._Use()
        self.opt._busy[0] = use
        self.opt.step({"w": floats(0, 0)})
        self.assertEqual((self.opt.steps, self.opt._busy), (1, {}))
        use.thread += 1
        self.opt._busy[0] = use
        with self.assertRaisesRegex(eden.Error, "in use"):
            self.opt.step({"w": floats(0, 0)})
        del self.opt._busy[0]

    def test_another_thread_is_refused(self):
        inside, leave, said = threading.Event(), threading.Event(), []

        def waits(step):
            inside.set()
            leave.wait(60)
            return 1
        self.opt.schedule("lr", waits)
        thread = threading.Thread(target=lambda: said.append(self.opt.step({"w": floats(1, 1)})))
        thread.start()
        self.assertTrue(inside.wait(60))
        for call in (lambda: self.opt.step({}), lambda: self.opt.steps, lambda: self.opt.get("lr"), self.opt.close,
                     lambda: self.opt.set(lr=1.0), lambda: self.opt.save("/nowhere")):
            with self.assertRaisesRegex(eden.Error, "in use"):
                call()
        leave.set()
        thread.join()
        self.assertEqual((said, list(self.w), self.opt.steps), ([None], [0.5, 1.5], 1))

    def test_threads_with_optimizers_of_their_own(self):
        weights = [array.array("f", bytes(40000)) for _ in range(4)]
        ones = array.array("f", [1.0]) * 10000

        def work(w):
            opt = en.SGD({"w": w}, lr=1.0)
            for _ in range(50):
                opt.step({"w": ones})
        threads = [threading.Thread(target=work, args=(w,)) for w in weights]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertTrue(all(w == array.array("f", [-50.0]) * 10000 for w in weights))
        # Functions of a CDLL are called without the interpreter's lock, those of a PyDLL with it.
        self.assertIs(type(eden._native.lib), ctypes.CDLL)

    def test_fork(self):
        n = 200000
        w = array.array("f", bytes(4 * n))
        opt = en.SGD({"w": w}, lr=1.0, threads=2)
        ones = array.array("f", [1.0]) * n
        opt.step({"w": ones})
        child = os.fork()
        if child == 0:
            try:
                opt.step({"w": ones})
                os._exit(0 if w == array.array("f", [-2.0]) * n and opt.steps == 2 else 1)
            finally:
                os._exit(2)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        opt.step({"w": ones})
        self.assertEqual((w[0], w[n - 1], opt.steps), (-2, -2, 2))

    def test_a_second_copy_of_the_library(self):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(os.path.dirname(eden.__file__), os.path.join(folder, "eden_again"))
            sys.path.insert(0, folder)
            try:
                again = importlib.import_module("eden_again.numpy")
            finally:
                sys.path.remove(folder)
        self.assertIsNot(again.SGD, en.SGD)
        v = floats(1, 2)
        other = again.SGD({"w": v}, lr=0.25)
        for _ in range(3):
            self.opt.step({"w": floats(1, 1)})
            other.step({"w": floats(2, 2)})
        self.assertEqual((self.w, self.opt.steps, other.steps), (v, 3, 3))

    def test_sub_interpreter(self):
        said = run("""
            try:
                import _interpreters as interpreters
                make = lambda: interpreters.create("legacy")
            except ImportError:
                import _xxsubinterpreters as interpreters
                make = lambda: interpreters.create(isolated=False)
            code = '''if True:
                import array, sys
                sys.modules["numpy"] = None
                import eden.numpy
                w = array.array("f", [1]); o = eden.numpy.SGD({"w": w}, lr=0.5)
                o.schedule("lr", lambda s: 2.0)
                o.step({"w": array.array("f", [1])})
                print(w[0], flush=True)
            '''
            import eden.numpy
            for _ in range(2):
                other = make()
                failed = interpreters.run_string(other, code)
                assert failed is None, failed
                interpreters.destroy(other)
            exec(code)
            """)
        self.assertEqual(said, "0.0\n" * 3)


class Ends(Refused):
    """P05: copies and ends."""
    def test_copies_are_refused(self):
        for make in (copy.copy, copy.deepcopy, pickle.dumps, lambda o: pickle.dumps(o, 0),
                     lambda o: copy.deepcopy([o])):
            self.refused(TypeError, "SGD is neither copied nor pickled.*save", make, self.opt)
        self.assertIs(pickle.loads(pickle.dumps(en.SGD)), en.SGD)

    def test_closed(self):
        with self.opt as opt:
            self.assertIs(opt, self.opt)
            with opt:
                opt.step({"w": floats(1, 1)})
        opt.close()
        opt.close()
        self.assertIn("closed", repr(opt))
        for call in (lambda: opt.step({}), lambda: opt.steps, lambda: opt.get("lr"), lambda: opt.set(lr=1.0),
                     lambda: opt.save("/x"), lambda: opt.load("/x"), opt.__enter__, lambda: opt.notes.get("a"),
                     lambda: opt.lookahead().__enter__(), lambda: opt.averaged().__enter__(), lambda: opt.report(1.0),
                     lambda: opt.schedule("lr", None), lambda: opt.add({"z": floats(1)}), lambda: opt.state("w", "b"),
                     lambda: opt.add_group("g")):
            with self.assertRaisesRegex(eden.Error, "closed"):
                call()

    def test_closed_within(self):
        opt = en.SGD({"w": self.w}, lr=1.0, average="swa")
        opt.step({"w": floats(1, 1)})
        with opt.averaged():
            opt.close()

    def test_unfinished(self):
        half = en.SGD.__new__(en.SGD)
        half.close()
        self.assertIn("closed", repr(half))
        with self.assertRaises(Exception):
            half.step({})
        del half
        with self.assertRaises(TypeError):
            en.SGD()

    def test_at_exit(self):
        said = run("""
            import array, atexit, threading, eden.numpy as en
            w = array.array("f", bytes(4000000)); g = array.array("f", bytes(4000000))
            class Late:
                def __init__(self, opt): self.opt = opt
                def __del__(self): self.opt.close()
            opt, late = en.Adam({"w": w}), Late(en.SGD({"w": array.array("f", [1])}))
            opt.step({"w": g})
            cycle = [opt]; cycle.append(cycle)
            atexit.register(lambda: (opt.step({"w": g}), print("exit", opt.steps)))
            def work():
                other = en.Adam({"w": array.array("f", bytes(4000000))})
                while True: other.step({"w": g})
            threading.Thread(target=work, daemon=True).start()
            """)
        self.assertEqual(said, "exit 2\n")

if __name__ == "__main__":
    unittest.main()
