"""What the classes of eden.torch have in common."""
from __future__ import annotations

import contextlib
import itertools
import operator
from typing import TYPE_CHECKING, Any, Callable, Iterator, Literal, Optional

import torch

from . import _native
from ._classes import bind
from ._native import TypeError_, ValueError_
from ._torch_engine import Engine
from ._torch_parameter import check_parameter, storage_of
from ._torch_state import check_count

GROUP_OPTIONS = {"state": None, "master": None, "rounding": "nearest", "split": None}
PYTORCH = {"maximize": False, "foreach": None, "capturable": False, "differentiable": False, "fused": None}
OPTIONS = {"clip_norm": 0.0, "clip_value": 0.0, "nonfinite": "apply", "threads": None, "seed": 0}
_is_compiling = getattr(torch.compiler, "is_compiling", None) or torch._utils.is_compiling  # before 2.3


class _Kept:
    """State on its way through PyTorch's load_state_dict, which casts tensors to the weights' dtype."""
    def __init__(self, value: Any) -> None:
        self.value = value


class Optimizer(torch.optim.Optimizer):
    """What the classes have in common; see the module's text."""
    _spelling = None
    _ahead = False
    if TYPE_CHECKING:  # what __getattr__ finds, which checkers do not see: it would hide what is misspelt
        clip_norm: float
        clip_value: float
        nonfinite: Literal["apply", "refuse", "skip"]
        threads: Optional[int]
        seed: int

    def __init__(self, params: Any, *args: Any, **kwargs: Any) -> None:
        if self._spelling is None:
            raise TypeError_("eden.torch.Optimizer is what the classes have in common; make one of those")
        given = bind(type(self), (params, *args), kwargs)
        given.apply_defaults()
        given = dict(given.arguments)
        del given["params"]
        self._options = _checked_options({name: given.pop(name) for name in OPTIONS})
        self._engine = None
        self._check_settings(given)
        super().__init__(params, given)

    # ---- groups -----------------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        try:
            self._check_group(self.param_groups[-1])
        except BaseException:
            self.param_groups.pop()
            raise

    def _check_group(self, group):
        _check_possible(group)
        for name in OPTIONS:
            if name in group:
                raise ValueError_(f"{name} is of the whole optimizer, not of a group: give it to the class, or set "
                                  f"optimizer.{name}")
        if group["split"] is not None:
            _native.whole(group["split"], "split", _native.MAX_DIMS)
        self._check_settings(group, later=True)
        names = group.get("param_names")
        for i, p in enumerate(group["params"]):
            who = f"parameter {names[i]!r}" if names else f"parameter {i} of group {len(self.param_groups) - 1}"
            check_parameter(p, who, now=False)
            storage_of(group, p, who)

    def _check_settings(self, group, later=False):
        for name in self._argument_names:
            value = group[name]
            if isinstance(value, torch.Tensor) and value.numel() != 1:
                raise ValueError_(f"{name} is a tensor of {value.numel()} elements; Tensor {name} must be 1-element")
        self._spelling.settings(group, 1e-7, later)

    def _get_settings(self, group):
        return tuple(map(group.__getitem__, self._argument_names))

    # ---- a step -----------------------------------------------------------------------

    def step(self, closure: Optional[Callable[[], Any]] = None) -> Any:
        """Update the weights from the gradients; returns what `closure`, which may compute them anew,
        returns. With lookahead=True it is called where the weights look ahead."""
        if closure is not None and not self._ahead and any(group.get("lookahead") for group in self.param_groups):
            with self.lookahead():
                return self._step_with(closure)
        return self._step_with(closure)

    def _step_with(self, closure):
        """A step where the weights are now; without the hooks, which are PyTorch's wrapper around step()."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.no_grad():
            if _is_compiling():
                self._step_apart()
            else:
                self._step()
        return loss

    def _step(self):
        engine = self._find_engine()
        if engine is not None:
            with _alone(engine):
                engine.take_step(self)

    def _find_engine(self, wanted=()):
        """None while there is no gradient, and has been none. With those that are wanted without one."""
        params = list(itertools.chain.from_iterable(map(operator.itemgetter("params"), self.param_groups)))
        engine = self._engine
        if engine is None or engine.options is not self._options or not engine.fits(self, params) \
                or not engine.known.issuperset(wanted):
            if self._ahead:
                raise _native.Error("parameters, groups or options changed while the weights look ahead; change them "
                                    "outside of lookahead()")
            if not wanted and all(p.grad is None and p not in self.state for p in params):
                return None
            engine = self._engine = Engine(self, self._spelling, params, self._options, engine, wanted)
        return engine

    @contextlib.contextmanager
    def lookahead(self) -> Iterator[None]:
        """With lookahead=True, `with optimizer.lookahead():` the weights are where the step will lead; compute
        gradients and step() there. Without a step they return. step(closure) does this by itself."""
        if self._ahead:
            raise _native.Error("lookahead() within lookahead(): the weights look ahead already")
        if not any(group.get("lookahead") for group in self.param_groups):
            raise ValueError_(f"lookahead() of {type(self).__name__}: no group has lookahead=True")
        # Velocities are needed before gradients.
        engine = self._find_engine([p for group in self.param_groups for p in group["params"] if p.requires_grad])
        with torch.no_grad(), _alone(engine):
            engine.look_ahead(self)
        self._ahead = True
        try:
            yield
        finally:
            self._ahead = False
            with torch.no_grad(), _alone(engine):
                engine.look_back()

    def share_memory(self) -> None:
        """Make all state and move it to memory that processes share, for several that step the same weights. With
        dampening their first gradient is dampened as those that follow."""
        engine = self._find_engine([p for group in self.param_groups for p in group["params"]])
        with torch.no_grad(), _alone(engine):
            engine.read_values(self)
            engine.find_state(self, again=True)
            engine.hand_over(self.state, engine.active)
            for i in range(len(engine.own_counts)):  # for all that it is shared with there is state
                engine.own_counts[i] = 1.0
            for kept in self.state.values():
                for value in kept.values():
                    if isinstance(value, torch.Tensor):
                        value.share_memory_()

    # torch.compile leaves its graph for a step.
    _step_apart = getattr(torch, "_disable_dynamo", lambda function: function)(_step)

    @property
    def grad_norm(self) -> float:
        """The norm of all gradients at the last step, before clipping; 0 without clip_norm."""
        return _native.lib.eden_grad_norm(self._engine.handle) if self._engine else 0.0

    @property
    def skipped(self) -> int:
        """Steps that nonfinite = "skip" left out since this optimizer was made, copied or loaded."""
        return self._engine.skipped if self._engine else 0

    # ---- state ------------------------------------------------------------------------

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what state_dict() of this class or of torch.optim's class of this name returned. State keeps
        its values: it is converted where this optimizer stores it in another dtype."""
        def keep(_self, given):
            given = dict(given)
            for group in given["param_groups"]:
                _check_possible(group, "; or set it to False in the state_dict's param_groups")
            for key, kept in given["state"].items():
                if isinstance(kept, dict) and "step" in kept:
                    check_count(kept["step"], f"parameter {key}")
            given["state"] = {
                key: {name: _Kept(value) if isinstance(value, torch.Tensor) else value
                      for name, value in kept.items()} if isinstance(kept, dict) else kept
                for key, kept in given["state"].items()}
            return given
        hook = self.register_load_state_dict_pre_hook(keep)
        try:
            super().load_state_dict(state_dict)
        finally:
            hook.remove()

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_options": dict(self._options)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        before = self.__dict__.get("param_groups")
        super().__setstate__(state)
        self.__dict__.setdefault("_options", dict(OPTIONS))
        self._engine = None
        for i, group in enumerate(self.param_groups):
            for name, value in self.defaults.items():
                group.setdefault(name, value)
            if before is not None and before is not self.param_groups:
                group.update({name: before[i][name] for name in GROUP_OPTIONS})
        for kept in self.state.values():
            if isinstance(kept, dict):
                for name, value in kept.items():
                    if isinstance(value, _Kept):
                        kept[name] = value.value.detach().clone()

    if not TYPE_CHECKING:
        def __getattr__(self, name):
            options = self.__dict__.get("_options")
            if options is not None and name in options:
                return options[name]
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

        def __setattr__(self, name, value):
            if name in OPTIONS and "_options" in self.__dict__:
                self.__dict__["_options"] = _checked_options({**self._options, name: value})
                return
            super().__setattr__(name, value)


