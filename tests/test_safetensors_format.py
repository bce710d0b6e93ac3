#!/usr/bin/env python3
"""Compare the safetensors layer with an account of the format in Python.

A file that Eden wrote is parsed with struct and json, and its checksums are
computed again from their description. Headers changed at random are judged by
both.
"""
import ctypes
import json
import os
import pathlib
import random
import struct
import sys
import tempfile

sys.path.append(str(pathlib.Path(__file__).parent / "corpus"))
from account import BITS, Refused, crc64, header_sum, parse  # noqa: E402

LIBRARY = pathlib.Path(os.environ["EDEN_BUILD"]) / "libeden.so"


def library():
    eden = ctypes.CDLL(str(LIBRARY))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint64
    eden.eden_file_open.argtypes = [pointer, text, pointer]
    eden.eden_file_close.argtypes = [pointer]
    eden.eden_file_count.argtypes = [pointer]
    eden.eden_file_count.restype = ctypes.c_size_t
    eden.eden_file_find.argtypes = [pointer, text]
    eden.eden_file_find.restype = ctypes.c_size_t
    eden.eden_file_value.argtypes = [pointer, text]
    eden.eden_file_value.restype = text
    eden.eden_file_read.argtypes = [pointer, ctypes.c_size_t, pointer, number, pointer]
    eden.eden_writer_create.argtypes = [pointer, pointer]
    eden.eden_writer_destroy.argtypes = [pointer]
    eden.eden_writer_text.argtypes = [pointer, text, text, pointer]
    eden.eden_writer_tensor.argtypes = [pointer, text, text, ctypes.c_uint32, pointer, pointer, pointer]
    eden.eden_writer_write.argtypes = [pointer, text, pointer]
    return eden


# ---- the tests -----------------------------------------------------------------------


def write(eden, path, tensors, notes):
    writer = ctypes.c_void_p()
    assert eden.eden_writer_create(ctypes.byref(writer), None) == 0
    kept = []
    for name, (dtype, shape, data) in tensors.items():
        dims = (ctypes.c_uint64 * len(shape))(*shape)
        kept.append(ctypes.create_string_buffer(data, len(data)))
        assert eden.eden_writer_tensor(writer, name.encode(), dtype.encode(), len(shape), dims,
                                       kept[-1], None) == 0
    for key, value in notes.items():
        assert eden.eden_writer_text(writer, key.encode(), value.encode(), None) == 0
    assert eden.eden_writer_write(writer, str(path).encode(), None) == 0
    eden.eden_writer_destroy(writer)


def open_status(eden, path):
    file = ctypes.c_void_p()
    status = eden.eden_file_open(ctypes.byref(file), str(path).encode(), None)
    eden.eden_file_close(file)
    return status


def test_written(eden, folder):
    assert f"{crc64(b'123456789'):x}" == "995dc9bbdf1939fa"  # the published check value
    rng = random.Random(1)
    tensors = {f"t{i}/\u00e9\"\\\n{i * 37 % 11}": (dtype, [i % 4, 8], rng.randbytes(i % 4 * BITS[dtype]))
               for i, dtype in enumerate(BITS)}
    notes = {"k": "\u00e9\U0001f600\x01\x1f\x7f\t", "": "", "eden": "text"}
    write(eden, folder / "w", tensors, notes)
    data = (folder / "w").read_bytes()
    header = parse(data)
    start = 8 + struct.unpack("<Q", data[:8])[0]
    assert start % 8 == 0
    metadata = header["__metadata__"]
    assert {key: value for key, value in metadata.items() if not key.startswith("eden.sum")} == notes
    assert metadata["eden.sum"] == header_sum(header)
    assert set(header) - {"__metadata__"} == set(tensors)
    order = [(list(BITS).index(entry["dtype"]), name) for name, entry in header.items()
             if name != "__metadata__"]
    assert order == sorted(order, key=lambda item: (-item[0], item[1].encode()))
    for name, (dtype, shape, want) in tensors.items():
        begin, end = header[name]["data_offsets"]
        assert (header[name]["dtype"], header[name]["shape"]) == (dtype, shape)
        assert data[start + begin:start + end] == want
        assert metadata["eden.sum." + name] == f"{crc64(want):016x}"
    # Another program may write the same content in another order: the sums hold.
    again = json.dumps(dict(reversed(header.items())), ensure_ascii=True).encode()
    (folder / "w").write_bytes(struct.pack("<Q", len(again)) + again + data[start:])
    assert open_status(eden, folder / "w") == 0
    return len(tensors)


BASE = (b'{"__metadata__":{"k":"v\\u00e9","l":"\xc3\xa9"},"a":{"dtype":"F32","shape":[2,1],'
        b'"data_offsets":[0,8]},"b":{"shape":[],"dtype":"U8","data_offsets":[8,9]},'
        b'"c":{"dtype":"F4","shape":[0,3],"data_offsets":[9,9]}}  ')
PIECES = [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b" ", b"\t", b"0", b"1", b"9", b"-", b".",
          b"e", b"\\u0061", b"\\ud83d", b"\\ude00", b"\xc3", b"\xa9", b"\0", b'"a"', b'"dtype"',
          b"null", b"[0,8]", b'"k":"v",', b"18446744073709551616", b"/", b"a", b"F64", b"U8"]


def mutate(rng, text):
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(text) + 1)
        kind = rng.randrange(5)
        if kind == 0:
            text = text[:at] + rng.choice(PIECES) + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + rng.randrange(1, 4):]
        elif kind == 2:
            text = text[:at] + rng.choice(PIECES) + text[at + 1:]
        elif kind == 3:
            end = min(len(text), at + rng.randrange(1, 60))
            text = text[:end] + text[at:end] + text[end:]
        else:
            text = text[:at] + bytes([rng.randrange(256)]) + text[at + 1:]
    return text


def test_both_judge(eden, folder, count):
    rng = random.Random(2)
    accepted = 0
    for _ in range(count):
        text = mutate(rng, BASE)
        data = struct.pack("<Q", len(text)) + text + bytes(9)
        (folder / "m").write_bytes(data)
        try:
            parse(data)
            want = True
        except Refused:
            want = False
        have = open_status(eden, folder / "m") == 0
        assert have == want, f"{data!r}: Python says {want}, Eden {have}"
        accepted += have
    assert 0 < accepted < count
    return f"{count} headers, {accepted} of them good"


def main():
    if os.environ.get("EDEN_SANITIZE") == "ON":
        print("skipped: Python cannot load a library with sanitizers")
        return 77
    try:
        eden = library()
    except OSError as error:
        print(f"skipped: {error}")
        return 77
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        print(test_written(eden, folder), "tensors written as the format says")
        print(test_both_judge(eden, folder, int(os.environ.get("EDEN_FUZZ_COUNT", "4000"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
