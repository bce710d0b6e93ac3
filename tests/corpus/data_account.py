"""What IDX, CIFAR-10, gzip and CSV files say, and which Eden promises to refuse.

Written from the formats' descriptions (yann.lecun.com/exdb/mnist, www.cs.toronto.edu/~kriz/cifar.html,
RFC 1952, RFC 4180) and lab/data.h; numbers are rounded by Python's float() and scaled in exact fractions.
"""
import csv
import io
import math
import re
import struct
import zlib
from fractions import Fraction

IMAGES = ["train-images-idx3-ubyte", "t10k-images-idx3-ubyte"]
LABELS = ["train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"]
csv.field_size_limit(1 << 28)


class Refused(Exception):
    pass


def need(truth, why):
    if not truth:
        raise Refused(why)


# ---- gzip ------------------------------------------------------------------------------

def member(data):
    """(content, rest) of one member of RFC 1952."""
    need(len(data) >= 10 and data[:3] == b"\x1f\x8b\x08" and data[3] < 32, "no gzip header")
    flags, at = data[3], 10
    if flags & 4:
        need(len(data) >= at + 2, "cut in the extra field")
        at += 2 + int.from_bytes(data[at:at + 2], "little")
    for flag in 8, 16:  # a name, a comment
        if flags & flag:
            end = data.find(b"\0", at)
            need(end >= 0, "an endless name")
            at = end + 1
    if flags & 2:
        need(data[at:at + 2] == struct.pack("<H", zlib.crc32(data[:at]) & 0xffff), "the header's sum")
        at += 2
    raw = zlib.decompressobj(-15)
    try:
        content = raw.decompress(data[at:])
    except zlib.error as e:
        raise Refused(str(e)) from e
    need(raw.eof and len(raw.unused_data) >= 8, "cut short")
    checksum, size = struct.unpack("<II", raw.unused_data[:8])
    need(checksum == zlib.crc32(content) and size == len(content) % 2**32, "wrong sums")
    return content, raw.unused_data[8:]


def gunzip(data):
    """The content of a file that may be gzipped."""
    content, zipped = b"", data[:2] == b"\x1f\x8b"
    while zipped and data:
        more, data = member(data)
        content += more
    return content if zipped else data


# ---- IDX --------------------------------------------------------------------------------

def idx_array(data, dims):
    """(sizes, bytes) of one file."""
    data = gunzip(data)
    need(data[:4] == bytes([0, 0, 8, dims]) and len(data) >= 4 + 4 * dims, "no header")
    sizes = struct.unpack(f">{dims}I", data[4:4 + 4 * dims])
    rest = data[4 + 4 * dims:]
    need(math.prod(sizes) == len(rest) and rest, "sizes")
    return sizes, rest


def idx(files):
    """The sizes and sets of a folder, as data_reader.c tells them."""
    images = [idx_array(files[name], 3) for name in IMAGES]
    labels = [idx_array(files[name], 1) for name in LABELS]
    for (sizes, _), (count, _) in zip(images, labels):
        need(sizes[0] == count[0], "counts differ")
    (sizes, _), (others, _) = images
    need(sizes[1:] == others[1:], "images differ in size")
    largest, tested = (max(values) for _, values in labels)
    need(tested <= largest and (largest <= 9 or largest == tested), "labels differ")
    sets = [([value / 255 for value in pixels], list(values))
            for (_, pixels), (_, values) in zip(images, labels)]
    return [1, *sizes[1:], max(10, largest + 1), sizes[0], others[0]], sets, 1.0


# ---- CIFAR-10 ---------------------------------------------------------------------------

BATCHES = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]


