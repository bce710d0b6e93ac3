"""Eden: optimizers for neural networks.

    eden.torch   classes for torch.optim's place, under its names and with its defaults
    eden.numpy   the same optimizers on arrays, with schedules and checkpoints

Each is imported by itself, and needs its library only then. What is refused raises an eden.Error, of a kind
that is also Python's own: InvalidValueError a ValueError, InvalidTypeError a TypeError, InvalidNameError a
LookupError, DeviceError a TypeError and a RuntimeError, GradientError an ArithmeticError, FileError an OSError, MissingFileError a FileNotFoundError besides,
FormatError a ValueError.
"""
from ._native import (DeviceError, Error, FileError, FormatError, GradientError, InvalidNameError, InvalidTypeError,
                      InvalidValueError, MissingFileError, lib as _lib)

__version__ = _lib.eden_version().decode()
__all__ = ["DeviceError", "Error", "FileError", "FormatError", "GradientError", "InvalidNameError", "InvalidTypeError",
           "InvalidValueError", "MissingFileError", "numpy", "rules", "torch"]


def rules() -> "list[str]":
    """The names of all rules."""
    from ._rules import RULES
    return [rule.name for rule in RULES]


def __getattr__(name):
    """`import eden` is enough: a module is loaded when it is first asked for."""
    if name in ("torch", "numpy"):
        import importlib
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
