"""The table of rules, read from the library: classes, arguments, words about them.

Nothing here knows any optimizer by name. A rule's file says what its class is called
elsewhere, what its arguments are and what its state is called there; a rule that does
not say gets a class of its own name with its own settings, of which beta1, beta2, ...
become one argument `betas`, as is usual.
"""
import copy
import ctypes
import inspect
import re
import textwrap

from . import _native
from ._native import CHOICE, FLAG, REAL, STATE, Error, ValueError_, lib


class Hyper:
    """One setting of a rule."""
    def __init__(self, index, c):
        self.index, self.name, self.doc = index, c.name.decode(), c.doc.decode()
        self.initial, self.low, self.high = c.initial, c.low, c.high
        self.low_open, self.high_open, self.kind = c.low_open, c.high_open, c.kind
        self.choices = c.choices.decode().split(",") if c.choices else None

    def read(self, value):
        """A value of Python as the library's double."""
        if self.kind == CHOICE:
            if value in self.choices:
                return float(self.choices.index(value))
            raise ValueError_(f"{self.name} = {value!r} is none of {', '.join(map(repr, self.choices))}")
        if self.kind == FLAG:
            if value is True or value is False or (not isinstance(value, str) and value in (0, 1)):
                return float(bool(value))
            raise ValueError_(f"{self.name} = {value!r} is neither True nor False")
        return _native.number(value, self.name)

    def show(self, value):
        """The library's double as a value of Python."""
        if self.kind == CHOICE:
            return self.choices[int(value)]
        return bool(value) if self.kind == FLAG else value

    def range(self):
        if self.kind == CHOICE:
            return " or ".join(map(repr, self.choices))
        if self.kind == FLAG:
            return "True or False"
        low = f"above {self.low:g}" if self.low_open else f"at least {self.low:g}"
        if self.high == float("inf"):
            return f"finite and {low}"
        return f"{low}, {'below' if self.high_open else 'at most'} {self.high:g}"


class Slot:
    """What a rule remembers for a tensor."""
    def __init__(self, index, c):
        self.index, self.name, self.doc, self.when = index, c.name.decode(), c.doc.decode(), c.when.decode()
        self.shape, self.square = c.shape, bool(c.square)


class Argument:
    """An argument of a class: one setting or several, under a name."""
    def __init__(self, name, hypers, sign=1, choices=None, missing=(), tuple_=False):
        self.name, self.hypers, self.sign, self.missing = name, hypers, sign, missing
        self.choices, self.tuple = choices, tuple_  # indices of what False and True stand for

    def default(self, values):
        """What stands for these settings."""
        if self.tuple:
            return tuple(None if h.index in self.missing else h.show(values[h.index]) for h in self.hypers)
        hyper = self.hypers[0]
        value = values[hyper.index]
        if self.choices:
            return value == self.choices[1]
        if hyper.index in self.missing:
            return None
        return self.sign * value if hyper.kind == REAL and self.sign < 0 else hyper.show(value)

    def read(self, value, values, epsilon):
        """Put a given value into the settings; None is the dtype's `epsilon`, where it may be."""
        parts = [value]
        if self.tuple:
            try:
                parts = list(value)
            except TypeError:
                parts = []
            if len(parts) != len(self.hypers) or isinstance(value, str):
                raise ValueError_(f"{self.name} has to be {len(self.hypers)} values, not {value!r}")
        for hyper, part in zip(self.hypers, parts):
            try:
                values[hyper.index] = self._read_one(hyper, part, epsilon)
            except ValueError_ as error:
                raise ValueError_(f"{self.name}: {error}" if self.tuple else str(error)) from None

    def range(self, hyper):
        """Of what is given for a setting, which may be its opposite."""
        if self.sign > 0:
            return hyper.range()
        turned = copy.copy(hyper)
        turned.low, turned.high = 0.0 - hyper.high, 0.0 - hyper.low
        turned.low_open, turned.high_open = hyper.high_open, hyper.low_open
        if hyper.high < float("inf"):
            return turned.range()
        return f"finite and {'below' if turned.high_open else 'at most'} {turned.high:g}"

    def _read_one(self, hyper, value, epsilon):
        if value is None and hyper.index in self.missing:
            return epsilon
        if self.choices:
            if value is True or value is False or value in (0, 1):
                return self.choices[bool(value)]
            return hyper.read(value)
        return self.sign * hyper.read(value) if self.sign < 0 else hyper.read(value)


