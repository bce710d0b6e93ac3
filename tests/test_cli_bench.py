#!/usr/bin/env python3
"""eden bench: that it measures what it is asked to, never how fast that is."""
import json
import os
import subprocess
import unittest

EDEN = os.environ["EDEN"]


def bench(*words):
    return subprocess.run([EDEN, "bench", *words], capture_output=True, text=True, timeout=60)


def measured(*words):
    done = bench(*words, "--params", "40960", "--seconds", "0.1", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert len(rows) == 1
    return rows[0]


class Bench(unittest.TestCase):
    def test_bytes(self):
        """Every rule's traffic, and what options make of it."""
        for words, moved, kept in [
                (["sgd"], 12, 0), (["momentum"], 20, 4), (["adamw"], 28, 8), (["lion"], 20, 4),
                (["lamb"], 40, 8), (["adafactor", "--cols", "4096"], 24, 4 * (10 + 4096) / 40960), (["adamw", "--amsgrad", "raw"], 36, 12),
                (["adamw", "--grad-dtype", "bf16", "--state-dtype", "bf16"], 18, 4),
                (["adamw", "--grad-dtype", "bf16", "--state-dtype", "q8"], 14, 2 + 2 / 64),
                (["adamw", "--check"], 32, 8), (["adamw", "--zero-grad"], 32, 8),
                (["adamw", "--dtype", "bf16", "--rounding", "split"], 24 + 4, 10)]:
            with self.subTest(words=words):
                row = measured(*words)
                self.assertEqual(row["bytes_per_element"], moved)
                self.assertAlmostEqual(row["state_bytes_per_element"], kept, places=2)
                self.assertGreater(row["ns_per_element"], 0)
                self.assertGreater(row["limit_ns_per_element"], 0)
                self.assertLessEqual(row["ns_low"], row["ns_high"])

    def test_table(self):
        done = bench("adamw", "--params", "65536", "--tensors", "100", "--threads", "2",
                     "--seconds", "0.1", "--clip", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("2 threads", done.stdout)
        self.assertIn("     65536", done.stdout)
        self.assertLessEqual(max(map(len, done.stdout.splitlines())), 80)

    def test_refused(self):
        for words, part in [(["adamx"], "did you mean 'adam"), (["adamw", "--params", "10"], "--params"),
                            (["adamw", "--tensors", "5000", "--params", "4096"], "--tensors 5000"),
                            (["adamw", "--cols", "1000", "--params", "4096"], "of 1000 columns"),
                            (["adamw", "--dtype", "q8"], "--dtype"),
                            (["adamw", "--rounding", "split"], "float32 weights lose nothing"),
                            (["adamw", "--beta1", "1"], "beta1")]:
            with self.subTest(words=words):
                done = bench(*words, "--seconds", "0.1")
                self.assertIn(done.returncode, (64, 65), done.stderr)
                self.assertIn(part, done.stderr)
                self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    unittest.main()
