"""What the classes of eden.numpy have in common."""
from __future__ import annotations

import contextlib
import ctypes
import os
from array import array
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, Union

from . import _arrays, _native
from ._native import E_ORDER, TypeError_, ValueError_, lib
from ._array_base import Base, asking, call, exclusive, translate

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray
    _Floats = NDArray[float32]
    _Path = Union[str, bytes, os.PathLike[str], os.PathLike[bytes]]
    _Which = Literal["all", "weights", "optimizer"]
_Self = TypeVar("_Self", bound="Optimizer")

_PARTS = {"all": 3, "weights": _native.WEIGHTS, "optimizer": _native.OPTIM}


class LoadReport(NamedTuple):
    """What load() did, in arrays, and a sentence for each that was not as in the file."""
    loaded: int
    converted: int
    missing: int
    different: int
    extra: int
    differences: list[str]


def _floats(values, shape):
    """Floats as an array of NumPy, or of Python where there is none."""
    try:
        import numpy
    except ImportError:
        return values
    return numpy.frombuffer(values, dtype=numpy.float32).reshape(shape) if len(values) else \
        numpy.zeros(shape, dtype=numpy.float32)


def _path(path):
    """A path as bytes, exactly."""
    try:
        data = os.fsencode(path)
    except UnicodeEncodeError:
        raise ValueError_(f"the path {path!r} has characters that the system's encoding does not have") from None
    except TypeError:
        raise TypeError_(f"a path is text, bytes or a PathLike, not {type(path).__name__}") from None
    if b"\0" in data:
        raise ValueError_(f"the path {path!r} has a NUL in it")
    return data


@contextlib.contextmanager
def _naming(path: _Path) -> Iterator[None]:
    """What the system refuses has the path as it was given."""
    try:
        yield
    except _native.FileError as error:
        error.filename = path
        raise


class _Notes:
    """Text that travels in the checkpoint, by key."""
    def __init__(self, owner: Optimizer) -> None:
        self._owner = owner

    def get(self, key: str, default: Any = None) -> Any:
        return self._owner._note(key, default)

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None

    def __getitem__(self, key: str) -> str:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return str(value)

    def __setitem__(self, key: str, value: str) -> None:
        self._owner._set_note(key, _native.encode(value, "a note"))

    def __delitem__(self, key: str) -> None:
        self[key]
        self._owner._set_note(key, None)


class _Between:
    """Weights that are elsewhere within a `with`."""
    def __init__(self, begin: Any, end: Any) -> None:
        self._begin, self._end = begin, end

    def __enter__(self) -> None:
        self._begin()

    def __exit__(self, *_: object) -> None:
        self._end()