class Spelling:
    """A rule or a preset as a class: its name, its arguments, its defaults, its words."""
    def __init__(self, rule, preset=None, peer=None):
        self.rule, self.preset = rule, preset
        self.key = preset.name.decode() if preset else rule.name
        self.title = (preset.title if preset else lib.eden_rule_title(rule.at)).decode()
        self.paper = (preset.paper if preset else lib.eden_rule_paper(rule.at)).decode()
        self.formula = (preset.formula if preset else lib.eden_rule_formula(rule.at)).decode()
        self.year = preset.year if preset else lib.eden_rule_year(rule.at)
        self.name = rule.class_name if not preset else self.key.capitalize()
        self.values = rule.defaults()
        self.fixed = set()  # what no argument says and a peer's settings do
        peer = peer or None
        self._settings(peer.settings.decode() if peer else "")
        self._settings(preset.settings.decode() if preset else "")
        self.arguments = self._arguments(peer.arguments.decode() if peer and peer.arguments else "")
        said = {h.index for a in self.arguments for h in a.hypers}
        self.fixed = {i for i in self.fixed if i not in said}
        self.extra = [Argument(h.name, [h]) for h in rule.hypers
                      if h.index not in said and h.name not in {a.name for a in self.arguments}]
        self.state = dict(re.findall(r"(\w+)\s*=\s*(\w+)", peer.state.decode()) if peer and peer.state else ())
        self.state_name = {slot: name for name, slot in self.state.items()}
        self.counts_steps = not self.state or "t" in self.state_name  # of each tensor, in its state
        self.peer = peer.name.decode() if peer else None

    def _settings(self, text):
        for name, value in re.findall(r"(\w+)=([^,]+)", text):
            hyper = self.rule.hyper(name)
            self.values[hyper.index] = hyper.read(value if hyper.kind == CHOICE else float(value))
            self.fixed.add(hyper.index)

    def _arguments(self, text):
        if not text:
            return self._own_arguments()
        return [self._argument(part.strip()) for part in re.split(r",(?![^(\[]*[)\]])", text)]

    def _argument(self, text):
        name, _, what = (part.strip() for part in text.partition("="))
        what = what or name
        names = [part.strip() for part in what.strip("()").split(",")] if what.startswith("(") else [what]
        choice = re.fullmatch(r"(\w+)\[(\w+), *(\w+)\]", what)
        if choice:
            hyper = self.rule.hyper(choice[1])
            return Argument(name, [hyper], choices=(hyper.read(choice[2]), hyper.read(choice[3])))
        hypers = [self.rule.hyper(part.strip("-?")) for part in names]
        missing = {h.index for h, part in zip(hypers, names) if part.endswith("?")}
        return Argument(name.strip("?"), hypers, -1 if what.startswith("-") else 1, None, missing,
                        what.startswith("("))

    def _own_arguments(self):
        betas = [h for h in self.rule.hypers if re.fullmatch(r"beta\d", h.name)]
        arguments = []
        for hyper in self.rule.hypers:
            if len(betas) > 1 and hyper in betas:
                if hyper is betas[0]:
                    arguments.append(Argument("betas", betas, tuple_=True))
            else:
                arguments.append(Argument(hyper.name, [hyper]))
        return arguments

    def settings(self, given, epsilon, later=False):
        """The rule's settings for the values of a mapping, checked one by one and together; `later` is after the
        class was made, or for one group."""
        values = list(self.values)
        for argument in (*self.arguments, *self.extra):
            if argument.name in given:
                argument.read(given[argument.name], values, epsilon)
        return self.check(values, later)

    def check(self, values, later=False):
        """What a class of another library sets without being asked, or takes where it does nothing, gives way
        where it would do nothing. That library, too, refuses an idle flag, but only when a class is made."""
        waived, theirs = set(), {h.index for a in self.arguments for h in a.hypers} if self.peer else ()
        while True:
            index, why = ctypes.c_size_t(), ctypes.c_char_p()
            array = (ctypes.c_double * len(values))(*values)
            status = lib.eden_rule_check(self.rule.at, array, ctypes.byref(index), ctypes.byref(why))
            if not status:
                return values
            at = index.value
            sentence = self._sentence(values) if why.value else ""
            kind = self.rule.hypers[at].kind if self.peer and " has no effect " in sentence else None
            idle = kind == REAL or at in theirs and (kind == CHOICE or kind == FLAG and later)
            if (at in self.fixed or idle) and at not in waived:
                waived.add(at)
                values[at] = self.rule.hypers[at].initial
                continue
            raise self._refusal(status, values, at, sentence)

    def _sentence(self, values):
        """What the library says of settings that do not go together."""
        handle, error = ctypes.c_void_p(), _native.CError()
        config = _native.Config(size=ctypes.sizeof(_native.Config), threads=1)
        _native.call("eden_optimizer_create", ctypes.byref(handle), self.rule.name.encode(), ctypes.byref(config))
        try:
            for hyper, value in zip(self.rule.hypers, values):
                _native.call("eden_set", handle, None, hyper.name.encode(), value)
            lib.eden_step(handle, ctypes.byref(error))  # of no tensors: it looks at the settings
        finally:
            lib.eden_optimizer_destroy(handle)
        return error.text.decode("utf-8", "replace").partition(": ")[2]

    def _refusal(self, status, values, at, sentence):
        if at >= len(self.rule.hypers):
            return _native.failure(status)
        hyper = self.rule.hypers[at]
        spelled = next(((a, a.hypers.index(hyper)) for a in (*self.arguments, *self.extra)
                        if hyper in a.hypers), None)
        name, value = hyper.name, hyper.show(values[at]) if hyper.kind != REAL else values[at]
        if spelled and spelled[0].sign < 0:
            name, value = spelled[0].name, -value
        elif spelled and spelled[0].name != hyper.name:
            name = f"{spelled[0].name}[{spelled[1]}]" if spelled[0].tuple else spelled[0].name
        if sentence:
            shown = value == hyper.choices[spelled[0].choices[1]] if spelled and spelled[0].choices else value
            said = re.sub(rf"\b{hyper.name} = \S+", lambda _: f"{name} = {shown!r}", sentence, count=1)
            return ValueError_(f"{self.name}: {said}")
        bounds = spelled[0].range(hyper) if spelled else hyper.range()
        if self.peer and spelled:  # in the words that its users know, and may look for
            what = f"beta parameter at index {spelled[1]}" if spelled[0].name == "betas" else f"{name} value"
            return ValueError_(f"{self.name}: Invalid {what}: {value!r}; {name} has to be {bounds}")
        return ValueError_(f"{self.name}: {name} = {value!r} has to be {bounds}")

    def by_place(self):
        return [a for a in self.arguments if a not in self.by_name()]

    def by_name(self):
        """Arguments that are keywords alone: a choice under another name came late to the other library, behind
        what its programs give by place."""
        return [a for a in self.arguments if a.choices and a.name != a.hypers[0].name]

    def parameters(self, extra=()):
        """Of the signature, behind the weights. The rule's settings that the other library does not
        have, and what is given here, are keywords."""
        kind = inspect.Parameter
        for argument in self.by_place():
            yield kind(argument.name, kind.POSITIONAL_OR_KEYWORD, default=argument.default(self.values))
        for argument in self.by_name():
            yield kind(argument.name, kind.KEYWORD_ONLY, default=argument.default(self.values))
        for name, default in extra:
            yield kind(name, kind.KEYWORD_ONLY, default=default)
        for argument in self.extra:
            yield kind(argument.name, kind.KEYWORD_ONLY, default=argument.default(self.values))

    def other_names(self):
        """A line of what the formula calls otherwise than the arguments, if there is any."""
        said = []
        for argument in self.arguments:
            own = [h.name for h in argument.hypers
                   if h.name != argument.name and re.search(rf"\b{h.name}\b", self.formula)]
            if own:
                said.append(f"{' and '.join(own)} {'are' if len(own) > 1 else 'is'} "
                            f"{'-' if argument.sign < 0 else ''}{argument.name}")
        return ["", *textwrap.wrap(f"({', '.join(said)})", 84, initial_indent="    ", subsequent_indent="    ")] \
            if said else []

    def _when(self, slot):
        """Words for settings that a slot is there for. What hangs on a tensor's shape is not of them."""
        found = re.fullmatch(r"h\.(\w+) != (\w+)", slot.when)
        if not found:
            return ""
        hyper = self.rule.hyper(found[1])
        argument = next(a for a in (*self.arguments, *self.extra) if hyper in a.hypers)
        if argument.choices or hyper.kind == FLAG:
            return f" (with {argument.name})"
        return f" (if {argument.name} is not {repr(found[2].lower()) if hyper.kind == CHOICE else found[2]})"

    def document(self, weights, options):
        """A docstring: formula, arguments with defaults, state, paper."""
        lines = [f"{self.title[:1].upper()}{self.title[1:]}.", ""]
        lines += ["    " + line for line in self.formula.rstrip("\n").split("\n")]
        lines += self.other_names()
        lines += ["", "Args:", *_item(*weights)]
        for argument in (*self.arguments, *self.extra):
            says = "; ".join(f"{h.doc} ({argument.range(h)})" for h in argument.hypers)
            if argument.missing:
                says += "; None: the weights' machine epsilon"
            if argument.choices:
                says = argument.hypers[0].doc
            lines += _item(argument.name, f"{says}. Default: {argument.default(self.values)!r}")
        for name, says in options:
            lines += _item(name, says)
        kept = [s for s in self.rule.slots]
        lines += ["", "State:"]
        for slot in kept:
            lines += _item(self.state_name.get(slot.name, slot.name), slot.doc + self._when(slot))
        lines += ["", *textwrap.wrap(f"{self.paper}.", 88)]
        return "\n".join(lines)


