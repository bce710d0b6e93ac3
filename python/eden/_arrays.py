"""Memory of arrays: anything with the buffer protocol, and DLPack.

A View holds its array in such a way that the memory stays: a buffer's export forbids its
owner to resize or to close it, a DLPack capsule keeps its tensor. Nothing is copied here
but gradients, and those only if their elements do not lie one behind the other.
"""
import ctypes
import sys
from ctypes import POINTER, c_char_p, c_double, c_int, c_int32, c_int64, c_size_t, c_uint8, c_uint16, c_uint32
from ctypes import c_uint64, c_void_p

from . import _native
from ._native import BF16, F16, F32, TypeError_, ValueError_, lib

NAMES = {F32: "float32", BF16: "bfloat16", F16: "float16"}
BYTES = {F32: 4, BF16: 2, F16: 2}
_FORMATS = {"f": F32, "e": F16}
_OURS = "<" if sys.byteorder == "little" else ">"


class At(ctypes.Structure):
    _fields_ = [("step", c_uint64), ("value", c_double)]


class Told(ctypes.Structure):
    _fields_ = [("text", c_void_p), ("room", c_size_t), ("used", c_size_t), ("lost", c_uint64)]


class Step(ctypes.Structure):
    _fields_ = [("tensors", c_size_t), ("names", c_void_p), ("grads", c_void_p), ("dtypes", c_void_p),
                ("counts", c_void_p), ("sums", c_void_p), ("begun", c_void_p), ("taken", c_void_p),
                ("accumulate", c_uint32), ("reserved", c_uint32)]


for _name, _result, _arguments in (
        ("eden_schedule_custom", c_int, (c_void_p, c_char_p, c_char_p, c_void_p, c_void_p, POINTER(_native.CError))),
        ("eden_arrays_gather", None, (c_void_p, c_void_p, c_size_t, c_size_t, c_void_p, c_void_p)),
        ("eden_arrays_take_step", c_int, (c_void_p, POINTER(Step), POINTER(_native.CError))),
        ("eden_arrays_load", c_int, (c_void_p, c_char_p, c_uint32, POINTER(_native.LoadReport), POINTER(Step),
                                     POINTER(_native.CError))),
        ("eden_arrays_look_ahead", c_int, (c_void_p, POINTER(Step), c_void_p, POINTER(_native.CError)))):
    _function = getattr(lib, _name)
    _function.restype, _function.argtypes = _result, _arguments


# ---- the buffer protocol --------------------------------------------------------------

class _Buffer(ctypes.Structure):
    _fields_ = [("buf", c_void_p), ("obj", c_void_p), ("len", ctypes.c_ssize_t), ("itemsize", ctypes.c_ssize_t),
                ("readonly", c_int), ("ndim", c_int), ("format", c_char_p), ("shape", c_void_p),
                ("strides", c_void_p), ("suboffsets", c_void_p), ("internal", c_void_p)]


_ANY_BUFFER = 0x11C  # PyBUF_FULL_RO
_api = ctypes.pythonapi
# Functions of our own, so that nobody else's argument types meet ours.
_get_buffer = ctypes.PYFUNCTYPE(c_int, ctypes.py_object, POINTER(_Buffer), c_int)(("PyObject_GetBuffer", _api))
_release_buffer = ctypes.PYFUNCTYPE(None, POINTER(_Buffer))(("PyBuffer_Release", _api))
_is_capsule = ctypes.PYFUNCTYPE(c_int, ctypes.py_object, c_char_p)(("PyCapsule_IsValid", _api))
_capsule_at = ctypes.PYFUNCTYPE(c_void_p, ctypes.py_object, c_char_p)(("PyCapsule_GetPointer", _api))


def _address(view):
    buffer = _Buffer()
    _get_buffer(view, ctypes.byref(buffer), _ANY_BUFFER)
    address, indirect = buffer.buf, bool(buffer.suboffsets)
    _release_buffer(ctypes.byref(buffer))
    return None if indirect else address


_NOTHING = (c_double * 8)()


class View:
    """Where an array's elements are. `keep` is what holds them there."""
    __slots__ = ("address", "dtype", "shape", "strides", "count", "readonly", "contiguous", "keep", "moves")

    def __init__(self, address, dtype, shape, strides, readonly, keep, moves):
        self.address, self.dtype, self.shape, self.strides = address, dtype, shape, strides
        self.readonly, self.keep, self.moves = readonly, keep, moves
        self.count = 1
        for size in shape:
            self.count *= size
        step = BYTES[dtype]
        self.contiguous = True
        if not self.count:
            self.address = ctypes.addressof(_NOTHING)  # an address of none can be anything
        for size, stride in zip(reversed(shape), reversed(strides)):
            if size > 1 and stride != step:
                self.contiguous = not self.count
            step *= size

    def release(self):
        if isinstance(self.keep, memoryview):
            self.keep.release()
        self.keep = None


