"""Optimizers on arrays: NumPy's, and all that speak the buffer protocol or DLPack.

    optimizer = eden.numpy.CLASS({"w": w, "b": b}, lr=1e-3)
    optimizer.step({"w": gradient_of_w, "b": gradient_of_b})

The arrays are updated in place; what cannot be is refused by name. Names and defaults are
Eden's own, as are schedules and checkpoints, whose files any program with Eden reads.
NumPy need not be there; where it is, copies of state are its arrays.
"""
from ._array_optimizer import LoadReport, Optimizer
from ._classes import find_class, make_classes
from ._array_members import STORAGE
from ._array_base import OPTIONS, SPELLINGS

_WORDS = [
    ("state", "how state is stored: 'f32', 'bf16', 'f16' or 'q8' (8 bits). Default: 'f32'"),
    ("master, rounding", "for weights of 16 bits: master='f32' or 'split' keeps what they cannot hold; else rounding "
     "is 'nearest', 'stochastic' or 'kahan'"),
    ("split", "for rules that factor: how many first dimensions make the rows"),
    ("grad_dtype", "of the gradients, 'f32', 'bf16' or 'f16', if not the weights'"),
    ("frozen", "True: never updated, but in checkpoints"),
    ("schedule", "dict from settings to schedules, see schedule()"),
    ("clip_norm, clip_value", "clip all gradients together to a norm, and each value before that; 0: off"),
    ("accumulate", "so many calls of step() make one step, with the mean of their gradients, which are "
     "summed in 4 bytes a weight"),
    ("nonfinite", "what a NaN in a gradient does: 'refuse', 'skip' or 'apply'"),
    ("maximize", "climb instead of descend"),
    ("loss_scale, loss_scale_window", "the first scale of the loss, which finds its own size; 0: off"),
    ("average, average_decay, average_start, average_every", "average the weights, 'ema' or 'swa', see averaged()"),
    ("threads", "None: one for each core"), ("seed", "of stochastic rounding")]

_CLASSES = make_classes(
    __name__, Optimizer, SPELLINGS.values(),
    ("weights", "dict from names to arrays of float32, float16 or bfloat16, which are updated in place"),
    _WORDS, {**STORAGE, **OPTIONS}, reserved=("group", "rule", "name"))
globals().update(_CLASSES)
__all__ = ["LoadReport", "Optimizer", *_CLASSES]


def __getattr__(name):
    return find_class(__name__, _CLASSES, name)


def __dir__():
    return sorted(__all__)
