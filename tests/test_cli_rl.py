#!/usr/bin/env python3
"""`eden train rl`: a pole balanced, the same bits for threads and resumes, the log, refusals."""
import json
import unittest

from infolder import RunsEden

SMALL = ["--envs", "4", "--horizon", "16", "--passes", "2", "--batch", "16", "--widths", "8"]


class Case(RunsEden):
    def eden(self, *words, code=0):
        done = self.run_eden(code, *words)
        return done.stdout if not code else done.stderr

    def saved(self, name, *words):
        self.eden("train", "rl", *words, "--save", name)
        return (self.folder / name).read_bytes()


class Learns(Case):
    def test_solved(self):
        """The page's advice, and half of the usual length."""
        said = json.loads(self.eden("train", "rl", "--optimizer", "adam", "--lr", "3e-4", "--epochs", "5",
                                    "--json"))
        self.assertGreaterEqual(said["test_return"], 475)
        self.assertAlmostEqual(said["test_loss"], 1 - said["test_return"] / 500)
        self.assertLess(said["history"][0]["test_return"], 450)
        self.assertEqual([said["task"], said["data"], said["classes"], said["batch"]],
                         ["rl", "cart-pole", 0, 64])
        self.assertEqual(said["options"], "envs=16,horizon=128,passes=10")
        self.assertEqual(said["network"],
                         "policy 4-64-64-2 and value 4-64-64-1, 9,155 weights")

    def test_text(self):
        said = self.eden("train", "rl", *SMALL, "--epochs", "2", "--log", "l", "--log-every", "10",
                         "--save", "s")
        for part in ["cart-pole", "the likelier action", "2 epochs of 40 steps", "cosine(80, end=0.1)",
                     "policy 4-8-2 and value 4-8-1", "epoch 2/2", "of the steps missed, return"]:
            self.assertIn(part, said)
        self.assertNotIn("sample", said)
        self.assertLess(max(map(len, said.splitlines())), 80)
        records = [json.loads(line) for line in (self.folder / "l").read_text().splitlines()]
        self.assertEqual(len(records), 1 + 8 + 2)
        self.assertEqual(records[0]["clip"], 0.5)
        self.assertTrue(all("return" in r or "test_return" in r for r in records[1:]))
        line = next(line for line in said.splitlines() if line.startswith("test "))
        self.assertIn(line, self.eden("train", "rl", "--resume", "s", "--eval"))
        self.eden("plot", "l", "-o", "l.svg")


class Bits(Case):
    def test_same_bits(self):
        words = [*SMALL, "--schedule", "constant(1)"]
        one = self.saved("a", *words, "--epochs", "2", "--threads", "1")
        for threads in "2", "3":
            self.assertEqual(one, self.saved("b", *words, "--epochs", "2", "--threads", threads))
        self.saved("c", *words, "--epochs", "1")
        self.eden("train", "rl", "--resume", "c", "--epochs", "2", "--save", "c")
        self.assertEqual(one, (self.folder / "c").read_bytes())

    def test_storage_and_optimizers(self):
        for more in (["--dtype", "bf16", "--rounding", "kahan", "--state-dtype", "q8"],
                     ["--average", "ema:0.9", "--accumulate", "3", "--no-decay", "--optimizer", "adamw"],
                     ["--optimizer", "sgd", "--clip", "0.1", "--warmup", "7"]):
            words = [*SMALL, *more, "--schedule", "constant(1)"]
            whole = self.saved("a", *words, "--epochs", "2")
            self.saved("b", *words, "--epochs", "1")
            self.eden("train", "rl", "--resume", "b", "--epochs", "2", "--save", "b")
            self.assertEqual(whole, (self.folder / "b").read_bytes(), more)


class Refused(Case):
    def test_options(self):
        for part, *words in [
                ("--model is not for rl, which has a policy and a value", "rl", "--model", "mlp"),
                ("--norm is not for rl", "rl", "--norm", "layer"),
                ("--dropout is not for rl", "rl", "--dropout", "0.1"),
                ("--label is for csv; rl has nothing to predict", "rl", "--label", "x"),
                ("--sample is for text alone", "rl", "--sample", "3"),
                ("--envs is for rl alone", "digits", "--envs", "8"),
                ("--passes is for rl alone", "text", "--passes", "8"),
                ("rl comes with Eden and takes no 'x'", "rl", "x"),
                ("batch = 64 is more than the 12 steps of a rollout", "rl", "--envs", "3",
                 "--horizon", "4"),
                ("is not one of 1 to 1048576 rows", "rl", "--envs", "90000", "--horizon", "90000"),
                ("--envs", "rl", "--envs", "0"), ("--passes", "rl", "--passes", "1001")]:
            self.assertIn(part, self.eden("train", *words, code=64))
        self.assertIn("--noise is for gan alone", self.eden("compare", "rl", "--noise", "8", code=64))

    def test_resume(self):
        self.eden("train", "rl", *SMALL, "--epochs", "1", "--save", "a")
        self.assertIn("--envs 5 contradicts the checkpoint, which has 4",
                      self.eden("train", "rl", "--resume", "a", "--envs", "5", code=64))
        self.assertIn("'envs=4,horizon=16,passes=2' says nothing to digits",
                      self.eden("train", "digits", "--resume", "a", code=65))

    def test_help(self):
        said = " ".join(self.eden("help", "train").split())
        for part in ["'rl'", "--envs N", "--horizon N", "--passes N", "proximal policy optimization"]:
            self.assertIn(part, said)


if __name__ == "__main__":
    unittest.main()
