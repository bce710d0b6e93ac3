"""Whole files, malformed and at the edge: what a reader must say.

A class is (id, bytes, part of the sentence that refuses the file or None if it is
good). Letters: A the length before the header, B to F headers, G checksums, K files
of other kinds, which are refused with a hint (row C18 of checkpoints).
"""
import bz2
import gzip
import io
import json
import lzma
import pickle
import struct
import tarfile
import zipfile

from account import BITS, header_sum, own_file, whole
from headers import ENTRY, HEADERS

TINY = whole(b"{}")


def lengths():
    yield "A01", b"", "0 bytes are too short"
    for n in range(1, 8):
        yield f"A{n + 1:02d}", TINY[:n], f"{n} bytes are too short"
    yield "A09", TINY, None
    yield "A10", TINY[:8], "a header of 2 bytes in a file of 8"
    yield "A11", TINY[:9], "a header of 2 bytes in a file of 9"
    yield "A12", whole(b"", length=0), "must begin with '{'"
    yield "A13", whole(b"{}", length=0), "must begin with '{'"
    yield "A14", whole(b"{}", length=1), "ends too early"
    yield "A15", whole(b"{}", length=3), "a header of 3 bytes in a file of 10"
    for i, n in enumerate((100_000_000, 99_999_999, 11)):
        yield f"A{i + 16}", whole(b"{}", length=n), f"a header of {n} bytes in a file of 10"
    for i, n in enumerate((100_000_001, 2**31, 2**32, 2**32 + 2, 2**63 - 1, 2**63, 2**64 - 8, 2**64 - 1)):
        yield f"A{i + 19}", whole(b"{}", length=n), f"would have {n} bytes, and at most 100000000"
    yield "A27", struct.pack(">Q", 2) + b"{}", "at most 100000000"
    yield "A28", struct.pack("<I", 2) + b"{}", "6 bytes are too short"
    yield "A29", TINY + b" ", "1 bytes after the last tensor"
    yield "A30", TINY + TINY, "10 bytes after the last tensor"
    yield "A31", whole(b"{" + b" " * 99_999 + b"}"), None
    yield "A32", b"\xef\xbb\xbf" + TINY, "a header of 46119919 bytes in a file of 13"


def names_and_ranks():
    def named(name):
        return whole(b'{"' + name + b'":' + ENTRY + b"}", bytes(8))

    def ranked(n):
        return whole(b'{"a":{"dtype":"U8","shape":[' + b",".join([b"1"] * n) + b'],"data_offsets":[0,1]}}', b"x")
    yield "D90", named(b"n" * 65535), None
    yield "D91", named(b"n" * 65536), "a name of more than 65535 bytes"
    yield "D92", named(b"\\u0061" * 65535), None
    yield "D93", named(b"\xc3\xa9" * 32768), "a name of more than 65535 bytes"
    yield "D94", whole(b'{"__metadata__":{"' + b"k" * 70000 + b'":"' + b"v" * 70000 + b'"}}'), None
    yield "E90", ranked(64), None
    yield "E91", ranked(65), "a shape of more than 64 dimensions"
    yield "E92", ranked(100_000), "a shape of more than 64 dimensions"
    for i, (dtype, bits) in enumerate(BITS.items()):
        header = b'{"a":{"dtype":"%s","shape":[8],"data_offsets":[0,%d]}}' % (dtype.encode(), bits)
        yield f"E{i + 101}", whole(header, b"\xff" * bits), None  # any bytes are some numbers


def bombs():
    """Deep or endless nesting is refused where it begins."""
    yield "H04", whole(b"{" + b'"a":{' * 200_000), "a key other than"
    yield "H05", whole(b'{"a":' + b"[" * 1_000_000), "an entry must be an object"
    yield "H06", whole(b'{"a":{"shape":' + b"[" * 1_000_000), "a whole number"
    yield "H07", whole(b'{"__metadata__":' + b"{" * 1_000_000), "double quotes"
    yield "H08", whole(b'{"a":{"dtype":"' + b"F" * 1_000_000 + b'"}}'), "an unknown dtype"
    yield "H09", whole(b'{"a":{"shape":[' + b"9" * 1_000_000 + b"]}}"), "above 2^64 - 1"
    yield "H10", whole(b'{"' + b"\\ud83d" * 100_000), "half of a surrogate pair"
    yield "H11", whole(b'{"' + b"x" * 1_000_000), "text without an end"
    yield "H12", whole(b"{" + b" " * 1_000_000), "ends too early"
    yield "H13", whole(b"{" + b'"a":' + ENTRY + b"," * 1_000_000), "double quotes"
    aliases = ",".join(f'"t{i}":{{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}' for i in range(100_000))
    yield "F09a", whole(b"{" + aliases.encode() + b"}", bytes(8)), "begins inside another"


