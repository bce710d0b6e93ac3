"""The C library: its functions, its structures, its errors.

Calls release the interpreter's lock. The shared object lies in this package, and its
symbols are seen by nothing else in the process.
"""
import ctypes
import errno
import os
import pathlib
from ctypes import POINTER, c_char_p, c_double, c_int, c_size_t, c_uint32, c_uint64, c_void_p

F32, BF16, F16, Q8 = range(4)
NEAREST, MASTER, SPLIT, STOCHASTIC, KAHAN = range(5)
REFUSE, SKIP, APPLY = range(3)
REAL, FLAG, CHOICE = range(3)           # kinds of a setting
STATE = 2                               # kind of a slot
FULL, ROW, COL, ONE = range(4)          # its shape
GRAD_WRITABLE, FROZEN, MATRICES = 1, 2, 4
WEIGHTS, OPTIM, PARTIAL, CONVERT = 1, 2, 4, 8
MAX_DIMS = 8

DTYPES = {"f32": F32, "bf16": BF16, "f16": F16, "q8": Q8}
NONFINITE = {"refuse": REFUSE, "skip": SKIP, "apply": APPLY}


class Error(Exception):
    """A call of the library failed; the message names the culprit and the mend."""
    __module__ = "eden"


class InvalidValueError(Error, ValueError):
    """A value is out of its range, has no effect, or does not fit another."""


class InvalidNameError(Error, LookupError):
    """A name is unknown, taken, or cannot be one."""


class InvalidTypeError(Error, TypeError):
    """An array or a tensor is of a kind that cannot be used."""


class DeviceError(InvalidTypeError, RuntimeError):
    """A tensor is where the library cannot step it."""


class GradientError(Error, ArithmeticError):
    """A gradient is NaN or infinite; nothing has changed."""


class FileError(Error, OSError):
    """The system refused to open, read or write a file; `errno` and `filename` are as in Python's own."""
    def __str__(self):
        return str(self.args[0]) if self.args else ""

    def __reduce__(self):
        return _file_error, (type(self), self.args, self.errno, self.filename), self.__dict__


class MissingFileError(FileError, FileNotFoundError):
    """A file, or the folder for it, is not there."""


def _file_error(kind, args, number=None, path=None):
    error = kind(*args)
    error.errno, error.filename = number, path
    return error


class FormatError(Error, ValueError):
    """A file is damaged, or is of something else."""


ValueError_, NameError_, TypeError_ = InvalidValueError, InvalidNameError, InvalidTypeError
for _kind in (InvalidValueError, InvalidNameError, InvalidTypeError, DeviceError, GradientError, FileError,
              MissingFileError, FormatError):
    _kind.__module__ = "eden"  # where they are public

(E_ARGUMENT, E_NAME, E_VALUE, E_SHAPE, E_DTYPE, E_MEMORY, E_WORKSPACE, E_GRADIENT, E_ORDER, E_OVERFLOW,
 E_IO, E_FORMAT, E_MISMATCH) = range(1, 14)
ERRORS = {E_NAME: NameError_, E_VALUE: ValueError_, E_SHAPE: ValueError_, E_DTYPE: TypeError_,
          E_MEMORY: MemoryError, E_GRADIENT: GradientError, E_IO: FileError, E_FORMAT: FormatError,
          E_MISMATCH: FormatError}


class CError(ctypes.Structure):
    _fields_ = [("status", c_uint32), ("text", ctypes.c_char * 508)]


class Hyper(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("doc", c_char_p), ("initial", c_double), ("low", c_double),
                ("high", c_double), ("low_open", c_uint32), ("high_open", c_uint32), ("kind", c_uint32),
                ("choices", c_char_p)]


class Slot(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("doc", c_char_p), ("when", c_char_p), ("kind", c_uint32),
                ("shape", c_uint32), ("square", c_uint32)]


class Preset(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("title", c_char_p), ("paper", c_char_p), ("settings", c_char_p),
                ("formula", c_char_p), ("year", c_uint32)]


class Peer(ctypes.Structure):
    _fields_ = [("peer", c_char_p), ("name", c_char_p), ("settings", c_char_p), ("note", c_char_p),
                ("arguments", c_char_p), ("state", c_char_p)]


class Extent(ctypes.Structure):
    _fields_ = [("count", c_uint64), ("rows", c_uint64), ("cols", c_uint64), ("matrices", c_uint64)]


class Config(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("threads", c_uint32), ("nonfinite", c_uint32), ("accumulate", c_uint32),
                ("maximize", c_uint32), ("zero_grad", c_uint32), ("clip_value", c_double),
                ("clip_norm", c_double), ("seed", c_uint64), ("isa", c_char_p), ("run", c_void_p),
                ("pool", c_void_p), ("loss_scale", c_double), ("loss_scale_window", c_uint32),
                ("average", c_uint32), ("average_decay", c_double), ("average_start", c_uint64),
                ("average_every", c_uint64)]


