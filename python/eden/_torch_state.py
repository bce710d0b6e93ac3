"""Parameters as the library knows them, and their state.

What may be a parameter, how each is stored, and how PyTorch's tensors of state become
those that a step can use: the same ones where they can be.
"""
import contextlib
import ctypes
import itertools
import math
import re
import warnings

import torch
from torch.nn.parameter import is_lazy

from . import _native
from ._native import FULL, MAX_DIMS, ROW, DeviceError, TypeError_, ValueError_, lib
from ._words import translate

DTYPES = {torch.float32: _native.F32, torch.bfloat16: _native.BF16, torch.float16: _native.F16}
_STORED = {_native.F32: torch.float32, _native.BF16: torch.bfloat16, _native.F16: torch.float16}
_ROUNDINGS = {"nearest": _native.NEAREST, "stochastic": _native.STOCHASTIC, "kahan": _native.KAHAN}
_MASTERS = {"f32": _native.MASTER, "split": _native.SPLIT}


# ---- what may be a parameter ------------------------------------------------------------

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
    if now and _lies_nowhere(p):
        raise TypeError_(no_memory(who, p))


_PLAIN = torch.Tensor, torch.nn.Parameter


def no_memory(what, t):
    """Words for a tensor whose elements lie nowhere."""
    if type(t) in _PLAIN:
        return f"{what} has no memory: it was freed, as untyped_storage().resize_(0) does, or stands for others, as in vmap"
    return f"{what} has no memory of its own: it is a {type(t).__name__}"


def _lies_nowhere(t):
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


def check_count(step, who):
    """A count of steps, whatever holds it."""
    single = not isinstance(step, torch.Tensor) or step.numel() == 1
    count = float(step) if single and isinstance(step, (int, float, torch.Tensor)) else -1.0
    if not (0 <= count < math.inf and count == int(count)):
        raise ValueError_(f"{who}: its state says step = {step!r}, which is no count of steps: a whole number, at "
                          "least 0, is needed; the state_dict is damaged, or of something else")
    return count


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
                 "c_name", "way", "strides", "slots")

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
        self.way = "rows"      # or "dense": in the parameter's own order; or "copy"
        self.strides = None    # of the parameter, where its state is in its order

    def describe(self):
        t = _native.Tensor(size=ctypes.sizeof(_native.Tensor), data=self.param.data_ptr() or None)
        t.dtype = t.grad_dtype = DTYPES[self.param.dtype]
        t.state_dtype, t.rounding = self.state_dtype, self.rounding
        t.ndim, t.split, t.flags = len(self.shape), self.split, _native.MATRICES if self.matrices else 0
        t.shape[:len(self.shape)] = self.shape
        return t


# ---- their state ------------------------------------------------------------------------

