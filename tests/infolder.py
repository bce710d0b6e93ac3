"""A test case in a temporary folder of its own, self.folder; and one that runs the command there."""
import os
import pathlib
import subprocess
import tempfile
import unittest


class InFolder(unittest.TestCase):
    def setUp(self):
        self.keep = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.keep.name)

    def tearDown(self):
        self.keep.cleanup()


EDEN = os.path.abspath(os.environ.get("EDEN", "build/eden"))


class RunsEden(InFolder):
    def run_eden(self, code, *words, **more):
        """What the command came to, with the exit code that is wanted."""
        done = subprocess.run([EDEN, *words], capture_output=True, text=True, timeout=100,
                              cwd=self.folder, **more)
        self.assertEqual(done.returncode, code, (words, done.stdout, done.stderr))
        return done

    def write_text(self):
        """t.txt, in which a little network finds something to learn."""
        (self.folder / "t.txt").write_text("".join(f"{a} {b} the {c}.\n" for a in ("you", "we")
                                                   for b in ("see", "hear", "know")
                                                   for c in ("sun", "sea", "king")) * 60)
