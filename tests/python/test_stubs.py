"""The type stubs have the classes and the signatures that the modules have."""
import ast
import inspect
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import eden
import typed_world
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


class Checked(unittest.TestCase):
    """Scripts with the package as it is installed, in mypy's strictest way."""
    @classmethod
    def setUpClass(cls):
        if subprocess.run([sys.executable, "-c", "import mypy.api, numpy"], stderr=subprocess.DEVNULL).returncode:
            raise unittest.SkipTest("mypy or NumPy is not there")
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        installed = cls.folder / "site" / "eden"
        shutil.copytree(pathlib.Path(eden.__file__).parent, installed,
                        ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        for module in ("numpy", "torch"):
            (installed / f"{module}.pyi").write_text(_stubs.stubs(module), encoding="utf-8")

    def check(self, text):
        """Lines that mypy finds fault with, and what it said."""
        (self.folder / "script.py").write_text(text, encoding="utf-8")
        done = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "script.py"],
                              cwd=self.folder, env={**os.environ, "MYPYPATH": "site"}, capture_output=True, text=True)
        found = [line.split(":") for line in done.stdout.splitlines() if ": error:" in line]
        self.assertTrue(all(line[0] == "script.py" for line in found), done.stdout)
        self.assertEqual(bool(found), bool(done.returncode), done.stdout + done.stderr)
        return sorted({int(line[1]) for line in found}), done.stdout

    def test_numpy(self):
        lines, said = self.check(typed_world.NUMPY)
        self.assertEqual(lines, [], said)
        lines, said = self.check(typed_world.NUMPY_WRONG)
        self.assertEqual(lines, [5, 6, 7, 8, 9, 11, 12, 13], said)

    def test_torch(self):
        if subprocess.run([sys.executable, "-c", "import torch"], stderr=subprocess.DEVNULL).returncode:
            self.skipTest("PyTorch is not there")
        lines, said = self.check(typed_world.TORCH)
        self.assertEqual(lines, [], said)
        lines, said = self.check(typed_world.TORCH_WRONG)
        self.assertEqual(lines, [5, 6, 7, 8], said)


if __name__ == "__main__":
    unittest.main()
