"""Safetensors files for the tests, in a few lines and without a library."""
import array
import json
import pathlib
import struct
import sys

sys.path.append(str(pathlib.Path(__file__).parent / "corpus"))
from account import own_file  # noqa: E402


def floats(*values):
    return array.array("f", values).tobytes()


def write(path, tensors, metadata=None):
    """A safetensors file of {name: (dtype, shape, bytes)}."""
    header, offset = {}, 0
    if metadata:
        header["__metadata__"] = metadata
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text
                     + b"".join(data for _, _, data in tensors.values()))


def write_own(path, tensors, metadata):
    """The same as Eden writes it: with checksums, old ones left out."""
    path.write_bytes(own_file(tensors, {key: value for key, value in metadata.items()
                                        if not key.startswith("eden.sum")}))


def read(path):
    """({name: (dtype, shape, bytes)}, metadata)"""
    data = path.read_bytes()
    length, = struct.unpack("<Q", data[:8])
    header, data = json.loads(data[8:8 + length]), data[8 + length:]
    metadata = header.pop("__metadata__", {})
    return {name: (entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])])
            for name, entry in header.items()}, metadata


def values(path, name):
    return array.array("f", read(path)[0][name][2]).tolist()


def tensor(shape, seed):
    """Numbers in (-1, 1) that look random and are the same everywhere."""
    count, out = 1, array.array("f")
    for side in shape:
        count *= side
    for _ in range(count):
        seed = (seed * 1103515245 + 12345) % 2**31
        out.append(seed / 2**30 - 1)
    return "F32", shape, out.tobytes()
