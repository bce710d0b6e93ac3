"""An optimizer of arrays: what the classes of eden.numpy have in common.

The library keeps all there is to keep: state, counts, settings. What is here holds the
arrays, so that the memory stays, and refuses what cannot be updated in place.
"""
from __future__ import annotations

import ctypes
import functools
import sys
import threading
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar, Union, cast

from . import _arrays, _native, _words
from ._array_members import STORAGE, Member, Pack, flag, one_of
from ._classes import bind
from ._native import NameError_, TypeError_, ValueError_, lib
from ._rules import spellings

_AVERAGES = {"ema": 1, "swa": 2}
OPTIONS = {"schedule": None, "clip_norm": 0.0, "clip_value": 0.0, "accumulate": 1, "nonfinite": "refuse",
           "maximize": False, "loss_scale": 0.0, "loss_scale_window": None, "average": None, "average_decay": None,
           "average_start": None, "average_every": None, "threads": None, "seed": 0}
SPELLINGS = {spelling.name: spelling for spelling in spellings(with_peers=False)}
_Method = TypeVar("_Method", bound=Callable[..., Any])
_Schedule = Union[str, Callable[[int], float], None]


def spelling_of(rule):
    """The spelling of a rule's or a preset's name, or of a class."""
    if isinstance(rule, type) and getattr(rule, "_spelling", None):
        return rule._spelling
    if not isinstance(rule, str):
        raise TypeError_(f"a rule is a name or a class of this module, not {rule!r}")
    for name, spelling in SPELLINGS.items():
        if rule.lower() in (name.lower(), spelling.key):
            return spelling
    raise NameError_(f"there is no rule {rule!r}; there are {', '.join(SPELLINGS)}")


def _config(options):
    c = _native.Config(size=ctypes.sizeof(_native.Config))
    c.nonfinite = one_of(options["nonfinite"], _native.NONFINITE, "nonfinite")
    c.maximize = flag(options["maximize"], "maximize")
    for name in ("clip_norm", "clip_value", "loss_scale", "average_decay"):
        setattr(c, name, _native.number(0.0 if options[name] is None else options[name], name))
    for name, low, most in (("accumulate", 1, 2**32 - 1), ("loss_scale_window", 1, 2**32 - 1), ("threads", 1, 256),
                            ("average_start", 1, 2**64 - 1), ("average_every", 1, 2**64 - 1),
                            ("seed", 0, 2**64 - 1)):
        if options[name] is not None:
            value = _native.whole(options[name], name, most)
            if value < low:
                raise ValueError_(f"{name} = {value} has to be at least {low}")
            setattr(c, name, value)
    if options["average"] is not None:
        c.average = one_of(options["average"], _AVERAGES, "average", "for none")
    if c.average == _AVERAGES["ema"] and options["average_decay"] is None:
        raise ValueError_("average = 'ema' needs average_decay, such as 0.999: what a step counts of the next")
    return c


_OURS = {"lookahead_begin": "lookahead", "lookahead_end": "leaving lookahead", "swap_average": "averaged",
         "schedule_custom": "schedule", "load_as": "load", "get_at": "get", "set_text": "set", "add_tensor": "add",
         "get_average": "average_of", "get_state": "state", "set_note": "notes", "no_average": "None",
         "master": "master = 'f32'", "split": "master = 'split'"}


def translate(text):
    """A sentence about C's names in those of this module."""
    return _words.translate(text, _OURS)


def call(name, *arguments):
    """Call the library; what it refuses is said in this module's words."""
    try:
        _native.call(name, *arguments)
    except _native.Error as error:
        error.args = (translate(str(error)),)
        raise


class _Use:
    """Who uses an optimizer now."""
    __slots__ = ("thread",)

    def __init__(self):
        self.thread = threading.get_ident()