@contextlib.contextmanager
def _alone(engine):
    try:
        if not engine.lock.acquire(blocking=False):
            raise _native.Error("another thread is in step() of this optimizer; an optimizer is used by one "
                                "thread at a time")
        yield
    finally:
        # Also where an interrupt came right behind the lock; what another thread holds stays held.
        with contextlib.suppress(RuntimeError):
            engine.lock.release()


def _check_possible(group, mend=""):
    """Refuse what a step of Eden is not, in a group or a dict of one."""
    for name in ("capturable", "differentiable"):
        if group.get(name):
            raise ValueError_(f"{name} = {group[name]!r}: a step of Eden is neither captured nor "
                              f"differentiated; torch.optim can do it{mend}")


def _checked_options(options):
    if options["nonfinite"] not in _native.NONFINITE:
        raise ValueError_(f"nonfinite = {options['nonfinite']!r} is none of "
                          f"{', '.join(map(repr, _native.NONFINITE))}")
    for name in ("clip_norm", "clip_value"):
        value = _native.number(options[name] or 0.0, name)
        if not 0 <= value <= 3.4028234663852886e38:
            raise ValueError_(f"{name} = {value!r} has to be at least 0, and a float; 0 is off")
        options[name] = value
    _native.whole(options["seed"], "seed")
    if options["threads"] is not None and _native.whole(options["threads"], "threads", 256) == 0:
        raise ValueError_("threads = 0 are none; None takes as many as PyTorch")
    return options
