"""Type stubs of the modules whose classes are made from the table: for editors and type checkers.

usage: python -m eden._stubs torch|numpy FILE
The build does this; a rule that is added to the library has its classes here too.
"""
import sys

from ._native import CHOICE, FLAG
from ._rules import spellings

_HEADS = {
    "torch": """\
from typing import Any, Callable, Dict, Iterable, Literal, Optional, Tuple, Union

import torch
from torch import Tensor
from torch.optim import lr_scheduler as lr_scheduler, swa_utils as swa_utils

from ._torch_optimizer import Optimizer as Optimizer

_Params = Union[Iterable[Tensor], Iterable[Dict[str, Any]], Iterable[Tuple[str, Tensor]]]
_Real = Union[float, Tensor]
""",
    "numpy": """\
from typing import Any, Literal, Mapping, Optional, Tuple

from ._array_optimizer import LoadReport as LoadReport, Optimizer as Optimizer

_Real = float
""",
}
_TAILS = {
    "torch": [("maximize", "bool"), ("foreach", "Optional[bool]"), ("capturable", "bool"),
              ("differentiable", "bool"), ("fused", "Optional[bool]"),
              ("state", 'Optional[Literal["f32", "bf16", "f16", "q8"]]'),
              ("master", 'Optional[Literal["f32", "split"]]'),
              ("rounding", 'Literal["nearest", "stochastic", "kahan"]'), ("split", "Optional[int]"),
              ("clip_norm", "float"), ("clip_value", "float"),
              ("nonfinite", 'Literal["apply", "refuse", "skip"]'), ("threads", "Optional[int]"), ("seed", "int")],
    "numpy": [("state", 'Literal["f32", "bf16", "f16", "q8"]'), ("master", 'Optional[Literal["f32", "split"]]'),
              ("rounding", 'Literal["nearest", "stochastic", "kahan"]'), ("split", "Optional[int]"),
              ("grad_dtype", 'Optional[Literal["f32", "bf16", "f16"]]'), ("frozen", "bool"),
              ("schedule", "Optional[Mapping[str, Any]]"), ("clip_norm", "float"), ("clip_value", "float"),
              ("accumulate", "int"), ("nonfinite", 'Literal["refuse", "skip", "apply"]'), ("maximize", "bool"),
              ("loss_scale", "float"), ("loss_scale_window", "Optional[int]"),
              ("average", 'Optional[Literal["ema", "swa"]]'), ("average_decay", "Optional[float]"),
              ("average_start", "Optional[int]"), ("average_every", "Optional[int]"), ("threads", "Optional[int]"),
              ("seed", "int")],
}


def _type(argument):
    kinds = []
    for hyper in argument.hypers:
        if argument.choices or hyper.kind == FLAG:
            kind = "bool"
        elif hyper.kind == CHOICE:
            kind = f"Literal[{', '.join(repr(choice) for choice in hyper.choices)}]"
        else:
            kind = "_Real"
        kinds.append(f"Optional[{kind}]" if hyper.index in argument.missing else kind)
    return f"Tuple[{', '.join(kinds)}]" if argument.tuple else kinds[0]


def _class(module, spelling, tail):
    lines = [f"class {spelling.name}(Optimizer):", f'    """{spelling.title[:1].upper()}{spelling.title[1:]}.',
             "", *("    " + line for line in spelling.formula.rstrip("\n").split("\n")), *spelling.other_names(), "",
             f"    {spelling.paper}.",
             '    """', "    def __init__(", "        self,"]
    lines.append("        params: _Params," if module == "torch" else "        weights: Mapping[str, Any],")
    for argument in spelling.by_place():
        lines.append(f"        {argument.name}: {_type(argument)} = {argument.default(spelling.values)!r},")
    lines.append("        *,")
    for argument in spelling.by_name():
        lines.append(f"        {argument.name}: {_type(argument)} = {argument.default(spelling.values)!r},")
    for name, kind in tail:
        lines.append(f"        {name}: {kind} = ...,")
    for argument in spelling.extra:
        lines.append(f"        {argument.name}: {_type(argument)} = {argument.default(spelling.values)!r},")
    return [*lines, "    ) -> None: ..."]


def stubs(module):
    """The text of a module's stub file."""
    parts = [_HEADS[module]]
    for spelling in spellings(with_peers=module == "torch"):
        parts.append("\n".join(_class(module, spelling, _TAILS[module])))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(stubs(sys.argv[1]))
