"""A step of PyTorch's tensors in the library.

Weights, gradients, state and counts are PyTorch's; the engine is made from them and can
be thrown away at any time. It finds each step where everything is, refuses what cannot be
updated in place, and makes one call.
"""
import ctypes
import itertools
import mmap
import operator
import threading
import weakref
from array import array

import torch

from . import _native
from ._native import E_ORDER, TypeError_, ValueError_, lib
from ._torch_alike import alike, never
from ._torch_parameter import DTYPES, Member, check_parameter, is_lazy, no_memory
from ._torch_state import Keeper

_DTYPE, _SHAPE = operator.attrgetter("dtype"), operator.attrgetter("shape")
_DATA_PTR, _CONTIGUOUS, _NEGATIVE = torch.Tensor.data_ptr, torch.Tensor.is_contiguous, torch.Tensor.is_neg


def _addresses(tensors):
    return list(map(_DATA_PTR, tensors))


# ---- the engine ------------------------------------------------------------------------------

def _destroy(batch, optimizer):
    lib.eden_batch_destroy(batch)
    lib.eden_optimizer_destroy(optimizer)


class Engine(Keeper):
    """The library's side of an optimizer, for the parameters that have had a gradient."""
    def __init__(self, owner, spelling, params, options, before=None, wanted=()):
        self.rule, self.options, self.spelling = spelling.rule, options, spelling
        self.params, self.lock = params, threading.RLock()
        self.threads = options["threads"] or torch.get_num_threads()
        self.groups = [self._words(g) for g in owner.param_groups]
        self._make_members(owner, {*wanted, *(before.known if before else ())})
        self.whose = {m.c_name.decode(): m.who for m in self.members}
        self.idle = [p for p in params if p not in self.known]
        self._make_optimizer()
        self.state, self.seen, self.used = None, None, None
        self.skipped_before = before.skipped if before else 0
        self.raw = [None] * len(self.native)
        self.values = array("d", [0.0] * (len(self.native) * len(self.rule.hypers)))
        self.versions, self.inherited, self.places = None, {}, None
        self.weights_alike, self.gradients_alike = alike(self.active), never
        if before and before.versions and before.state is owner.state:
            self.inherited = dict(zip(before.active, before.versions))
        # PyTorch's SGD keeps no counts; numbers drawn for rounding hang on them.
        self.counted = spelling.counts_steps or any(m.rounding == _native.STOCHASTIC for m in self.members)
        self.own_counts = array("f", [0.0] * len(self.members))
        at = self.own_counts.buffer_info()[0]
        self.own_counts_at = list(range(at, at + 4 * len(self.members), 4))
        self.passed, self.arrays = [None] * 4, [None] * 4
        self.keeps_more = any(m.rounding in (_native.MASTER, _native.SPLIT, _native.KAHAN) for m in self.members)
        self.masters = [m for m in self.members if m.rounding == _native.MASTER]
        self.codes, self.turn = array("I", [DTYPES[p.dtype] for p in self.active]), 0
        self.warned = before is not None and before.warned

    @staticmethod
    def _words(group):
        return (*(group[key] for key in ("state", "master", "rounding", "split", "maximize")), len(group["params"]))

    def _make_members(self, owner, more):
        """Groups of the library are those of PyTorch, by dtype: an epsilon can depend on it."""
        self.members, self.native, self.known = [], [], set()
        index, at = 0, {}
        for g, group in enumerate(owner.param_groups):
            names = group.get("param_names")
            for k, p in enumerate(group["params"]):
                index += 1
                if p.grad is None and p not in owner.state and p not in more:
                    continue
                who = f"parameter {names[k]!r}" if names else f"parameter {index - 1}"
                if not names or len(self.groups) > 1:
                    who += f" (of group {g}, {'not made yet' if is_lazy(p) else tuple(p.shape)})"
                check_parameter(p, who, fused=group["fused"])
                key = (g, p.dtype)
                if key not in at:
                    at[key] = len(self.native)
                    self.native.append((g, torch.finfo(p.dtype).eps))
                self.members.append(Member(p, at[key], str(index - 1), who, group))
                self.known.add(p)
        self.active = [m.param for m in self.members]
        self.dtypes = [p.dtype for p in self.active]
        self.shapes = list(map(_SHAPE, self.active))
        # A library's optimizer climbs or descends; where a group differs, its gradients are negated.
        self.climbs = bool(self.groups and self.groups[0][4])
        self.contrary = {p for g, words in zip(owner.param_groups, self.groups)
                         if bool(words[4]) != self.climbs for p in g["params"]}

    def _make_optimizer(self):
        config = _native.Config(size=ctypes.sizeof(_native.Config), threads=min(self.threads, 256))
        config.nonfinite = _native.NONFINITE[self.options["nonfinite"]]
        config.clip_norm = _native.number(self.options["clip_norm"], "clip_norm")
        config.clip_value = _native.number(self.options["clip_value"], "clip_value")
        config.seed = _native.whole(self.options["seed"], "seed")
        config.maximize = self.climbs
        handle, batch = ctypes.c_void_p(), ctypes.c_void_p()
        self._ask("eden_optimizer_create", ctypes.byref(handle), self.rule.name.encode(), ctypes.byref(config))
        try:
            names = [f"group {i}".encode() for i in range(len(self.native))]
            for name in names:
                self._ask("eden_add_group", handle, name, None, None)
            for m in self.members:
                self._ask("eden_add_tensor", handle, m.c_name, ctypes.byref(m.describe()), names[m.group])
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
        # Not at exit: another thread may be in a step then, and the memory goes with the process.
        self._finalizer = weakref.finalize(self, _destroy, batch, handle)
        self._finalizer.atexit = False

    @property
    def skipped(self):
        return self.skipped_before + lib.eden_skipped(self.handle)

    def fits(self, owner, params):
        """Is it still made of these?"""
        return (len(params) == len(self.params) and all(map(operator.is_, params, self.params))
                and self.groups == [self._words(g) for g in owner.param_groups]
                and self.threads == (self.options["threads"] or torch.get_num_threads())
                and (self.weights_alike(*self.active) or self._are_as_before())
                and not any(p.grad is not None for p in self.idle))

    def _are_as_before(self):
        """What the quick way does not tell. A new order of the elements in memory is the step's to find."""
        same = [p.dtype for p in self.active] == self.dtypes and list(map(_SHAPE, self.active)) == self.shapes
        if same:
            self.weights_alike, self.gradients_alike = alike(self.active), never
        return same

    # ---- settings -----------------------------------------------------------------------

    def read_values(self, owner):
        """The rule's settings of each group, where they changed."""
        width = len(self.rule.hypers)
        for i, (g, epsilon) in enumerate(self.native):
            group = owner.param_groups[g]
            raw = owner._get_settings(group)
            if self.raw[i] is not None and raw == self.raw[i]:
                continue
            values = self.spelling.settings(group, epsilon, later=True)
            self.values[i * width:(i + 1) * width] = array("d", values)
            changeable = any(isinstance(v, torch.Tensor) for v in raw)
            self.raw[i] = None if changeable else raw

    # ---- state --------------------------------------------------------------------------

    def find_state(self, owner, again=False):
        """Each parameter's state as the library needs it. What is as it was at the last step costs a
        comparison; what is new, loaded or put there by others is looked at."""
        state = owner.state
        if self.used:
            self.hand_over(state, self.used)
        if not again and state is self.state:
            now = self._all_state(state)
            if len(now) == len(self.seen) and all(map(operator.is_, now, self.seen)) \
                    and (self.state_alike is never or self.state_alike(*self.there)):
                return
        self._settle_settings()
        seen = set()
        for i, m in enumerate(self.members):
            kept, before = state.get(m.param, {}), m.slots
            count = self._adopt(m, kept)
            if list(map(id, before.values())) != list(map(id, m.slots.values())):
                self.own_counts[i] = count
            if self.counted:
                if m.count.data_ptr() in seen:  # given to several as one
                    kept["step"] = m.count = m.count.clone()
                seen.add(m.count.data_ptr())
        self._note_state(state)
        self._lay_out_columns()

    def _lay_out_columns(self):
        numbers = {slot.name: slot.index for slot in self.rule.slots}
        count = lib.eden_batch_slots(self.rule.at)
        numbers.update(master=count - 2, lost=count - 1)
        used = [name for name in numbers if any(name in m.slots for m in self.members)]
        self.columns = array("Q", [numbers[name] for name in used])
        self.nothing = torch.zeros((), dtype=torch.float32, device="cpu")
        self.counts = [m.count for m in self.members] if self.counted else []
        self.tensors = [m.slots.get(name) for m in self.members for name in used]
        self.complete = all(t is not None for t in self.tensors)
        self.there = [t for t in self.tensors if t is not None]
        self.state_alike = alike(self.there)
        # In an order of their own: their state is in that one, and the fast way does not ask.
        self.dense = [m for m in self.members if m.way == "dense"]
        self.state_at, self.counts_at, self.weights_at, self.gradients_alike = None, None, None, never
        self.versions = [self.inherited.get(p) for p in self.active] if self.inherited else None
        self.inherited = {}

    # ---- a step -------------------------------------------------------------------------

    def take_step(self, owner):
        """0 if there was nothing to do, -1 if the step was skipped for its gradients, else 1."""
        self.read_values(owner)
        # All that is asked of weights, then of gradients, then of state: each is in the cache then.
        grads = [p.grad for p in self.active]
        weights_at = _addresses(self.active)
        self.good = self.gradients_alike(*grads)
        grads_at = _addresses(grads) if self.good else None
        self.find_state(owner)
        # By identity: `None in grads` would compare tensors.
        self.all_there = self.good or all(map(operator.is_not, grads, itertools.repeat(None)))
        if not self.all_there and all(g is None for g in grads):
            return 0
        self._find_weights(owner, weights_at)
        weights, usable, copied = self._addressable(grads)
        status = self._call(owner, weights, usable, grads_at if usable is grads else None)
        if status == E_ORDER and not self.error.text:  # other state exists under the settings of now
            self.find_state(owner, again=True)
            self._find_weights(owner, weights_at)
            weights, usable, copied = self._addressable(grads)
            status = self._call(owner, weights, usable, None)
        if status:
            raise self._refusal(status, self.error)
        if not self.applied.value:
            return -1
        for param, stand_in in copied:
            param.detach().copy_(stand_in)
        changed = self.active if self.all_there else [p for p, g in zip(self.active, grads) if g is not None]
        _mark_changed(changed)
        if self.keeps_more:
            self.versions = [p._version for p in self.active]
        return 1

    def _find_weights(self, owner, now):
        """Where others have put weights elsewhere or in another order, all is looked at again."""
        differ = now != self.weights_at
        moved = differ and self.weights_at is not None
        for m in self.members if differ else ():
            check_parameter(m.param, m.who)
        if moved:
            self._forget_lost(now)
        if moved or any(m.param.stride() != m.strides for m in self.dense):
            self.find_state(owner, again=True)
        self.weights_at = now
        if self.keeps_more:
            self._notice_changes()

    def _addressable(self, grads):
        """Weights and gradients whose memory the library can walk, in the same order."""
        if self.gradients_alike is not never and self.good:
            return self.active, grads, ()
        try:
            there = grads if self.all_there else [g for g in grads if g is not None]
            dtypes = self.dtypes if self.all_there else [d for g, d in zip(grads, self.dtypes) if g is not None]
            shapes = self.shapes if self.all_there else [s for g, s in zip(grads, self.shapes) if g is not None]
            if not self.dense and not self.contrary and all(map(_CONTIGUOUS, self.active)) \
                    and all(map(_CONTIGUOUS, there)) and all(map(operator.is_, map(_DTYPE, there), dtypes)) \
                    and list(map(_SHAPE, there)) == shapes \
                    and not any(map(_NEGATIVE, itertools.chain(there, self.active))):
                self.gradients_alike = alike(grads) if self.all_there else never
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
            if g.shape != m.param.shape:
                raise ValueError_(f"the gradient of {m.who} is {tuple(g.shape)}, and the weights are "
                                  f"{tuple(m.param.shape)}")
            g = g.resolve_neg()
            if m.param in self.contrary:
                g = g.neg()
            if m.way == "dense":
                usable[i] = g if g.stride() == m.param.stride() else torch.empty_like(m.param.detach()).copy_(g)
                continue
            usable[i] = g.contiguous()
            if not m.param.is_contiguous() or m.param.is_neg():
                weights[i] = m.param.detach().resolve_neg().contiguous()
                copied.append((m.param, weights[i]))
        return weights, usable, copied

    def _call(self, owner, weights, grads, gradients):
        """`gradients` are the addresses of grads, if they are known."""
        self.error, self.applied = _native.CError(), ctypes.c_int()
        addresses = self.weights_at if weights is self.active else _addresses(weights)
        if gradients is None and self.all_there:
            gradients = _addresses(grads)
        elif not self.all_there:
            gradients = [0 if g is None else g.data_ptr() for g in grads]
        if 0 in gradients:
            for m, g, at in zip(self.members, grads, gradients):
                if not at and g is not None and m.extent.count:
                    raise TypeError_(no_memory(f"the gradient of {m.who}", g))
            # Of no elements, and they count a step.
            gradients = [at or (g is not None and self.nothing.data_ptr()) for g, at in zip(grads, gradients)]
        counts = self._count_addresses()
        state = self._state_addresses()
        if state != self.state_at or counts != self.counts_at:
            if self.state_at is not None:
                self.find_state(owner, again=True)
                state, counts = self._state_addresses(), self._count_addresses()
            self.state_at, self.counts_at = state, counts
        step = self._arguments(addresses, gradients, counts, state)
        if self.masters and not owner._ahead:
            self._look_for_writes(step)
        try:
            return lib.eden_batch_take_step(self.batch, ctypes.byref(step), ctypes.byref(self.applied),
                                            ctypes.byref(self.error))
        finally:  # an interrupt comes behind the call
            if self.pending and self.applied.value:
                self.hand_over(owner.state, grads)

    def _arguments(self, weights, gradients, counts, state):
        for i, now in enumerate((weights, gradients, counts, state)):
            if now != self.passed[i]:
                self.passed[i], self.arrays[i] = now, array("Q", now)
        return _native.BatchStep(*(a.buffer_info()[0] for a in self.arrays), self.columns.buffer_info()[0],
                                 len(self.columns), self.values.buffer_info()[0])

    def look_ahead(self, owner):
        """Bring the weights to where the coming step's gradients are to be computed."""
        self.read_values(owner)
        self.find_state(owner, again=True)
        self._find_weights(owner, _addresses(self.active))
        for m in self.members:
            if m.way == "copy":
                raise ValueError_(f"{m.who} is not contiguous, and a look-ahead moves weights where they are; give "
                                  "it contiguous()")
            if m.param.is_neg():
                raise ValueError_(f"{m.who} has a pending sign, and a look-ahead moves weights where they are; give "
                                  "it resolve_neg()")
        # Gradients are yet to come: memory that is never touched stands for them.
        sizes = [m.extent.count for m in self.members]
        room = sum(64 + n * 4 for n in sizes)
        self.places = self.places or mmap.mmap(-1, max(room, 1))
        at, gradients = ctypes.addressof(ctypes.c_char.from_buffer(self.places)), []
        for n in sizes:
            gradients.append(at)
            at += (n * 4 + 63) // 64 * 64
        self.state_at = self._state_addresses()
        counts = self.counts_at = self._count_addresses()
        step = self._arguments(self.weights_at, gradients, counts, self.state_at)
        error = _native.CError()
        status = lib.eden_batch_look_ahead(self.batch, ctypes.byref(step), ctypes.byref(error))
        if status:
            raise self._refusal(status, error)
        self._moved()

    def look_back(self):
        """The weights return, unless a step has brought them on."""
        error = _native.CError()
        status = lib.eden_lookahead_end(self.handle, ctypes.byref(error))
        if status and status != E_ORDER:
            raise self._refusal(status, error)
        if not status:
            self._moved()

    def _moved(self):
        _mark_changed(self.active)
        if self.keeps_more:
            self.versions = [p._version for p in self.active]

    def _count_addresses(self):
        return _addresses(self.counts) if self.counted else self.own_counts_at

    def _state_addresses(self):
        if self.complete:
            return _addresses(self.tensors)
        return [0 if t is None else t.data_ptr() for t in self.tensors]


def _mark_each(params):
    for p in params:
        torch.autograd.graph.increment_version(p)


# Tell autograd that these were written, as an operation of its own would.
try:
    torch.autograd.graph.increment_version(())
    _mark_changed = torch.autograd.graph.increment_version
except (TypeError, RuntimeError):  # one at a time, in PyTorch before 2.6
    _mark_changed = _mark_each