class Tensor(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("data", c_void_p), ("grad", c_void_p), ("copy", c_void_p),
                ("dtype", c_uint32), ("grad_dtype", c_uint32), ("state_dtype", c_uint32),
                ("copy_dtype", c_uint32), ("rounding", c_uint32), ("device", c_uint32), ("flags", c_uint32),
                ("ndim", c_uint32), ("split", c_uint32), ("reserved", c_uint32),
                ("shape", c_uint64 * MAX_DIMS)]


class Layout(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("count", c_uint64), ("bytes", c_uint64), ("dtype", c_uint32),
                ("shape", c_uint32)]


class LoadReport(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("loaded", c_uint64), ("converted", c_uint64), ("missing", c_uint64),
                ("different", c_uint64), ("extra", c_uint64), ("tell", c_void_p), ("context", c_void_p)]


class BatchStep(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("grads", c_void_p), ("counts", c_void_p), ("state", c_void_p),
                ("column", c_void_p), ("columns", c_size_t),
                ("values", c_void_p)]


def _load():
    path = pathlib.Path(__file__).with_name("libeden.so")
    try:
        return ctypes.CDLL(os.fspath(path), mode=getattr(os, "RTLD_LOCAL", 0) | getattr(os, "RTLD_NOW", 0))
    except OSError as error:
        raise ImportError(f"the library of this package does not load: {error}; install the package again, "
                          "for this system") from None


lib = _load()

_ERROR = POINTER(CError)
_SIGNATURES = {
    # name: (result, arguments)
    "eden_version": (c_char_p, ()),
    "eden_status_text": (c_char_p, (c_int,)),
    "eden_rule_at": (c_void_p, (c_size_t,)),
    "eden_rule_name": (c_char_p, (c_void_p,)),
    "eden_rule_title": (c_char_p, (c_void_p,)),
    "eden_rule_paper": (c_char_p, (c_void_p,)),
    "eden_rule_formula": (c_char_p, (c_void_p,)),
    "eden_rule_year": (c_uint32, (c_void_p,)),
    "eden_rule_hyper": (POINTER(Hyper), (c_void_p, c_size_t)),
    "eden_rule_slot": (POINTER(Slot), (c_void_p, c_size_t)),
    "eden_rule_preset": (POINTER(Preset), (c_void_p, c_size_t)),
    "eden_rule_peer": (POINTER(Peer), (c_void_p, c_size_t)),
    "eden_rule_allows": (c_int, (c_void_p, c_size_t, c_double)),
    "eden_rule_check": (c_int, (c_void_p, c_void_p, POINTER(c_size_t), POINTER(c_char_p))),
    "eden_rule_slot_length": (c_uint64, (c_void_p, c_size_t, c_void_p, Extent)),
    "eden_convert": (c_int, (c_void_p, c_uint32, c_void_p, c_uint32, c_uint64)),
    "eden_optimizer_create": (c_int, (POINTER(c_void_p), c_char_p, POINTER(Config), _ERROR)),
    "eden_optimizer_destroy": (None, (c_void_p,)),
    "eden_set": (c_int, (c_void_p, c_char_p, c_char_p, c_double, _ERROR)),
    "eden_set_text": (c_int, (c_void_p, c_char_p, c_char_p, _ERROR)),
    "eden_get": (c_int, (c_void_p, c_char_p, c_char_p, POINTER(c_double), _ERROR)),
    "eden_get_at": (c_int, (c_void_p, c_char_p, c_char_p, c_uint64, POINTER(c_double), _ERROR)),
    "eden_add_group": (c_int, (c_void_p, c_char_p, c_char_p, c_char_p, _ERROR)),
    "eden_add_tensor": (c_int, (c_void_p, c_char_p, POINTER(Tensor), c_char_p, _ERROR)),
    "eden_set_grad": (c_int, (c_void_p, c_char_p, c_void_p, _ERROR)),
    "eden_set_data": (c_int, (c_void_p, c_char_p, c_void_p, _ERROR)),
    "eden_state_layout": (c_int, (c_void_p, c_char_p, c_char_p, POINTER(Layout), _ERROR)),
    "eden_set_state": (c_int, (c_void_p, c_char_p, c_char_p, c_void_p, c_uint64, _ERROR)),
    "eden_put_state": (c_int, (c_void_p, c_char_p, c_char_p, c_void_p, c_uint64, _ERROR)),
    "eden_set_tensor_steps": (c_int, (c_void_p, c_char_p, c_uint64, _ERROR)),
    "eden_zero_grad": (c_int, (c_void_p, _ERROR)),
    "eden_step": (c_int, (c_void_p, _ERROR)),
    "eden_lookahead_begin": (c_int, (c_void_p, _ERROR)),
    "eden_lookahead_end": (c_int, (c_void_p, _ERROR)),
    "eden_steps": (c_uint64, (c_void_p,)),
    "eden_skipped": (c_uint64, (c_void_p,)),
    "eden_grad_norm": (c_double, (c_void_p,)),
    "eden_loss_scale": (c_double, (c_void_p,)),
    "eden_swap_average": (c_int, (c_void_p, _ERROR)),
    "eden_get_average": (c_int, (c_void_p, c_char_p, c_void_p, c_uint64, POINTER(c_uint64), _ERROR)),
    "eden_schedule": (c_int, (c_void_p, c_char_p, c_char_p, c_char_p, _ERROR)),
    "eden_schedule_value": (c_int, (c_char_p, c_uint64, POINTER(c_double), _ERROR)),
    "eden_report": (c_int, (c_void_p, c_double, _ERROR)),
    "eden_get_state": (c_int, (c_void_p, c_char_p, c_char_p, c_void_p, c_uint64, POINTER(c_uint64), _ERROR)),
    "eden_tensor_steps": (c_int, (c_void_p, c_char_p, POINTER(c_uint64), _ERROR)),
    "eden_state_bytes": (c_uint64, (c_void_p,)),
    "eden_save": (c_int, (c_void_p, c_char_p, c_uint32, _ERROR)),
    "eden_load": (c_int, (c_void_p, c_char_p, c_uint32, _ERROR)),
    "eden_load_as": (c_int, (c_void_p, c_char_p, c_uint32, POINTER(LoadReport), _ERROR)),
    "eden_set_note": (c_int, (c_void_p, c_char_p, c_char_p, _ERROR)),
    "eden_note": (c_char_p, (c_void_p, c_char_p)),
    "eden_batch_slots": (c_size_t, (c_void_p,)),
    "eden_batch_create": (c_int, (POINTER(c_void_p), c_void_p, c_size_t, POINTER(c_char_p), c_void_p, c_void_p)),
    "eden_batch_destroy": (None, (c_void_p,)),
    "eden_batch_astray": (c_size_t, (c_void_p, POINTER(BatchStep), c_void_p, c_uint64)),
    "eden_batch_look_ahead": (c_int, (c_void_p, POINTER(BatchStep), _ERROR)),
    "eden_batch_take_step": (c_int, (c_void_p, POINTER(BatchStep), POINTER(c_int), _ERROR)),
}
for _name, (_result, _arguments) in _SIGNATURES.items():
    _function = getattr(lib, _name)
    _function.restype, _function.argtypes = _result, _arguments