def checksums():
    texts = {"eden.format": "1", "note": "x"}
    tensors = {"a": ("F32", [2], b"12345678"), "b": ("U8", [], b"9")}
    good = own_file(tensors, texts)
    header = json.loads(good[8:-9])
    data = good[-9:]
    empty = {"a": ("F32", [0], b"")}  # its checksum is 0, which is not what text that is none stands for

    def changed(change, again=True):
        h = json.loads(json.dumps(header))
        change(h, h["__metadata__"])
        if again:
            h["__metadata__"]["eden.sum"] = header_sum(h)
        return whole(json.dumps(h).encode(), data)

    def strip(h, m):
        for key in [key for key in m if key.startswith("eden.sum")]:
            del m[key]
    damaged = "the header is damaged"
    yield "G01", good, None
    yield "G02", own_file(tensors, {}), None
    yield "G03", own_file({}, {}), None
    yield "G04", changed(lambda h, m: None), None
    yield "G05", changed(lambda h, m: m.update(note="y"), False), damaged
    yield "G06", changed(lambda h, m: m.update(more="y"), False), damaged
    yield "G07", changed(lambda h, m: m.pop("note"), False), damaged
    yield "G08", changed(lambda h, m: m.pop("eden.sum"), False), damaged
    yield "G09", changed(lambda h, m: m.update({"eden.sum": ""}), False), damaged
    yield "G10", changed(lambda h, m: m.update({"eden.sum": m["eden.sum"].upper() + "F"}), False), damaged
    yield "G11", changed(lambda h, m: h.update(c=h.pop("a")), False), damaged
    yield "G12", changed(lambda h, m: h["a"].update(dtype="I32"), False), damaged
    yield "G13", changed(lambda h, m: h["a"].update(shape=[1, 2]), False), damaged
    yield "G14", changed(lambda h, m: m.update({"eden.sum.a": "0" * 16}), False), damaged
    yield "G15", changed(lambda h, m: m.update({"eden.sum.a": "0" * 16})), "tensor 'a' is damaged"
    yield "G31", own_file({"a": ("F32", [0, 70_000, 2**35 + 258], b""), "b": ("U8", [300], bytes(300))}, texts), None
    yield "G16", changed(lambda h, m: m.update({"eden.sum.a": "1"})), "tensor 'a' is damaged"
    yield "G30", changed(lambda h, m: m.update({"eden.sum.a": m["eden.sum.a"] + "0"})), "tensor 'a' is damaged"
    yield "G32", own_file(empty, {}, {"a": "0" * 16}), None
    for i, sum_ in enumerate(("", "0", "0" * 15, "0" * 15 + "x", "x", "0" * 17, "0" * 15 + "F")):
        yield f"G{i + 33}", own_file(empty, {}, {"a": sum_}), "tensor 'a' is damaged"
    yield "G17", changed(lambda h, m: m.pop("eden.sum.b")), "tensor 'b' has no checksum, and others have"
    yield "G18", changed(lambda h, m: m.update({"eden.sum.c": "0" * 16})), "a checksum of 'c', which is not"
    yield "G19", changed(lambda h, m: m.update({"eden.sum_kind": "MD5"})), "of a kind that Eden"
    yield "G41", changed(lambda h, m: m.pop("eden.sum_kind")), "does not say of what kind"
    yield "G20", changed(strip, False), "says that Eden wrote it and has no checksums"
    yield "G21", changed(lambda h, m: (strip(h, m), m.pop("eden.format")), False), None
    yield "G22", good[:-1] + b"8", "tensor 'b' is damaged"
    yield "G23", good[:-9] + b"0" + good[-8:], "tensor 'a' is damaged"
    yield "G24", whole(good[8:-9].replace(b'"x"', b'"\\u0078"'), data), None  # the same text, spelled otherwise
    # Escaped as json.dumps() does it, and summed as UTF-8.
    yield "G40", own_file(tensors, {"a\u00e9\u20ac\U0001f600": "\u0080\u07ff\u0800\uffff\U00010000\U0010ffff"}), None
    yield "G25", whole(b'{"__metadata__":{"eden.sum":"0000000000000000"}}'), damaged
    yield "G26", whole(b'{"__metadata__":{"eden.sum":"0000000000000001"}}'), damaged
    yield "G27", whole(b'{"__metadata__":{"eden.sum_kind":"CRC-64/XZ"}}'), damaged
    yield "G28", whole(b'{"__metadata__":{"eden.sum.a":"0000000000000000"}}'), damaged
    yield "G29", whole(b'{"__metadata__":{"eden.summary":"not a checksum"}}'), damaged