def _protocol(array):
    """A memoryview and the dtype it is of, or of None if another one; no view if the object has none."""
    try:
        view = memoryview(array)
    except (TypeError, ValueError, BufferError):
        # This dtype is not of the protocol, but its bits are.
        dtype = getattr(array, "dtype", None)
        if getattr(dtype, "name", "") != "bfloat16" or not hasattr(array, "view") or not hasattr(dtype, "isnative"):
            return None, None
        try:
            return memoryview(array.view("uint16")), BF16 if dtype.isnative else None
        except (TypeError, ValueError, BufferError):
            return None, None
    text = view.format
    return view, _FORMATS.get(text if len(text) == 1 else text[1:] if text[0] in ("@", "=", _OURS) else text)


def _buffer_view(array, what, mend):
    """A View by the buffer protocol; None if the object has none of it."""
    view, kind = _protocol(array)
    if view is None:
        return None
    if kind is None:
        raise TypeError_(f"{what} is {_describe(getattr(getattr(array, 'dtype', None), 'name', ''), view)}; Eden's "
                         "arrays are float32, float16 or bfloat16, in this machine's byte order" + _mend(array, view, mend))
    if type(array).__name__ == "MaskedArray":
        raise TypeError_(f"{what} is a masked array, whose mask a step would not see; give its .data")
    said = getattr(array, "__array_interface__", None)  # such arrays can be made to move
    moves = said is not None and (said["typestr"], said["data"], said["shape"])
    address = said["data"][0] if type(array).__name__ == "ndarray" and moves else _address(view)
    if address is None:
        raise TypeError_(f"{what} is a buffer of pointers to rows; give a copy in one piece")
    return View(address, kind, view.shape or (), view.strides or (), view.readonly, view, moves)


def _describe(named, view):
    if view.format[:1] in ("<", ">", "!") and view.format[:1] != _OURS:
        return f"of the other byte order (format {view.format!r})"
    return named or f"of format {view.format!r}"


def _mend(array, view, mend):
    if view.format in ("B", "b", "c") and not hasattr(array, "dtype"):
        return ", and bytes say nothing of theirs: give memoryview(...).cast('B').cast('f')"
    if hasattr(array, "astype"):
        return mend
    return ""


# ---- DLPack -----------------------------------------------------------------------------

class _DLTensor(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("device", c_int32), ("device_id", c_int32), ("ndim", c_int32), ("code", c_uint8),
                ("bits", c_uint8), ("lanes", c_uint16), ("shape", POINTER(c_int64)), ("strides", POINTER(c_int64)),
                ("offset", c_uint64)]


class _Versioned(ctypes.Structure):
    _fields_ = [("major", c_uint32), ("minor", c_uint32), ("context", c_void_p), ("deleter", c_void_p),
                ("flags", c_uint64), ("tensor", _DLTensor)]


_READ_ONLY, _COPIED = 1, 2
_DL_DTYPES = {(2, 32): F32, (2, 16): F16, (4, 16): BF16}
_HOST, _PINNED = 1, 3