def _is_over(use):
    """Did a call of this thread end without giving back? Before Python 3.12 an interrupt can do that."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code is _TAKING and frame.f_locals.get("use") is use:
            return False
        frame = frame.f_back
    return True


def exclusive(method: _Method) -> _Method:
    """One call at a time. Taking and giving back are single operations, and what an interrupt leaves taken all
    the same, its own thread takes over."""
    @functools.wraps(method)
    def call(self, *args, **kwargs):
        busy, use = self._busy, _Use()
        try:
            held = busy.setdefault(0, use)
            if held is not use and held.thread == use.thread and _is_over(held):
                held = busy[0] = use
            if held is not use:
                raise _native.Error(f"{self!r} is in use, by another thread or from a function of its own schedule; an "
                                    "optimizer is used by one at a time")
            return method(self, *args, **kwargs)
        finally:
            try:
                if busy[0] is use:
                    del busy[0]
            except KeyError:
                pass
    return cast(_Method, call)


_TAKING = exclusive(lambda self: None).__code__


def asking(method: _Method) -> _Method:
    """A call that changes nothing: functions of schedules may make it as well."""
    alone = exclusive(method)

    @functools.wraps(method)
    def call(self, *args, **kwargs):
        use = self._busy.get(0)
        if use is not None and use.thread == threading.get_ident():
            return method(self, *args, **kwargs)
        return alone(self, *args, **kwargs)
    return cast(_Method, call)


class Base:
    """Weights, groups, settings and schedules."""
    _spelling: Any = None
    _handle_: Any = None
    if TYPE_CHECKING:
        __signature__: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if self._spelling is None:
            raise TypeError_(f"{type(self).__name__} is what the classes have in common; make one of those")
        given = dict(bind(type(self), args, kwargs).arguments)
        weights = given.pop("weights")
        self._options = {name: given.pop(name, value) for name, value in OPTIONS.items()}
        self._storage = {name: given.pop(name, value) for name, value in STORAGE.items()}
        given = {name: _native.plain(value) for name, value in given.items()}
        config = _config(self._options)
        self._spelling.settings(given, 0.0)
        self._accumulate = config.accumulate or 1
        self._busy, self._members, self._pack_, self._functions, self._kept = {}, {}, None, {}, []
        self._groups = {None: self._spelling}
        handle = ctypes.c_void_p()
        call("eden_optimizer_create", ctypes.byref(handle), self._spelling.key.encode(), ctypes.byref(config))
        self._handle_ = handle
        # Not at exit: another thread may be in a step then, and the memory goes with the process.
        self._finalizer = weakref.finalize(self, lib.eden_optimizer_destroy, handle)
        self._finalizer.atexit = False
        try:
            self._set(None, given)
            self._add(weights, None, self._storage)
            for name, schedule in self._mapping(self._options["schedule"] or {}, "schedule").items():
                self._schedule(name, schedule, None)
        except BaseException:
            self._finalizer()
            self._handle_ = None
            raise

    @property
    def _handle(self):
        if not self._handle_:
            raise _native.Error(f"this {type(self).__name__} is closed; make a new one, and load() what was saved")
        return self._handle_

    @staticmethod
    def _mapping(given, what):
        if not isinstance(given, Mapping):
            raise TypeError_(f"{what} has to be a dict from names, such as {{'w': ...}}, not {type(given).__name__}")
        return given

    # ---- weights and groups ----------------------------------------------------------------

    @exclusive
    def add(self, weights: Mapping[str, Any], group: Optional[str] = None, **storage: Any) -> None:
        """Put more arrays under the optimizer's care, in a group that is there. If one is refused, those
        before it have been added."""
        self._add(weights, group, self._storage_with(storage))

    @exclusive
    def add_group(self, name: str, weights: Optional[Mapping[str, Any]] = None,
                  rule: Union[str, type[Base], None] = None,
                  schedule: Optional[Mapping[str, _Schedule]] = None, **settings: Any) -> None:
        """A group with settings of its own over the optimizer's, or with a rule (its name or class) over
        that rule's defaults; storage options among them are for the arrays given here."""
        storage = self._storage_with({key: settings.pop(key) for key in STORAGE if key in settings})
        spelling = self._spelling if rule is None else spelling_of(rule)
        values = self._read(spelling, {key: _native.plain(value) for key, value in settings.items()})
        before = spelling.values
        if rule is None:
            before = [self._value(None, h.name, None) for h in spelling.rule.hypers]
        spelling.check([values.get(i, value) for i, value in enumerate(before)])
        members, schedules = self._prepare({} if weights is None else weights, storage), schedule or {}
        own = None if rule is None else spelling.key.encode()
        call("eden_add_group", self._handle, _native.encode(name), own, None)
        self._groups[name] = spelling
        self._set_values(name, spelling, values)
        for key, one in self._mapping(schedules, "schedule").items():
            self._schedule(key, one, name)
        self._register(members, name)

    def _storage_with(self, storage):
        for name in storage:
            if name not in STORAGE:
                raise TypeError_(f"{name!r} is no option of weights; there are {', '.join(STORAGE)}")
        return {**self._storage, **storage}

    def _add(self, weights, group, storage):
        self._spelling_of_group(group)
        self._register(self._prepare(weights, storage), group)

    def _prepare(self, weights, storage):
        members = [Member(name, array, storage, self._accumulate)
                   for name, array in self._mapping(weights, "weights").items()]
        places = {m.view.address: m for m in self._members.values() if m.view.count}
        for m in members:
            if m.name in self._members:
                raise NameError_(f"{m.what} is there already; each array has a name of its own")
            other = places.setdefault(m.view.address, m) if m.view.count else m
            if other is not m:
                raise ValueError_(f"{m.what} lies where {other.what} does; give it once, under one name, with the "
                                  "sum of its gradients")
        return members

    def _register(self, members, group):
        for m in members:
            self._members[m.name] = m  # before the library knows: it must stay
            try:
                call("eden_add_tensor", self._handle, m.c_name, ctypes.byref(m.describe()),
                             None if group is None else _native.encode(group))
            except Exception:
                del self._members[m.name]
                raise

    def _spelling_of_group(self, group):
        if group not in self._groups:
            raise NameError_(f"there is no group {group!r}; there are {', '.join(repr(g) for g in self._groups if g)}"
                             " and None, the optimizer's own" if len(self._groups) > 1 else
                             f"there is no group {group!r}; make it with add_group()")
        return self._groups[group]

    # ---- settings --------------------------------------------------------------------------

    def _read(self, spelling, given):
        """Settings by number. The library's own names stand beside the arguments'."""
        values, found = list(spelling.values), {}
        for name, value in given.items():
            argument = next((a for a in spelling.arguments if a.name == name), None)
            if argument is not None:
                argument.read(value, values, 0.0)
                found.update((h.index, values[h.index]) for h in argument.hypers)
                continue
            hyper = next((h for h in spelling.rule.hypers if h.name == name), None)
            if hyper is None:
                raise NameError_(f"{spelling.name} has no setting {name!r}; it has "
                                 f"{', '.join(a.name for a in spelling.arguments)}")
            found[hyper.index] = hyper.read(value)
        return found

    def _set(self, group, given):
        spelling = self._spelling_of_group(group)
        self._set_values(group, spelling, self._read(spelling, given))

    def _set_values(self, group, spelling, values):
        """What is refused comes first, and then nothing is set."""
        c_group = None if group is None else _native.encode(group)
        at = spelling.rule.at
        for index in sorted(values, key=lambda i: bool(lib.eden_rule_allows(at, i, values[i]))):
            call("eden_set", self._handle, c_group, spelling.rule.hypers[index].name.encode(), values[index])

    def _value(self, group, name, step):
        value, c_group = ctypes.c_double(), None if group is None else _native.encode(group)
        if step is None:
            call("eden_get", self._handle, c_group, name.encode(), ctypes.byref(value))
        else:
            call("eden_get_at", self._handle, c_group, name.encode(), step, ctypes.byref(value))
        return value.value

    @exclusive
    def set(self, group: Optional[str] = None, **settings: Any) -> None:
        """Change settings of a group, or of None, the optimizer's own, which groups inherit: all or none.
        What they mean together is checked by the next step."""
        self._set(group, {name: _native.plain(value) for name, value in settings.items()})

    @asking
    def get(self, name: str, group: Optional[str] = None, step: Optional[int] = None) -> Any:
        """The value of a setting, before any schedule; or, schedules included, at step number `step`."""
        spelling = self._spelling_of_group(group)
        argument = next((a for a in spelling.arguments if a.name == name), None)
        if step is not None:
            step = _native.whole(step, "step")
            self._bring_factors(step)
        hypers = argument.hypers if argument else [h for h in spelling.rule.hypers if h.name == name]
        if not hypers:
            self._read(spelling, {name: 0})
        values = tuple(h.show(self._value(group, h.name, step)) for h in hypers)
        return values if argument and argument.tuple else values[0]

    # ---- schedules ----------------------------------------------------------------------------

    @exclusive
    def schedule(self, name: str, schedule: _Schedule, group: Optional[str] = None) -> None:
        """Schedule a setting by text, such as "warmup(100) * cosine(1000)", or by a function of the step's
        number that returns a factor; None takes it away. What the function raises is raised by step()."""
        self._schedule(name, schedule, group)

    def _schedule(self, name, schedule, group):
        self._spelling_of_group(group)
        c_group = None if group is None else _native.encode(group)
        c_name, handle = _native.encode(name), self._handle
        if callable(schedule):
            at, before = _arrays.At(0, 0.0), self._functions.get((group, name))
            self._kept.append(at)
            self._functions[group, name] = schedule, at
            try:
                call("eden_schedule_custom", handle, c_group, c_name,
                             ctypes.cast(lib.eden_arrays_factor, ctypes.c_void_p), ctypes.addressof(at))
            except Exception:
                self._functions[group, name] = before
                raise
            return
        text = None if schedule is None else _native.encode(schedule, "a schedule")
        call("eden_schedule", handle, c_group, c_name, text)
        self._functions[group, name] = None

    def _bring_factors(self, step):
        """The functions of schedules are called here, where they may raise, and their factors brought along."""
        factors = []
        for (_, name), found in list(self._functions.items()):
            if found is not None:
                value = _native.number(found[0](step), f"what the schedule of {name} returned at step {step}")
                factors.append((found[1], value))
        for at, value in factors:
            at.step, at.value = step, value

    def _pack(self):
        members = list(self._members.values())
        if self._pack_ is None or len(self._pack_.members) != len(members):
            self._pack_ = Pack(members, self._accumulate, self._pack_)
        return self._pack_

    def _check_weights(self):
        for m in self._members.values():
            m.check()
