"""What may be a parameter, how it is stored, and each that is updated as the library knows it."""
import ctypes
import math
import warnings

import torch
from torch.nn.parameter import is_lazy

from . import _native
from ._native import MAX_DIMS, DeviceError, TypeError_, ValueError_

DTYPES = {torch.float32: _native.F32, torch.bfloat16: _native.BF16, torch.float16: _native.F16}
_ROUNDINGS = {"nearest": _native.NEAREST, "stochastic": _native.STOCHASTIC, "kahan": _native.KAHAN}
_MASTERS = {"f32": _native.MASTER, "split": _native.SPLIT}


def check_parameter(p, who, now=True, fused=False):
    """Refuse a tensor that cannot be updated, by name. Before a step it may still be on no device, or without a
    shape."""
    if is_lazy(p):
        if now:
            raise ValueError_(f"{who} has no shape yet; let the model compute something, and a lazy module makes it")
        return
    if p.layout is not torch.strided:
        raise TypeError_(f"{who} is {p.layout}; Eden updates dense tensors")
    if p.device.type != "cpu" and (now or p.device.type != "meta"):
        known = "; `fused=True` requires all the params to be floating point Tensors of supported devices: ['cpu']"
        raise DeviceError(f"{who} is on {p.device}; Eden steps in the CPU's memory: give it a copy there "
                          f"(torch.optim has optimizers for the device itself){known if fused else ''}")
    if p.dtype not in DTYPES:
        raise TypeError_(f"{who} is {p.dtype}; Eden keeps weights in float32, bfloat16 or float16")
    if _meets_itself(p):
        raise TypeError_(f"{who} is expanded, or of windows that overlap: several of its elements are one in memory, and a step would "
                         "update that several times; give it clone()")
    if now and lies_nowhere(p):
        raise TypeError_(no_memory(who, p))


_PLAIN = torch.Tensor, torch.nn.Parameter


def no_memory(what, t):
    """Words for a tensor whose elements lie nowhere."""
    if type(t) in _PLAIN:
        return f"{what} has no memory: it was freed, as untyped_storage().resize_(0) does, or stands for others, as in vmap"
    return f"{what} has no memory of its own: it is a {type(t).__name__}"


def lies_nowhere(t):
    """Tensors that only stand for one have no address, and some warn who asks for it."""
    if not t.numel():
        return False
    try:
        if type(t) in _PLAIN:
            return not t.data_ptr()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return not t.data_ptr()
    except RuntimeError:
        return True


def _meets_itself(p):
    """Can several of its elements be one in memory? Each dimension has to step over all that is within."""
    within = 0
    for stride, size in sorted(zip(p.stride(), p.shape)):
        if size > 1 and stride <= within:
            return p.numel() > 0
        within += stride * (size - 1)
    return False


def is_dense(p):
    """Do its elements lie together in another order, such as channels last?"""
    return (p.dim() == 4 and p.is_contiguous(memory_format=torch.channels_last)
            or p.dim() == 5 and p.is_contiguous(memory_format=torch.channels_last_3d)
            or p.dim() == 2 and p.t().is_contiguous())


def storage_of(group, p, who):
    """state_dtype and rounding of a parameter under its group's words."""
    state, master, rounding = group["state"], group["master"], group["rounding"]
    if state is not None and state not in _native.DTYPES:
        raise ValueError_(f"state = {state!r} is none of {', '.join(map(repr, _native.DTYPES))}, or None for "
                          "the weights' dtype")
    if rounding not in _ROUNDINGS:
        raise ValueError_(f"rounding = {rounding!r} is none of {', '.join(map(repr, _ROUNDINGS))}")
    if master is not None and master not in _MASTERS:
        raise ValueError_(f"master = {master!r} is none of {', '.join(map(repr, _MASTERS))}, or None")
    if master is not None and rounding != "nearest":
        raise ValueError_(f"master = {master!r} loses nothing to rounding; leave rounding = 'nearest'")
    kept = _native.DTYPES[state] if state else DTYPES[p.dtype]
    if p.dtype is torch.float32:
        if master is not None or rounding != "nearest":
            raise ValueError_(f"{who} is float32, which loses nothing: master and rounding are for weights of "
                              "16 bits; put it into a group without them")
        return kept, _native.NEAREST
    if master == "split" and p.dtype is not torch.bfloat16:
        raise ValueError_(f"{who} is {p.dtype}: master = 'split' is for bfloat16; use master = 'f32'")
    return kept, _MASTERS[master] if master else _ROUNDINGS[rounding]


class Member:
    """One parameter that is updated."""
    __slots__ = ("param", "group", "who", "shape", "split", "matrices", "extent", "state_dtype", "rounding",
                 "c_name", "way", "strides", "slots", "count", "pending")

    def __init__(self, param, group, name, who, options):
        self.param, self.group, self.who = param, group, who
        self.state_dtype, self.rounding = storage_of(options, param, who)
        self.shape, self.split = tuple(param.shape), options["split"] or 0
        # PyTorch's rules that factor see a matrix in each of the last two dimensions.
        self.matrices = not self.split and len(self.shape) > 1
        if len(self.shape) > MAX_DIMS and not self.split:
            self.shape = (math.prod(self.shape[:-2]), *self.shape[-2:])
        first, second = (len(self.shape) - 2, -1) if self.matrices else (0, self.split)
        matrices, rows, cols = map(math.prod, (self.shape[:first], self.shape[first:second], self.shape[second:]))
        if len(self.shape) == 1:
            rows, cols = 1, param.numel()
        self.extent = _native.Extent(param.numel(), rows, cols, matrices if self.matrices else 0)
        self.c_name = name.encode()  # a number: names may be anything, and two of one name in two groups
        self.slots = {}        # slot -> its tensor, in the order of the columns
        self.count = None      # of steps, a tensor, where the class keeps one
        self.pending = {}      # state that was made, and is PyTorch's to see once a step has used it
        self.way = "rows"      # or "dense": in the parameter's own order; or "copy"
        self.strides = None    # of the parameter, where its state is in its order

    def describe(self):
        t = _native.Tensor(size=ctypes.sizeof(_native.Tensor), data=self.param.data_ptr() or None)
        t.dtype = t.grad_dtype = DTYPES[self.param.dtype]
        t.state_dtype, t.rounding = self.state_dtype, self.rounding
        t.ndim, t.split, t.flags = len(self.shape), self.split, _native.MATRICES if self.matrices else 0
        t.shape[:len(self.shape)] = self.shape
        return t
