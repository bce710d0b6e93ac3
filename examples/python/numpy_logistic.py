"""Logistic regression with NumPy, with everything a real run has: a schedule, clipping, decay
that keeps off the bias, and a checkpoint from which it continues.

    python numpy_logistic.py run.safetensors

It makes its own data: points in ten dimensions, on two sides of a plane and a few on the
wrong one. Run it twice: the second run continues where the first one stopped.
"""
import os
import sys

import eden.numpy
import numpy as np

EPOCHS, BATCH, HALF = 20, 50, 10


def make_data(examples=2000, dimensions=10):
    random = np.random.default_rng(1)
    plane = random.normal(size=dimensions)
    x = random.normal(size=(examples, dimensions)).astype(np.float32)
    y = (x @ plane + 0.5 + 0.3 * random.normal(size=examples) > 0).astype(np.float32)
    return x, y


def gradients(w, b, x, y):
    """Of the mean cross-entropy."""
    wrong = 1 / (1 + np.exp(-(x @ w + b[0]))) - y
    return {"w": x.T @ wrong / len(y), "b": np.mean(wrong, keepdims=True)}


def accuracy(w, b, x, y):
    return np.mean((x @ w + b[0] > 0) == (y > 0.5))


def main(path):
    x, y = make_data()
    train, test = slice(0, 1500), slice(1500, None)
    w, b = np.zeros(x.shape[1], np.float32), np.zeros(1, np.float32)
    steps = EPOCHS * (1500 // BATCH)
    with eden.numpy.AdamW({"w": w}, lr=0.02, weight_decay=0.01, clip_norm=1.0,
                          schedule={"lr": f"warmup(30) * cosine({steps}, end=0.1)"}) as opt:
        opt.add_group("no decay", {"b": b}, weight_decay=0.0)
        if os.path.exists(path):
            opt.load(path)
            print(f"continuing after {opt.notes['epoch']} epochs and {opt.steps} steps")
        first = int(opt.notes.get("epoch", "0"))
        for epoch in range(first, min(first + HALF, EPOCHS)):
            order = np.random.default_rng(epoch).permutation(1500)
            for at in range(0, 1500, BATCH):
                some = order[at:at + BATCH]
                opt.step(gradients(w, b, x[train][some], y[train][some]))
            opt.notes["epoch"] = str(epoch + 1)
        opt.save(path)
        print(f"{opt.steps} steps, learning rate {opt.get('lr', step=max(opt.steps, 1)):.4f}, "
              f"accuracy {accuracy(w, b, x[test], y[test]):.3f}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "numpy_logistic.safetensors")
