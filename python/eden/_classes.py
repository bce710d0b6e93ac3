"""Classes made of the table's spellings."""
import inspect


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


def find_class(module, classes, name):
    """A module's __getattr__: the case of letters does not matter."""
    for known, kind in classes.items():
        if known.lower() == name.lower():
            return kind
    raise AttributeError(f"{module} has no {name!r}; it has {', '.join(classes)}")
