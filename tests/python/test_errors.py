"""What is raised: kinds with public names, which are also Python's own, and travel."""
import array
import copy
import errno
import os
import pickle
import tempfile
import unittest

import eden
import eden.numpy
from eden import _native


class Kinds(unittest.TestCase):
    kinds = {"InvalidValueError": ValueError, "InvalidTypeError": TypeError, "InvalidNameError": LookupError,
             "DeviceError": RuntimeError,
             "GradientError": ArithmeticError, "FileError": OSError,
             "MissingFileError": FileNotFoundError, "FormatError": ValueError}

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

    def test_files_say_what_the_system_said(self):
        opt = eden.numpy.SGD({"w": array.array("f", [0])})
        with tempfile.TemporaryDirectory() as folder:
            no_file, no_folder = os.path.join(folder, "x"), os.path.join(folder, "x", "y")
            for path, call, number in ((no_file, opt.load, errno.ENOENT), (no_folder, opt.save, errno.ENOENT),
                                       (folder, opt.load, errno.EISDIR), (folder, opt.save, errno.EISDIR),
                                       (os.path.join(folder, "x" * 300), opt.load, errno.ENAMETOOLONG)):
                with self.assertRaises(eden.FileError) as caught:
                    call(path)
                error = caught.exception
                self.assertEqual(isinstance(error, FileNotFoundError), number == errno.ENOENT)
                for one in (error, pickle.loads(pickle.dumps(error)), copy.copy(error)):
                    self.assertIs(type(one), type(error))
                    self.assertEqual((one.errno, one.filename), (number, path))
                    self.assertRegex(str(one), "^'" + folder)


if __name__ == "__main__":
    unittest.main()
