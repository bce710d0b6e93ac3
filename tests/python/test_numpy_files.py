"""eden.numpy's schedules and files."""
import array
import json
import math
import os
import pathlib
import struct
import tempfile
import unittest
from fractions import Fraction

import eden
import eden.numpy as en
from array_world import Near, floats


class Schedules(Near):
    def test_text(self):
        a = floats(0)
        opt = en.SGD({"w": a}, lr=0.5, schedule={"lr": "warmup(2) * cosine(8, end=0.5)"})
        want = 0.0
        for s in range(1, 11):
            at = min(s, 8)
            factor = min(s / 2, 1) * (0.5 + 0.5 * (1 + math.cos(math.pi * at / 8)) / 2)
            self.near([opt.get("lr", step=s)], [0.5 * factor], 1e-12)
            want -= 0.5 * factor
            opt.step({"w": floats(1)})
        self.near(a, [want])

    def test_functions(self):
        a, asked = floats(0), []
        opt = en.SGD({"w": a}, lr=1.0)

        def halves(step):
            asked.append((step, opt.get("lr"), opt.steps))
            return Fraction(1, 2)**step
        opt.schedule("lr", halves)
        for s in (1, 2, 3):
            opt.step({"w": floats(1)})
        self.assertEqual(a[0], -(0.5 + 0.25 + 0.125))
        self.assertEqual(asked, [(1, 1, 0), (2, 1, 1), (3, 1, 2)])
        self.assertEqual(opt.get("lr", step=10), 2.0**-10)
        opt.schedule("lr", "constant(0.5)")
        opt.step({"w": floats(1)})
        self.assertEqual(a[0], -1.375)

    def test_functions_of_groups_and_files(self):
        path = self.scratch()

        def made():
            a, b = floats(0), floats(0)
            opt = en.SGD({"a": a}, lr=1.0)
            opt.add_group("g", {"b": b}, schedule={"lr": lambda s: 2.0 * s})
            return opt, a, b
        opt, a, b = made()
        opt.step({"a": floats(1), "b": floats(1)})
        opt.save(path)
        opt.step({"a": floats(1), "b": floats(1)})
        again, c, d = made()
        again.load(path)
        again.step({"a": floats(1), "b": floats(1)})
        self.assertEqual((list(a), list(b)), ([-2], [-6]))
        self.assertEqual((a, b), (c, d))

    def test_plateau_hears_reports(self):
        opt = en.SGD({"w": floats(0)}, lr=1.0, schedule={"lr": "plateau(factor=0.5, patience=0)"})
        for loss in (1.0, 2.0, 3.0):
            opt.report(loss)
        a = opt.get("lr", step=1)
        self.assertEqual(a, 0.25)


class Files(Near):
    def made(self, **more):
        w = array.array("f", [math.sin(i) for i in range(600)])
        return en.AdamW({"w": w}, lr=1e-2, clip_norm=1.0, average="swa", schedule={"lr": "cosine(20)"}, **more), w

    def grads(self, s):
        return {"w": array.array("f", [math.cos(i * s) for i in range(600)])}

    def test_settings_and_schedules_become_those_of_the_file(self):
        path = self.scratch()
        en.SGD({"w": floats(1)}, lr=0.5, momentum=0.25, schedule={"lr": "constant(0.5)"}).save(path)
        opt = en.SGD({"w": floats(2)}, lr=8.0, schedule={"lr": "constant(4)", "momentum": "constant(2)"})
        opt.load(path, parts="weights")
        self.assertEqual([opt.get("lr"), opt.get("lr", step=1), opt.get("momentum")], [8, 32, 0])
        opt.load(path)
        self.assertEqual([opt.get("lr"), opt.get("lr", step=1), opt.get("momentum", step=1)], [0.5, 0.25, 0.25])
        self.assertIn("settings and schedules become the file's", opt.load.__doc__)

    def test_resume_is_equal_in_every_bit(self):
        for state in ("f32", "bf16", "q8"):
            path = self.scratch()
            whole, w = self.made(state=state)
            for s in range(1, 9):
                whole.step(self.grads(s))
                if s == 4:
                    whole.notes["epoch"] = "four \u2713"
                    whole.save(path)
            second, v = self.made(state=state)
            report = second.load(path)
            self.assertEqual((report.loaded, second.steps, second.notes["epoch"]), (1, 4, "four \u2713"))
            for s in range(5, 9):
                second.step(self.grads(s))
            self.assertEqual(bytes(w), bytes(v))
            for slot in ("m", "v"):
                self.assertEqual(bytes(whole.state("w", slot)), bytes(second.state("w", slot)))
            self.assertEqual(bytes(whole.average_of("w")), bytes(second.average_of("w")))

    def test_the_file_is_safetensors(self):
        path = self.scratch()
        opt, w = self.made()
        opt.step(self.grads(1))
        opt.save(path)
        with open(path, "rb") as file:
            length, = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
            begin, end = header["w"]["data_offsets"]
            file.seek(8 + length + begin)
            self.assertEqual(file.read(end - begin), bytes(w))
        self.assertTrue({"w", "w@m", "w@v", "__metadata__"} <= set(header))

    def test_parts_and_partial_loads(self):
        path = self.scratch()
        opt, w = self.made()
        opt.step(self.grads(1))
        with opt.averaged():
            opt.save(path, parts="weights")
        a, b = array.array("f", bytes(2400)), floats(7)
        other = en.SGD({"w": a, "b": b}, lr=0.1)
        with self.assertRaises(eden.FormatError) as caught:
            other.load(path, parts="weights")
        self.assertTrue(any("'b'" in line for line in caught.exception.differences))
        self.assertEqual(a[1], 0)
        report = other.load(path, parts="weights", partial=True)
        self.assertEqual((report.loaded, report.missing, b[0]), (1, 1, 7))
        self.assertTrue(any("'b'" in line for line in report.differences))
        self.assertEqual(a, w)

    def test_paths(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        opt, _ = self.made()
        odd = os.fsencode(folder.name) + b"/\xff\xfe"
        for path in (pathlib.Path(folder.name) / "a", os.path.join(folder.name, "b"), os.fsencode(folder.name) + b"/c",
                     os.fsdecode(odd)):
            opt.save(path)
            opt.load(path)
        self.assertTrue(os.path.exists(odd))

    def test_notes(self):
        opt, _ = self.made()
        self.assertNotIn("k", opt.notes)
        opt.notes["k"] = "v"
        self.assertEqual((opt.notes["k"], opt.notes.get("none", "else"), "k" in opt.notes), ("v", "else", True))
        del opt.notes["k"]
        for wrong in (lambda: opt.notes["k"], lambda: opt.notes.__delitem__("k")):
            with self.assertRaises(KeyError):
                wrong()

if __name__ == "__main__":
    unittest.main()
