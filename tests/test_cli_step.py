#!/usr/bin/env python3
"""`eden step`: files in, files out, and nothing else touched."""
import json
import os
import pathlib
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import unittest

from tensorfile import floats, read, tensor, values, write, write_own

EDEN = os.environ.get("EDEN", "build/eden")


SHAPES = {"conv": [3, 2, 3, 3], "matrix": [5, 7], "fc.bias": [7], "scalar": [], "none": [0, 4]}
WEIGHTS = {name: tensor(shape, i + 1) for i, (name, shape) in enumerate(SHAPES.items())}
GRADS = {name: tensor(shape, i + 100) for i, (name, shape) in enumerate(SHAPES.items())}


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="eden-step-"))
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.p, self.g, self.o, self.s, self.t = (
            self.folder / name for name in ("p", "g", "o", "s", "t"))
        write(self.p, WEIGHTS)
        write(self.g, GRADS)

    def eden(self, *words, **more):
        return subprocess.run([EDEN, "step", *map(str, words)], capture_output=True, timeout=60,
                              **more)

    def step(self, name, *words, params=None, out=None):
        return self.eden(name, "--params", params or self.p, "--grads", self.g,
                         "--out", out or self.o, *words)

    def good(self, *words, **more):
        done = self.step(*words, **more)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))

    def bad(self, code, text, *words, run=None, **more):
        """The command refuses with `code` and a line with `text`; no file changes."""
        before = self.contents()
        done = (run or self.step)(*words, **more)
        lines = done.stderr.decode().splitlines()
        self.assertEqual(done.returncode, code, lines)
        self.assertIn(text, lines[0])
        self.assertTrue(lines[0].startswith("eden: ") and len(lines) <= 2, lines)
        self.assertEqual(self.contents(), before)
        return lines[0]

    def contents(self):
        return {path.name: path.is_file() and path.read_bytes() for path in self.folder.iterdir()}


