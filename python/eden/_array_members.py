"""What an optimizer of arrays holds: its weights, and the arguments of a step over them."""
import bisect
import ctypes
import mmap

from . import _arrays, _native
from ._native import ValueError_

_ROUNDINGS = {"nearest": _native.NEAREST, "stochastic": _native.STOCHASTIC, "kahan": _native.KAHAN}
_MASTERS = {"f32": _native.MASTER, "split": _native.SPLIT}
_GRADS = {name: code for name, code in _native.DTYPES.items() if code != _native.Q8}

STORAGE = {"state": "f32", "master": None, "rounding": "nearest", "split": None, "grad_dtype": None, "frozen": False}


def one_of(value, choices, what, none=None):
    """What a word of a few stands for."""
    if isinstance(value, str) and value in choices:
        return choices[value]
    said = ", ".join(map(repr, choices)) + (f", or None {none}" if none else "")
    raise ValueError_(f"{what} = {value!r} is none of {said}")


def flag(value, what):
    if value is True or value is False or type(value).__name__ in ("bool_", "bool"):
        return bool(value)
    raise _native.TypeError_(f"{what} = {value!r} is neither True nor False")


class Member:
    """One array of weights under the optimizer's care."""
    def __init__(self, name, array, storage, accumulate):
        self.name, self.what = name, f"the array {name!r}"
        self.c_name = _native.encode(name)
        self.state = one_of(storage["state"], _native.DTYPES, "state")
        rounding = one_of(storage["rounding"], _ROUNDINGS, "rounding")
        if storage["master"] is not None:
            if rounding:
                raise ValueError_(f"master = {storage['master']!r} loses nothing to rounding; leave rounding = "
                                  "'nearest'")
            rounding = one_of(storage["master"], _MASTERS, "master", "for none")
        self.rounding = rounding
        self.split = 0 if storage["split"] is None else _native.whole(storage["split"], "split", _native.MAX_DIMS)
        self.frozen = flag(storage["frozen"], "frozen")
        said = storage["grad_dtype"]
        grad = None if said is None else one_of(said, _GRADS, "grad_dtype", "for that of the weights")
        self.array, self.view = array, _arrays.weights_of(array, self.what)
        if self.rounding and self.view.dtype == _native.F32 and not self.frozen:
            word = "master" if storage["master"] is not None else "rounding"
            raise ValueError_(f"{self.what} is float32, which loses nothing: {word} = {storage[word]!r} is for "
                              "weights of 16 bits; add this one without it")
        # Sums of micro-batches are floats, and take gradients of any dtype.
        self.sum = (ctypes.c_float * self.view.count)() if accumulate > 1 else None
        self.grad_dtype = self.view.dtype if grad is None and self.sum is None else grad

    def describe(self):
        t = _native.Tensor(size=ctypes.sizeof(_native.Tensor), data=self.view.address)
        t.dtype, t.state_dtype, t.rounding = self.view.dtype, self.state, self.rounding
        t.grad_dtype = self.grad_dtype if self.sum is None else _native.F32
        t.flags = (_native.FROZEN if self.frozen else 0) | (0 if self.sum is None else _native.GRAD_WRITABLE)
        t.ndim, t.split = len(self.view.shape), self.split
        t.shape[:len(self.view.shape)] = self.view.shape
        return t

    def check(self):
        if self.view.moves:
            _arrays.check_there(self.array, self.view, self.what)


class Pack:
    """The arguments of a step over these members, made anew when there are others."""
    def __init__(self, members, accumulate, before):
        n = len(members)
        self.members, self.places = members, None
        spans = sorted((m.view.address, m.view.address + m.view.count * _arrays.BYTES[m.view.dtype])
                       for m in members if m.view.count)
        self.starts, self.ends = [start for start, _ in spans], [end for _, end in spans]
        self.known = {m.name for m in members}
        self.names = (ctypes.c_char_p * n)(*(m.c_name for m in members))
        self.counts = (ctypes.c_uint64 * n)(*(m.view.count for m in members))
        self.grads, self.dtypes = (ctypes.c_void_p * n)(), (ctypes.c_uint32 * n)()
        self.begun, self.taken = (ctypes.c_uint32 * n)(), ctypes.c_uint32()
        if before is not None:
            self.begun[:len(before.members)] = before.begun[:]
            self.taken.value = before.taken.value
        at = ctypes.addressof
        self.sums = (ctypes.c_void_p * n)(*(at(m.sum) for m in members)) if accumulate > 1 else None
        self.step = _arrays.Step(n, at(self.names), at(self.grads), at(self.dtypes), at(self.counts),
                                 at(self.sums) if self.sums is not None else None, at(self.begun), at(self.taken),
                                 accumulate, 0)

    def _is_weights(self, view):
        """Weights lie apart from each other, so that only the last to begin before the end can overlap."""
        end = view.address + view.count * _arrays.BYTES[view.dtype]
        i = bisect.bisect_left(self.starts, end) - 1
        return i >= 0 and self.ends[i] > view.address

    def fill(self, grads):
        """Put gradients into their places; returns what holds them there until the step is over."""
        for name in grads:
            if name not in self.known:
                names = sorted(self.known)
                raise _native.NameError_(f"there are no weights {name!r} for this gradient; there are "
                                         f"{', '.join(map(repr, names))}")
        held = []
        for i, m in enumerate(self.members):
            gradient = grads.get(m.name)
            if gradient is None:
                self.grads[i] = None
                continue
            view = _arrays.gradient_of(gradient, f"the gradient of {m.name!r}", m, self._is_weights)
            self.grads[i], self.dtypes[i] = view.address, view.dtype
            held.append(view)
        return held

    def look_ahead_places(self):
        """Addresses for gradients that are not there yet: memory that is never touched and so is none."""
        if self.places is None:
            room = sum(64 + 4 * m.view.count for m in self.members)
            memory = mmap.mmap(-1, max(room, 1))
            at = ctypes.addressof(ctypes.c_char.from_buffer(memory))
            addresses = []
            for m in self.members:
                addresses.append(at)
                at += (4 * m.view.count + 63) // 64 * 64
            self.places = (memory, (ctypes.c_void_p * len(addresses))(*addresses))
        return self.places[1]