def crowds():
    """Many tensors are found quickly, in whatever order they stand."""
    def crowd(n, order):
        entries = ",".join(f'"{i}":{{"dtype":"U8","shape":[],"data_offsets":[{i},{i + 1}]}}' for i in order)
        return whole(b"{" + entries.encode() + b"}", bytes(i & 255 for i in range(n)))
    yield "F50", crowd(5000, range(4999, -1, -1)), None
    yield "F51", crowd(5000, [0, *range(4999, 0, -1)]), None
    many = b",".join(b'"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}' % i for i in range(400_000))
    yield "H14", whole(b"{" + many + b"}"), None


def packed(mode):
    out = io.BytesIO()
    if mode == "zip":
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("archive/data.pkl", bytes(100))
    else:
        with tarfile.open(fileobj=out, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("model.safetensors"))
    return out.getvalue()


# Where a file says what it is, by the descriptions of the formats.
MARKS = [(0, b"PK\3\4"), (0, b"PK\5\6"), (0, b"\x1f\x8b"), (0, b"\xfd7zXZ\0"), (0, b"BZh"),
         (0, b"\x28\xb5\x2f\xfd"), (257, b"ustar"), (0, b"\x93NUMPY"), (0, b"\x89HDF"), (0, b"GGUF"),
         (0, b"tjgg"), (4, b"TFL3"), (0, b"version "), (0, b"%PDF"), (0, b"\x7fELF"), (0, b"\x89PNG\r\n\x1a\n"),
         (0, b"SQLite format 3"), (0, b"\xef\xbb\xbf"), (0, b"\xff\xfe"), (0, b"\xfe\xff")]


def kinds():
    body = TINY * 40
    numbers = [0.5] * 40
    found = [
        (packed("zip"), "a zip archive, as torch.save writes"), (b"PK\5\6" + bytes(18), "an empty zip"),
        (gzip.compress(body, mtime=0), "gzip"), (gzip.compress(body, mtime=1), "gzip"),
        (lzma.compress(body), "an xz archive"), (bz2.compress(body), "a bzip2 archive"),
        (b"\x28\xb5\x2f\xfd" + bytes(30), "a zstd archive"), (packed("tar"), "a tar archive"),
        *((pickle.dumps(numbers, protocol), "a Python pickle") for protocol in (2, 3, 4, 5)),
        (b"\x80\2" + bytes(600_000), "a Python pickle"),
        (b"\x93NUMPY\1\0v\0{'descr': '<f4', }" + bytes(90), "a NumPy array"),
        (b"\x89HDF\r\n\x1a\n" + bytes(90), "an HDF5 file"), (b"GGUF\3\0\0\0" + bytes(16), "a GGUF file"),
        (b"tjgg\1\0\0\0" + bytes(16), "a GGML file"), (b"\x1c\0\0\0TFL3" + bytes(40), "a TensorFlow Lite"),
        (b"\x08\1\x12\0\x1a\0\x22\0" + bytes(40), "an ONNX model"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "a Git LFS pointer"),
        (b"<!DOCTYPE html><html>", "a web page"), (b"\n\n <HTML><head>", "a web page"), (b"<head><title>", "a web page"),
        (b"<!doctype HTML>", "a web page"), (b"<?xml version='1.0'?><Error>", "XML"),
        (b'{"error": "not found"}', "JSON without"), (b"[1, 2, 3, 4]", "JSON without"),
        (b"%PDF-1.7\n%abcdefgh", "a PDF"), (b"\x7fELF\2\1\1\0" + bytes(60), "a program"),
        (b"\x89PNG\r\n\x1a\n" + bytes(60), "a picture"), (b"SQLite format 3\0" + bytes(90), "an SQLite"),
        (b"\xef\xbb\xbfhello there", "text"), ("hello there".encode("utf-16"), "text in UTF-16"),
        (b"\xfe\xff\0h\0e\0l\0l\0o", "text in UTF-16"),
        (bytes(8), "nothing but zeros"), (bytes(4096), "nothing but zeros"), (bytes(3), "nothing but zeros"),
    ]
    for i, (data, hint) in enumerate(found):
        yield f"K{i + 1:02d}", data, hint
    yield "K90", b"hello there, reader", "at most 100000000 are allowed"


def strangers():
    """Nearly of a kind, and so of none: a byte of the mark is another, or missing."""
    for id_, data, words in kinds():
        mark = next((mark for mark in MARKS if data[mark[0]:].startswith(mark[1])), None)
        if mark:
            at, bytes_ = mark
            for i in range(at, at + len(bytes_)):
                yield data[:i] + bytes([data[i] ^ 0x41]) + data[i + 1:]


def corpus():
    """Every class. Whatever is asked of the data itself: 0, 1, 2, ..."""
    for id_, header, data, words in HEADERS:
        yield id_, whole(header, bytes(i & 255 for i in range(data))), words
    for part in (lengths, names_and_ranks, bombs, checksums, crowds, kinds):
        yield from part()