class Steps(Case):
    def test_one_step(self):
        write(self.p, {"w": ("F32", [2], floats(1, 2))})
        write(self.g, {"w": ("F32", [2], floats(0.5, -4))})
        self.good("sgd", "--lr", "0.25")
        self.assertEqual(values(self.o, "w"), [0.875, 3])
        self.good("sgd", "--set", "lr=0.25", "momentum=0.5", "--repeat", "2")
        self.assertEqual(values(self.o, "w"), [1 - 0.25 * (0.5 + 0.75), 2 + 0.25 * (4 + 6)])

    def test_files_as_repeat(self):
        """Through files, in place, every optimizer makes the bits of one long run."""
        listed = subprocess.run([EDEN, "list", "--json"], capture_output=True, check=True)
        names = [entry["name"] for entry in json.loads(listed.stdout)]
        self.assertEqual(len(names), 10)
        for name in names:
            with self.subTest(name):
                words = ["--set", "lr=0.0625", "--group", "bias$:lr=0.5"]
                self.good(name, *words, "--repeat", "4", "--state-out", self.t)
                expected = self.o.read_bytes(), self.t.read_bytes()
                self.assertNotEqual(read(self.o)[0]["conv"], WEIGHTS["conv"])
                work = self.folder / "work"
                shutil.copy(self.p, work)
                self.good(name, *words, "--state-out", self.s, params=work, out=work)
                for threads in "1", "2", "3":
                    self.good(name, "--state", self.s, "--state-out", self.s, "--threads", threads,
                              params=work, out=work)
                self.assertEqual((work.read_bytes(), self.s.read_bytes()), expected)
                self.assertEqual({name.removesuffix(".old") for name in self.contents()},
                                 {"g", "o", "p", "s", "t", "work"})

    def test_settings_over_state(self):
        """The file's settings hold until the command line says otherwise."""
        write(self.p, {"w": ("F32", [1], floats(0))})
        write(self.g, {"w": ("F32", [1], floats(1))})
        self.good("sgd", "--lr", "0.5", "--state-out", self.s)
        self.good("sgd", "--state", self.s, "--state-out", self.t)
        self.assertEqual(values(self.o, "w"), [-0.5])
        self.good("sgd", "--state", self.s, "--lr", "0.25", "--state-out", self.t)
        self.assertEqual(values(self.o, "w"), [-0.25])
        self.good("sgd", "--state", self.t)
        self.assertEqual(values(self.o, "w"), [-0.25])

    def test_state_of_another_program(self):
        """Clipping, direction and splits are the file's; settings complete what it says."""
        self.good("momentum", "--lr", "0.5", "--state-out", self.s)
        state, metadata = read(self.s)
        metadata.update({"eden.maximize": "1", "eden.clip_norm": "0.5", "eden.clip_value": "0.25",
                         "eden.split.conv": "2"})
        write_own(self.s, {name: (*entry[:2], bytes(len(entry[2]))) for name, entry in state.items()},
                  metadata)
        self.good("momentum", "--state", self.s, "--state-out", self.t, "--set", "dampening=0.5")
        for key in "eden.maximize", "eden.clip_norm", "eden.clip_value", "eden.split.conv":
            self.assertEqual(read(self.t)[1][key], metadata[key])
        moved = [b - a for name in ("conv", "matrix")
                 for a, b in zip(values(self.p, name), values(self.o, name))]
        grads = values(self.g, "conv") + values(self.g, "matrix")
        self.assertTrue(all(m * g >= 0 for m, g in zip(moved, grads)))
        self.assertLessEqual(max(map(abs, moved)), 0.5 * 0.25 * 1.01)
        write_own(self.s, state, {**metadata, "eden.accumulate": "2"})
        self.bad(65, "accumulate is 2 in the file", "momentum", "--state", self.s)
        self.good("sgd", "--set", "momentum=0.9", "--state-out", self.s)
        self.good("sgd", "--state", self.s, "--set", "dampening=0.5")
        self.bad(64, "no effect", "sgd", "--set", "dampening=0.5")

    def test_groups_over_state(self):
        write(self.p, {"a": ("F32", [1], floats(0)), "b": ("F32", [1], floats(0))})
        write(self.g, {"a": ("F32", [1], floats(1)), "b": ("F32", [1], floats(1))})
        self.good("sgd", "--lr", "1", "--group", "a:lr=2", "--state-out", self.s)
        self.assertEqual(values(self.o, "a") + values(self.o, "b"), [-2, -1])
        self.good("sgd", "--state", self.s)
        self.assertEqual(values(self.o, "a") + values(self.o, "b"), [-2, -1])
        self.good("sgd", "--state", self.s, "--lr", "3")
        self.assertEqual(values(self.o, "a") + values(self.o, "b"), [-2, -3])
        self.good("sgd", "--state", self.s, "--group", "a:lr=4")
        self.assertEqual(values(self.o, "a") + values(self.o, "b"), [-4, -1])
        self.bad(64, "no such group", "sgd", "--state", self.s, "--group", "b:lr=4")

    def test_other_state(self):
        self.good("adam", "--state-out", self.s)
        self.bad(65, "adam", "lion", "--state", self.s)
        for path, tensors in (self.p, WEIGHTS), (self.g, GRADS):
            write(path, {"conv": tensors["conv"]})
        self.bad(65, "matrix", "adam", "--state", self.s)
        self.bad(65, "holds an optimizer's state and no weights", "adam", params=self.s)
        self.bad(65, "no optimizer", "adam", "--state", self.p)

    def test_absent_gradient(self):
        """A weight without a gradient keeps its bits and its count, whatever its type."""
        del (grads := dict(GRADS))["matrix"]
        write(self.p, {**WEIGHTS, "count": ("I64", [1], struct.pack("<q", 7)),
                       "half": ("BF16", [3], b"abcdef")}, {"author": "A. N. Other \u00e9"})
        write(self.g, grads)
        self.good("adam", "--lr", "0.1", "--state-out", self.s)
        out, metadata = read(self.o)
        for name in "matrix", "count", "half":
            self.assertEqual(out[name], read(self.p)[0][name])
        self.assertNotEqual(out["conv"], WEIGHTS["conv"])
        state, counts = read(self.s)
        self.assertEqual((counts["eden.steps.matrix"], counts["eden.steps.conv"]), ("0", "1"))
        self.assertEqual(set(state["matrix@m"][2]), {0})
        self.assertEqual(metadata["author"], "A. N. Other \u00e9")
        # It may come later, and is then at its own first step.
        write(self.g, GRADS)
        self.good("adam", "--state", self.s, "--state-out", self.t)
        counts = read(self.t)[1]
        self.assertEqual((counts["eden.steps.matrix"], counts["eden.steps.conv"]), ("1", "2"))
        self.good("adam", "--lr", "0.1", out=self.t)
        self.assertEqual(read(self.t)[0]["matrix"], read(self.o)[0]["matrix"])

    def test_shapes_and_metadata(self):
        self.good("adafactor")
        out, metadata = read(self.o)
        self.assertEqual({name: entry[1] for name, entry in out.items()}, SHAPES)
        self.good("adafactor", params=self.o, out=self.t)
        # The sums of the first output would not fit the second.
        self.assertNotEqual(read(self.t)[1]["eden.sum.conv"], metadata["eden.sum.conv"])

    def test_nothing(self):
        for path in self.p, self.g:
            write(path, {})
        self.good("adamw", "--state-out", self.s)
        self.good("adamw", "--state", self.s)
        self.assertEqual(read(self.o)[0], {})

    def test_checkpoint_as_params(self):
        """A file with weights and state gives its weights, and no stale state."""
        self.good("adam", "--state-out", self.s)
        state, metadata = read(self.s)
        metadata["eden.parts"], metadata["mine"] = "weights,optim", "kept"
        both = self.folder / "both"
        write_own(both, {**state, **read(self.o)[0]}, metadata)
        self.good("adam", "--state", both, params=both, out=self.t)
        out, metadata = read(self.t)
        self.assertEqual(set(out), set(SHAPES))
        self.assertEqual(metadata.pop("mine"), "kept")
        self.assertTrue(all(key.startswith("eden.sum") for key in metadata), metadata)
        again = self.folder / "again"
        self.good("adam", "--repeat", "2", out=again)
        self.assertEqual({name: out[name] for name in SHAPES}, read(again)[0])

    def test_links(self):
        """An output that is a symbolic link stays one."""
        for name in "p", "s":
            self.good("adam", "--state-out", self.s)
            (self.folder / name).rename(self.folder / ("real-" + name))
            (self.folder / name).symlink_to("real-" + name)
        self.good("adam", "--state", self.s, "--state-out", self.s, out=self.p)
        self.assertTrue(self.p.is_symlink() and self.s.is_symlink())
        self.assertEqual(read(self.folder / "real-s")[1]["eden.steps"], "2")


