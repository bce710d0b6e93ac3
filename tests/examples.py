#!/usr/bin/env python3
"""The examples do what they say, and the README and the header show the same one."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(os.environ.get("EDEN_SOURCE", pathlib.Path(__file__).parent.parent))
BUILD = pathlib.Path(os.environ["EDEN_BUILD"])
failures = []


def check(holds, what):
    if not holds:
        failures.append(what)
        print("FAIL", what)


def run(name, *arguments, code=0):
    program = BUILD / "examples" / name
    result = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True,
                            timeout=60)
    check(result.returncode == code, f"{name}: exit code {result.returncode}: {result.stderr}")
    return result.stdout + result.stderr


def shown_in_header():
    """The program in the header's opening comment, where comments cannot nest."""
    text = (SOURCE / "include/eden/eden.h").read_text()
    lines = re.search(r"( \*     #include.*? \*     }\n)", text, re.S).group().splitlines()
    program = "\n".join(line[7:] for line in lines) + "\n"
    return re.sub(r";( +)\((the [a-z ]+)\)\n", r";\1/* \2 */\n", program)


def agree():
    loop = (SOURCE / "examples/loop.c").read_text()
    check(shown_in_header() == loop, "eden.h shows another program than examples/loop.c")
    shown = re.findall(r"```c\n(.*?)```", (SOURCE / "README.md").read_text(), re.S)
    check(loop in shown, "README.md shows another program than examples/loop.c")


def logistic(folder):
    if not (BUILD / "examples/logistic").exists():
        print("skipped: logistic, which needs zlib")
        return
    digits, checkpoint = SOURCE / "lab/digits.csv.gz", folder / "digits.safetensors"
    first = run("logistic", digits, checkpoint)
    second = run("logistic", digits, checkpoint)
    epochs = [int(e) for e in re.findall(r"epoch +(\d+)", first + second)]
    check(epochs == list(range(1, 21)), f"logistic did not continue where it stopped: {epochs}")
    accuracy = [float(a) for a in re.findall(r"accuracy ([\d.]+)", second)]
    print("logistic regression reaches", accuracy[-1:], "%")
    check(accuracy and accuracy[-1] >= 90, f"logistic reached {accuracy[-1:]} %")
    check("usage" in run("logistic", code=2), "logistic does not say how it is used")
    checkpoint.write_bytes(b"damaged")
    run("logistic", digits, checkpoint, code=1)
    check("not the digits" in run("logistic", checkpoint, checkpoint, code=1),
          "logistic took another file for the digits")


def main():
    agree()
    check(run("loop") == "3.000 -1.000\n", "loop does not reach the minimum")
    for rule in (path.stem for path in sorted((SOURCE / "rules").glob("*.c"))):
        check(": " in run("one_step", rule) or rule == "sgd", f"one_step {rule} shows no state")
    check("no rule" in run("one_step", "nothing", code=1), "one_step took an unknown rule")
    with tempfile.TemporaryDirectory() as folder:
        logistic(pathlib.Path(folder))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
