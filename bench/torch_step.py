#!/usr/bin/env python3
"""A step of eden.torch beside torch.optim's, in turn: default, foreach and fused.

Run with a Python that has both: `pip install torch ./python`. Times are medians in
milliseconds, and the ratio is Eden's to the fastest of PyTorch's in the same turn; under
1, Eden is faster. bench/README.md says more.
"""
import argparse
import gc
import json
import statistics
import sys
import time

WORKS = ("large", "resnet50", "gpt2", "small")
RULES = {"SGD": {"momentum": 0.9}, "Adam": {}, "AdamW": {}, "Adagrad": {}, "RMSprop": {}, "Adafactor": {}}
WAYS = {"default": {}, "foreach": {"foreach": True}, "fused": {"fused": True}}


def resnet50():
    """He et al. 2015, table 1: bottlenecks of 3, 4, 6 and 3 blocks, with batch norms and a head."""
    shapes, width = [(64, 3, 7, 7), (64,), (64,)], 64

    def convolution(out, into, side):
        shapes.extend([(out, into, side, side), (out,), (out,)])
    for stage, blocks in enumerate((3, 4, 6, 3)):
        middle = 64 << stage
        for block in range(blocks):
            convolution(middle, width, 1)
            convolution(middle, middle, 3)
            convolution(4 * middle, middle, 1)
            if block == 0:
                convolution(4 * middle, width, 1)
            width = 4 * middle
    return shapes + [(1000, 2048), (1000,)]


def gpt2():
    """Radford et al. 2019, the smallest: 12 blocks of width 768, context 1024, 50257 tokens."""
    width, block = 768, []
    for out, into in ((2304, 768), (768, 768), (3072, 768), (768, 3072)):
        block += [(into, out), (out,)]
    block += [(width,)] * 4
    return [(50257, width), (1024, width)] + block * 12 + [(width,)] * 2


SHAPES = {"large": lambda: [(4096, 4096)], "resnet50": resnet50, "gpt2": gpt2,
          "small": lambda: [(1000,)] * 1000}


def contenders(torch, eden, rule, shapes, dtype):
    """Optimizers over weights and gradients of their own, for equal chances in the caches."""
    def weights():
        torch.manual_seed(0)
        made = [torch.nn.Parameter(torch.randn(s).to(dtype)) for s in shapes]
        for p in made:
            p.grad = torch.randn_like(p)
        return made
    made = {"eden": getattr(eden, rule)(weights(), **RULES[rule])}
    for way, words in WAYS.items():
        try:
            optimizer = getattr(torch.optim, rule)(weights(), **RULES[rule], **words)
        except (TypeError, RuntimeError):  # there is no such way for this one
            continue
        made[way] = optimizer
    return made


def measure(made, rounds, seconds):
    """Medians, and the median of the turns' ratios with the middle 80 %."""
    times = {name: [] for name in made}
    for optimizer in made.values():
        optimizer.step()
    gc.disable()
    for turn in range(rounds):
        order = list(made.items())
        for name, optimizer in order[turn % len(order):] + order[:turn % len(order)]:
            optimizer.step()
            begun, steps = time.perf_counter(), 0
            while steps < 1 or time.perf_counter() - begun < seconds:
                optimizer.step()
                steps += 1
            times[name].append((time.perf_counter() - begun) / steps * 1e3)
    gc.enable()
    peers = [name for name in made if name != "eden"]
    ratios = sorted(times["eden"][i] / min(times[p][i] for p in peers) for i in range(rounds))
    return {name: statistics.median(t) for name, t in times.items()}, statistics.median(ratios), \
        (ratios[rounds // 10], ratios[-1 - rounds // 10])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rule", nargs="+", choices=list(RULES), default=list(RULES))
    parser.add_argument("--work", nargs="+", choices=WORKS, default=list(WORKS))
    parser.add_argument("--dtype", nargs="+", choices=("float32", "bfloat16"), default=["float32", "bfloat16"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.1, help="of each turn, at least one step (0.1)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true", help="1 if Eden is over 3 %% slower in any row")
    words = parser.parse_args()
    try:
        import torch
        import eden.torch as eden
    except ImportError as error:
        sys.exit(f"{error}; install both with: pip install torch ./python")
    rows, slow = [], 0
    if not words.json:
        print(f"PyTorch {torch.__version__}; milliseconds a step\n\n{'':34}{'Eden':>9}"
              f"{'default':>9}{'foreach':>9}{'fused':>9}  ratio, middle 80 %")
    for rule in words.rule:
        for work in words.work:
            for dtype in words.dtype:
                for threads in words.threads:
                    torch.set_num_threads(threads)
                    made = contenders(torch, eden, rule, SHAPES[work](), getattr(torch, dtype))
                    medians, ratio, middle = measure(made, words.rounds, words.seconds)
                    rows.append({"rule": rule, "work": work, "dtype": dtype, "threads": threads, "ms": medians,
                                 "ratio": ratio, "middle": middle})
                    slow += ratio > 1.03
                    if words.json:
                        continue
                    text = "".join(f"{medians[k]:9.3f}" if k in medians else f"{'-':>9}"
                                   for k in ("eden", *WAYS))
                    print(f"{rule:10}{work:10}{dtype:10}{threads:3} {text}  {ratio:.2f} "
                          f"{middle[0]:.2f}-{middle[1]:.2f}", flush=True)
    if words.json:
        json.dump({"torch": torch.__version__, "rows": rows}, sys.stdout, indent=1)
        print()
    elif slow:
        print(f"\n{slow} of {len(rows)} rows are over 3 % slower than the fastest of PyTorch")
    return 1 if words.check and slow else 0


if __name__ == "__main__":
    sys.exit(main())
