#!/usr/bin/env python3
"""bench/peers.py: that it runs without any peer and says so; never how fast anything is."""
import json
import os
import pathlib
import subprocess
import sys
import unittest

SOURCE = pathlib.Path(os.environ["EDEN_SOURCE"])
LIBRARY = pathlib.Path(os.environ["EDEN_BUILD"]) / "libeden.so"
PEERS = ["pytorch", "deepspeed", "ggml", "llm.c"]
sys.dont_write_bytecode = True
sys.path.insert(0, str(SOURCE / "bench"))


def peers(*words, code=0):
    """Without site-packages there is no PyTorch, and nowhere is no ggml."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "LLMC_DIR")}
    done = subprocess.run([sys.executable, "-B", "-S", str(SOURCE / "bench" / "peers.py"), *words],
                          env={**environment, "GGML_DIR": "/nowhere"}, capture_output=True,
                          text=True, timeout=100)
    assert done.returncode == code, (done.returncode, done.stderr)
    return done


@unittest.skipIf(os.environ["EDEN_SANITIZE"] == "ON", "Python does not load a sanitized library")
class Alone(unittest.TestCase):
    def measure(self, *words):
        return peers("--eden", str(LIBRARY), "--seconds", "0.01", *words)

    def test_every_work(self):
        done = self.measure("--json", "--check", "--threads", "1", "2", "--elements", "20000",
                            "--work", "adamw", "lion", "adafactor", "bf16", "bf16-state32",
                            "bf16-master", "update", "update-keep", "update-scaled")
        report = json.loads(done.stdout)
        self.assertEqual(list(report["missing"]), PEERS)
        self.assertIn("GGML_DIR=/nowhere", report["missing"]["ggml"])
        self.assertIn("LLMC_DIR", report["missing"]["llm.c"])
        self.assertEqual(list(report["found"]), ["Eden"])
        self.assertEqual(len(report["rows"]), 18)
        for row in report["rows"]:
            self.assertGreater(row["eden"]["ns"], 0)
            self.assertLessEqual(row["eden"]["low"], row["eden"]["high"])
            self.assertEqual((row["ratio"], row["peers"], row["differ"]), (None, {}, []))

    def test_table(self):
        lines = self.measure("--work", "many", "adamw", "--elements", "4000", "--threads",
                             "1").stdout.splitlines()
        for name in PEERS:
            self.assertTrue(any(line.startswith(f"{name} is missing: ") for line in lines), name)
        rows = [line.split() for line in lines if line.split()[:2] == ["4000", "1"]]
        self.assertEqual(len(rows), 2)
        for row in rows:
            self.assertGreater(float(row[2]), 0)
            self.assertEqual(row[3:], ["-"])
        self.assertLessEqual(max(len(line) for line in lines if "missing" not in line), 80)

    def test_refused(self):
        for words, code, part in [(["--eden", "/nowhere/libeden.so"], 69, "/nowhere/libeden.so"),
                                  (["--elements", "2001"], 2, "2001"), (["--threads", "0"], 2, "threads"),
                                  (["--work", "nothing"], 2, "nothing")]:
            with self.subTest(words=words):
                self.assertIn(part, peers(*words, code=code).stderr)


class Figures(unittest.TestCase):
    """The arithmetic of a row, with contenders whose times are given."""
    def setUp(self):
        import peers as module
        import work
        self.module, self.work = module, work

    def row(self, seconds, moves):
        """Contenders that take so many seconds and add so much to each weight."""
        module, work = self.module, self.work

        def make(name):
            class Runner:
                def __init__(self, memory):
                    self.name, self.memory = name, memory

                def run(self, steps):
                    view = memoryview(self.memory.weights.map).cast("f")
                    for i in range(len(view)):
                        view[i] += moves[name] * steps
                    view.release()
                    return seconds[name] * steps

                def close(self):
                    pass
            return lambda work, memory, threads: Runner(memory)
        makers = {name: make(name) for name in seconds if name != "Eden"}
        return module.measure(work.WORKS[0], 2000, 1, make("Eden"), makers, 0)

    def test_row(self):
        row = self.row({"Eden": 0.02, "a": 0.03, "b": 0.01}, {"Eden": 1e-3, "a": 1.001e-3, "b": 1e-3})
        self.assertEqual((row["fastest"], row["differ"]), ("b", []))
        self.assertAlmostEqual(row["ratio"]["median"], 0.5)
        self.assertAlmostEqual(row["eden"]["ns"], 0.02 * 1e9 / 2000)
        self.assertAlmostEqual(row["peers"]["a"]["ns"], 0.03 * 1e9 / 2000)

    def test_other_steps_are_not_counted(self):
        row = self.row({"Eden": 0.02, "a": 0.03, "b": 0.01}, {"Eden": 1e-3, "a": 1e-3, "b": 1.1e-3})
        self.assertEqual((row["fastest"], row["differ"]), ("a", ["b"]))
        self.assertAlmostEqual(row["ratio"]["median"], 1.5)

    def test_bf16_is_the_upper_half(self):
        self.assertEqual(self.work.numbers(1, 1, self.work.BF16)[:2],
                         self.work.numbers(1, 1, self.work.F32)[2:4])


if __name__ == "__main__":
    unittest.main()
