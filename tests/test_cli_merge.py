#!/usr/bin/env python3
"""`eden merge`: a checkpoint becomes the folder of some ranks and the file again, to the bit, in
little memory; and either is gone on from."""
import os
import pathlib
import resource
import subprocess
import unittest

import tensorfile
from infolder import EDEN, RunsEden

SANITIZE = os.environ.get("EDEN_SANITIZE") == "ON"
PIECE = 16384  # elements, of which a rank has whole ones
MIB = 1 << 20


class Merge(RunsEden):
    def path(self, name):
        return self.folder / name

    def train(self, *words, code=0):
        return self.run_eden(code, "train", "digits", "--threads", "1", *words)

    def parts(self, folder, generation, ranks):
        """What each rank's file holds."""
        place = self.path(folder) / f"generation-{generation}"
        names = [f"rank-{r}-of-{ranks}.safetensors" for r in range(ranks)]
        self.assertEqual(sorted(path.name for path in place.iterdir()), sorted(names))
        return [tensorfile.read(place / name)[0] for name in names]

    def split(self, name, folder, ranks, generation=1):
        """The file becomes a folder, whose ranks have all of its bytes in order, and the same file again."""
        self.run_eden(0, "merge", name, folder, "--ranks", str(ranks))
        parts = self.parts(folder, generation, ranks)
        pieces = [sum(-(-shape[0] // PIECE) for _, shape, _ in part.values()) for part in parts]
        self.assertLessEqual(max(pieces) - min(pieces), 1)
        for tensor, (dtype, _, data) in tensorfile.read(self.path(name))[0].items():
            self.assertEqual({part[tensor][0] for part in parts if tensor in part}, {dtype} if data else set())
            self.assertEqual(b"".join(part[tensor][2] for part in parts if tensor in part), data)
        self.run_eden(0, "merge", folder, "again")
        self.assertEqual(self.path("again").read_bytes(), self.path(name).read_bytes())
        self.run_eden(0, "inspect", folder)

    def test_back(self):
        for words in [], ["--state-dtype", "q8", "--optimizer", "lamb"], \
                ["--dtype", "bf16", "--rounding", "split", "--average", "ema:0.9"], \
                ["--optimizer", "adafactor", "--dtype", "f16", "--rounding", "kahan"]:
            self.train("--widths", "600,90", "--epochs", "1", "--save", "save", *words)
            for ranks in 1, 2, 3, 7, 40:
                with self.subTest(words=words, ranks=ranks):
                    self.split("save", f"{ranks}{''.join(words).replace('.', '')}", ranks)

    def test_shares(self):
        """No rank has more than a piece more than another, and a folder is cut anew."""
        tensorfile.write(self.path("raw"), {"a": tensorfile.tensor([300, 1000], 3), "b": tensorfile.tensor([70, 1000], 5),
                                            "c": tensorfile.tensor([1], 7), "none": ("F32", [0, 4], b""),
                                            "one": ("F64", [], bytes(range(8))), "h": ("BF16", [40001], b"ab" * 40001),
                                            "byte": ("U8", [70000], os.urandom(70000))}, {"mine": "text"})
        self.run_eden(0, "merge", "raw", "f")
        self.assertEqual(tensorfile.read(self.path("f"))[0], tensorfile.read(self.path("raw"))[0])
        for ranks in 2, 4, 9:
            self.split("f", f"f{ranks}", ranks)
            for name, (_, shape, data) in tensorfile.read(self.path("f"))[0].items():
                counts = [part[name][1][0] if name in part else 0 for part in self.parts(f"f{ranks}", 1, ranks)]
                count = shape[0] * (shape[1] if len(shape) > 1 else 1) if shape else 1
                self.assertEqual(sum(counts), count)
                self.assertLessEqual(max(counts) - min(counts), 2 * PIECE - 1, name)
                self.assertEqual([n % PIECE for n in counts if n % PIECE], [count % PIECE] if count % PIECE else [])
                self.assertLessEqual(len([n for n in counts if n]), -(-count // PIECE), (name, len(data)))
        self.run_eden(0, "merge", "f4", "f3", "--ranks", "3")
        self.run_eden(0, "merge", "f3", "again")
        self.assertEqual(self.path("again").read_bytes(), self.path("f").read_bytes())

    def test_resume(self):
        """Training goes on from the folder as from the file."""
        words = ["--schedule", "constant(1)", "--optimizer", "adamw"]
        self.train("--epochs", "1", "--save", "save", *words)
        self.split("save", "folder", 3)
        self.train("--resume", "save", "--epochs", "3", "--save", "a")
        self.train("--resume", "folder", "--epochs", "3", "--save", "b")
        self.assertEqual(self.path("a").read_bytes(), self.path("b").read_bytes())
        told = [self.train("--resume", name, "--eval", "--json").stdout for name in ("save", "folder")]
        self.assertEqual(told[0], told[1])
        (self.path("plain")).mkdir()
        self.assertIn("is a directory", self.train("--resume", "plain", code=66).stderr)

    def test_generations(self):
        """A folder keeps the one before, and no more."""
        for epochs in "123":
            self.train("--epochs", epochs, "--save", epochs)
        for n, name in enumerate("123", 1):
            self.run_eden(0, "merge", name, "folder", "--ranks", str(n + 1))
            wanted = {f"generation-{k}" for k in (n, n - 1) if k} | {"manifest.safetensors"}
            self.assertEqual({path.name for path in self.path("folder").iterdir()},
                             wanted | ({"manifest.safetensors.old"} if n > 1 else set()))
        older = self.path("folder/manifest.safetensors.old")
        older.rename(self.path("folder/manifest.safetensors"))
        self.run_eden(0, "merge", "folder", "again")
        self.assertEqual(self.path("again").read_bytes(), self.path("2").read_bytes())
        self.path("folder/generation-77").mkdir()  # which a run that was killed has left
        self.path("folder/generation-77/rank-0-of-1.safetensors").write_text("torn")
        self.split("3", "folder", 2, 78)

    def test_refused(self):
        """Nothing is left of what cannot be."""
        self.train("--epochs", "1", "--save", "save", "--widths", "300")
        for value in "0", "65537", "x", "":
            self.assertIn("--ranks", self.run_eden(64, "merge", "save", "folder", f"--ranks={value}").stderr)
        self.assertIn("none", self.run_eden(66, "merge", "none", "folder", "--ranks", "2").stderr)
        self.assertIn("'save' is what is read", self.run_eden(64, "merge", "save", "save", "--ranks", "2").stderr)
        self.path("other").write_text("")
        self.assertIn("other", self.run_eden(73, "merge", "save", "other", "--ranks", "2").stderr)
        self.path("other").unlink()
        data = bytearray(self.path("save").read_bytes())
        data[-5] ^= 1
        self.path("bad").write_bytes(data)
        for words in ["file"], ["folder", "--ranks", "2"]:
            self.assertIn("is damaged", self.run_eden(65, "merge", "bad", *words).stderr)
        limit = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000))}
        self.assertIn("folder", self.run_eden(74, "merge", "save", "folder", "--ranks", "2", **limit).stderr)
        self.assertEqual({path.name for path in self.folder.iterdir()}, {"save", "bad"})
        self.run_eden(0, "merge", "save", "folder", "--ranks", "2")
        before = {path: path.read_bytes() for path in self.path("folder").rglob("*.safetensors")}
        self.run_eden(65, "merge", "bad", "folder", "--ranks", "2")
        self.run_eden(74, "merge", "save", "folder", "--ranks", "2", **limit)
        self.assertEqual({path: path.read_bytes() for path in self.path("folder").rglob("*.safetensors")}, before)
        self.assertEqual(len(list(self.path("folder").iterdir())), 2)
        part = self.path("folder/generation-1/rank-1-of-2.safetensors")
        data = bytearray(part.read_bytes())
        data[-5] ^= 1
        part.write_bytes(data)
        self.assertIn("is damaged", self.run_eden(65, "merge", "folder", "file").stderr)
        self.assertFalse(self.path("file").exists())

    def files(self):
        return {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}

    def test_over_itself(self):
        """Nothing is written over what is read, whatever it is called; a folder is cut anew in its place."""
        self.train("--epochs", "1", "--save", "save")
        self.run_eden(0, "merge", "save", "folder", "--ranks", "3")
        self.path("deep").mkdir()
        self.path("deep/link").symlink_to("../folder")
        self.path("to-part").symlink_to("folder/generation-1/rank-1-of-3.safetensors")
        self.path("to-none").symlink_to("deep/link/none")
        self.path("alias").symlink_to("save")
        before = self.files()
        for source in "folder", "deep/link", f"{self.folder}/deep/../folder/":
            for inside in "folder/generation-1/rank-0-of-3.safetensors", "folder/manifest.safetensors", "folder/none", \
                    "./deep/link/generation-1/../none", f"{self.folder}/folder//manifest.safetensors.old", "to-part", "to-none":
                with self.subTest(source=source, inside=inside):
                    for more in [], ["--ranks", "2"]:
                        told = self.run_eden(64, "merge", source, inside, *more).stderr
                        self.assertIn(f"'{inside}' is inside the folder '{source}'", told)
                        self.assertIn("name a place outside", told)
            self.assertIn("'deep/link' is what is read; name another",
                          self.run_eden(64, "merge", source, "deep/link").stderr)
        for output in "save", "./save", "alias":
            self.assertIn(f"'{output}' is what is read", self.run_eden(64, "merge", "save", output).stderr)
        self.assertEqual(self.files(), before)
        self.run_eden(0, "merge", "folder", "folder.none")  # whose name only begins alike
        self.run_eden(0, "merge", "folder", "deep/link", "--ranks", "2")
        self.run_eden(0, "merge", "folder", "again")
        self.assertEqual(self.path("again").read_bytes(), self.path("save").read_bytes())

    def test_commit_before(self):
        """Of a folder that is damaged it is told what to go back to, if there is something."""
        self.train("--epochs", "1", "--save", "save")
        self.run_eden(0, "merge", "save", "folder", "--ranks", "2")
        part, manifest = self.path("folder/generation-1/rank-1-of-2.safetensors"), self.path("folder/manifest.safetensors")
        older = self.path("folder/manifest.safetensors.old")
        ways = (lambda: part.write_bytes(whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:]), 65), \
            (lambda: part.write_bytes(whole[:50]), 65), (lambda: part.unlink(), 66), (lambda: manifest.write_bytes(b"torn"), 65)
        hint = "'folder/manifest.safetensors.old' names the commit before"
        for generation in 1, 2:
            whole, good = part.read_bytes(), manifest.read_bytes()
            for damage, code in ways:
                damage()
                for more in ["x"], ["x", "--ranks", "3"]:
                    told = self.run_eden(code, "merge", "folder", *more).stderr
                    self.assertEqual(hint in told, older.exists(), told)
                    self.assertEqual(len(told.splitlines()), 1)
                    self.assertFalse(self.path("x").exists())
                part.write_bytes(whole)
                manifest.write_bytes(good)
            if generation == 1:
                self.run_eden(0, "merge", "save", "folder", "--ranks", "2")
                part = self.path("folder/generation-2/rank-1-of-2.safetensors")
        manifest.write_bytes(b"torn")
        told = self.run_eden(65, "merge", "folder", "x").stderr
        self.assertIn("rename it to 'manifest.safetensors'", told)
        manifest.unlink()
        self.assertIn(hint, self.run_eden(66, "merge", "folder", "x").stderr)
        older.rename(manifest)
        self.run_eden(0, "merge", "folder", "x")
        self.assertEqual(self.path("x").read_bytes(), self.path("save").read_bytes())

    def test_no_manifest(self):
        """A folder that nobody saved into is told so."""
        self.path("empty").mkdir()
        for more in ["x"], ["x", "--ranks", "2"]:
            told = self.run_eden(66, "merge", "empty", *more).stderr
            self.assertIn("'empty' holds no manifest.safetensors and so is no checkpoint of ranks", told)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["empty"])

    def most_memory(self, *words):
        """The most that the command had in memory, in bytes."""
        process = subprocess.Popen([EDEN, *words], cwd=self.folder)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0)
        return usage.ru_maxrss * 1024

    @unittest.skipIf(SANITIZE, "the sanitizers keep memory of their own")
    def test_memory(self):
        """A checkpoint of any size is merged and cut in a few MiB."""
        tensorfile.write(self.path("little"), {"a": ("F32", [4], bytes(16))})
        zeros = bytes(64 * MIB)
        tensorfile.write(self.path("large"), {"a": ("F32", [16 * MIB], zeros), "b": ("F32", [4 * MIB, 4], zeros)})
        usual = self.most_memory("merge", "little", "out")
        for words in ["large", "whole"], ["whole", "folder", "--ranks", "3"], ["folder", "again"]:
            self.assertLess(self.most_memory("merge", *words) - usual, 8 * MIB, words)
        self.assertEqual(pathlib.Path(self.path("again")).read_bytes(), self.path("whole").read_bytes())


if __name__ == "__main__":
    unittest.main()
