#!/usr/bin/env python3
"""Fewer bits against chance: how far they move a result that another seed moves too.

Digits, 5 seeds, the same ones for each storage. What is lost counts as none if it moves
the mean over the seeds by less than float32's own standard deviation over them."""
import json
import os
import statistics
import subprocess
import unittest

EDEN = os.path.abspath(os.environ.get("EDEN", "build/eden"))


def results(*words):
    """Of each seed's last epoch: training loss, test loss, test accuracy."""
    done = subprocess.run([EDEN, "compare", "digits", "--optimizers", "adamw", "--seeds", "5",
                           "--epochs", "20", "--json", *words],
                          capture_output=True, text=True, timeout=200, check=True)
    row, = json.loads(done.stdout)["optimizers"]
    last = [run["epochs"][-1] for run in row["runs"]]
    return {key: [epoch[key] for epoch in last] for key in ("train_loss", "test_loss", "test_accuracy")}


class Seeds(unittest.TestCase):
    def test_within_spread(self):
        plain = results()
        few = results("--grad-dtype", "bf16", "--state-dtype", "q8")
        lossy = results("--dtype", "bf16")
        for key, values in plain.items():
            spread, mean = statistics.stdev(values), statistics.mean(values)
            self.assertGreater(spread, 0)
            self.assertNotEqual(values, few[key])
            self.assertLess(abs(statistics.mean(few[key]) - mean), spread, key)
            # The measure can tell: weights that lose small steps are far outside.
            self.assertGreater(abs(statistics.mean(lossy[key]) - mean), spread, key)


if __name__ == "__main__":
    unittest.main()
