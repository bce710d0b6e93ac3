"""A step of PyTorch's tensors in the library.

Weights, gradients, state and counts are PyTorch's; the engine is made from them and can
be thrown away at any time. It finds each step where everything is, refuses what cannot be
updated in place, and makes one call.
"""
import ctypes
import itertools
import operator
import threading
import weakref
from array import array

import torch

from . import _native
from ._native import E_ORDER, FULL, MAX_DIMS, ROW, Error, TypeError_, ValueError_, lib

_DTYPES = {torch.float32: _native.F32, torch.bfloat16: _native.BF16, torch.float16: _native.F16}
_STORED = {_native.F32: torch.float32, _native.BF16: torch.bfloat16, _native.F16: torch.float16}
_DTYPE = operator.attrgetter("dtype")
_DATA_PTR, _CONTIGUOUS = torch.Tensor.data_ptr, torch.Tensor.is_contiguous
_ROUNDINGS = {"nearest": _native.NEAREST, "stochastic": _native.STOCHASTIC, "kahan": _native.KAHAN}
_MASTERS = {"f32": _native.MASTER, "split": _native.SPLIT}
_NO_SPLIT = 0


# ---- what may be a parameter ------------------------------------------------------------

def check_parameter(p, who):
    """Refuse a tensor that cannot be updated, by name."""
    if p.layout is not torch.strided:
        raise TypeError_(f"{who} is {p.layout}; Eden updates dense tensors")
    if p.device.type != "cpu":
        raise TypeError_(f"{who} is on {p.device}; Eden steps in the CPU's memory: give it a copy there "
                         "(torch.optim has optimizers for the device itself)")
    if p.dtype not in _DTYPES:
        raise TypeError_(f"{who} is {p.dtype}; Eden keeps weights in float32, bfloat16 or float16")
    if any(size > 1 and stride == 0 for size, stride in zip(p.shape, p.stride())):
        raise TypeError_(f"{who} is expanded: several of its elements are one in memory, and a step would "
                         "update that several times; give it clone()")


