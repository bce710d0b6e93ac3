"""What is measured: the works, and the memory that all contenders share."""
import ctypes
import dataclasses
import mmap
import random
from array import array

F32, BF16 = 0, 1  # as in enum eden_dtype
WIDTH = {F32: 4, BF16: 2}
SIZES = (1_000, 10_000, 100_000, 1_000_000, 16_000_000, 64_000_000)
LARGE = (1_000_000, 16_000_000, 64_000_000)

# The same settings for Eden, as its text, and for PyTorch, as arguments.
BETAS = dict(betas=(0.9, 0.999), eps=1e-8)
RULES = {
    "sgd": ("lr=1e-3", "SGD", dict(lr=1e-3)),
    "momentum": ("lr=1e-3,momentum=0.9", "SGD", dict(lr=1e-3, momentum=0.9)),
    "adagrad": ("lr=1e-2,eps=1e-10", "Adagrad", dict(lr=1e-2, eps=1e-10)),
    "rmsprop": ("lr=1e-3,alpha=0.99,eps=1e-8,eps_place=outside", "RMSprop",
                dict(lr=1e-3, alpha=0.99, eps=1e-8)),
    "adam": ("lr=1e-3,beta1=0.9,beta2=0.999,eps=1e-8", "Adam", dict(lr=1e-3, **BETAS)),
    "adamw": ("lr=1e-3,beta1=0.9,beta2=0.999,eps=1e-8,weight_decay=0.01", "AdamW",
              dict(lr=1e-3, weight_decay=0.01, **BETAS)),
    "adafactor": ("lr=1e-2,eps1=1.1920929e-7,eps1_mode=clamped", "Adafactor", dict(lr=1e-2)),
    "lion": ("lr=1e-4,beta1=0.9,beta2=0.99", "", dict(lr=1e-4, betas=(0.9, 0.99))),
}


@dataclasses.dataclass(frozen=True)
class Work:
    key: str
    title: str
    rule: str = "adamw"
    sizes: tuple = SIZES
    tensors: int = 1
    dtype: int = F32        # of the weights
    grad_dtype: int = F32
    state_dtype: int = F32
    copy: bool = False      # bf16 weights of the model beside float32 ones
    phase: bool = False     # clip by global norm and refuse what is not finite, then step
    zero: bool = False      # and leave the gradients zero
    scale: float = 0.0      # and first divide by a loss scale

    def shape(self, elements):
        """Rows and columns of one tensor. ggml gives whole rows to threads."""
        count = elements // self.tensors
        columns = 1000 if count >= 2000 else max(count // 2, 1)
        return count // columns, columns


WORKS = [
    Work("adamw", "AdamW, float32, one tensor"),
    *(Work(rule, f"{rule}, float32, one tensor", rule)
      for rule in ("sgd", "momentum", "adagrad", "rmsprop", "adam", "lion", "adafactor")),
    Work("many", "AdamW, float32, tensors of 1,000", sizes=(1_000_000,), tensors=1000),
    Work("many-momentum", "momentum, float32, tensors of 1,000", "momentum", (1_000_000,), 1000),
    Work("bf16", "AdamW, weights, gradient and state bf16", sizes=SIZES[2:], dtype=BF16,
         grad_dtype=BF16, state_dtype=BF16),
    Work("bf16-state32", "AdamW, weights and gradient bf16, state float32", sizes=SIZES[2:],
         dtype=BF16, grad_dtype=BF16),
    Work("bf16-master", "AdamW, model and gradient bf16, float32 weights kept beside",
         sizes=SIZES[2:], grad_dtype=BF16, copy=True),
    Work("update", "clip by norm + AdamW + zero gradient, float32", sizes=LARGE, phase=True,
         zero=True),
    Work("update-keep", "clip by norm + AdamW, float32", sizes=LARGE, phase=True),
    Work("update-scaled", "unscale + clip by norm + AdamW + zero gradient, float32", sizes=LARGE,
         phase=True, zero=True, scale=65536.0),
    Work("update-many", "clip by norm + AdamW + zero gradient, tensors of 1,000",
         sizes=(1_000_000,), tensors=1000, phase=True, zero=True),
    Work("update-scaled-many",
         "unscale + clip by norm + AdamW + zero gradient, tensors of 1,000",
         sizes=(1_000_000,), tensors=1000, phase=True, zero=True, scale=65536.0),
]


class Area:
    """Private pages. Without MAP_PRIVATE they would be a shared file, and slower."""
    def __init__(self, size):
        self.map = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.size = size
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.map))

    def fill(self, pattern):
        view, at = memoryview(self.map), 0
        while at < self.size:
            part = min(len(pattern), self.size - at)
            view[at:at + part] = pattern[:part]
            at += part


def numbers(seed, deviation, dtype):
    """Normal numbers as bytes; 16 bits are the upper ones of a float."""
    draw = random.Random(seed)
    values = array("f", (draw.gauss(0, deviation) for _ in range(50_000))).tobytes()
    if dtype == F32:
        return values
    return b"".join(values[i + 2:i + 4] for i in range(0, len(values), 4))


class Memory:
    """Weights and gradients of one work, which every contender reads and writes."""
    def __init__(self, work, elements):
        self.work, self.elements = work, elements
        self.weights = Area(elements * WIDTH[work.dtype])
        self.grads = Area(elements * WIDTH[work.grad_dtype])
        self.copy = Area(elements * 2) if work.copy else None
        self.first = numbers(1, 0.05, work.dtype)
        self.gradient = numbers(2, 0.01 * (work.scale or 1), work.grad_dtype)
        # A step that zeroes the gradient gets it back before the next, outside the time.
        self.fresh = Area(self.grads.size) if work.zero or work.scale or work.phase else None
        if self.fresh:
            self.fresh.fill(self.gradient)
        self.reset()

    def reset(self):
        self.weights.fill(self.first)
        self.grads.fill(self.gradient)

    def refill(self):
        ctypes.memmove(self.grads.address, self.fresh.address, self.grads.size)

    def sample(self):
        """Some weights as floats: the first, the middle and the last ones."""
        found = []
        for begin in {0, self.elements // 2, max(self.elements - 500, 0)}:
            end = min(begin + 500, self.elements)
            if self.work.dtype == F32:
                part = self.weights.map[begin * 4:end * 4]
            else:
                part = b"".join(b"\0\0" + self.weights.map[i * 2:i * 2 + 2]
                                for i in range(begin, end))
            found += array("f", part)
        return found


def same(work, before, mine, other):
    """Whether two contenders took the same steps, up to how they round."""
    moved = max(abs(a - b) for a, b in zip(mine, before))
    grain = 1e-6 if work.dtype == F32 else 1 / 64
    return moved > 0 and all(abs(a - b) <= 0.01 * moved + grain * abs(a)
                             for a, b in zip(mine, other))
