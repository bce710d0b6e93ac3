#!/usr/bin/env python3
"""A training step of Eden's lab beside the same step in PyTorch, in turn.

Nothing is fetched: without PyTorch the script measures Eden alone. bench/README.md says
how to get it, and what the figures mean.
"""
import argparse
import gc
import json
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time

import training_torch
from contenders import ROOT, Missing
from peers import median, processor

SLOWER = 1.03       # what --check allows
AGREE = 1e-4        # how far test losses of equal weights may be apart, relatively
EPOCH = 4           # batches of images in an epoch
LEARN = 0.25        # and mean losses of the first steps, from weights drawn alike


class Load:
    """A network, its data and its batch, in the words of both."""
    fused = True    # PyTorch's fastest optimizer step

    def __init__(self, key, title, task, options, batch, side=None, required=True, **rest):
        self.key, self.title, self.task, self.options = key, title, task, options
        self.batch, self.side, self.required = batch, side, required
        self.rate, self.beta2, self.decay, self.clip, self.context = 1e-3, 0.999, 0.01, 0.0, 0
        self.__dict__.update(rest)

    def shape(self, x):
        return x if self.key == "cnn" else x.flatten(1)

    def arguments(self, folder, threads):
        task = [self.task] + ([str(folder / self.key)] if self.side else [])
        return [*task, *self.options, "--batch", str(self.batch), "--optimizer", "adamw",
                "--lr", str(self.rate), "--beta2", str(self.beta2), "--weight-decay",
                str(self.decay), "--threads", str(threads), "--json"]


LOADS = [
    Load("mlp", "MLP 64-256-128-10, dropout 20 %, batch 32", "mnist", ["--model", "mlp"], 32, 8,
         network=lambda t: training_torch.make_mlp(t, (64, 256, 128, 10), 0.2)),
    Load("mlp-large", "MLP 784-256-128-10, dropout 20 %, batch 64", "mnist", ["--model", "mlp"],
         64, 28, network=lambda t: training_torch.make_mlp(t, (784, 256, 128, 10), 0.2)),
    Load("cnn", "CNN 28 x 28, 16 and 32 channels, batch norm, dropout 25 %, batch 64", "mnist",
         ["--model", "cnn"], 64, 28, required=False,
         network=lambda t: training_torch.make_cnn(t, 28, (16, 32), 10, 0.25)),
    Load("transformer", "transformer, 4 layers, 4 heads, width 128, context 64, batch 12, clip 1",
         "text", ["--sample", "0"], 12, beta2=0.99, decay=0.1, clip=1.0, context=64,
         network=lambda t: training_torch.make_transformer(t, 4, 128, 4, 64)),
]


# ---- data ---------------------------------------------------------------------------