def _capsule(array, what):
    try:
        try:
            return array.__dlpack__(max_version=(1, 0))
        except TypeError:
            return array.__dlpack__()
    except (BufferError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise TypeError_(f"{what} cannot be reached through DLPack: {error}") from None


def _dlpack_view(array, what):
    """A View by DLPack. The capsule is held as it came, not taken over: with it goes the tensor."""
    for pending, mend in (("is_neg", "resolve_neg"), ("is_conj", "resolve_conj")):  # PyTorch's, and not of DLPack
        if callable(getattr(array, pending, None)) and getattr(array, pending)() is True:
            raise TypeError_(f"{what} has a pending sign or conjugate, which DLPack does not carry; give .{mend}()")
    capsule = _capsule(array, what)
    readonly = True  # without a version nothing says that it may be written
    if _is_capsule(capsule, b"dltensor_versioned"):
        managed = _Versioned.from_address(_capsule_at(capsule, b"dltensor_versioned"))
        if managed.major != 1:
            raise TypeError_(f"{what} speaks DLPack {managed.major}, and Eden knows 1")
        tensor, readonly = managed.tensor, bool(managed.flags & (_READ_ONLY | _COPIED))
    elif _is_capsule(capsule, b"dltensor"):
        tensor = _DLTensor.from_address(_capsule_at(capsule, b"dltensor"))
    else:
        raise TypeError_(f"{what}: what its __dlpack__() returned is no DLPack capsule")
    if tensor.device not in (_HOST, _PINNED):
        raise TypeError_(f"{what} is in a device's memory (DLPack device {tensor.device}); Eden steps in the CPU's: "
                         "give it a copy there")
    dtype = _DL_DTYPES.get((tensor.code, tensor.bits)) if tensor.lanes == 1 else None
    if dtype is None:
        raise TypeError_(f"{what} is {getattr(array, 'dtype', 'of another type')}; Eden's arrays are float32, float16 "
                         "or bfloat16")
    shape = tuple(tensor.shape[i] for i in range(tensor.ndim))
    strides, step = [0] * len(shape), 1
    for i in reversed(range(len(shape))):
        strides[i] = BYTES[dtype] * (tensor.strides[i] if tensor.strides else step)
        step *= shape[i]
    address = (tensor.data or 0) + tensor.offset
    return View(address, dtype, shape, tuple(strides), readonly, capsule, True)


# ---- weights and gradients ------------------------------------------------------------------

_MAKE_WEIGHTS = "; make it with .astype('float32') and keep that array: it is what is updated"
_MAKE_GRADIENT = "; for a gradient g pass g.astype('float32')"


def view_of(array, what, mend):
    """The View of an array, or a refusal with its name; `mend` is what to do about another dtype."""
    view = _buffer_view(array, what, mend)
    if view is None and hasattr(array, "__dlpack__"):
        view = _dlpack_view(array, what)
    if view is None:
        kind = f"{type(array).__module__}.{type(array).__qualname__}".replace("builtins.", "")
        raise TypeError_(f"{what} is {kind}, which has no memory of floats that Eden could reach; give a NumPy array, "
                         "array.array('f', ...), or what speaks the buffer protocol or DLPack")
    if view.count and not view.address:
        raise TypeError_(f"{what} has no memory: it was freed, or only stands for an array")
    if view.address % BYTES[view.dtype]:
        raise TypeError_(f"{what} is not aligned to its elements; give a copy")
    return view


def weights_of(array, what):
    """A View of weights that can be updated where they are."""
    view = view_of(array, what, _MAKE_WEIGHTS)
    if view.readonly:
        raise ValueError_(f"{what} cannot be written: it is read-only (as arrays of JAX are), or does not say through "
                          "DLPack that it is not; give an array that can be")
    if not view.contiguous:
        raise ValueError_(f"{what} is not contiguous, and a step on a copy would be lost: make it "
                          "numpy.ascontiguousarray(...), and use that array from then on")
    if len(view.shape) > _native.MAX_DIMS:
        raise ValueError_(f"{what} has {len(view.shape)} dimensions, and Eden at most {_native.MAX_DIMS}; give a "
                          "reshaped view of it")
    return view


def check_there(array, view, what):
    """Refuse weights that have moved or can no longer be written, in spite of what holds them."""
    said = getattr(array, "__array_interface__", None)
    if said is not None and view.moves == (said["typestr"], said["data"], said["shape"]):
        return
    now = weights_of(array, what)
    try:
        if now.address != view.address or now.shape != view.shape or now.dtype != view.dtype:
            raise ValueError_(f"{what} has been resized or moved, or is of another dtype, since it was given; make "
                              "a new optimizer for it")
    finally:
        now.release()


def gradient_of(array, what, member, is_weights):
    """A View of a gradient in row-major order, a copy if need be: also of what a step would overwrite."""
    view = view_of(array, what, _MAKE_GRADIENT)
    if view.shape != member.view.shape:
        raise ValueError_(f"{what} has shape {list(view.shape)}, and the weights {list(member.view.shape)}")
    if member.grad_dtype is not None and view.dtype != member.grad_dtype:
        raise TypeError_(f"{what} is {NAMES[view.dtype]}, and {NAMES[member.grad_dtype]} is expected; say which with "
                         "grad_dtype where the weights are given")
    if view.contiguous and not is_weights(view):
        return view
    ndim = len(view.shape)
    copy = ctypes.create_string_buffer(max(1, view.count * BYTES[view.dtype]))
    lib.eden_arrays_gather(copy, view.address, BYTES[view.dtype], ndim, (c_uint64 * ndim)(*view.shape),
                           (c_int64 * ndim)(*view.strides))
    view.release()
    return View(ctypes.addressof(copy), view.dtype, view.shape, (), True, copy, False)
