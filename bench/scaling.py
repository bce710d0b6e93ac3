#!/usr/bin/env python3
"""What a step over ranks moves and takes: measured here, and computed for larger machines.

The model has the times of steps of one process, of a step that is all waiting, and two more
numbers of this machine, fitted to some of the runs; what it says of the others is compared
with what they take. For larger machines it is given the numbers of a network instead, which
are assumptions. docs/scaling.md has both.
"""
import argparse
import json
import math
import os
import pathlib
import subprocess
import sys

import simulation

ROOT = pathlib.Path(__file__).resolve().parent.parent
MEASURED = ROOT / "bench" / "scaling.json"
BUCKET = 32 << 20      # bytes, of which half are a message
DIRECT = 64            # ranks that send to each other; more leave the adding to MPI
SMALL = 1024           # elements of a step that is all waiting

# Bytes a weight: gradients, weights, and what AdamW's step reads and writes of both and of
# its state. bf16 has float32 masters.
KINDS = {"f32": {"grad": 4, "weight": 4, "step": 28, "state": 8},
         "bf16": {"grad": 2, "weight": 2, "step": 28, "state": 12}}
# A larger machine: bytes a second of a rank's memory and of its link, seconds a message.
MEMORY, LINK, MESSAGE = 200e9, 25e9, 2e-6


# ---- the model ---------------------------------------------------------------------

def sent(kind, ranks):
    """Bytes that a rank sends for each weight, gradients and weights."""
    grad = KINDS[kind]["grad"] if ranks <= DIRECT else 4
    return (grad + KINDS[kind]["weight"]) * (ranks - 1) / ranks


def added(kind, ranks):
    """Bytes of gradients that a rank reads and writes to add them up, for each weight."""
    return KINDS[kind]["grad"] * (ranks + 1) / ranks if ranks > 1 else 0


def messages(elements, kind, ranks):
    """Messages of a step that a rank waits for, one after another."""
    if ranks == 1:
        return 0
    hops = math.ceil(math.log2(ranks))
    buckets = max(1, math.ceil(elements * 4 / (BUCKET / 2)))
    return 2 * hops + buckets * ((ranks - 1 if ranks <= DIRECT else hops) + hops)


def here(elements, kind, ranks, cores, numbers):
    """Seconds of a step where ranks share memory and cores: what all of them do, on the
    cores that there are. A byte that is sent is copied in and out by a core."""
    work = numbers["step"][kind] * elements
    work += numbers["byte"] * added(kind, ranks) * ranks * elements
    work += (numbers["narrow"] * ranks * elements) if kind == "bf16" and ranks > 1 else 0
    work += numbers["copy"] * sent(kind, ranks) * ranks * elements
    return work / min(ranks, cores) + (numbers["wait"] * max(1, ranks / cores) if ranks > 1 else 0)


def there(elements, kind, ranks):
    """Seconds where each rank has a memory and a link of its own, with nothing hidden
    behind backward."""
    memory = elements * (KINDS[kind]["step"] / ranks + added(kind, ranks)) / MEMORY
    return memory + elements * sent(kind, ranks) / LINK + MESSAGE * messages(elements, kind, ranks)


# ---- the simulation ------------------------------------------------------------------

MOST = 32      # buckets of a simulated step; of a larger model each stands for several
JITTER = 0.05  # deviation of the logarithm of what a rank takes for the same
SEED = 7
BACKWARD = 4   # times as long as a gradient takes on a link of its own


def buckets_of(elements):
    return max(1, math.ceil(elements * 4 / (BUCKET / 2)))


def step_of(elements, kind, ranks, **words):
    buckets = min(MOST, buckets_of(elements))
    direct = ranks <= DIRECT
    return simulation.Step(ranks, buckets, direct, gradients=elements * (KINDS[kind]["grad"] if direct else 4),
                           weights=elements * KINDS[kind]["weight"], stands=buckets_of(elements) / buckets, **words)


def simulated_here(elements, kind, ranks, cores, numbers):
    add = numbers["byte"] * added(kind, ranks) + (numbers["narrow"] if kind == "bf16" and ranks > 1 else 0)
    step = step_of(elements, kind, ranks, add=add * elements, update=numbers["step"][kind] * elements / ranks,
                   agree=numbers["wait"])
    return simulation.seconds(simulation.Machine(cores=cores, copy=numbers["copy"]), step)


def backward_of(elements, kind):
    return BACKWARD * KINDS[kind]["grad"] * elements / LINK


def simulated_there(elements, kind, ranks, jitter=0.0, backward=0.0):
    machine = simulation.Machine(link=LINK, message=MESSAGE, jitter=jitter, seed=SEED)
    return simulation.seconds(machine, step_of(
        elements, kind, ranks, add=elements * added(kind, ranks) / MEMORY, scans=elements / 1024 if ranks > 1 else 0,
        update=elements * KINDS[kind]["step"] / ranks / MEMORY, backward=backward))


