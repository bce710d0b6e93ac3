#!/usr/bin/env python3
"""Eden's step beside those of other libraries, on the same memory, in turn.

Nothing is fetched: a peer takes part if it is there, and is said to be missing if not.
bench/README.md says how to get them, and what the figures mean.
"""
import argparse
import gc
import json
import os
import platform
import sys
import tempfile
import time

import contenders
import torch_side
import work as works

PEERS = {"pytorch": torch_side.pytorch, "compiled": torch_side.compiled,
         "deepspeed": torch_side.deepspeed, "ggml": contenders.ggml, "llm.c": contenders.llmc}
COLUMNS = ["loop", "each", "fused", "compiled", "DeepSpeed", "ggml", "llm.c"]
SLOWER = 1.03          # what --check allows
PIECE = 0.005          # seconds that a contender runs at a time
LEAST, MOST = 5, 100   # rounds


def median(values, share=0.5):
    values = sorted(values)
    return values[round(share * (len(values) - 1))]


# ---- measuring -------------------------------------------------------------------

def agree(work, memory, runners):
    """Names of those whose weights after three steps are not Eden's."""
    memory.reset()
    before, mine, differ = memory.sample(), None, []
    for runner in runners:
        memory.reset()
        runner.run(3)
        if mine is None:
            mine = memory.sample()
        elif not works.same(work, before, mine, memory.sample()):
            differ.append(runner.name)
    memory.reset()
    return differ


def rounds(runners, threads, seconds):
    """Seconds a step, one list for each. The order turns, and each runs once untimed
    first, so that none pays for what its neighbour left in the cache."""
    repeat, times = [], [[] for _ in runners]
    for runner in runners:
        runner.run(1)
        once = runner.run(2) / 2
        repeat.append(max(1, round(PIECE / max(once, 1e-9))))
    end = time.monotonic() + seconds
    for turn in range(MOST):
        if turn >= LEAST and time.monotonic() > end:
            break
        for k in range(len(runners)):
            i = (k + turn) % len(runners)
            if threads > 1:
                time.sleep(0.01)  # OpenMP's threads spin for milliseconds after their work
            runners[i].run(1)
            times[i].append(runners[i].run(repeat[i]) / repeat[i])
    return times


def summary(times, elements):
    scale = 1e9 / elements
    return {"ns": median(times) * scale, "low": median(times, 0.1) * scale,
            "high": median(times, 0.9) * scale}


def measure(work, elements, threads, eden, makers, seconds):
    memory = works.Memory(work, elements)
    runners = [eden(work, memory, threads)]
    runners += [made for made in (make(work, memory, threads) for make in makers.values()) if made]
    try:
        differ = agree(work, memory, runners)
        gc.collect()
        gc.disable()
        times = rounds(runners, threads, seconds)
    finally:
        gc.enable()
        for runner in runners:
            runner.close()
    row = {"work": work.key, "title": work.title, "elements": elements,
           "tensors": work.tensors, "threads": threads, "rounds": len(times[0]),
           "eden": summary(times[0], elements), "differ": differ, "fastest": None, "ratio": None,
           "peers": {r.name: summary(t, elements) for r, t in zip(runners[1:], times[1:])}}
    able = [r.name for r in runners[1:] if r.name not in differ]
    if able:
        row["fastest"] = min(able, key=lambda name: row["peers"][name]["ns"])
        at = [r.name for r in runners].index(row["fastest"])
        pairs = [peer / mine for mine, peer in zip(times[0], times[at])]
        row["ratio"] = {"median": median(pairs), "low": median(pairs, 0.1),
                        "high": median(pairs, 0.9)}
    return row


# ---- showing ------------------------------------------------------------------------

def number(value):
    return f"{value:.4f}"[:6] if value < 100 else f"{value:.0f}"


def heading(columns):
    top = "".join(f"{'torch' if c in COLUMNS[:4] else '':>7}" for c in columns)
    low = "".join(f" {c[:6]:>6}" for c in columns)
    return (f"{'':>8} {'':>2} {'Eden':>7}{top} {'fastest / Eden':>17}\n"
            f"{'elements':>8} {'th':>2} {'ns/el':>7}{low} {'median  mid 80 %':>17}")