def write_images(folder, side, batch):
    """Ten patterns with much noise as four IDX files: EPOCH batches, and few for the test."""
    folder.mkdir()
    draw, n = random.Random(1), side * side
    patterns = [[draw.randrange(256) for _ in range(n)] for _ in range(10)]
    for stem, count in (("train", EPOCH * batch), ("t10k", 32)):
        labels = bytes(draw.randrange(10) for _ in range(count))
        noise = [draw.randbytes(n) for _ in range(count)]
        pixels = b"".join(bytes((p + 3 * q) // 4 for p, q in zip(patterns[k], row))
                          for k, row in zip(labels, noise))
        head = [count, side, side]
        (folder / f"{stem}-images-idx3-ubyte").write_bytes(
            bytes([0, 0, 8, 3]) + b"".join(i.to_bytes(4, "big") for i in head) + pixels)
        (folder / f"{stem}-labels-idx1-ubyte").write_bytes(
            bytes([0, 0, 8, 1]) + count.to_bytes(4, "big") + labels)


# ---- Eden ------------------------------------------------------------------------------

class Eden:
    def __init__(self, path, load, folder):
        self.path, self.load, self.folder = path, load, folder
        self.begin = self.cpu = None

    def start(self, threads, *more):
        return subprocess.Popen([self.path, "train", *self.load.arguments(self.folder, threads),
                                 *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, process):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        text, why = process.communicate(timeout=120)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if process.returncode not in (0, 130):
            raise RuntimeError(f"eden train: {why.strip()}")
        return json.loads(text)

    def interrupted(self, seconds, threads, *more):
        """What a run that is to stop after so long says."""
        process = self.start(threads, *more)
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        return self.finish(process)

    def run(self, seconds, threads):
        """Seconds of a step: an epoch's mean each, or where an epoch is long, each step."""
        log = self.folder / "log"
        more = ["--epochs", "10000"] + ([] if self.load.side else ["--log", str(log)])
        if self.begin is None:  # what a process costs beside its steps: one of few
            said = (self.finish(self.start(threads, "--epochs", "1")) if self.load.side
                    else self.interrupted(0.3, threads, *more))
            self.begin = (self.spent, said["step"])
        said = self.interrupted(seconds + 0.1, threads, *more)
        steps = said["step"] - self.begin[1]
        self.cpu = (self.spent - self.begin[0]) / steps if steps > 3 else None
        if self.load.side:
            at = [(r["step"], r["step_seconds"]) for r in said["history"]]
        else:
            lines = [json.loads(line) for line in log.read_text().splitlines()[1:]]
            at = [(r["step"], r["seconds"]) for r in lines if "lr" in r]
        if len(at) < 3:
            return self.run(2 * seconds, threads)
        return [(b[1] - a[1]) / (b[0] - a[0]) for a, b in zip(at, at[1:])]

    def train(self):
        """What some steps came to, with their mean loss, and the checkpoint."""
        saved = self.folder / "weights.safetensors"
        more = ["--schedule", "constant(1)", "--save", str(saved)]
        if self.load.side:
            said = self.finish(self.start(os.cpu_count(), "--epochs", str(64 // EPOCH), *more))
            said["train_loss"] = sum(r["train_loss"] for r in said["history"]) / len(said["history"])
            return said, saved
        # An epoch of the transformer is long: some seconds of one, and then the test.
        said = self.interrupted(4, os.cpu_count(), "--epochs", "1", "--warmup", "1", *more)
        done = subprocess.run([self.path, "train", "text", "--resume", str(saved), "--eval", "--json"],
                              capture_output=True, text=True, timeout=120, check=True)
        said["test_loss"] = json.loads(done.stdout)["test_loss"]
        return said, saved


def find_eden(asked):
    for path in [asked] if asked else sorted(ROOT.glob("build*/**/eden"),
                                             key=lambda p: -p.stat().st_mtime):
        if pathlib.Path(path).is_file() and os.access(path, os.X_OK) and "sanitize" not in str(path):
            return str(pathlib.Path(path).resolve())
    raise Missing(f"{asked or 'build/**/eden'} is not there; build Eden first, or say --eden FILE")


# ---- measuring ---------------------------------------------------------------------------

def compare(eden, torch):
    """The same network? Weights, Eden's test loss in PyTorch, and how both learn."""
    said, saved = eden.train()
    found = {"weights": [said["weights"], torch.weights],
             "mean loss": [said["train_loss"], torch.mean_loss(said["step"])],
             "test loss": [said["test_loss"], torch.test_loss(saved)]}
    near = {"weights": 0, "mean loss": LEARN, "test loss": AGREE}
    differ = [f"{what} {a:.9g} and {b:.9g}" for what, (a, b) in found.items()
              if abs(a - b) > near[what] * max(abs(a), abs(b))]
    return found, differ


def measure(eden, torch, threads, rounds, seconds):
    runners, times = [r for r in (eden, torch) if r], [[], []]
    least, cpu = [[], []], [[], []]
    for turn in range(rounds):
        for k in range(len(runners)):
            i = (k + turn) % len(runners)
            time.sleep(0.02)  # OpenMP's threads spin for milliseconds after their work
            steps = runners[i].run(seconds, threads)
            times[i].append(median(steps))
            least[i].append(min(steps))
            cpu[i] += [runners[i].cpu] if runners[i].cpu else []
    row = {"load": eden.load.key, "threads": threads, "rounds": rounds}
    for name, each, quickest, spent in zip(("eden", "torch"), times, least, cpu):
        row[name] = {"ms": 1e3 * median(each), "low": 1e3 * median(each, 0.1),
                     "high": 1e3 * median(each, 0.9), "least": 1e3 * min(quickest),
                     "cpu": 1e3 * median(spent) if spent else None} if each else None
    pairs = [a / b for a, b in zip(*times)]
    row["ratio"] = {"median": median(pairs), "low": median(pairs, 0.1),
                    "high": median(pairs, 0.9)} if pairs else None
    return row


# ---- the command ----------------------------------------------------------------------------

def arguments():
    parser = argparse.ArgumentParser(
        description="A training step of Eden's lab beside the same step in PyTorch, in turn.",
        epilog="PyTorch is that of the Python this runs in.")
    keys = [load.key for load in LOADS]
    parser.add_argument("--load", nargs="+", choices=keys, metavar="LOAD", default=keys,
                        help="some of: " + " ".join(keys))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], metavar="N")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each contender (9)")
    parser.add_argument("--seconds", type=float, default=0.6, help="of each turn (0.6)")
    parser.add_argument("--eden", metavar="FILE", help="the command (the newest under build*/)")
    parser.add_argument("--loop", action="store_true",
                        help="PyTorch's default optimizer step instead of its fused one")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true",
                        help="exit with 1 if an MLP or the transformer is over 3 %% slower than "
                             "PyTorch, or if they do not compute the same")
    chosen = parser.parse_args()
    if min(chosen.threads) < 1 or chosen.rounds < 1 or chosen.seconds <= 0:
        parser.error("--threads and --rounds count from 1, and a turn takes some time")
    return chosen


HEADING = """            median                          quickest step            CPU time of a step
threads   Eden ms torch ms ratio, mid 80 %   Eden ms torch ms ratio   Eden ms torch ms ratio"""


def show(row):
    both, ratio = [row[name] for name in ("eden", "torch")], row["ratio"]
    text = f"{row['threads']:>7}"
    for what in ("ms", "least", "cpu"):
        values = [one[what] if one else None for one in both]
        text += " " + "".join(f"{v:9.3f}" if v else f"{'-':>9}" for v in values)
        if what == "ms":
            text += (f"  {ratio['median']:.2f} {ratio['low']:.2f}-{ratio['high']:.2f}" if ratio
                     else f"{'-':>16}")
        else:
            text += f" {values[0] / values[1]:5.2f}" if all(values) else f" {'-':>5}"
    print(text, flush=True)


def run_load(chosen, load, path, library, folder):
    """A row for each number of threads, and what differs."""
    load.fused = not chosen.loop
    if load.side:
        write_images(folder / load.key, load.side, load.batch)
    eden = Eden(path, load, folder)
    torch, found, differ = None, None, []
    if library:
        torch = training_torch.Torch(library, load, folder / load.key)
        library.set_num_threads(1)
        found, differ = compare(eden, torch)
    if not chosen.json:
        print(f"\n{load.title} ({load.key})")
        for what, (a, b) in (found or {}).items():
            print(f"{what:>10}: {a:.7g} and {b:.7g}")
        for what in differ:
            print(f"  They do not compute the same: {what}")
        print(HEADING)
    rows = []
    gc.disable()
    for threads in chosen.threads:
        rows.append(measure(eden, torch, threads, chosen.rounds, chosen.seconds))
        rows[-1].update({"title": load.title, "compared": found, "differ": differ})
        if not chosen.json:
            show(rows[-1])
    gc.enable()
    return rows


def main():
    chosen, library, version = arguments(), None, None
    try:
        path = find_eden(chosen.eden)
    except Missing as error:
        print(f"training.py: {error}", file=sys.stderr)
        return 69
    try:
        library, version = training_torch.find()
    except Missing as error:
        version = f"missing: {error}"
    if not chosen.json:
        print(f"{processor()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}\n{path}\n"
              f"PyTorch {version}\n\nMilliseconds of a training step, medians, and the quickest of all. Under a\n"
              f"ratio of 1, Eden is faster.")
    rows = []
    for load in (load for load in LOADS if load.key in chosen.load):
        with tempfile.TemporaryDirectory() as folder:
            rows += run_load(chosen, load, path, library, pathlib.Path(folder))
    if chosen.json:
        print(json.dumps({"processor": processor(), "cores": os.cpu_count(),
                          "date": time.strftime("%Y-%m-%d"), "pytorch": version, "rows": rows},
                         indent=2))
    required = {load.key for load in LOADS if load.required}
    slow = [r for r in rows if r["load"] in required and r["ratio"] and r["ratio"]["median"] > SLOWER]
    return 1 if chosen.check and (slow or any(r["differ"] for r in rows)) else 0


if __name__ == "__main__":
    sys.exit(main())
