"""The library's sentences, which speak of C, in the words of a module."""
import re


def translate(text, ours):
    """A sentence about C's names in a module's: `ours` has those that are not just without the prefix."""
    text = re.sub(r"\bconfig\.", "", text)
    text = re.sub(r"\bEDEN_([A-Z0-9_]+)", lambda m: ours.get(m[1].lower(), repr(m[1].lower())), text)
    return re.sub(r"\beden_(\w+)", lambda m: ours.get(m[1], m[1]), text)
