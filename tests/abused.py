"""A folder in which `eden train` is abused: started, waited for by what it does, and stopped."""
import json
import os
import pathlib
import subprocess
import tempfile
import time

from infolder import InFolder

EDEN = os.path.abspath(os.environ.get("EDEN", "build/eden"))
SANITIZE = os.environ.get("EDEN_SANITIZE") == "ON"
FAST = ["digits", "--model", "logistic", "--threads", "1"]
ENDLESS = [*FAST, "--epochs", "1000000"]


class Abused(InFolder):
    def eden(self, code, *words, **more):
        """A command to its end, which must be this exit code; None for any."""
        more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 60, **more}
        done = subprocess.run([EDEN, *words], cwd=self.folder, errors="replace", check=False, **more)
        if code is not None:
            self.assertEqual(done.returncode, code, (words, done.stdout, done.stderr))
        return done

    def train(self, code, *words, **more):
        return self.eden(code, "train", *words, **more)

    def refused(self, code, part, *words, **more):
        """Refused in one line and a hint, with nothing on stdout and every file as it was."""
        before = self.contents()
        done = self.train(code, *words, **more)
        self.assertIn(part, done.stderr)
        self.assertTrue(done.stderr.startswith("eden: "), done.stderr)
        self.assertLessEqual(done.stderr.count("\n"), 2, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(self.contents(), before)
        return done

    def start(self, *words, **more):
        """A run that a failing test does not leave behind. What it says goes to a file, since
        it would wait for the reader of a pipe."""
        said = tempfile.TemporaryFile("w+")
        self.addCleanup(said.close)
        more = {"stdout": said, "stderr": subprocess.PIPE, **more}
        run = subprocess.Popen([EDEN, "train", *words], text=True, cwd=self.folder, **more)
        run.said = said
        self.addCleanup(run.wait, 60)
        self.addCleanup(run.kill)
        for stream in run.stdout, run.stderr:
            if stream:
                self.addCleanup(stream.close)
        return run

    def until(self, what, happened):
        """What `happened` returns once that is true."""
        for _ in range(6000):
            result = happened()
            if result:
                return result
            time.sleep(0.005)
        return self.fail(f"waited in vain: {what}")

    def size(self, name):
        path = self.folder / name
        return path.stat().st_size if path.exists() else 0

    def grows(self, name, by=1):
        """Wait until the run has written so much more to a file."""
        size = self.size(name)
        self.until(f"{name} grows", lambda: self.size(name) >= size + by)

    def ends(self, run, code):
        _, err = run.communicate(timeout=60)
        run.said.seek(0)
        out = run.said.read()
        self.assertEqual(run.returncode, code, (out, err))
        return out, err

    def read(self, name):
        return (self.folder / name).read_bytes()

    def write(self, name, data):
        (self.folder / name).write_bytes(data.encode() if isinstance(data, str) else data)

    def contents(self):
        return {str(path.relative_to(self.folder)): path.read_bytes()
                for path in sorted(pathlib.Path(self.folder).rglob("*"))
                if path.is_file() and not path.is_symlink()}

    def names(self):
        return sorted(os.listdir(self.folder))

    def step(self, name):
        """The step a checkpoint holds; the test fails unless it is whole."""
        done = self.train(0, "digits", "--resume", name, "--eval", "--json")
        return json.loads(done.stdout)["step"]
