"""State of parameters: how PyTorch's tensors of it become those that a step can use, the same ones where they
can be."""
import contextlib
import ctypes
import itertools
import math
import operator
import re
import warnings

import torch

from . import _native
from ._native import FULL, ROW, TypeError_, ValueError_, lib
from ._torch_parameter import is_dense, lies_nowhere, no_memory
from ._words import translate

_STORED = {_native.F32: torch.float32, _native.BF16: torch.bfloat16, _native.F16: torch.float16}


def check_count(step, who):
    """A count of steps, whatever holds it."""
    single = not isinstance(step, torch.Tensor) or step.numel() == 1
    count = float(step) if single and isinstance(step, (int, float, torch.Tensor)) else -1.0
    if not (0 <= count < math.inf and count == int(count)):
        raise ValueError_(f"{who}: its state says step = {step!r}, which is no count of steps: a whole number, at "
                          "least 0, is needed; the state_dict is damaged, or of something else")
    return count


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
        with contextlib.suppress(KeyError, TypeError):
            if self.one_each:  # twice as quick
                return list(map(self.one_each, state.values()))
        with contextlib.suppress(TypeError):
            return list(itertools.chain.from_iterable(map(dict.values, state.values())))
        return [value for kept in state.values() if isinstance(kept, dict) for value in kept.values()]

    def _note_state(self, state):
        """What the next step is to find as it is now."""
        keys = {key for kept in state.values() if isinstance(kept, dict) for key in kept}
        self.one_each = operator.itemgetter(*keys) if len(keys) == 1 and all(state.values()) else None
        self.state, self.seen = state, self._all_state(state)
        self.pending = any(m.pending for m in self.members)

    def hand_over(self, state, used):
        """State that a step made is PyTorch's from now on, if the step had a gradient for it."""
        self.used = used  # find_state() goes on from here after an interrupt
        handed = [m for m, use in zip(self.members, used) if m.pending and use is not None]
        for m in handed:
            state.setdefault(m.param, {}).update(m.pending)
            m.pending = {}
        if handed:
            self._note_state(state)
        self.used = None

    def _adopt(self, m, kept):
        """Bring one parameter's state to the library's layout; make what is missing. Returns its count of steps,
        which without one of its own is 1 where there is state: all that such a rule asks is if it is the first."""
        slots, m.pending = [slot.name for slot in self.rule.slots] + ["master", "lost"], {}
        own = slots[:-2]
        if not self.counted and not self._read_count(m, kept.pop("step", 1.0)):  # state before its first step
            for name in slots:
                kept.pop(self._key(name), None)
        there = [name for name in slots if kept.get(self._key(name)) is not None]
        if self.counted:
            self._adopt_count(m, kept, there)
        plain = not m.param.is_neg()
        m.way = "rows" if m.param.is_contiguous() and plain else "copy"
        layouts = {name: self._layout(m, name) for name in slots}
        count = float(m.count) if self.counted else float(bool(there))
        fresh = count == 0
        if count and not any(name in there for name in own) and any(layouts[name].count for name in own):
            # Steps without state do not count for the first with it, such as that of a momentum that comes.
            count = 0.0
            if self.counted:
                m.count = m.pending["step"] = torch.zeros((), dtype=torch.float32, device="cpu")
        if m.way == "copy" and plain and is_dense(m.param) and all(
                y.shape == FULL and y.dtype != _native.Q8 for y in layouts.values() if y.count or not y.bytes):
            m.way, m.strides = "dense", m.param.stride()
        m.slots = {}
        for name, layout in layouts.items():
            key = self._key(name)
            if not layout.count:  # what is there stays, as PyTorch has it, for when it is asked for again
                continue
            m.slots[name] = self._fit(m, name, kept.get(key), layout, fresh)
            (m.pending if kept.get(key) is None else kept)[key] = m.slots[name]
        if not m.extent.count:
            self._keep_nothing(m, kept)
        return count

    def _read_count(self, m, step):
        if isinstance(step, torch.Tensor) and step.device.type == "cpu" and lies_nowhere(step):
            raise TypeError_(no_memory(f"{m.who}: its state 'step'", step))
        return check_count(step, m.who)

    def _adopt_count(self, m, kept, there):
        step = m.count = kept.get("step")
        if step is None:
            m.count = m.pending["step"] = torch.tensor(float(bool(there)), dtype=torch.float32, device="cpu")
            return
        count = self._read_count(m, step)
        if not isinstance(step, torch.Tensor) or step.dtype is not torch.float32 or step.numel() != 1 \
                or step.device.type != "cpu" or step.is_neg():
            m.count = kept["step"] = torch.tensor(count, dtype=torch.float32, device="cpu")

    def _keep_nothing(self, m, kept):
        """State of no elements, which the library has no use for, and PyTorch misses."""
        width = len(self.rule.hypers)
        values = (ctypes.c_double * width)(*self.values[m.group * width:(m.group + 1) * width])
        for slot in self.rule.slots:
            key = self._key(slot.name)
            if slot.shape == FULL and kept.get(key) is None \
                    and lib.eden_rule_slot_length(self.rule.at, slot.index, values, _native.Extent(1, 1, 1, 0)):
                m.pending[key] = torch.zeros_like(m.param.detach(), dtype=_STORED.get(m.state_dtype, torch.uint8))

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
        if value.device.type == "cpu" and lies_nowhere(value):
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
        return in_order and value.device.type == "cpu" and not value.is_neg() and not lies_nowhere(value)

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
