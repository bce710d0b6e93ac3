#!/usr/bin/env python3
"""`eden train` on ranks: with --parts the bits of one process whatever their number, else the same
within rounding; checkpoints of any go on in any."""
import unittest

from ranks import DIGITS, EDEN, EDEN_MPI, MPIEXEC, PLAIN, Ranks

PARTS = [*DIGITS, "--epochs", "2", "--parts", "12"]


class Train(Ranks):
    def test_bits(self):
        """1 to 4 ranks log and save what a process alone does, and it is another sum than without parts."""
        self.alone("train", *PARTS, "--log", "alone.jsonl", "--save", "alone")
        self.alone("train", *DIGITS, "--epochs", "2", "--save", "whole")
        self.assertNotEqual(self.read("alone"), self.read("whole"))
        for count in 1, 2, 3, 4:
            with self.subTest(ranks=count):
                done = self.ranks(count, "train", *PARTS, "--log", "log", "--save", "save")
                self.assertEqual(self.read("save"), self.read("alone"))
                self.assertEqual(self.read("save.old"), self.read("alone.old"))
                self.assertEqual(self.log("log"), self.log("alone.jsonl"))
                self.assertEqual(done.stdout.count("test   "), 1, done.stdout)
                self.assertFalse((self.folder / "save.shards").exists())
                self.assertFalse((self.folder / "save.lock").exists())

    def test_bits_of_more(self):
        """Clipping, averages, batches added up, dropout, a last batch that is smaller than the parts, and
        weights in 16 bits change nothing of that."""
        words = ["digits", "--optimizer", "lamb", "--widths", "16", "--dropout", "0.3", "--batch", "62", "--epochs", "2",
                 "--clip", "0.5", "--accumulate", "3", "--average", "ema:0.9", "--dtype", "bf16", "--rounding",
                 "stochastic", "--parts", "12", "--threads", "1"]
        self.alone("train", *words, "--log", "alone.jsonl", "--save", "alone")
        for count in 2, 3:
            self.ranks(count, "train", *words, "--log", "log", "--save", "save")
            self.assertEqual(self.read("save"), self.read("alone"), count)
            self.assertEqual(self.log("log"), self.log("alone.jsonl"), count)

    def test_bits_of_blocks(self):
        """A part that is large enough to be cut into blocks by itself, each of which adds to a gradient."""
        words = ["digits", "--optimizer", "sgd", "--model", "cnn", "--norm", "layer", "--widths", "4", "--batch", "719",
                 "--epochs", "3", "--accumulate", "2", "--parts", "2", "--threads", "2"]
        self.alone("train", *words, "--save", "alone")
        self.ranks(2, "train", *words, "--save", "save")
        self.assertEqual(self.read("save"), self.read("alone"))

    def test_rounding(self):
        """Without parts ranks add up in an order of their own, and weigh slices by their rows: 62 over 4."""
        words = ["digits", "--optimizer", "sgd", "--lr", "0.05", "--widths", "16", "--dropout", "0.3", "--batch", "62",
                 "--epochs", "1", "--threads", "1"]
        self.alone("train", *words, "--log", "alone.jsonl")
        for count in 2, 3, 4:
            self.ranks(count, "train", *words, "--log", "log")
            self.near(self.log("log"), self.log("alone.jsonl"), 2e-5)

    def test_uneven(self):
        """A rank that has all of the small tensors, and so has none of them to send, and a short piece."""
        for words in ["--widths", "520"], ["--widths", "600", "--parts", "2"]:
            done = self.ranks(2, "train", "digits", "--epochs", "1", "--timeout", "20", *words, *PLAIN)
            self.assertIn("test   ", done.stdout)

    def test_resume(self):
        """A run that 2 ranks began goes on alone, then on 3, to the same bits as never stopped; so does one
        that is measured."""
        first = [*DIGITS, "--parts", "12", "--schedule", "constant(1)", "--epochs", "1"]
        self.alone("train", *first[:-1], "3", "--save", "whole")
        self.ranks(2, "train", *first, "--save", "save", "--log", "log")
        self.alone("train", "digits", "--resume", "save", "--save", "save", "--epochs", "2", "--threads", "1")
        self.ranks(3, "train", "digits", "--resume", "save", "--save", "save", "--epochs", "3", "--threads", "1")
        self.assertEqual(self.read("save"), self.read("whole"))
        told = [self.ranks(n, "train", "digits", "--resume", "save", "--eval", "--json").stdout for n in (1, 2)]
        self.assertEqual(told[0], told[1])

    def test_merge(self):
        """What ranks go on from may be a folder that was made of a file, of any number of ranks."""
        words = ["digits", "--optimizer", "lamb", "--widths", "600", "--state-dtype", "q8", "--parts", "12", "--batch", "240",
                 "--schedule", "constant(1)", "--threads", "1"]
        self.alone("train", *words, "--epochs", "1", "--save", "save")
        more = ["--epochs", "3", "--threads", "1"]
        self.alone("train", "digits", "--resume", "save", "--save", "alone", *more)
        for made in 1, 3, 5:
            self.alone("merge", "save", f"of{made}", "--ranks", str(made))
            for count in 2, 3:
                self.ranks(count, "train", "digits", "--resume", f"of{made}", "--save", "more", *more)
                self.assertEqual(self.read("more"), self.read("alone"), (made, count))

    def test_best(self):
        """Early stop and --best judge alike on all ranks."""
        words = [*DIGITS, "--parts", "12", "--epochs", "40", "--early-stop", "2", "--lr", "0.05", "--schedule", "constant(1)"]
        self.alone("train", *words, "--best", "alone", "--log", "alone.jsonl")
        self.ranks(2, "train", *words, "--best", "best", "--log", "log")
        self.assertEqual(self.read("best"), self.read("alone"))
        self.assertEqual(self.log("log"), self.log("alone.jsonl"))
        self.assertLess(len(self.log("log")), 1 + 40 * 7)

    def test_eden(self):
        """`eden` becomes `eden-mpi` where mpirun starts it."""
        if "openmpi" not in MPIEXEC:
            self.skipTest("the eden beside it may be of another MPI")
        self.ranks(2, "train", *PARTS, "--save", "save", program=EDEN)
        self.ranks(1, "train", *PARTS, "--save", "alone", program=EDEN_MPI)
        self.assertEqual(self.read("save"), self.read("alone"))


if __name__ == "__main__":
    unittest.main()