class Groups(Case):
    def setUp(self):
        super().setUp()
        names = "a:b", "a.bias", "b.bias", "c"
        write(self.p, {name: ("F32", [1], floats(0)) for name in names})
        write(self.g, {name: ("F32", [1], floats(1)) for name in names})

    def test_first_match(self):
        self.good("sgd", "--lr", "1", "--group", "^(a|b)[.]bias$:lr=2", "--group", "^a:lr=3",
                  "--group", "c:lr=4,weight_decay=0.5")
        self.assertEqual([values(self.o, name)[0] for name in ("a:b", "a.bias", "b.bias", "c")],
                         [-3, -2, -2, -4])

    def test_colon(self):
        self.good("sgd", "--lr", "1", "--group", "a:b:lr=2", "--group", "[[:alpha:]].b:lr=3")
        self.assertEqual([values(self.o, name)[0] for name in ("a:b", "a.bias", "b.bias", "c")],
                         [-2, -3, -3, -1])

    def test_refusals(self):
        for code, text, group in [
            (64, "matches no weight", "nowhere:lr=1"),
            (64, "--group '[a': ", "[a:lr=1"),
            (64, "is not REGEX:NAME=VALUE", "bias"),
            (64, "is not REGEX:NAME=VALUE", "bias:"),
            (64, "is not REGEX:NAME=VALUE", "bias[[:alpha:]]"),
            (64, "is not REGEX:NAME=VALUE", ":lr=1"),
            (64, "did you mean 'lr'", "bias:lrr=1"),
            (64, "is not a number", "bias:lr=fast"),
            (64, "outside", "bias:lr=-1"),
            (64, "NAME=VALUE", "bias:lr=1,,weight_decay=1"),
            (64, "given twice", "bias:lr=1,lr=2"),
            (64, "no effect", "bias:dampening=0.5"),
        ]:
            self.bad(code, text, "sgd", "--group", group)
        self.bad(64, "earlier group", "sgd", "--group", "bias:lr=1", "--group", "a.bias:lr=2")
        write(self.p, {"default": ("F32", [1], floats(0))})
        write(self.g, {"default": ("F32", [1], floats(1))})
        self.good("sgd", "--group", "default:lr=1")


