#!/usr/bin/env python3
"""The vectors in the tree are what the oracle writes, to the byte."""
import pathlib
import subprocess
import sys

folder = pathlib.Path(__file__).resolve().parent
failed = 0
for script in ("make.py", "schedules.py"):
    made = subprocess.run([sys.executable, str(folder / "oracle" / script), "--check"],
                          capture_output=True, text=True)
    print(made.stdout + made.stderr, end="")
    failed |= made.returncode
sys.exit(failed)