def failure(status, text=""):
    """The exception of a status and its sentence."""
    text = text or lib.eden_status_text(status).decode()
    if status == E_IO:
        number = next((n for n in errno.errorcode if text.endswith(f": {os.strerror(n)}")),
                      errno.EISDIR if text.endswith(": it is a folder") else None)
        return _file_error(MissingFileError if number == errno.ENOENT else FileError, (text,), number)
    return ERRORS.get(status, Error)(text)


def call(name, *arguments):
    """Call a function that ends in an eden_error; raise what it says."""
    error = CError()
    status = getattr(lib, name)(*arguments, ctypes.byref(error))
    if status:
        raise failure(status, error.text.decode("utf-8", "replace"))


def encode(text, what="a name"):
    """Text as the library takes it."""
    if not isinstance(text, str):
        raise TypeError_(f"{what} has to be text, not {type(text).__name__}")
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError_(f"{what} {text!r} is not text that UTF-8 can hold") from None
    if b"\0" in data:
        raise ValueError_(f"{what} {text!r} has a NUL in it")
    return data


def plain(value):
    """A number of another library as Python's, where that is exact. Text and times of NumPy would become
    numbers, too."""
    if type(value).__name__ in ("bool_", "bool"):
        return bool(value)
    dtype = getattr(value, "dtype", None)
    if getattr(dtype, "kind", "f") not in "fiu" and "float" not in dtype.name:
        raise TypeError_(f"a setting has to be a real number, not {value!r}")
    if isinstance(value, (tuple, list)):
        return type(value)(map(plain, value))
    if not isinstance(value, int) and hasattr(value, "__index__"):
        try:
            return value.__index__()
        except TypeError:
            pass
    return value


def number(value, what):
    """A double that is exactly the value."""
    value = plain(value)
    if isinstance(value, bool) or not (hasattr(value, "__float__") or hasattr(value, "__index__")):
        raise TypeError_(f"{what} has to be a number, not {value!r}")
    try:
        result = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError_(f"{what} has to be a number: {error}") from None
    if isinstance(value, int) and int(result) != value:
        raise ValueError_(f"{what} = {value} is not a double; use a number that is")
    return result


def whole(value, what, most=2**64 - 1):
    """A count that fits, exactly."""
    value = plain(value)
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError_(f"{what} has to be a whole number, not {value!r}")
    result = value.__index__()
    if not 0 <= result <= most:
        raise ValueError_(f"{what} = {result} is outside 0 to {most}")
    return result
