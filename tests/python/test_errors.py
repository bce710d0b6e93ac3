"""What is raised: kinds with public names, which are also Python's own, and travel."""
import copy
import pickle
import unittest

import eden
from eden import _native


class Kinds(unittest.TestCase):
    kinds = {"InvalidValueError": ValueError, "InvalidTypeError": TypeError, "InvalidNameError": LookupError,
             "DeviceError": RuntimeError,
             "GradientError": ArithmeticError, "FileError": OSError, "FormatError": ValueError}

    def test_names(self):
        for name, usual in self.kinds.items():
            kind = getattr(eden, name)
            self.assertEqual((kind.__module__, kind.__qualname__), ("eden", name))
            self.assertTrue(issubclass(kind, (eden.Error)) and issubclass(kind, usual))
            self.assertIn(name, eden.__all__)
        self.assertEqual((eden.Error.__module__, eden.Error.__qualname__), ("eden", "Error"))

    def test_every_status_has_a_public_kind(self):
        for status in range(1, 14):
            kind = type(_native.failure(status))
            self.assertTrue(kind is MemoryError or getattr(eden, kind.__name__) is kind, kind)

    def test_pickled_and_copied(self):
        for name in ("Error", *self.kinds):
            error = getattr(eden, name)("a sentence")
            error.differences = ["w is missing"]
            for other in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
                self.assertIs(type(other), type(error))
                self.assertEqual((str(other), other.differences), ("a sentence", ["w is missing"]))


if __name__ == "__main__":
    unittest.main()
