#!/usr/bin/env python3
"""`eden train --save` on a disk that is really full or read-only, under a limit of the
file size, and on /dev/full: the checkpoint before stays, and the run says why."""
import ctypes
import os
import resource
import signal
import subprocess
import unittest

import faulty
from faulty import EDEN, ENVIRONMENT, TRAIN

PAGE = 4096
CLONE_NEWNS = 0x20000


def private_mounts():
    """Whether this process can mount for itself alone; else why not."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0:
        return "only root may mount a small file system"
    if libc.unshare(CLONE_NEWNS) != 0:
        return "no mounts of our own here: " + os.strerror(ctypes.get_errno())
    done = subprocess.run("mount --make-rprivate / && d=$(mktemp -d) && mount -t tmpfs tmpfs $d && "
                          "umount $d && rmdir $d", shell=True, capture_output=True, text=True)
    return None if done.returncode == 0 else "cannot mount here: " + done.stderr.strip()


WHY_NOT = private_mounts()
if WHY_NOT:
    print("full and read-only file systems are skipped:", WHY_NOT)


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Mounted(faulty.Case):
    def mount(self, options):
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.folder], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", self.folder], check=True)
        self.reset()

    def tearDown(self):
        self.doCleanups() # what is mounted goes before the folder
        super().tearDown()

    def refused(self, codes, cause):
        done = self.eden(None, *self.resume(3))
        self.assertIn(done.returncode, codes, done.stderr)
        self.assertIn("'p'", done.stderr)
        self.assertIn(cause, done.stderr)
        self.assertEqual((self.which("p"), self.which("p.old")), (2, 1))
        self.eden(0, *TRAIN, "--resume", "p", "--eval")

    def test_full(self):
        """Full before the file, within it, and at its last page."""
        self.mount(f"size={64 * PAGE}")
        pages = -(-len(self.saves[3]) // PAGE)
        self.assertGreaterEqual(pages, 2)
        for left in range(pages):
            self.reset()
            with open(self.folder / "filler", "wb") as filler:
                free = os.statvfs(self.folder).f_bavail
                filler.write(bytes((free - left) * PAGE))
            self.assertEqual(os.statvfs(self.folder).f_bavail, left)
            self.refused((74,), "No space left on device")
            self.assertEqual(self.leftovers(), ["filler"])
        os.truncate(self.folder / "filler", 0)
        self.eden(0, *self.resume(3))
        self.assertEqual((self.which("p"), self.which("p.old")), (3, 2))
        print(f"full with 0 to {pages - 1} pages left: refused; with room: saved")

    def test_no_names(self):
        """Room for bytes, but for no further file."""
        self.mount("nr_inodes=3")
        self.refused((73, 74), "No space left on device")

    def test_read_only(self):
        self.mount("size=4M")
        subprocess.run(["mount", "-o", "remount,ro", self.folder], check=True)
        self.refused((73,), "Read-only file system")

    def test_becomes_read_only(self):
        """In the middle of a run, which ends with what it last saved."""
        self.mount("size=4M")
        # Far more time between saves than in them: no file may be open for writing then.
        run = subprocess.Popen([EDEN, "train", "digits", "--widths", "400", "--epochs", "100000",
                                "--save", "q"], cwd=self.folder, env=ENVIRONMENT, text=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(run.stderr.close)
        self.addCleanup(run.wait)
        self.addCleanup(run.kill)
        while not (self.folder / "q.old").exists():
            self.assertIsNone(run.poll())
        while subprocess.run(["mount", "-o", "remount,ro", self.folder], capture_output=True).returncode:
            self.assertIsNone(run.poll())
        line = run.stderr.readline()
        self.assertIn("'q'", line)
        self.assertIn("Read-only file system; training goes on", line)
        run.send_signal(signal.SIGTERM)
        text = run.communicate(timeout=60)[1]
        self.assertIn(run.returncode, (73, 74), text)
        for name in ("q", "q.old"):
            self.eden(0, "train", "digits", "--resume", name, "--eval")


class Limited(faulty.Case):
    def test_file_size(self):
        tried = 0
        for size in (*range(0, len(self.saves[3]), 512), len(self.saves[3]) - 1):
            self.reset()
            done = self.eden(74, *self.resume(3), preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_FSIZE, (size, size)))
            self.assertIn("'p'", done.stderr)
            self.assertIn("File too large", done.stderr)
            self.assertEqual((self.which("p"), self.which("p.old"), self.leftovers()), (2, 1, []))
            tried += 1
        print(f"{tried} limits of the file size: refused, nothing left")

    def test_dev_full(self):
        self.reset()
        done = self.eden(73, *TRAIN, "--epochs", "1", "--save", "/dev/full")
        self.assertIn("'/dev/full'", done.stderr)
        done = self.eden(74, *self.resume(3), "--log", "/dev/full")
        self.assertIn("'/dev/full': No space left on device", done.stderr)
        self.reset()
        with open("/dev/full", "w") as full:
            done = subprocess.run([EDEN, *self.resume(3)], stdout=full, stderr=subprocess.PIPE, text=True,
                                  cwd=self.folder, env=ENVIRONMENT)
        self.assertEqual(done.returncode, 74)
        self.assertIn("cannot write the output", done.stderr)
        self.assertEqual(self.which("p"), 3)


if __name__ == "__main__":
    unittest.main(verbosity=2)