def after_backward(elements, kind, ranks, backward):
    """What `there` leaves when all buckets but the last can go while backward makes the next."""
    if ranks == 1:
        return there(elements, kind, ranks)
    buckets = min(MOST, buckets_of(elements))
    grad = KINDS[kind]["grad"] if ranks <= DIRECT else 4
    return there(elements, kind, ranks) - min(backward, elements * grad * (ranks - 1) / ranks / LINK) * (1 - 1 / buckets)


# ---- measuring ---------------------------------------------------------------------

def run(options, ranks, elements, kind, rounds):
    words = [ROOT / "tests/mpi/run.sh", options.mpiexec, ranks, options.program, elements, rounds, kind]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=600)
    if done.returncode:
        sys.exit(f"{ranks} ranks: {done.stderr.strip() or done.returncode}")
    return json.loads(done.stdout)


def measure(options):
    runs = [run(options, 1, n, kind, options.rounds) for kind in KINDS for n in (8 << 20, 8 << 20, 1 << 20)]
    for ranks in (2, 3, 4, 6, 8):
        runs.append(run(options, ranks, SMALL, "f32", options.rounds))
        for kind in KINDS:
            runs += [run(options, ranks, n, kind, options.rounds) for n in (8 << 20, 2 << 20)]
    overhead = [run(options, 1, 1 << 20, "f32", 10 * options.rounds)["ratio"] for _ in range(7)]
    MEASURED.write_text(json.dumps({"cores": os.cpu_count(), "mpi": options.mpiexec, "overhead": sorted(overhead),
                                    "runs": runs}, indent=1) + "\n")


def pick(runs, ranks, elements, kind):
    found = [r for r in runs if (r["ranks"], r["elements"], r["kind"]) == (ranks, elements, kind)]
    return min(r["step_least"] for r in found)


FITTED = (2, 4, 8)  # ranks, of runs with 8 Mi weights


def mean(values):
    """Geometric."""
    return math.exp(sum(math.log(max(value, 1e-13)) for value in values) / len(values))


def numbers_of(runs, cores):
    large = 8 << 20
    step = {kind: pick(runs, 1, large, kind) / large for kind in KINDS}
    numbers = {"step": step, "byte": step["f32"] / KINDS["f32"]["step"], "copy": 0.0, "narrow": 0.0,
               "wait": pick(runs, 2, SMALL, "f32")}
    left = {(ranks, kind): lambda r=ranks, k=kind: (pick(runs, r, large, k) - here(large, k, r, cores, numbers)) *
            min(r, cores) / large for ranks in FITTED for kind in KINDS}
    numbers["copy"] = mean([left[r, "f32"]() / (sent("f32", r) * r) for r in FITTED])
    numbers["narrow"] = mean([left[r, "bf16"]() / r for r in FITTED])
    return numbers


# ---- telling -----------------------------------------------------------------------

def amount(value, units):
    for scale, unit in units:
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value / units[-1][0]:.2g} {units[-1][1]}" if value else "0"


