"""The lab's networks in plain PyTorch, their training step, and Eden's weights in them."""
import gzip
import json
import math
import pathlib
import struct
import time
from array import array

from contenders import Missing
from torch_side import import_torch

ROOT = pathlib.Path(__file__).resolve().parent.parent


# ---- networks, with the lab's names of tensors ------------------------------------

def make_mlp(torch, widths, dropout):
    nn, layers, names = torch.nn, [], {}
    for i in range(1, len(widths)):
        if i == len(widths) - 1:
            layers.append(nn.Dropout(dropout))
        layers.append(nn.Linear(widths[i - 1], widths[i]))
        names[f"layer{i}"] = layers[-1]
        if i < len(widths) - 1:
            layers.append(nn.ReLU())
    return nn.Sequential(*layers), names


def make_cnn(torch, side, channels, classes, dropout):
    nn, layers, names, before = torch.nn, [], {}, 1
    for i, after in enumerate(channels, 1):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after),
                   nn.MaxPool2d(2), nn.ReLU()]
        names[f"conv{i}"], names[f"norm{i}"] = layers[-4], layers[-3]
        before, side = after, side // 2
    layers += [nn.Flatten(), nn.Dropout(dropout), nn.Linear(before * side * side, classes)]
    names["layer1"] = layers[-1]
    return nn.Sequential(*layers), names


