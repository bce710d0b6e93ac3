#!/usr/bin/env python3
"""`eden compare` with weights, gradients and state of fewer bits."""
import json
import os
import subprocess
import unittest

EDEN = os.path.abspath(os.environ.get("EDEN", "build/eden"))
MASTER = ["--dtype", "bf16", "--rounding", "master", "--state-dtype", "q8"]
NEAREST = ["--dtype", "bf16"]


class Compare(unittest.TestCase):
    def eden(self, code, *words):
        done = subprocess.run([EDEN, *words], capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, code, (words, done.stdout, done.stderr))
        return done

    def refused(self, part, *words):
        done = self.eden(64, *words)
        self.assertIn(part, done.stderr)
        self.assertEqual(done.stdout, "")

    def test_told(self):
        words = ["compare", "digits", "--epochs", "1", "--optimizers", "sgd,adamw"]
        done = json.loads(self.eden(0, *words, "--json", *MASTER).stdout)
        self.assertEqual(done["storage"]["state_dtype"], "q8")
        state = [row["state_bytes_per_weight"] for row in done["optimizers"]]
        self.assertEqual(state[0], 4) # masters
        self.assertAlmostEqual(state[1], 4 + 2 + 2 / 64, places=1)
        text = self.eden(0, *words, *NEAREST).stdout
        self.assertIn("weights bf16 (nearest), gradients f32, state f32", " ".join(text.split()))
        done = json.loads(self.eden(0, *words, "--json").stdout)
        self.assertNotIn("storage", done)

    def test_control(self):
        """Before training the network is that of the checkpoint, with weights of 16 bits."""
        words = ["compare", "digits", "--epochs", "1", "--optimizers", "sgd", "--json"]
        plain, few = (json.loads(self.eden(0, *words, *more).stdout)["control"]["runs"][0]["epochs"][0]
                      for more in ([], NEAREST))
        self.assertNotEqual(plain["test_loss"], few["test_loss"])
        self.assertAlmostEqual(plain["test_loss"], few["test_loss"], places=2)

    def test_refused(self):
        self.refused("what is compared, as it is set, keeps no state", "compare", "digits",
                     "--optimizers", "sgd", "--state-dtype", "bf16")
        self.refused("not for adafactor", "compare", "digits", "--state-dtype", "q8")
        self.refused("float32 weights lose nothing", "compare", "digits", "--rounding", "master")


if __name__ == "__main__":
    unittest.main()