def in_bytes(value):
    return amount(value, ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B")))


def in_time(value):
    return amount(value, ((1, "s"), (1e-3, "ms"), (1e-6, "us")))


def tell_measured(measured):
    runs, cores = measured["runs"], measured["cores"]
    numbers = numbers_of(runs, cores)
    print(f"{measured['mpi']}, {cores} cores: a step {numbers['step']['f32'] * 1e9:.2f} ns a weight in f32, "
          f"{numbers['step']['bf16'] * 1e9:.2f} in bf16; a byte sent {numbers['copy'] * 1e9:.2f} ns; a gradient of 16 "
          f"bits widened {numbers['narrow'] * 1e9:.2f} ns; a step of "
          f"{SMALL} weights on two ranks {numbers['wait'] * 1e3:.2f} ms")
    ratios = measured["overhead"]
    print(f"one rank beside no library over MPI: {100 * (ratios[len(ratios) // 2] - 1):+.1f} % "
          f"({100 * (ratios[0] - 1):+.1f} to {100 * (ratios[-1] - 1):+.1f} in {len(ratios)} processes)\n")
    print("| weights | kind | ranks | measured | model | measured / model | simulated | measured / simulated |\n"
          "|---|---|---|---|---|---|---|---|")
    for r in runs:
        if r["ranks"] > 1 and r["elements"] > SMALL:
            model = here(r["elements"], r["kind"], r["ranks"], cores, numbers)
            events = simulated_here(r["elements"], r["kind"], r["ranks"], cores, numbers)
            fit = ", fitted" if r["ranks"] in FITTED and r["elements"] == 8 << 20 else ""
            print(f"| {r['elements'] / 2**20:.0f} Mi | {r['kind']} | {r['ranks']} | {in_time(r['step_least'])} | "
                  f"{in_time(model)} | {r['step_least'] / model:.2f}{fit} | {in_time(events)} | "
                  f"{r['step_least'] / events:.2f} |")
    print()


SIZES = (1e8, 1e9, 1e10, 1e11, 1e12)
COLOURS = ("#4477aa", "#228833", "#aa3377", "#cc6600", "#222222")
COUNTS = [2 ** k for k in range(13)]


def tell_model():
    print("| weights | ranks | sent a rank | time a step | of it on the link | state a rank |\n|---|---|---|---|---|---|")
    for size in SIZES:
        for ranks in (1, 8, 64, 512, 4096):
            moved = size * sent("bf16", ranks)
            print(f"| 10^{round(math.log10(size))} | {ranks:,} | {in_bytes(moved)} | {in_time(there(size, 'bf16', ranks))} | "
                  f"{in_time(moved / LINK)} | {in_bytes(size * KINDS['bf16']['state'] / ranks)} |")


def tell_simulated():
    """Returns rows for the picture: ranks, then of the largest model computed, and simulated, ..."""
    print(f"\nsimulated with seed {SEED}, deviation {JITTER}, backward {BACKWARD} times a gradient's time on the link\n")
    print("| weights | ranks | computed | simulated | with chance | after backward, computed | simulated | with chance |\n"
          "|---|---|---|---|---|---|---|---|")
    rows = []
    for size in (1e8, 1e10, 1e12):
        for ranks in (1, 2, 8, 32, 64, 128, 512, 4096):
            back = backward_of(size, "bf16")
            times = [there(size, "bf16", ranks), simulated_there(size, "bf16", ranks),
                     simulated_there(size, "bf16", ranks, JITTER), after_backward(size, "bf16", ranks, back),
                     simulated_there(size, "bf16", ranks, 0.0, back), simulated_there(size, "bf16", ranks, JITTER, back)]
            print(f"| 10^{round(math.log10(size))} | {ranks:,} | " + " | ".join(in_time(t) for t in times) + " |", flush=True)
            if size == 1e10:
                rows.append([ranks] + times)
    return rows


PLOT = """set terminal svg size 900,420 font 'sans,13' background 'white'
set output '{out}'
set multiplot layout 1,2
set logscale xy
set format x '%.0f'
set xtics (1,8,64,512,4096)
set xlabel 'ranks'
set xrange [1:4096]
set key off
set grid
set title 'seconds a step'
set format y '10^{{%T}}'
plot {times}
set title 'bytes of state a rank'
set key inside top right reverse Left samplen 2
set yrange [1e5:1e15]
plot {states}
"""


def draw(path):
    def curves(column):
        return ", ".join(f"$data using 1:{column + k} with linespoints lw 2 pt 7 ps 0.4 lc rgb '{COLOURS[k]}' "
                         f"title '10^{{{8 + k}}} weights'" for k in reversed(range(len(SIZES))))
    rows = [[ranks] + [there(size, "bf16", ranks) for size in SIZES] +
            [size * KINDS["bf16"]["state"] / ranks for size in SIZES] for ranks in COUNTS]
    data = "$data << end\n" + "\n".join(" ".join(f"{x:.6g}" for x in row) for row in rows) + "\nend\n"
    text = data + PLOT.format(out=path, times=curves(2),
                              states=curves(2 + len(SIZES)))
    subprocess.run(["gnuplot"], input=text, text=True, check=True)


SIMULATED = """set terminal svg size 700,420 font 'sans,13' background 'white'
set output '{out}'
set logscale x
set format x '%.0f'
set xtics (1,2,8,32,64,128,512,4096)
set xlabel 'ranks'
set xrange [0.9:4600]
set yrange [0:4]
set key top left reverse Left samplen 2
set grid
set title 'seconds a step of 10^{{10}} weights in bf16'
plot $data using 1:2 with lines lw 2 lc rgb '#4477aa' title 'computed', \\
     $data using 1:3 with points pt 6 lc rgb '#4477aa' title 'simulated', \\
     $data using 1:4 with points pt 2 lc rgb '#4477aa' title 'with chance', \\
     $data using 1:5 with lines lw 2 lc rgb '#cc6600' title 'after backward, computed', \\
     $data using 1:6 with points pt 6 lc rgb '#cc6600' title 'simulated', \\
     $data using 1:7 with points pt 2 lc rgb '#cc6600' title 'with chance'
"""


def draw_simulated(path, rows):
    data = "$data << end\n" + "\n".join(" ".join(f"{x:.6g}" for x in row) for row in rows) + "\nend\n"
    subprocess.run(["gnuplot"], input=data + SIMULATED.format(out=path), text=True, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="run ranks here, and keep what they take in bench/scaling.json")
    parser.add_argument("--mpiexec", default="mpiexec.mpich")
    parser.add_argument("--program", default=ROOT / "build/gcc/tests/mpi/ranks-mpich", help="bench/ranks.c, built")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--simulate", action="store_true", help="also run a step of up to 4,096 ranks as events")
    parser.add_argument("--simulated", metavar="FILE", help="draw what that says, as SVG")
    parser.add_argument("--picture", metavar="FILE", help="draw the model, as SVG")
    options = parser.parse_args()
    if options.measure:
        measure(options)
    tell_measured(json.loads(MEASURED.read_text()))
    tell_model()
    if options.simulate or options.simulated:
        rows = tell_simulated()
        if options.simulated:
            draw_simulated(options.simulated, rows)
    if options.picture:
        draw(options.picture)


if __name__ == "__main__":
    main()
