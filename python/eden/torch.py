"""Optimizers in torch.optim's place, under its names and with its defaults.

    optimizer = eden.torch.AdamW(model.parameters(), lr=1e-3)

Each class is a torch.optim.Optimizer: groups, schedulers, hooks, state_dict, pickling and
GradScaler are PyTorch's own, and so are the tensors of the state, under PyTorch's names. A
state_dict of the class of the same name can be loaded, and goes back. What Eden adds are
keywords:

    state       dtype of the state: "f32", "bf16", "f16", "q8" (8 bits); None: the weights'
    master      for weights of 16 bits: "f32" keeps float32 weights beside them, "split" the
                16 bits that bfloat16 lacks
    rounding    of weights of 16 bits: "nearest", "stochastic", "kahan"
    split       for rules that factor: how many first dimensions make the rows of a tensor, as one
                matrix; None: each matrix of the last two dimensions, as in PyTorch
    clip_norm   clip all gradients together to this norm, in the step itself; 0: off
    clip_value  clip each gradient before that; 0: off
    nonfinite   what a NaN in a gradient does: "apply" (as PyTorch), "refuse", "skip"
    threads     None: torch.get_num_threads()
    seed        of stochastic rounding

clip_norm to seed are of the whole optimizer and its attributes; the others are of a group.
foreach and fused choose among PyTorch's ways to compute one thing, and do not matter here.
"""
from torch.optim import lr_scheduler, swa_utils

from ._classes import find_class, make_classes
from ._rules import spellings
from ._torch_optimizer import GROUP_OPTIONS, OPTIONS, PYTORCH, Optimizer

_WORDS = [("maximize", "climb instead of descend. Default: False"),
          ("foreach, fused", "taken, and nothing else: results and speed do not depend on them"),
          ("capturable, differentiable", "only False"),
          ("state, master, rounding, split, clip_norm, clip_value, nonfinite, threads, seed",
           "see the module's text")]

_CLASSES = make_classes(__name__, Optimizer, spellings(with_peers=True),
                        ("params", "the weights: tensors, named tensors, or dicts of groups"), _WORDS,
                        {**PYTORCH, **GROUP_OPTIONS, **OPTIONS})
globals().update(_CLASSES)
__all__ = ["Optimizer", *_CLASSES, "lr_scheduler", "swa_utils"]


def __getattr__(name):
    return find_class(__name__, _CLASSES, name)


def __dir__():
    return sorted(__all__)