class Refusals(Case):
    def test_usage(self):
        full = {"--params": self.p, "--grads": self.g, "--out": self.o}
        for missing in full:
            words = [word for pair in full.items() if pair[0] != missing for word in pair]
            self.bad(64, f"needs {missing} FILE", "sgd", *words, run=self.eden)
        self.bad(64, "did you mean 'adam'", "adm")
        self.bad(64, "did you mean 'lr'", "sgd", "--set", "lrr=1")
        self.bad(64, "outside", "adam", "--set", "beta1=1")
        self.bad(64, "--repeat '0'", "sgd", "--repeat", "0")
        self.bad(64, "no effect", "sgd", "--set", "nesterov=1")
        self.bad(64, "look-ahead", "momentum", "--set", "lookahead=1")

    def test_same_files(self):
        for words in [("--state-out", self.o), ("--state-out", self.folder / "." / "o"),
                      ("--state-out", f"{self.folder}/../{self.folder.name}/o"),
                      ("--state-out", self.p), ("--state-out", self.g)]:
            self.bad(64, "are the same file", "sgd", *words)
        self.bad(64, "--out and --grads are the same file", "sgd", out=self.g)
        self.good("sgd", "--state-out", self.s)
        self.bad(64, "--out and --state are the same file", "sgd", "--state", self.s, out=self.s)
        self.t.symlink_to("p")
        self.bad(64, "are the same file", "sgd", "--state-out", self.t)

    def test_inputs(self):
        nowhere = self.folder / "nowhere"
        self.bad(66, "nowhere", "sgd", params=nowhere)
        self.bad(66, "nowhere", "sgd", "--state", nowhere)
        self.bad(66, "directory", "sgd", params=self.folder)
        whole = self.p.read_bytes()
        for damaged in (b"", whole[:5], whole[:60], whole[:-1], whole + b"x",
                        b"PK\3\4" + whole, whole.replace(b'"F32"', b'"F99"', 1)):
            self.t.write_bytes(damaged)
            self.bad(65, "/t'", "sgd", params=self.t)
        os.mkfifo(self.folder / "fifo")
        self.assertIn(self.step("sgd", params=self.folder / "fifo").returncode, (65, 66, 74))

    def test_pairs(self):
        for text, weight, grad in [
            ("no such weight", {}, {"w": tensor([1], 1)}),
            ("did you mean 'weight'", {"weight": tensor([1], 1)}, {"wieght": tensor([1], 1)}),
            ("shape [3, 2], the weight [2, 3]", {"w": tensor([2, 3], 1)}, {"w": tensor([3, 2], 1)}),
            ("shape [1], the weight []", {"w": tensor([], 1)}, {"w": tensor([1], 1)}),
            ("shape [], the weight [1]", {"w": tensor([1], 1)}, {"w": tensor([], 1)}),
            ("the weight 'w' is F64", {"w": ("F64", [1], b"12345678")}, {"w": tensor([1], 1)}),
            ("the gradient of 'w' is I16", {"w": tensor([2], 1)}, {"w": ("I16", [2], b"1234")}),
            ("the gradient of 'w' is F64", {"w": tensor([1], 1)}, {"w": ("F64", [1], b"12345678")}),
        ]:
            write(self.p, weight)
            write(self.g, grad)
            self.bad(65, text, "sgd")

    def test_bad_gradients(self):
        for value in float("nan"), float("inf"), -float("inf"), 3e38:
            write(self.g, {**GRADS, "matrix": ("F32", [5, 7], floats(*[1] * 17, value, *[1] * 17))})
            self.assertIn("element 17", self.bad(65, "'matrix'", "adamw", "--state-out", self.s))