def _item(name, says):
    return textwrap.wrap(f"{name}: {says}", 88, initial_indent="    ", subsequent_indent="        ")


class Rule:
    """A rule of the table."""
    def __init__(self, at):
        self.at, self.name = at, lib.eden_rule_name(at).decode()
        self.hypers = [Hyper(i, c) for i, c in _each(lib.eden_rule_hyper, at)]
        self.all_slots = [Slot(i, c) for i, c in _each(lib.eden_rule_slot, at)]
        self.slots = [slot for (i, c), slot in zip(_each(lib.eden_rule_slot, at), self.all_slots)
                      if c.kind == STATE]
        self.presets = [c for _, c in _each(lib.eden_rule_preset, at)]
        self.peers = [c for _, c in _each(lib.eden_rule_peer, at)]
        self.peer = next((c for c in self.peers if c.arguments), None)
        self.class_name = self.peer.name.decode().rpartition(".")[2] if self.peer else self.name.capitalize()
        self._index = {h.name: h for h in self.hypers}

    def hyper(self, name):
        if name not in self._index:
            raise Error(f"the table is wrong: {self.name} has no setting {name!r}")
        return self._index[name]

    def defaults(self):
        return [h.initial for h in self.hypers]


def _each(function, at):
    i = 0
    while True:
        c = function(at, i)
        if not c:
            return
        yield i, c.contents
        i += 1


def rules():
    """All rules, in the table's order."""
    i = 0
    while True:
        at = lib.eden_rule_at(i)
        if not at:
            return
        yield Rule(at)
        i += 1


def spellings(with_peers):
    """Every class: the rules and their presets. With peers they have another library's names and
    defaults where there is such a class, else Eden's own."""
    for rule in RULES:
        peer = rule.peer if with_peers else None
        yield Spelling(rule, None, peer)
        for preset in rule.presets:
            yield Spelling(rule, preset, peer)


RULES = list(rules())