def _is_dense(p):
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
    kept = _native.DTYPES[state] if state else _DTYPES[p.dtype]
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
    __slots__ = ("param", "group", "name", "who", "shape", "split", "extent", "state_dtype", "rounding",
                 "c_name", "way", "slots", "stand_in")

    def __init__(self, param, group, name, who, options):
        self.param, self.group, self.name, self.who = param, group, name, who
        self.state_dtype, self.rounding = storage_of(options, param, who)
        self.shape, self.split = tuple(param.shape), options["split"] or _NO_SPLIT
        if len(self.shape) > MAX_DIMS and not self.split:
            self.shape = (param.numel(),)
        rows = 1
        if len(self.shape) > 1:
            for size in self.shape[:self.split or 1]:
                rows *= size
        count = param.numel()
        self.extent = _native.Extent(count, rows, count // rows if rows else 0)
        if not rows:
            self.extent.cols = 1
            for size in self.shape[self.split or 1:]:
                self.extent.cols *= size
        self.c_name = _native.encode(name, "a parameter's name")
        self.slots = {}        # slot -> its tensor, in the order of the columns
        self.stand_in = None   # weights that a step can update, where these cannot
        self.way = "rows"

    def describe(self):
        t = _native.Tensor(size=ctypes.sizeof(_native.Tensor), data=self.param.data_ptr() or None)
        t.dtype = t.grad_dtype = _DTYPES[self.param.dtype]
        t.state_dtype, t.rounding = self.state_dtype, self.rounding
        t.ndim, t.split = len(self.shape), self.split
        t.shape[:len(self.shape)] = self.shape
        return t


# ---- the engine ------------------------------------------------------------------------------

def _destroy(batch, optimizer):
    lib.eden_batch_destroy(batch)
    lib.eden_optimizer_destroy(optimizer)


class Engine:
    """The library's side of an optimizer, for the parameters that have had a gradient."""
    def __init__(self, owner, spelling, params, options):
        self.rule, self.options, self.spelling = spelling.rule, options, spelling
        self.params, self.lock = params, threading.Lock()
        self.threads = options["threads"] or torch.get_num_threads()
        self.groups = [self._words(g) for g in owner.param_groups]
        self._make_members(owner)
        self.idle = [p for p in params if p not in self.known]
        self._make_optimizer()
        self.state, self.state_dicts, self.seen = None, None, None
        self.raw = [None] * len(self.native)
        self.values = array("d", [0.0] * (len(self.native) * len(self.rule.hypers)))
        self.versions = None
        self.keeps_more = any(m.rounding in (_native.MASTER, _native.SPLIT, _native.KAHAN) for m in self.members)

    @staticmethod
    def _words(group):
        return tuple(group[key] for key in ("state", "master", "rounding", "split", "maximize"))

    def _make_members(self, owner):
        """Groups of the library are those of PyTorch, by dtype: an epsilon can depend on it."""
        self.members, self.native, self.known = [], [], set()
        index, at = 0, {}
        for g, group in enumerate(owner.param_groups):
            names = group.get("param_names")
            for k, p in enumerate(group["params"]):
                name = names[k] if names else str(index)
                index += 1
                if p.grad is None and p not in owner.state:
                    continue
                who = f"parameter {name!r}" if names else f"parameter {name} (of group {g}, {tuple(p.shape)})"
                check_parameter(p, who)
                key = (g, p.dtype)
                if key not in at:
                    at[key] = len(self.native)
                    self.native.append((g, torch.finfo(p.dtype).eps))
                self.members.append(Member(p, at[key], name, who, group))
                self.known.add(p)
        self.active = [m.param for m in self.members]
        self.dtypes = [p.dtype for p in self.active]

    def _make_optimizer(self):
        config = _native.Config(size=ctypes.sizeof(_native.Config), threads=min(self.threads, 256))
        config.nonfinite = _native.NONFINITE[self.options["nonfinite"]]
        config.clip_norm = _native.number(self.options["clip_norm"], "clip_norm")
        config.clip_value = _native.number(self.options["clip_value"], "clip_value")
        config.seed = _native.whole(self.options["seed"], "seed")
        config.maximize = bool(self.groups and self.groups[0][4])
        if len({words[4] for words in self.groups}) > 1:
            raise ValueError_("maximize has to be the same in all groups; use an optimizer for each")
        handle, batch = ctypes.c_void_p(), ctypes.c_void_p()
        _native.call("eden_optimizer_create", ctypes.byref(handle), self.rule.name.encode(), ctypes.byref(config))
        try:
            names = [f"group {i}".encode() for i in range(len(self.native))]
            for name in names:
                _native.call("eden_add_group", handle, name, None, None)
            for m in self.members:
                _native.call("eden_add_tensor", handle, m.c_name, ctypes.byref(m.describe()), names[m.group])
            n = len(self.members)
            status = lib.eden_batch_create(
                ctypes.byref(batch), handle, len(names), (ctypes.c_char_p * len(names))(*names),
                (ctypes.c_size_t * n)(*(m.group for m in self.members)),
                (_native.Extent * n)(*(m.extent for m in self.members)))
            if status:
                raise _native.failure(status)
        except BaseException:
            lib.eden_optimizer_destroy(handle)
            raise
        self.handle, self.batch = handle, batch
        self._finalizer = weakref.finalize(self, _destroy, batch, handle)

    def fits(self, owner, params):
        """Is it still made of these?"""
        return (len(params) == len(self.params) and all(map(operator.is_, params, self.params))
                and self.groups == [self._words(g) for g in owner.param_groups]
                and self.threads == (self.options["threads"] or torch.get_num_threads())
                and [p.dtype for p in self.active] == self.dtypes
                and not any(p.grad is not None for p in self.idle))

    # ---- settings -----------------------------------------------------------------------

    def read_values(self, owner):
        """The rule's settings of each group, where they changed."""
        width = len(self.rule.hypers)
        for i, (g, epsilon) in enumerate(self.native):
            group = owner.param_groups[g]
            raw = owner._get_settings(group)
            if self.raw[i] is not None and raw == self.raw[i]:
                continue
            values = self.spelling.settings(group, epsilon)
            self.values[i * width:(i + 1) * width] = array("d", values)
            changeable = any(isinstance(v, torch.Tensor) for v in raw)
            self.raw[i] = None if changeable else raw

    def _settle_settings(self):
        """The library is told before the step, so that it can be asked for layouts."""
        width = len(self.rule.hypers)
        for i in range(len(self.native)):
            for hyper in self.rule.hypers:
                _native.call("eden_set", self.handle, f"group {i}".encode(), hyper.name.encode(),
                             self.values[i * width + hyper.index])

    # ---- state --------------------------------------------------------------------------

    def find_state(self, owner, again=False):
        """Each parameter's state as the library needs it. What is as it was at the last step costs a
        comparison; what is new, loaded or put there by others is looked at."""
        state = owner.state
        if not again and state is self.state and len(state) == len(self.state_dicts) \
                and all(map(operator.is_, state.values(), self.state_dicts)):
            now = list(itertools.chain.from_iterable(map(dict.values, self.state_dicts)))
            if len(now) == len(self.seen) and all(map(operator.is_, now, self.seen)):
                return
        self._settle_settings()
        for m in self.members:
            if m.param.grad is not None or m.param in state:
                self._adopt(m, state[m.param])
        self.state, self.state_dicts = state, list(state.values())
        self.seen = list(itertools.chain.from_iterable(map(dict.values, self.state_dicts)))
        self._lay_out_columns(state)

    def _lay_out_columns(self, state):
        numbers = {slot.name: slot.index for slot in self.rule.slots}
        count = lib.eden_batch_slots(self.rule.at)
        numbers.update(master=count - 2, lost=count - 1)
        used = [name for name in numbers if any(name in m.slots for m in self.members)]
        self.columns = array("Q", [numbers[name] for name in used])
        none = self.nothing = torch.zeros(())
        self.counts = [state[m.param]["step"] if m.param in state else none for m in self.members]
        self.tensors = [m.slots.get(name) for m in self.members for name in used]
        self.complete = all(t is not None for t in self.tensors)
        self.versions = [p._version for p in self.active]

    def _adopt(self, m, kept):
        """Bring one parameter's state to the library's layout; make what is missing."""
        names = self.spelling.state_name
        slots = [slot.name for slot in self.rule.slots] + ["master", "lost"]
        there = [name for name in slots if names.get(name, name) in kept]
        step = kept.get("step")
        if not isinstance(step, torch.Tensor) or step.dtype is not torch.float32 or step.numel() != 1 \
                or step.device.type != "cpu":
            count = float(step) if step is not None else float(bool(there))
            if not (count >= 0 and count == int(count)):
                raise ValueError_(f"{m.who}: the state says step = {step!r}, which is no count")
            others = dict(kept)
            kept.clear()
            kept["step"] = torch.tensor(count)
            kept.update({k: v for k, v in others.items() if k != "step"})
        fresh = float(kept["step"]) == 0
        m.way = "rows" if m.param.is_contiguous() else "copy"
        layouts = {name: self._layout(m, name) for name in slots}
        if m.way == "copy" and _is_dense(m.param) and all(
                y.shape == FULL and y.dtype != _native.Q8 for y in layouts.values() if y.count or not y.bytes):
            m.way = "dense"
        m.slots = {}
        for name, layout in layouts.items():
            key = names.get(name, name)
            if not layout.count:
                kept.pop(key, None)
                continue
            self._check_factored(m, layout)
            kept[key] = m.slots[name] = self._fit(m, name, None if fresh else kept.get(key), layout)

    def _layout(self, m, name):
        layout = _native.Layout(size=ctypes.sizeof(_native.Layout))
        if m.extent.count:
            _native.call("eden_state_layout", self.handle, m.c_name, name.encode(), ctypes.byref(layout))
        return layout

    def _check_factored(self, m, layout):
        if layout.shape in (ROW, _native.COL) and len(m.shape) > 2 and not m.split:
            raise ValueError_(f"{m.who} has {len(m.shape)} dimensions, and {self.spelling.name} factors matrices: "
                              "PyTorch's takes each matrix of the last two, Eden's all as one; say with "
                              "split=1 (or more) how many of the first dimensions make the rows")

    def _fit(self, m, name, value, layout):
        """A tensor of this layout with the state's values, the same one if it can be."""
        if value is None:
            if name == "master":
                return m.param.detach().float().contiguous().clone()
            return self._empty(m, layout)
        right = self._empty(m, layout, memory=False)
        if not isinstance(value, torch.Tensor):
            raise TypeError_(f"{m.who}: its state {name!r} is {type(value).__name__}, not a tensor")
        if value.dtype is right.dtype and value.shape == right.shape and value.stride() == right.stride() \
                and value.device.type == "cpu":
            return value
        if layout.dtype == _native.Q8 or not value.is_floating_point() or value.numel() != layout.count:
            return self._translate(m, name, value, layout)
        return self._empty(m, layout).copy_(value.detach().reshape(right.shape))

    def _empty(self, m, layout, memory=True):
        """Zeros of a layout, or with no memory just its kind."""
        make = torch.zeros if memory else lambda *size, **kind: torch.empty(*size, device="meta", **kind)
        if layout.dtype == _native.Q8:
            return make(layout.bytes, dtype=torch.uint8)
        dtype = _STORED[layout.dtype]
        if layout.shape == FULL:
            like = m.param.detach() if m.way == "dense" else None
            if like is None:
                return make(tuple(m.param.shape), dtype=dtype)
            return torch.zeros_like(like, dtype=dtype) if memory else torch.empty_like(like, dtype=dtype, device="meta")
        split, dims = m.split or 1, len(m.shape)
        if dims < 2 or layout.shape == _native.ONE:
            return make((int(layout.count),), dtype=dtype)
        if layout.shape == ROW:
            return make((*m.shape[:split], *[1] * (dims - split)), dtype=dtype)
        return make((*[1] * split, *m.shape[split:]), dtype=dtype)

    def _translate(self, m, name, value, layout):
        """State of another dtype or layout, through floats; refused if its size says that it is of another
        tensor."""
        if value.is_floating_point() and value.numel() == layout.count:
            result = self._empty(m, layout)
            floats = value.detach().to(torch.float32).contiguous()
            _native.call("eden_set_state", self.handle, m.c_name, name.encode(), result.data_ptr(), layout.bytes)
            _native.call("eden_put_state", self.handle, m.c_name, name.encode(), floats.data_ptr(), layout.count)
            return result
        if value.dtype is torch.uint8:
            raise ValueError_(f"{m.who}: its state {name!r} is of 8 bits, and this optimizer keeps it in another "
                              "dtype; make it with state='q8'")
        raise ValueError_(f"{m.who}: its state {name!r} is {tuple(value.shape)} of {value.dtype}, and "
                          f"{layout.count} values are needed")

    # ---- a step -------------------------------------------------------------------------

    def take_step(self, owner):
        """0 if there was nothing to do, -1 if the step was skipped for its gradients, else 1."""
        self.read_values(owner)
        self.find_state(owner)
        grads = [p.grad for p in self.active]
        # By identity: `None in grads` would compare tensors.
        self.all_there = all(map(operator.is_not, grads, itertools.repeat(None)))
        if not self.all_there and all(g is None for g in grads):
            return 0
        if self.keeps_more:
            self._notice_changes()
        weights, grads, copied = self._addressable(grads)
        status = self._call(weights, grads)
        if status == E_ORDER:
            self.find_state(owner, again=True)
            status = self._call(weights, grads)
        if status:
            raise _native.failure(status, self.error.text.decode("utf-8", "replace"))
        if not self.applied.value:
            return -1
        for param, stand_in in copied:
            param.detach().copy_(stand_in)
        changed = self.active if self.all_there else [p for p, g in zip(self.active, grads) if g is not None]
        _mark_changed(changed)
        if self.keeps_more:
            self.versions = [p._version for p in self.active]
        return 1

    def _notice_changes(self):
        """Weights that somebody else wrote since the last step: what is kept beside them begins again."""
        for i, m in enumerate(self.members):
            if m.param._version == self.versions[i]:
                continue
            if "master" in m.slots:
                m.slots["master"].copy_(m.param.detach())
            if "lost" in m.slots:
                m.slots["lost"].zero_()

    def _addressable(self, grads):
        """Weights and gradients whose memory the library can walk, in the same order."""
        try:
            there = grads if self.all_there else [g for g in grads if g is not None]
            dtypes = self.dtypes if self.all_there else [d for g, d in zip(grads, self.dtypes) if g is not None]
            if all(map(_CONTIGUOUS, self.active)) and all(map(_CONTIGUOUS, there)) and \
                    all(map(operator.is_, map(_DTYPE, there), dtypes)):
                return self.active, grads, ()
        except RuntimeError:  # of a layout that has no strides
            pass
        weights, usable, copied = list(self.active), list(grads), []
        for i, (m, g) in enumerate(zip(self.members, grads)):
            if g is None:
                continue
            if g.layout is not torch.strided:
                raise TypeError_(f"the gradient of {m.who} is {g.layout}; Eden steps dense gradients: use "
                                 "p.grad.to_dense(), or a layer made with sparse=False")
            if g.dtype is not m.param.dtype or g.device.type != "cpu":
                raise TypeError_(f"the gradient of {m.who} is {g.dtype} on {g.device}, and the weights are "
                                 f"{m.param.dtype} on cpu")
            if m.way == "dense" and _is_dense(m.param):
                usable[i] = g if g.stride() == m.param.stride() else torch.empty_like(m.param.detach()).copy_(g)
                continue
            usable[i] = g.contiguous()
            if not m.param.is_contiguous():
                weights[i] = m.param.detach().contiguous()
                copied.append((m.param, weights[i]))
        return weights, usable, copied

    def _call(self, weights, grads):
        self.error, self.applied = _native.CError(), ctypes.c_int()
        addresses = array("Q", map(_DATA_PTR, weights))
        if self.all_there:
            gradients = array("Q", map(_DATA_PTR, grads))
        else:
            gradients = array("Q", [0 if g is None else g.data_ptr() for g in grads])
        counts = array("Q", map(_DATA_PTR, self.counts))
        if self.complete:
            state = array("Q", map(_DATA_PTR, self.tensors))
        else:
            state = array("Q", [0 if t is None else t.data_ptr() for t in self.tensors])
        step = _native.BatchStep(addresses.buffer_info()[0], gradients.buffer_info()[0],
                                 counts.buffer_info()[0], state.buffer_info()[0],
                                 self.columns.buffer_info()[0], len(self.columns), self.values.buffer_info()[0])
        return lib.eden_batch_take_step(self.batch, ctypes.byref(step), ctypes.byref(self.applied),
                                        ctypes.byref(self.error))


def _mark_changed(params):
    """Tell autograd that these were written, as an operation of its own would."""
    try:
        torch.autograd.graph.increment_version(params)
    except TypeError:  # one at a time, in PyTorch before 2.6
        for p in params:
            torch.autograd.graph.increment_version(p)