def cifar10(files):
    """As idx(): records of a label and 3 x 1,024 bytes, each channel standardized."""
    data = [gunzip(files[name]) for name in BATCHES]
    need(all(part and len(part) % 3073 == 0 for part in data), "no whole records")
    sets = []
    for part in b"".join(data[:5]), data[5]:
        labels = list(part[::3073])
        need(max(labels) <= 9, "a label")
        sets.append(([part[i + 1:i + 3073] for i in range(0, len(part), 3073)], labels))
    scales = []
    for c in range(3):
        values = b"".join(image[c * 1024:][:1024] for image in sets[0][0])
        mean = Fraction(sum(values), len(values))
        variance = Fraction(sum(v * v for v in values), len(values)) - mean * mean
        scales.append([float((v - mean) / Fraction(math.sqrt(variance))) if variance else 0.0
                       for v in range(256)])
    scaled = [([scales[i // 1024][v] for image in images for i, v in enumerate(image)], labels)
              for images, labels in sets]
    return [3, 32, 32, 10, len(sets[0][1]), len(sets[1][1])], scaled, 1.0


# ---- CSV -----------------------------------------------------------------------------------

FIELD = re.compile(rb'"((?:[^"]|"")*)"|([^",\r\n]*)')
END = re.compile(rb"\r\n|\n|\r\Z")
NUMBER = re.compile(rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
SPECIAL = re.compile(rb"(?i)[-+]?(nan|inf|infinity|na|n/a|null|#n/a)")


def records(data):
    """The records, with blanks around fields without quotes gone; checked by Python's own."""
    at, blank, rows, plain = 0, False, [], []
    while at < len(data):
        end = END.match(data, at)
        if end:
            blank, at = True, end.end()
            continue
        need(not blank, "a blank line")
        rows.append([])
        plain.append([])
        while True:
            field = FIELD.match(data, at)
            at = field.end()
            quoted = field[1] is not None
            text = field[1].replace(b'""', b'"') if quoted else field[2]
            plain[-1].append(text.decode("latin-1"))
            rows[-1].append(text if quoted else text.strip(b" \t"))
            if data[at:at + 1] != b",":
                break
            at += 1
        end = END.match(data, at)
        need(end or at == len(data), "quotes or a lone carriage return")
        at = end.end() if end else at
    own = csv.reader(io.StringIO(data.decode("latin-1"), newline=""), strict=True)
    assert [row for row in own if row] == plain, data
    return rows


def number(text):
    """A float, or "none", "special" or "large"."""
    if len(text) > 1024 or not NUMBER.fullmatch(text):
        return "special" if SPECIAL.fullmatch(text) else "none"
    value = float(text)
    return value if math.isfinite(value) else "large"


def classes_of(texts, kind):
    """(class of each row, or None for values; the values; how many classes)."""
    values = [number(text) for text in texts]
    words = any(isinstance(value, str) for value in values)
    need(all(texts), "an empty label")
    need(kind == "class" or not set(values) & {"special", "large"}, "a label that is not finite")
    need(kind != "value" or not words, "a label that is no value")
    small = not words and all(0 <= value < 1000 and value == int(value) for value in values)
    if kind == "value" or (kind is None and not words and not small):
        large = any(abs(v) >= 2**53 and b"e" not in t.lower() for v, t in zip(values, texts))
        need(kind == "value" or not large, "2^53")
        need(len(set(values)) > 1, "nothing to predict")
        return None, values, 0
    keys = texts if words else values
    need(words or not any(abs(v) >= 2**53 and b"e" not in t.lower()
                          for v, t in zip(values, texts)), "2^53")
    order = sorted(set(keys))
    need(1 < len(order) <= 1000, "classes")
    return [order.index(key) for key in keys], values, len(order)


def scale(values, test):
    """(value, tolerance) of each row, and the deviation; None: it may be refused."""
    inside = [Fraction(v) for i, v in enumerate(values) if i not in test]
    mean = sum(inside) / len(inside)
    largest = max(abs(v - mean) for v in inside)
    if not largest:
        return [(0.0, 0.0)] * len(values), 0.0
    spread = math.sqrt(sum(((v - mean) / largest) ** 2 for v in inside) / len(inside))
    if largest * Fraction(spread) > Fraction(1e300) or abs(mean) > 1e300:
        return None, None
    deviation = largest * Fraction(spread)
    slack = float(max(abs(v) for v in inside) / deviation) * 2.0**-50
    scaled = [(Fraction(v) - mean) / deviation for v in values]
    if any(abs(s) > Fraction(3e38) for s in scaled) or slack > 0.5 or deviation < 1e-300:
        return None, None
    return [(float(s), 1e-44 + slack + abs(float(s)) * 2.0**-23) for s in scaled], float(deviation)


def table(data, kind, test_rows):
    """As idx(), with (value, tolerance) for every number; None where digits decide."""
    data = gunzip(data)
    need(data[:2] not in (b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b") and data[:4] != b"PK\3\4", "no text")
    data = data.removeprefix(b"\xef\xbb\xbf")
    need(b"\0" not in data, "a zero byte")
    rows = records(data)
    need(rows, "empty")
    names, rows = rows[0], rows[1:]
    counts = [number(name) for name in names]
    need(any(count == "none" for count in counts) or counts == list(range(len(names))), "no header")
    need(len(names) > 1 and all(names) and len(set(names)) == len(names) and b"y" in names, "names")
    need(len(rows) >= 5 and all(len(row) == len(names) for row in rows), "rows")
    label = names.index(b"y")
    columns = [[number(row[c]) for row in rows] for c in range(len(names)) if c != label]
    need(not any(isinstance(value, str) for column in columns for value in column), "no number")
    labels, values, classes = classes_of([row[label] for row in rows], kind)
    test = test_rows[len(rows)]
    scaled = [scale(column, test)[0] for column in columns]
    unit = 1.0
    if labels is None:
        labels, unit = scale(values, test)
        need(unit is None or unit > 0, "training targets are alike")
    if None in scaled or labels is None:
        return None
    sets = [([column[i] for i in range(len(rows)) if (i in test) == tested for column in scaled],
             [labels[i] for i in range(len(rows)) if (i in test) == tested]) for tested in (False, True)]
    return [1, 1, len(columns), classes, len(rows) - len(test), len(test)], sets, unit
