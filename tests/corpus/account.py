"""The safetensors format and Eden's checksums once more, written from their descriptions."""
import json
import struct

BITS = {"BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8,
        "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16,
        "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64,
        "U64": 64}
MASK = 2**64 - 1


class Refused(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Refused(what)


def unique(pairs):
    need(len({key for key, _ in pairs}) == len(pairs), "duplicate")
    return dict(pairs)


def integer(text):
    need(not text.startswith("-"), "negative")
    return int(text)


def refuse(_):
    raise Refused("not an integer")


def plain(value):
    """Text without what JSON may escape but UTF-8 or C cannot hold."""
    need(isinstance(value, str) and "\0" not in value, "text")
    need(not any(0xd800 <= ord(c) < 0xe000 for c in value), "surrogate")


def parse(data):
    """The header of a file as a dictionary, or Refused."""
    need(len(data) >= 8, "short")
    length, = struct.unpack("<Q", data[:8])
    need(length <= 100_000_000 and length <= len(data) - 8, "length")
    text = data[8:8 + length]
    need(text[:1] == b"{", "begin")
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=unique, parse_int=integer,
                            parse_float=refuse, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise Refused(error) from error
    need(text.rstrip(b" ").endswith(b"}"), "end")
    metadata = header.get("__metadata__", {})
    need(isinstance(metadata, dict), "metadata")
    for key, value in metadata.items():
        plain(key)
        plain(value)
    check_entries({name: entry for name, entry in header.items() if name != "__metadata__"},
                  len(data) - 8 - length)
    return header


def check_entries(entries, total):
    spans = []
    for name, entry in entries.items():
        plain(name)
        need(0 < len(name.encode()) <= 65535, "name")
        need(isinstance(entry, dict) and set(entry) == {"dtype", "shape", "data_offsets"}, "keys")
        need(isinstance(entry["dtype"], str) and entry["dtype"] in BITS, "dtype")
        for key in ("shape", "data_offsets"):
            need(isinstance(entry[key], list), "list")
            need(all(type(n) is int and n <= MASK for n in entry[key]), "integers")
        need(len(entry["shape"]) <= 64 and len(entry["data_offsets"]) == 2, "lengths")
        count = 1
        for n in entry["shape"]:
            count *= n or 1
        need(count <= MASK, "overflow")
        bits = (0 if 0 in entry["shape"] else count) * BITS[entry["dtype"]]
        begin, end = entry["data_offsets"]
        need(bits <= MASK and bits % 8 == 0 and end - begin == bits // 8, "size")
        spans.append((begin, end))
    at = 0
    for begin, end in sorted(spans):
        need(begin == at, "hole or overlap")
        at = end
    need(at == total, "total")


# ---- the checksums, once more -----------------------------------------------------

TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0xc96c5795d7870f42 if byte & 1 else 0)
    TABLE.append(byte)


def crc64(data):
    crc = MASK
    for value in data:
        crc = crc >> 8 ^ TABLE[(crc ^ value) & 255]
    return crc ^ MASK


def scrambled(data):
    x = crc64(data) + 0x9e3779b97f4a7c15 & MASK
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9 & MASK
    x = (x ^ x >> 27) * 0x94d049bb133111eb & MASK
    return x ^ x >> 31


def header_sum(header):
    total = 0
    for key, value in header["__metadata__"].items():
        if key != "eden.sum":
            total += scrambled(b"M" + key.encode() + b"\0" + value.encode() + b"\0")
    for name, entry in header.items():
        if name != "__metadata__":
            total += scrambled(b"T" + name.encode() + b"\0" + entry["dtype"].encode() + b"\0"
                               + b"".join(struct.pack("<Q", n) for n in entry["shape"]))
    return f"{total & MASK:016x}"


def own_file(tensors, texts, sums=None):
    """A file as Eden writes it, of {name: (dtype, shape, bytes)}: with checksums, or these."""
    header = {"__metadata__": dict(texts)}
    data = b""
    for name, (dtype, shape, bytes_) in tensors.items():
        header["__metadata__"]["eden.sum." + name] = sums[name] if sums else f"{crc64(bytes_):016x}"
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(bytes_)]}
        data += bytes_
    header["__metadata__"]["eden.sum_kind"] = "CRC-64/XZ"
    header["__metadata__"]["eden.sum"] = header_sum(header)
    return whole(json.dumps(header, separators=(",", ":")).encode(), data)


def whole(header, data=b"", length=None):
    return struct.pack("<Q", len(header) if length is None else length) + header + data
