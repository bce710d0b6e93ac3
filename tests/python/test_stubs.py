"""The type stubs have the classes and the signatures that the modules have."""
import ast
import inspect
import unittest

from eden import _stubs


def signatures(module):
    """Of each class in a stub: names of arguments, which are keywords alone, and defaults that are given."""
    found = {}
    for node in ast.parse(_stubs.stubs(module)).body:
        if isinstance(node, ast.ClassDef):
            given = next(f.args for f in node.body if isinstance(f, ast.FunctionDef))
            names = [a.arg for a in given.args[1:]]
            defaults = dict(zip(names[1:], map(ast.unparse, given.defaults)))
            defaults.update(zip((a.arg for a in given.kwonlyargs), map(ast.unparse, given.kw_defaults)))
            found[node.name] = names, {a.arg for a in given.kwonlyargs}, defaults
    return found


class Stubs(unittest.TestCase):
    def same(self, name, module):
        stubs = signatures(name)
        classes = {n: c for n, c in vars(module).items() if isinstance(c, type) and n not in ("Optimizer", "LoadReport")}
        self.assertEqual(set(stubs), set(classes))
        self.assertGreaterEqual(len(stubs), 10)
        for known, kind in classes.items():
            names, keywords, defaults = stubs[known]
            parameters = inspect.signature(kind).parameters
            only = {p.name for p in parameters.values() if p.kind is p.KEYWORD_ONLY}
            self.assertEqual((names, keywords), ([n for n in parameters if n not in only], only), known)
            for argument, text in defaults.items():
                if text != "...":
                    self.assertEqual(ast.literal_eval(text), parameters[argument].default, (known, argument))

    def test_numpy(self):
        import eden.numpy
        self.same("numpy", eden.numpy)

    def test_torch(self):
        try:
            import eden.torch
        except ImportError as error:
            self.skipTest(f"PyTorch: {error}")
        self.same("torch", eden.torch)


if __name__ == "__main__":
    unittest.main()
