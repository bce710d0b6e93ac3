"""Classes made of the table's spellings."""
import inspect

from ._native import TypeError_


def make_classes(module, base, spellings, weights, words, keywords, reserved=()):
    """A class for each spelling, by name. `weights` is the first argument with what it is, `words` say what
    the `keywords` are, whose defaults are given."""
    made = {}
    for spelling in spellings:
        names = [argument.name for argument in (*spelling.arguments, *spelling.extra)]
        taken = {*names} & {weights[0], *keywords, *reserved}
        assert not taken, f"{spelling.name}: {taken} are names of {module}"
        first = inspect.Parameter(weights[0], inspect.Parameter.POSITIONAL_OR_KEYWORD)
        made[spelling.name] = type(spelling.name, (base,), {
            "__doc__": spelling.document(weights, words), "__module__": module, "_spelling": spelling,
            "_argument_names": names,
            "__signature__": inspect.Signature([first, *spelling.parameters(keywords.items())])})
    return made


def bind(kind, args, kwargs):
    """A class's arguments by name; one that it does not have is named, with those that it has."""
    for name in kwargs:
        if name not in kind.__signature__.parameters:
            import difflib
            known = list(kind.__signature__.parameters)
            near = difflib.get_close_matches(name, known, 1)
            raise TypeError_(f"{kind.__name__}() got an unexpected keyword argument {name!r}"
                             f"{f'; did you mean {near[0]!r}?' if near else '.'} It takes {', '.join(known)}")
    try:
        return kind.__signature__.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError_(f"{kind.__name__}(): {error}") from None


def find_class(module, classes, name):
    """A module's __getattr__: the case of letters does not matter."""
    for known, kind in classes.items():
        if known.lower() == name.lower():
            return kind
    raise AttributeError(f"{module} has no {name!r}; it has {', '.join(classes)}")