class Optimizer(Base):
    """What the classes have in common; see the module's text."""

    # ---- a step -----------------------------------------------------------------------------

    @exclusive
    def step(self, grads: Mapping[str, Any]) -> None:
        """Update the weights from a dict of gradients. None, or nothing, is no gradient: those weights stay.
        Gradients are only read; one that is not contiguous is copied. If this raises nothing has changed."""
        handle, pack = self._handle, self._pack()
        self._check_weights()
        held = pack.fill(self._mapping(grads, "gradients"))
        self._bring_factors(lib.eden_steps(handle) + 1)
        call("eden_arrays_take_step", handle, ctypes.byref(pack.step))
        del held

    def lookahead(self) -> _Between:
        """`with opt.lookahead():` the weights are where the step will lead; compute gradients and step()
        there. Without a step they return."""
        return _Between(self._look_ahead, self._look_back)

    @exclusive
    def _look_ahead(self):
        handle, pack = self._handle, self._pack()
        self._check_weights()
        self._bring_factors(lib.eden_steps(handle) + 1)
        call("eden_arrays_look_ahead", handle, ctypes.byref(pack.step), pack.look_ahead_places())

    @exclusive
    def _look_back(self):
        if not self._handle_:
            return
        error = _native.CError()
        status = lib.eden_lookahead_end(self._handle, ctypes.byref(error))
        if status and status != E_ORDER:  # which says that a step has brought them back
            raise _native.failure(status, translate(error.text.decode("utf-8", "replace")))

    def averaged(self) -> _Between:
        """`with opt.averaged():` the averages are in the weights' place, to be read, or saved by
        save(path, parts="weights")."""
        return _Between(self._swap, lambda: self._swap() if self._handle_ else None)

    @exclusive
    def _swap(self):
        self._check_weights()
        call("eden_swap_average", self._handle)

    @exclusive
    def report(self, loss: Any) -> None:
        """Tell every plateau() schedule a loss; smaller is better."""
        call("eden_report", self._handle, _native.number(loss, "loss"))

    # ---- looking inside ------------------------------------------------------------------------

    @property
    @asking
    def steps(self) -> int:
        """Steps taken."""
        return lib.eden_steps(self._handle)

    @property
    @asking
    def skipped(self) -> int:
        """Steps left out, by nonfinite='skip' or for the loss scale."""
        return lib.eden_skipped(self._handle)

    @property
    @asking
    def grad_norm(self) -> float:
        """Norm of all gradients at the last step that measured it, before clipping; 0 without clip_norm."""
        return lib.eden_grad_norm(self._handle)

    @property
    @asking
    def loss_scale(self) -> float:
        """What to multiply the loss by before its gradients are computed."""
        return lib.eden_loss_scale(self._handle)

    @property
    @asking
    def state_bytes(self) -> int:
        """Bytes of all state."""
        return lib.eden_state_bytes(self._handle)

    @property
    def names(self) -> list[str]:
        """Names of all arrays."""
        return list(self._members)

    @property
    def notes(self) -> _Notes:
        """Text of your own that travels in the checkpoint: opt.notes["epoch"] = "3"."""
        return _Notes(self)

    @asking
    def _note(self, key, default):
        text = lib.eden_note(self._handle, _native.encode(key, "a note's key"))
        return default if text is None else text.decode()

    @exclusive
    def _set_note(self, key, value):
        call("eden_set_note", self._handle, _native.encode(key, "a note's key"), value)

    @exclusive
    def steps_of(self, name: str) -> int:
        """Steps that these weights have taken."""
        steps = ctypes.c_uint64()
        call("eden_tensor_steps", self._handle, _native.encode(name), ctypes.byref(steps))
        return steps.value

    def _copy(self, function, *names):
        count = ctypes.c_uint64()
        names = [_native.encode(name) for name in names]
        call(function, self._handle, *names, None, 0, ctypes.byref(count))
        values = array("f", bytes(4 * count.value))
        call(function, self._handle, *names, values.buffer_info()[0] if values else None, count.value,
                     ctypes.byref(count))
        return values

    def _shaped(self, name, values):
        view = self._members[name].view
        return _floats(values, view.shape if len(values) == view.count else (len(values),))

    @exclusive
    def state(self, name: str, slot: str) -> _Floats:
        """A copy of what the rule remembers for these weights, as floats."""
        return self._shaped(name, self._copy("eden_get_state", name, slot))

    @exclusive
    def average_of(self, name: str) -> _Floats:
        """A copy of the average of these weights, as floats."""
        return self._shaped(name, self._copy("eden_get_average", name))

    # ---- files ------------------------------------------------------------------------------------

    @exclusive
    def save(self, path: _Path, parts: _Which = "all") -> None:
        """Write a checkpoint: "weights", "optimizer" (everything else) or "all". The file appears whole or
        not at all, and the one that was there stays as PATH.old."""
        self._check_weights()
        with _naming(path):
            call("eden_save", self._handle, _path(path), self._parts(parts))

    @exclusive
    def load(self, path: _Path, parts: _Which = "all", partial: bool = False, convert: bool = False) -> LoadReport:
        """Go on from a checkpoint, bit for bit: settings and schedules become the file's as well, whatever was
        set here before; set() afterwards what is to differ. A schedule that is a function there has to be one
        here. Nothing changes unless everything fits, but with partial=True arrays may be missing or differ,
        and with convert=True weights may be of another dtype."""
        handle, pack = self._handle, self._pack()
        self._check_weights()
        flags = self._parts(parts) | (_native.PARTIAL if partial else 0) | (_native.CONVERT if convert else 0)
        room = ctypes.create_string_buffer(1 << 16)
        told = _arrays.Told(ctypes.addressof(room), len(room), 0, 0)
        report = _native.LoadReport(size=ctypes.sizeof(_native.LoadReport),
                                    tell=ctypes.cast(lib.eden_arrays_tell, ctypes.c_void_p),
                                    context=ctypes.addressof(told))
        try:
            with _naming(path):
                call("eden_arrays_load", handle, _path(path), flags, ctypes.byref(report), ctypes.byref(pack.step))
        except _native.Error as error:
            error.differences = self._told(room, told)
            raise
        return LoadReport(report.loaded, report.converted, report.missing, report.different, report.extra,
                          self._told(room, told))

    @staticmethod
    def _told(room, told):
        said = room.raw[:told.used].decode("utf-8", "replace").splitlines()
        return said + [f"and {told.lost} more"] * bool(told.lost)

    @staticmethod
    def _parts(parts):
        if not isinstance(parts, str) or parts not in _PARTS:
            raise ValueError_(f"parts = {parts!r} is none of {', '.join(map(repr, _PARTS))}")
        return _PARTS[parts]

    # ---- its life ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Give back all memory and let go of the arrays; a second time does nothing."""
        if self._handle_:
            self._close()

    @exclusive
    def _close(self):
        self._handle_ = None
        self._finalizer()
        self._members, self._pack_ = {}, None

    def __enter__(self: _Self) -> _Self:
        self._handle
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce_ex__(self, protocol):
        raise TypeError_(f"a {type(self).__name__} is neither copied nor pickled: it updates arrays where they are, "
                         "and a copy would have none; use save(), and load() in another")

    def __repr__(self):
        if not self._handle_:
            return f"<eden.numpy.{type(self).__name__}, closed>"
        return f"<eden.numpy.{type(self).__name__} of {len(self._members)} arrays>"
