#!/usr/bin/env python3
"""eden advise: its numbers by an account of their own, its lines of C compiled, its questions."""
import json
import os
import pathlib
import pty
import re
import shutil
import subprocess
import unittest

from infolder import InFolder

EDEN = os.path.abspath(os.environ.get("EDEN", "build/eden"))
SOURCE = pathlib.Path(os.environ.get("EDEN_SOURCE", pathlib.Path(__file__).parent.parent))
CC = os.environ.get("CC") or shutil.which("cc")
TASKS = ["vision", "finetune", "language", "gan", "rl", "sparse", "large-batch", "other"]
FULL = {"sgd": 0, "momentum": 1, "adagrad": 1, "adam": 2, "adamw": 2, "lamb": 2}  # numbers of state a weight


class Advice(InFolder):
    def eden(self, code, *words, **more):
        done = subprocess.run([EDEN, *words], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, **more)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout if code == 0 else " ".join(done.stderr.split())

    def advice(self, *words):
        return json.loads(self.eden(0, "advise", *words, "--json"))

    def test_memory(self):
        """Bytes of state, and the storage that is chosen for a limit, counted by hand."""
        for task in TASKS:
            n = 1024 * 5000
            one = self.advice(task, "--params", str(n))
            with self.subTest(task):
                self.assertEqual(one["state_bytes"], 4 * n * FULL[one["optimizer"]])
                self.assertEqual(one["bytes"], one["state_bytes"] + 8 * n)
                self.assertEqual((one["state_dtype"], one["fits"]), ("f32", True))
        n = 1024 * 1000
        for room, dtype, state in ((16 * n, "f32", 8 * n), (16 * n - 1, "bf16", 4 * n), (12 * n, "bf16", 4 * n),
                                   (12 * n - 1, "q8", n * 2 * (1 + 4 / 256))):
            one = self.advice("language", "--params", str(n), "--memory", str(room))
            self.assertEqual((one["state_dtype"], one["state_bytes"], one["fits"]), (dtype, state, True))
        lean = self.advice("language", "--params", str(n), "--memory", str(10 * n))
        self.assertEqual((lean["state_bytes"], lean["fits"]), (4 * (1000 + 1024), True))
        self.assertNotEqual(lean["optimizer"], self.advice("language")["optimizer"])
        none = self.advice("language", "--params", str(n), "--memory", str(7 * n))
        self.assertFalse(none["fits"])
        self.assertIn("does not fit", " ".join(self.eden(0, "advise", "language", "--memory", "1K").split()))
        self.assertEqual(self.advice("other", "--memory", "24GiB"), self.advice("other", "--memory", "24 GiB"))

    def test_steps(self):
        self.assertEqual(self.advice("language", "--steps", "500")["schedule"], "warmup(10) * cosine(500, end=0.1)")

    def test_batch(self):
        large = self.advice("large-batch")
        self.assertEqual(self.advice("vision", "--batch", "8192")["optimizer"], large["optimizer"])
        self.assertNotEqual(self.advice("vision", "--batch", "8191")["optimizer"], large["optimizer"])

    def test_claims(self):
        """Every claim is one of `eden evidence`, and lines end at 79 columns but those of C."""
        known = {line.split()[0] for line in self.eden(0, "evidence", "--list").splitlines() if line[0] != " "}
        for task in TASKS:
            self.assertLessEqual(set(self.advice(task)["claims"]), known)
            text = self.eden(0, "advise", task)
            self.assertLess(max(len(line) for line in text.splitlines() if line[:4] != "    "), 80)
            for claim in self.advice(task)["claims"]:
                self.assertIn(claim, text)

    def test_found(self):
        """Each claim comes with what the page of evidence says of it."""
        page = {}
        for line in (SOURCE / "docs/evidence.md").read_text().splitlines():
            if line.startswith("| `"):
                cells = line.strip("| ").split(" | ")
                page[cells[0].strip("`")] = (cells[-1].strip("*"), cells[-2], cells[-3])
        told = 0
        for task in TASKS:
            one, text = self.advice(task), " ".join(self.eden(0, "advise", task).split())
            self.assertEqual([claim["claim"] for claim in one["evidence"]], one["claims"])
            for claim in one["evidence"]:
                verdict, effect, runs = page.get(claim["claim"], (None, None, 0))
                self.assertEqual((claim["verdict"], claim["effect"]), (verdict, effect))
                found = f"{verdict} here, {effect}, {runs} run{'s' * (runs != '1')} of each" if int(runs) else "not measured yet"
                self.assertIn(f"{claim['sentence']}: {found} (eden evidence {claim['claim']})", text)
                told += int(runs) > 0
        self.assertGreater(told, 5)

    @unittest.skipUnless(CC, "no compiler")
    def test_code(self):
        """The lines of C compile, and the library takes what they say."""
        for task in TASKS:
            for more in [], ["--params", "1024000", "--memory", "11MiB"]:
                text = self.eden(0, "advise", task, *more)
                code = "\n".join(line for line in text.splitlines() if re.match(r"    \S.*;", line))
                self.assertGreater(code.count(";"), 4)
                self.assertEqual(self.advice(task, *more)["code"].splitlines(), [line[4:] for line in code.splitlines()])
                code = re.sub(r"(eden_(?:optimizer_create|set_text|schedule|add_group|add_tensor)\(.*\));",
                              r"if (\1) { puts(error.text); return 1; }", code)
                (self.folder / "p.c").write_text(
                    "#include <eden/eden.h>\n#include <stdio.h>\nstatic float w[8], grad[8];\n"
                    "int main(void) {\n    eden_optimizer *opt = NULL;\n    eden_error error;\n"
                    "    const uint64_t rows = 2, cols = 4;\n    const int is_vector = 1;\n    (void)is_vector;\n"
                    f"{code}\n    const int failed = eden_step(opt, &error);\n    eden_optimizer_destroy(opt);\n"
                    "    return failed;\n}\n")
                build = pathlib.Path(EDEN).parent
                sanitize = ["-fsanitize=address,undefined"] if os.environ.get("EDEN_SANITIZE") == "ON" else []
                done = subprocess.run([CC, "-std=c11", "-Wall", "-Werror", *sanitize, f"-I{SOURCE / 'include'}", "p.c",
                                       str(build / "libeden.a"), "-lpthread", "-lm", "-o", "p"], cwd=self.folder,
                                      capture_output=True, text=True, timeout=60)
                self.assertEqual(done.returncode, 0, done.stderr)
                ran = subprocess.run(["./p"], cwd=self.folder, capture_output=True, text=True, timeout=60)
                self.assertEqual((ran.returncode, ran.stdout), (0, ""), (task, code))

    def test_questions(self):
        """On a terminal it asks; an empty answer takes the default."""
        for answers, found in ((b"language\n1000000\n\n1.2e7\n", "bf16"), (b"\n\n\n\n", "f32"),
                               (b"langauge\nlanguage\nmany\n124M\n0\n1.5\n64\nmuch\n2G\n", "for 124,000,000 weights"),
                               (b"x\ny\nz\n", "3 answers were no task of the list"),
                               (b"vision\n\n100000\n\n", "large batches")):
            keyboard, terminal = pty.openpty()
            process = subprocess.Popen([EDEN, "advise"], stdin=terminal, stdout=terminal, stderr=terminal)
            os.close(terminal)
            os.write(keyboard, answers)
            text = b""
            while True:
                try:
                    piece = os.read(keyboard, 4096)
                except OSError:
                    break
                if not piece:
                    break
                text += piece
            self.assertEqual(process.wait(20), 64 if b"x" == answers[:1] else 0)
            os.close(keyboard)
            self.assertIn(b"Task [other]:", text)
            self.assertIn(found, " ".join(text.decode().split()))

    def test_refused(self):
        self.assertIn("unknown task 'visoin'; did you mean 'vision'?", self.eden(64, "advise", "visoin"))
        self.assertIn("--memory '24 apples' is no size", self.eden(64, "advise", "rl", "--memory", "24 apples"))
        for wrong in "0", "1.5", "many", "24GiB", "1e14", "-3":
            self.assertIn(f"--params '{wrong}' is no number of weights",
                          self.eden(64, "advise", "rl", f"--params={wrong}"))
        self.assertEqual(self.advice("rl", "--params", "124M"), self.advice("rl", "--params", "124000000"))
        self.assertIn("--batch '0' is no number of examples", self.eden(64, "advise", "rl", "--batch", "0"))
        self.assertIn("--memory '0' is no size", self.eden(64, "advise", "rl", "--memory", "0"))
        self.assertIn("no task is given", self.eden(64, "advise", "--batch", "3"))
        self.assertIn("vision       images", self.eden(0, "advise"))


if __name__ == "__main__":
    unittest.main()