def show(row, columns):
    cells = "".join(f"{number(row['peers'][c]['ns']) if c in row['peers'] else '-':>7}"
                    for c in columns)
    ratio = row["ratio"]
    text = f"{ratio['median']:.2f} {ratio['low']:.2f}-{ratio['high']:.2f}" if ratio else "-"
    print(f"{row['elements']:>8} {row['threads']:>2} {number(row['eden']['ns']):>7}{cells} {text:>17}")
    for name in row["differ"]:
        print(f"         {name} does not compute the same and is not counted")
    sys.stdout.flush()


def processor():
    try:
        with open("/proc/cpuinfo") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":")[1].strip()
    except OSError:
        pass
    return platform.machine()


def preface(found, missing):
    print(f"{processor()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}")
    for name, version in found.items():
        print(f"{name} {version}")
    for name, why in missing.items():
        print(f"{name} is missing: {why}")
    print("\nNanoseconds an element of one step, medians. Over 1, Eden is faster. PyTorch and\n"
          "DeepSpeed are called from Python, and that is part of their step.")


# ---- the command ----------------------------------------------------------------------

def arguments():
    parser = argparse.ArgumentParser(
        description="Eden's step beside those of other libraries, on the same memory, in turn.",
        epilog="GGML_DIR points to a built ggml, LLMC_DIR to a checkout of llm.c; PyTorch and "
               "DeepSpeed are those of the Python this runs in.")
    keys = [w.key for w in works.WORKS]
    parser.add_argument("--work", nargs="+", choices=keys, metavar="WORK", default=keys,
                        help="some of: " + " ".join(keys))
    parser.add_argument("--elements", nargs="+", type=int, metavar="N",
                        help="instead of each work's own sizes")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], metavar="N")
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), metavar="PEER",
                        default=[p for p in PEERS if p != "compiled"],
                        help="some of: " + " ".join(PEERS) + " (all but compiled)")
    parser.add_argument("--seconds", type=float, default=2, help="for each row, at least (2)")
    parser.add_argument("--eden", metavar="FILE", help="libeden.so (the newest under build*/)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true",
                        help="exit with 1 if Eden is over 3 %% slower than a peer, or if they "
                             "do not compute the same")
    chosen = parser.parse_args()
    for work in works.WORKS:
        for size in chosen.elements or ():
            if work.key in chosen.work and (size < 2 * work.tensors or size % work.tensors
                                            or work.shape(size)[0] * work.shape(size)[1]
                                            != size // work.tensors):
                parser.error(f"--elements {size} makes no whole rows of 1000 in {work.key}")
    if min(chosen.threads) < 1:
        parser.error("--threads counts from 1")
    return chosen


def find_peers(names, folder):
    makers, found, missing = {}, {}, {}
    for name in names:
        try:
            made, found[name] = PEERS[name](folder)
            makers.update(made)
        except contenders.Missing as error:
            missing[name] = str(error)
    return makers, found, missing


def run_all(chosen, eden, makers, quiet):
    rows = []
    columns = [c for c in COLUMNS if c in makers]
    for work in (w for w in works.WORKS if w.key in chosen.work):
        if not quiet:
            print(f"\n{work.title} ({work.key})\n{heading(columns)}")
        for elements in chosen.elements or work.sizes:
            for threads in chosen.threads:
                rows.append(measure(work, elements, threads, eden, makers, chosen.seconds))
                if not quiet:
                    show(rows[-1], columns)
    return rows


def main():
    chosen = arguments()
    with tempfile.TemporaryDirectory() as folder:
        try:
            eden, version = contenders.eden(folder, contenders.find_eden(chosen.eden))
        except contenders.Missing as error:
            print(f"peers.py: {error}", file=sys.stderr)
            return 69
        makers, found, missing = find_peers(chosen.peers, folder)
        found = {"Eden": version, **found}
        if not chosen.json:
            preface(found, missing)
        rows = run_all(chosen, eden, makers, chosen.json)
    slow = [r for r in rows if r["ratio"] and r["ratio"]["median"] < 1 / SLOWER]
    if chosen.json:
        print(json.dumps({"processor": processor(), "cores": os.cpu_count(),
                          "date": time.strftime("%Y-%m-%d"), "found": found, "missing": missing,
                          "rows": rows}, indent=2))
    else:
        print(f"\n{len(rows)} rows; in {len(slow)} Eden is over 3 % slower than the fastest peer.")
    return 1 if chosen.check and (slow or any(r["differ"] for r in rows)) else 0


if __name__ == "__main__":
    sys.exit(main())