class Outputs(Case):
    def setUp(self):
        super().setUp()
        self.good("adam", "--state-out", self.s)

    def test_places(self):
        self.bad(73, "No such file or directory", "sgd", out=self.folder / "no" / "o")
        self.bad(73, "a directory is in its place", "sgd", out=self.folder)
        os.mkfifo(self.folder / "fifo")
        self.bad(73, "device or pipe", "sgd", out=self.folder / "fifo")
        self.bad(73, "device or pipe", "sgd", out="/dev/null")
        self.bad(73, "device or pipe", "sgd", "--state-out", "/dev/full")
        self.bad(73, "name too long", "sgd", "--state-out", self.folder / ("x" * 300))
        self.bad(73, "No such file", "sgd", "--state-out", self.folder / "no" / "s")

    def test_permissions(self):
        locked = self.folder / "locked"
        locked.mkdir(mode=0o500)
        # Root may do everything unless it gives that up.
        less = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
        less = less if os.geteuid() == 0 else []
        try:
            subprocess.run([*less, EDEN, "list"], capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            self.skipTest("root cannot give up its rights here")

        def run(*words, out=self.o):
            return subprocess.run([*less, EDEN, "step", "adam", "--params", self.p, "--grads",
                                   self.g, "--out", out, *words], capture_output=True, check=False)

        def refuses(*words, **more):
            done = run(*words, **more)
            self.assertEqual(done.returncode, 77, done.stderr)
            self.assertIn(b"Permission denied", done.stderr)
        refuses(out=locked / "o")
        refuses("--state-out", locked / "s")
        locked.chmod(0o700)
        shutil.copy(self.o, locked / "o")
        locked.chmod(0o500)
        refuses(out=locked / "o")
        self.assertEqual((locked / "o").read_bytes(), self.o.read_bytes())
        for path in self.o, self.p, self.g:
            path.chmod(0o444 if path == self.o else 0o200)
            refuses()
            path.chmod(0o644)
        self.s.chmod(0o200)
        refuses("--state", self.s)
        self.assertEqual(run().returncode, 0)

    def test_full_disk(self):
        """Whichever output does not fit, neither changes."""
        sizes = sorted([self.o.stat().st_size, self.s.stat().st_size])
        for limit in 0, 100, sizes[0] - 1, sizes[1] - 1:
            def small():
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

            def run(*words):
                return self.eden("adam", "--params", self.p, "--grads", self.g, "--out", self.o,
                                 "--lr", "0.5", *words, preexec_fn=small)
            self.bad(74, "File too large", "--state", self.s, "--state-out", self.s, run=run)
            if limit < self.o.stat().st_size:
                self.bad(74, "File too large", run=run)
        # Here the state would fit, and the weights do not.
        write(self.p, {"w": tensor([4096], 1)})
        write(self.g, {"w": tensor([4096], 2)})
        self.good("sgd", "--state-out", self.s)
        self.bad(74, "File too large", "--state", self.s, run=lambda *words: self.eden(
            "sgd", "--params", self.p, "--grads", self.g, "--out", self.o, *words, "--state-out",
            self.s, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))))

    def test_interrupt(self):
        """Ctrl-C during many steps leaves the files as they are."""
        before = self.contents()
        child = subprocess.Popen(
            [EDEN, "step", "adam", "--params", self.p, "--grads", self.g, "--out", self.p,
             "--state", self.s, "--state-out", self.s, "--repeat", "1000000000"])
        try:
            child.wait(0.3)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGINT)
        self.assertEqual(child.wait(20), -signal.SIGINT)
        self.assertEqual(self.contents(), before)


if __name__ == "__main__":
    if not os.access(EDEN, os.X_OK):
        print(f"skipped: there is no command {EDEN}")
        sys.exit(77)
    unittest.main()