class Keeper:
    """The part of an engine that brings state to the library's layout; the engine has handle and spelling."""
    _OURS = {"lookahead_begin": "lookahead", "lookahead_end": "leaving lookahead", "master": "master = 'f32'",
             "split": "master = 'split'"}

    def _say(self, text):
        """The library's sentence in the words of here: parameters as they are called, PyTorch's names of state."""
        text = text.replace("wants eden_lookahead_begin() before each gradient is computed", "wants gradients from "
                            "where the weights look ahead: use step(closure), or `with optimizer.lookahead():` around "
                            "backward() and step()")
        text = re.sub(r"(?:tensor |parameter )?'(\d+)'", lambda m: self.whose.get(m[1], m[0]), text)
        text = re.sub(r"'group (\d+)'", lambda m: str(self.native[int(m[1])][0]), text)
        text = re.sub(r"\bstate (\w+) of\b", lambda m: f"state {self._key(m[1])!r} of", text)
        return translate(text, self._OURS)

    def _refusal(self, status, error):
        return _native.failure(status, self._say(error.text.decode("utf-8", "replace")))

    def _ask(self, name, *arguments):
        """Call the library; what it refuses is said in the words of here."""
        try:
            _native.call(name, *arguments)
        except _native.Error as error:
            error.args = (self._say(str(error)),)
            raise

    def _key(self, slot):
        """What state is called in PyTorch's dicts."""
        return self.spelling.state_name.get(slot, slot)

    def _all_state(self, state):
        with contextlib.suppress(KeyError):
            if self.one_each:  # twice as quick
                return list(map(self.one_each, state.values()))
        return list(itertools.chain.from_iterable(map(dict.values, state.values())))

    def _adopt(self, m, kept):
        """Bring one parameter's state to the library's layout; make what is missing. Returns its count of steps,
        which without one of its own is 1 where there is state: all that such a rule asks is if it is the first."""
        slots = [slot.name for slot in self.rule.slots] + ["master", "lost"]
        there = [name for name in slots if kept.get(self._key(name)) is not None]
        own = [slot.name for slot in self.rule.slots]
        if self.counted:
            self._adopt_count(m, kept, there)
        else:
            kept.pop("step", None)
        plain = not m.param.is_neg()
        m.way = "rows" if m.param.is_contiguous() and plain else "copy"
        layouts = {name: self._layout(m, name) for name in slots}
        count = float(kept["step"]) if self.counted else float(bool(there))
        fresh = count == 0
        if count and not any(name in there for name in own) and any(layouts[name].count for name in own):
            # Steps without state do not count for the first with it, such as that of a momentum that comes.
            count = 0.0
            if self.counted:
                kept["step"] = torch.zeros((), dtype=torch.float32, device="cpu")
        if m.way == "copy" and plain and is_dense(m.param) and all(
                y.shape == FULL and y.dtype != _native.Q8 for y in layouts.values() if y.count or not y.bytes):
            m.way, m.strides = "dense", m.param.stride()
        m.slots = {}
        for name, layout in layouts.items():
            key = self._key(name)
            if not layout.count:  # what is there stays, as PyTorch has it, for when it is asked for again
                continue
            kept[key] = m.slots[name] = self._fit(m, name, kept.get(key), layout, fresh)
        if not m.extent.count:
            self._keep_nothing(m, kept)
        return count

    def _adopt_count(self, m, kept, there):
        step = kept.get("step")
        if isinstance(step, torch.Tensor) and step.device.type == "cpu" and _lies_nowhere(step):
            raise TypeError_(no_memory(f"{m.who}: its state 'step'", step))
        if not isinstance(step, torch.Tensor) or step.dtype is not torch.float32 or step.numel() != 1 \
                or step.device.type != "cpu" or step.is_neg():
            count = float(bool(there)) if step is None else check_count(step, m.who)
            others = dict(kept)
            kept.clear()
            kept["step"] = torch.tensor(count, dtype=torch.float32, device="cpu")
            kept.update({k: v for k, v in others.items() if k != "step"})

    def _keep_nothing(self, m, kept):
        """State of no elements, which the library has no use for, and PyTorch misses."""
        width = len(self.rule.hypers)
        values = (ctypes.c_double * width)(*self.values[m.group * width:(m.group + 1) * width])
        for slot in self.rule.slots:
            key = self._key(slot.name)
            if slot.shape == FULL and kept.get(key) is None \
                    and lib.eden_rule_slot_length(self.rule.at, slot.index, values, _native.Extent(1, 1, 1, 0)):
                kept[key] = torch.zeros_like(m.param.detach(), dtype=_STORED.get(m.state_dtype, torch.uint8))

    def _forget_first(self, owner):
        """State made for a first step that was not taken would, without a count, be taken for that of a step."""
        if self.counted or owner._ahead or 0 not in self.own_counts:
            return
        for m, count in zip(self.members, self.own_counts):
            for name in m.slots if not count and m.param in owner.state else ():
                owner.state[m.param].pop(self._key(name), None)
            if not count and not owner.state.get(m.param, True):
                del owner.state[m.param]
        self.state = None

    def _settle_settings(self):
        """The library is told before the step, so that it can be asked for layouts."""
        width = len(self.rule.hypers)
        for i in range(len(self.native)):
            for hyper in self.rule.hypers:
                self._ask("eden_set", self.handle, f"group {i}".encode(), hyper.name.encode(),
                             self.values[i * width + hyper.index])

    def _layout(self, m, name):
        layout = _native.Layout(size=ctypes.sizeof(_native.Layout))
        if m.extent.count:
            self._ask("eden_state_layout", self.handle, m.c_name, name.encode(), ctypes.byref(layout))
        return layout

    def _fit(self, m, name, value, layout, fresh):
        """A tensor of this layout with the state's values, or with those before the first step if that is to
        come; the same one if it can be, since others may share it."""
        if value is None or fresh:
            start = value if value is not None and self._suits(m, value, layout) else self._empty(m, layout)
            return start.copy_(m.param.detach()) if name == "master" else start.zero_()
        if not isinstance(value, torch.Tensor):
            raise TypeError_(f"{m.who}: its state {self._key(name)!r} is {type(value).__name__}, not a tensor")
        if value.device.type == "cpu" and _lies_nowhere(value):
            raise TypeError_(no_memory(f"{m.who}: its state {self._key(name)!r}", value))
        if self._suits(m, value, layout):
            return value
        shape = self._kind(m, layout)[1]
        if layout.dtype == _native.Q8 or not value.is_floating_point() or value.numel() != layout.count:
            return self._translate(m, name, value, layout)
        if [n for n in value.shape if n != 1] != [n for n in shape if n != 1]:
            raise ValueError_(f"{m.who}: its state {self._key(name)!r} is {tuple(value.shape)}, and {tuple(shape)} is needed")
        return self._empty(m, layout).copy_(value.detach().reshape(shape))

    def _suits(self, m, value, layout):
        """Can the library use this tensor as it is?"""
        if not isinstance(value, torch.Tensor) or (value.dtype, value.shape) != self._kind(m, layout):
            return False
        in_order = value.stride() == m.param.stride() if m.way == "dense" else value.is_contiguous()
        return in_order and value.device.type == "cpu" and not value.is_neg() and not _lies_nowhere(value)

    def _kind(self, m, layout):
        """dtype and shape of a tensor for a layout."""
        if layout.dtype == _native.Q8:
            return torch.uint8, (int(layout.bytes),)
        dtype, split, dims = _STORED[layout.dtype], m.split, len(m.shape)
        if layout.shape == FULL:
            return dtype, tuple(m.param.shape)
        if dims < 2 or layout.shape == _native.ONE:
            return dtype, (int(layout.count),)
        if m.matrices:
            shape = tuple(m.param.shape)
            return dtype, (*shape[:-1], 1) if layout.shape == ROW else (*shape[:-2], 1, shape[-1])
        if layout.shape == ROW:
            return dtype, (*m.shape[:split], *[1] * (dims - split))
        return dtype, (*[1] * split, *m.shape[split:])

    def _empty(self, m, layout):
        """Zeros of a layout, in the parameter's own order where it is in one."""
        dtype, shape = self._kind(m, layout)
        return torch.zeros_like(m.param.detach(), dtype=dtype) if m.way == "dense" else torch.zeros(shape, dtype=dtype, device="cpu")

    def _translate(self, m, name, value, layout):
        """State of another dtype or layout, through floats; refused if its size says that it is of another
        tensor."""
        if value.is_floating_point() and value.numel() == layout.count:
            result = self._empty(m, layout)
            floats = value.detach().to(torch.float32).contiguous()
            self._ask("eden_set_state", self.handle, m.c_name, name.encode(), result.data_ptr(), layout.bytes)
            self._ask("eden_put_state", self.handle, m.c_name, name.encode(), floats.data_ptr(), layout.count)
            return result
        coded = layout.count + -layout.count % 64 + 4 * -(-layout.count // 256)
        if value.dtype is torch.uint8 and value.numel() == coded and layout.shape == FULL:
            return self._empty(m, layout).copy_(self._decode(m, name, value, layout.count).view(m.param.shape))
        raise ValueError_(f"{m.who}: its state {self._key(name)!r} is {tuple(value.shape)} of {value.dtype}, and "
                          f"{layout.count} values are needed")

    def _decode(self, m, name, value, count):
        """The floats of state of 8 bits, which an optimizer that keeps it so reads."""
        handle, config = ctypes.c_void_p(), _native.Config(size=ctypes.sizeof(_native.Config), threads=1)
        described, codes, floats = m.describe(), value.detach().contiguous().clone(), torch.empty(count, dtype=torch.float32, device="cpu")
        described.state_dtype, read = _native.Q8, ctypes.c_uint64()
        self._ask("eden_optimizer_create", ctypes.byref(handle), self.rule.name.encode(), ctypes.byref(config))
        try:
            for hyper in self.rule.hypers:
                self._ask("eden_set", handle, None, hyper.name.encode(),
                             self.values[m.group * len(self.rule.hypers) + hyper.index])
            self._ask("eden_add_tensor", handle, m.c_name, ctypes.byref(described), None)
            self._ask("eden_set_state", handle, m.c_name, name.encode(), codes.data_ptr(), codes.numel())
            self._ask("eden_get_state", handle, m.c_name, name.encode(), floats.data_ptr(), count,
                         ctypes.byref(read))
        finally:
            lib.eden_optimizer_destroy(handle)
        return floats

    # ---- weights that somebody else wrote ------------------------------------------------

    def _forget_lost(self, now):
        """Weights that are elsewhere may be others, as after vector_to_parameters(): what rounding left of those
        before is none of theirs."""
        for m, was, at in zip(self.members, self.weights_at, now):
            if was != at and m.slots.get("lost") is not None:
                m.slots["lost"].zero_()

    def _notice_changes(self):
        """Weights that somebody else wrote since the last step: what is kept beside them gives way."""
        for i, m in enumerate(self.members):
            known = self.versions[i] if self.versions else None
            if known is not None and m.param._version == known:
                continue
            now, master, lost = m.param.detach(), m.slots.get("master"), m.slots.get("lost")
            if master is not None and master.dtype is torch.float32:
                torch.where(master.to(now.dtype) == now, master, now.float(), out=master)
            if lost is not None and known is not None:
                lost.zero_()

    def _look_for_writes(self, step):
        """Weights that others wrote through p.data, which PyTorch does not count: a few places of each are compared
        with the masters, and all once there were any."""
        self.turn += 1
        if not self.warned and lib.eden_batch_astray(self.batch, ctypes.byref(step), self.codes.buffer_info()[0],
                                                     self.turn) == len(self.members):
            return
        for m in self.masters:
            now, master = m.param.detach(), m.slots.get("master")
            if master is None:
                continue
            rounded = master.to(now.dtype)
            same = (rounded == now) | (rounded.isnan() & now.isnan())
            if bool(same.all()):
                continue
            torch.where(same, master, now.float(), out=master)
            if not self.warned:
                self.warned = True
                warnings.warn(f"{m.who} was written through p.data, which PyTorch does not count; what is found so is "
                              "taken, and from now on looked for everywhere in each step. With master='f32' write to p "
                              "itself, under torch.no_grad()", stacklevel=8)