def make_transformer(torch, layers, width, heads, context):
    nn, functional = torch.nn, torch.nn.functional

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.attention, self.joined = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x):
            rows, places, _ = x.shape
            parts = [p.view(rows, places, heads, width // heads).transpose(1, 2)
                     for p in self.attention(self.norm1(x)).split(width, 2)]
            y = functional.scaled_dot_product_attention(*parts, is_causal=True)
            x = x + self.joined(y.transpose(1, 2).reshape(rows, places, width))
            return x + self.down(functional.gelu(self.up(self.norm2(x)), approximate="tanh"))

    class Transformer(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.places = nn.Embedding(256, width), nn.Embedding(context, width)
            self.blocks = nn.ModuleList(Block() for _ in range(layers))
            self.norm = nn.LayerNorm(width)
            self.register_buffer("place", torch.arange(context), persistent=False)

        def forward(self, x):
            y = self.tokens(x) + self.places(self.place[:x.shape[1]])
            for block in self.blocks:
                y = block(y)
            return functional.linear(self.norm(y), self.tokens.weight).flatten(0, 1)

    made = Transformer()
    names = {"norm": made.norm, "embedding.tokens": made.tokens, "embedding.places": made.places}
    for i, block in enumerate(made.blocks, 1):
        names.update({f"block{i}.{name}": part for name, part in block.named_children()})
    return made, names


def start(torch, names):
    """Weights as the lab's: uniform, of a deviation by what comes in."""
    layers = sum(name.endswith("norm1") for name in names)
    for name, part in names.items():
        if isinstance(part, (torch.nn.LayerNorm, torch.nn.BatchNorm2d)):
            continue
        if name.startswith(("block", "embedding")):
            last = name.endswith(("joined", "down"))
            bound = math.sqrt(3) * 0.02 / (math.sqrt(2 * layers) if last else 1)
        else:
            gain = 1 if name == max(n for n in names if n.startswith("layer")) else 2
            bound = math.sqrt(3 * gain / part.weight[0].numel())
        torch.nn.init.uniform_(part.weight, -bound, bound)
        if getattr(part, "bias", None) is not None:
            torch.nn.init.zeros_(part.bias)


# ---- Eden's weights ------------------------------------------------------------------

PARTS = {"weight": "weight", "bias": "bias", "scale": "weight", "shift": "bias",
         "mean": "running_mean", "variance": "running_var"}


def load(torch, path, names):
    """A checkpoint's weights into a network of the same names."""
    data = pathlib.Path(path).read_bytes()
    length, = struct.unpack("<Q", data[:8])
    header, found = json.loads(data[8:8 + length]), set()
    with torch.no_grad():
        for name, tensor in header.items():
            owner, _, part = name.rpartition(".")
            if name in names:
                target = names[name].weight
            elif owner in names and part in PARTS:
                target = getattr(names[owner], PARTS[part])
            else:
                continue
            begin, end = (8 + length + at for at in tensor["data_offsets"])
            values = torch.frombuffer(bytearray(data[begin:end]), dtype=torch.float32)
            target.copy_(values.view(target.shape))
            found.add(target)
    module = {p for part in names.values() for p in part.parameters()}
    lacking = [tuple(p.shape) for p in module if not any(p is f for f in found)]
    if lacking:
        raise RuntimeError(f"the checkpoint lacks weights of the shapes {lacking}")


# ---- data ------------------------------------------------------------------------------

def images(torch, folder, stem, side):
    """An IDX pair as the lab reads it; 0 to 1."""
    pixels = (folder / f"{stem}-images-idx3-ubyte").read_bytes()[16:]
    labels = (folder / f"{stem}-labels-idx1-ubyte").read_bytes()[8:]
    x = torch.tensor(array("B", pixels)).float().div(255).view(-1, 1, side, side)
    return x, torch.tensor(array("B", labels)).long()


class Text:
    """The bytes of the lab's own text; the last tenth is the test."""
    def __init__(self, torch, context):
        data = gzip.decompress((ROOT / "lab" / "corpus.gz").read_bytes())
        self.torch, self.context = torch, context
        self.bytes = torch.tensor(array("B", data)).long()
        self.train = len(data) - len(data) // 10

    def batches(self, size, count):
        made = []
        for _ in range(count):
            at = self.torch.randint(self.train - self.context, (size,)).tolist()
            made.append(tuple(self.torch.stack([self.bytes[a + by:a + by + self.context] for a in at])
                              for by in (0, 1)))
        return [(x, y.flatten()) for x, y in made]

    def test(self):
        """In sequences that do not overlap, with what follows each byte."""
        rest = self.bytes[self.train:]
        return [(rest[a:a + self.context], rest[a + 1:a + 1 + self.context])
                for a in range(0, len(rest) - 1, self.context)]


# ---- the step ----------------------------------------------------------------------------

class Torch:
    """One network, its data and its optimizer; run() takes so many seconds of steps."""
    def __init__(self, torch, load_, folder):
        self.torch, self.load = torch, load_
        torch.manual_seed(1)
        self.module, self.names = load_.network(torch)
        start(torch, self.names)
        self.weights = sum(p.numel() for p in self.module.parameters())
        self.make_data(folder)
        vectors = [p for p in self.module.parameters() if p.ndim < 2]
        matrices = [p for p in self.module.parameters() if p.ndim > 1]
        decay, rest = load_.decay, {"lr": load_.rate, "betas": (0.9, load_.beta2), "eps": 1e-8}
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": decay},
             {"params": vectors, "weight_decay": 0 if load_.clip else decay}],
            fused=load_.fused, **rest)
        self.turn, self.losses = 0, []

    def make_data(self, folder):
        torch, load_ = self.torch, self.load
        if load_.side is None:
            self.text = Text(torch, load_.context)
            self.batches = self.text.batches(load_.batch, 250)
            return
        x, y = images(torch, folder, "train", load_.side)
        order = torch.randperm(len(x))
        x, y = x[order], y[order]
        self.test = images(torch, folder, "t10k", load_.side)
        self.batches = list(zip(load_.shape(x).split(load_.batch), y.split(load_.batch)))

    def step(self):
        x, y = self.batches[self.turn % len(self.batches)]
        self.turn += 1
        self.optimizer.zero_grad()
        loss = self.torch.nn.functional.cross_entropy(self.module(x), y)
        loss.backward()
        if self.load.clip:
            self.torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.load.clip)
        self.optimizer.step()
        return loss

    def run(self, seconds, threads):
        """Seconds of each step, the first few left out."""
        self.torch.set_num_threads(threads)
        self.module.train()
        clock, times = time.perf_counter, []
        for _ in range(3):
            self.losses.append(self.step().detach())
        cpu, end = time.process_time(), clock() + seconds
        while not times or clock() < end:
            begun = clock()
            loss = self.step()
            times.append(clock() - begun)
            self.losses.append(loss.detach())
        self.cpu = (time.process_time() - cpu) / len(times)
        return times

    def mean_loss(self, steps):
        while len(self.losses) < steps:
            self.losses.append(self.step().detach())
        return float(sum(self.losses[:steps]) / steps)

    def test_loss(self, checkpoint):
        """What the network says of the test set with Eden's weights."""
        torch = self.torch
        load(torch, checkpoint, self.names)
        self.module.eval()
        total, rows = 0.0, 0
        with torch.no_grad():
            parts = ([(self.load.shape(self.test[0]), self.test[1])] if self.load.side
                     else [(x[None], y) for x, y in self.text.test()])
            for x, y in parts:
                x = x[:, :len(y)] if not self.load.side else x
                total += float(torch.nn.functional.cross_entropy(self.module(x), y,
                                                                 reduction="sum"))
                rows += len(y)
        return total / rows


def find():
    torch = import_torch()
    return torch, torch.__version__


__all__ = ["Missing", "Torch", "find", "make_cnn", "make_mlp", "make_transformer"]
