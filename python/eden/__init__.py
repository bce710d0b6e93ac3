"""Eden: optimizers for neural networks.

    eden.torch   classes for torch.optim's place, under its names and with its defaults
    eden.numpy   the same optimizers on arrays, with schedules and checkpoints

Each is imported by itself, and needs its library only then.
"""
from ._native import Error, FileError, FormatError, GradientError, lib as _lib

__version__ = _lib.eden_version().decode()
__all__ = ["Error", "FileError", "FormatError", "GradientError", "rules"]


def rules():
    """The names of all rules."""
    from ._rules import RULES
    return [rule.name for rule in RULES]
