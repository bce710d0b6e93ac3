"""Files of data, good and bad: (class, files or bytes, words of the refusal or None).

D01 are folders of IDX files, D03 tables, D08 tables in gzip, D10 values in tables. The
kind of the label follows where it is given.
"""
import gzip
import struct
import zlib

from data_account import IMAGES, LABELS


def array(sizes, values, magic=None):
    head = magic or bytes([0, 0, 8, len(sizes)])
    return head + struct.pack(f">{len(sizes)}I", *sizes) + bytes(values)


BASE = {IMAGES[0]: array([3, 2, 3], [0, 51, 255, *range(15)]), LABELS[0]: array([3], [4, 0, 9]),
        IMAGES[1]: array([2, 2, 3], [255, *range(11)]), LABELS[1]: array([2], [9, 1])}
TABLE = b'a,"b ""c""",y\r\n1,2.5,0\r\n2,-3e1,1\r\n"3",4,1\r\n4,4,0\r\n5.25,1e-3,2\r\n6,1,1\r\n'
VALUES = b"a,y\n1,1.5\n2,-2\n3,.25\n4,7e2\n5,1e3\n"


def pack(data, **more):
    return gzip.compress(data, mtime=0, **more)


def d01_headers():
    for code in range(256):
        words = {8: None, 10: "no IDX file"}.get(
            code, "only unsigned bytes" if 9 <= code <= 14 else "no IDX file")
        yield f"type {code:02x}", {**BASE, IMAGES[0]: bytes([0, 0, code, 3]) + BASE[IMAGES[0]][4:]}, words
    for at, value in (0, 1), (0, 255), (1, 1), (1, 128):
        magic = bytearray([0, 0, 8, 3])
        magic[at] = value
        yield f"magic {magic.hex()}", {**BASE, IMAGES[0]: magic + BASE[IMAGES[0]][4:]}, "no IDX file"
    for dims in range(256):
        for name, want, more in (IMAGES[0], 3, "images have 3 sizes"), (LABELS[1], 1, "labels have 1 size"):
            words = None if dims == want else "files swapped?" if dims in (1, 3) else more
            yield f"{dims} dimensions of {name}", {
                **BASE, name: bytes([0, 0, 8, dims]) + BASE[name][4:]}, words
    four = array([3, 2, 3, 1], range(18))
    yield "colour images", {**BASE, IMAGES[0]: four}, "store one grey value"


def d01_sizes():
    limit, short = "above the limit of 2^32", "is cut short"
    sizes = [([0, 2, 3], "0 examples"), ([3, 0, 3], "images without pixels"),
             ([3, 2, 0], "images without pixels"), ([2**32 - 1, 2, 3], limit), ([3, 2**32 - 1, 3], limit),
             ([3, 2, 2**32 - 1], limit), ([2**32 - 1, 1, 1], short), ([1, 65536, 65536], short),
             ([1, 65537, 65535], short), ([2, 65536, 65536], limit), ([2**31, 2, 1], short),
             ([2**32 - 1, 2**32 - 1, 2**32 - 1], limit), ([2**31, 2**31, 4], limit),
             ([2**16, 2**16, 2**32 - 1], limit), ([6, 2**31, 2**31], limit),
             ([3, 3, 2], "training images are 3 x 2"), ([2, 3, 3], "has 2 images"), ([9, 2, 1], "has 9 images"),
             ([3, 2, 2], "the training images are 2 x 2"), ([18, 1, 1], "has 18 images")]
    for size, words in sizes:
        yield f"sizes {size}", {**BASE, IMAGES[0]: array(size, BASE[IMAGES[0]][16:])}, words
    for count, words in (0, "0 examples"), (2**32 - 1, short), (2**31, short), (2, "has 3 images"), (4, short):
        yield f"{count} labels", {**BASE, LABELS[0]: array([count], [4, 0, 9])}, words
    little = struct.pack("<4I", 0x803, 3, 2, 3) + BASE[IMAGES[0]][16:]
    yield "little-endian", {**BASE, IMAGES[0]: little}, "low byte first"
    half = bytes([0, 0, 8, 3]) + struct.pack("<3I", 3, 2, 3) + BASE[IMAGES[0]][16:]
    yield "little-endian sizes", {**BASE, IMAGES[0]: half}, limit


def d01_labels():
    for train, test, words in [([4, 0, 10], [9, 1], "label 10 of example 2 (from 0) is above 9"),
                               ([4, 0, 10], [9, 10], None), ([255, 0, 1], [255, 255], None),
                               ([4, 0, 8], [9, 1], "label 9 of example 0 (from 0) is above 8"),
                               ([0, 0, 0], [0, 0], None), ([255, 3, 4], [9, 1], "label 255 of example 0")]:
        yield f"labels {train} {test}", {**BASE, LABELS[0]: array([3], train), LABELS[1]: array([2], test)}, words
    yield "swapped", {IMAGES[0]: BASE[LABELS[0]], LABELS[0]: BASE[IMAGES[0]],
                      IMAGES[1]: BASE[IMAGES[1]], LABELS[1]: BASE[LABELS[1]]}, "files swapped?"
    yield "sets mixed", {**BASE, LABELS[0]: BASE[LABELS[1]]}, "they do not belong together"
    yield "sets exchanged", {IMAGES[0]: BASE[IMAGES[1]], LABELS[0]: BASE[LABELS[1]],
                             IMAGES[1]: BASE[IMAGES[0]], LABELS[1]: BASE[LABELS[0]]}, None


def d01_files():
    yield "good", BASE, None
    yield "gzip in all", {name: pack(data) for name, data in BASE.items()}, None
    for name, data in BASE.items():
        yield f"gzip in {name}", {**BASE, name: pack(data)}, None
        yield f"gzip twice in {name}", {**BASE, name: pack(pack(data))}, "gzipped twice"
        yield f"empty {name}", {**BASE, name: b""}, "it has 0 bytes"
        yield f"empty gzip in {name}", {**BASE, name: pack(b"")}, "it has 0 bytes"
        yield f"a byte more in {name}", {**BASE, name: data + b"\0"}, "goes on behind"
        yield f"a byte more in gzip in {name}", {**BASE, name: pack(data + b"\0")}, "goes on behind"
        yield f"a byte behind gzip in {name}", {**BASE, name: pack(data) + b"\0"}, "gzip data"
        yield f"text in {name}", {**BASE, name: TABLE}, "no IDX file"


def d01():
    for part in d01_headers, d01_sizes, d01_labels, d01_files:
        for what, files, words in part():
            yield "D01 " + what, files, words


def rows(*lines, head="a,y", end="\n"):
    return end.join([head, *lines, ""]).encode()


GOOD = ["1,0", "2,1", "3,0", "4,1", "5,1"]


def d03_rows():
    yield "good", TABLE, None
    yield "values", VALUES, None
    for at in range(5):
        for what, line, words in [("short", "1", "1 field, but"), ("long", "1,0,2", "3 fields, but"),
                                  ("empty field", ",1", "column 'a': '' is empty"),
                                  ("empty label", "1,", "column 'y': '' is empty"), ("two empty", ",", "is empty"),
                                  ("blank", " ", "1 field, but"), ("no line", "", "empty, and more follows"),
                                  ("quoted empty", '"",1', "column 'a': '' is empty")]:
            if (at, what) != (4, "no line"):
                lines = [*GOOD[:at], line, *GOOD[at + 1:]]
                yield f"{what} in row {at}", rows(*lines), f"line {at + 2}|{words}"
    yield "no line at the end", rows(*GOOD, "", ""), None
    yield "no final newline", rows(*GOOD)[:-1], None
    yield "a final CR", rows(*GOOD)[:-1] + b"\r", None
    yield "a final comma", rows(*GOOD) + b"6,", "column 'y': '' is empty"
    yield "lines first", b"\n" + rows(*GOOD), "line 1: empty, and more follows"
    yield "header only", b"a,y\n", "has 0 rows"
    yield "header only, no newline", b"a,y", "has 0 rows"
    yield "4 rows", rows(*GOOD[:4]), "has 4 rows"
    yield "empty", b"", "is empty"
    yield "a byte order mark", b"\xef\xbb\xbf", "is empty"
    yield "one newline", b"\n", "is empty"


def d03_text():
    yield "quotes unclosed", rows(*GOOD[:4], '"5,1'), "line 6: the quote that opens field 1 is never closed"
    yield "quotes unclosed in the header", b'"a,y\n1,0\n', "line 1: the quote that opens field 1"
    yield "quotes doubled", rows('1,"a""b"', "2,c", '3,"a""b"', "4,c", '5,"""c"""'), None
    yield "quotes doubled in a name", b'"a""",y\n' + rows(*GOOD)[4:], None
    yield "quotes in a field", rows('1"2,0', *GOOD), "line 2, field 1: a quote inside a field"
    yield "quotes behind a blank", rows('1, "0"', *GOOD), "line 2, field 2: a quote inside a field"
    yield "text behind quotes", rows('"1"2,0', *GOOD), "line 2, field 1: text behind the closing quote"
    yield "a blank behind quotes", rows('"1" ,0', *GOOD), "text behind the closing quote"
    yield "a newline in quotes", rows('1,"b\nc"', "2,c", '3,"b\r\nc"', "4,c", '5,"b\rc"'), None
    yield "a row behind newlines in quotes", rows('1,"\n\r\n"', "2"), "line 5: 1 field, but"
    yield "a comma in quotes", rows('1,"b,c"', "2,c", "3,c", "4,c", "5,c"), None
    yield "CRLF", rows(*GOOD, end="\r\n"), None
    yield "CRLF and LF", b"a,y\r\n1,0\n2,1\r\n3,0\n4,1\n5,1\r\n", None
    yield "CR", rows(*GOOD, end="\r"), "line 1, field 2: a carriage return without a line feed"
    yield "CR in a row", rows("1,0\r2,1", *GOOD), "line 2, field 2: a carriage return"
    yield "CR CR LF", rows(*GOOD, end="\r\r\n"), "a carriage return without"
    yield "a byte order mark in front", b"\xef\xbb\xbf" + rows(*GOOD), None
    yield "two byte order marks", b"\xef\xbb\xbf\xef\xbb\xbf" + rows(*GOOD), None
    yield "a byte order mark before y", b"\xef\xbb\xbfy,a\n" + rows(*GOOD)[4:], None
    yield "NUL", rows(*GOOD[:4], "5\0,1"), "line 6, field 1: a zero byte"
    yield "NUL in quotes", rows(*GOOD[:4], '5,"1\0"'), "line 6, field 2: a zero byte"
    yield "NUL at the end", rows(*GOOD) + b"\0", "line 7, field 1: a zero byte"
    for code in "utf-16", "utf-16-be", "utf-16-le", "utf-32":
        marked = b"\xfe\xff" if code == "utf-16-be" else b""
        words = "zero byte" if code == "utf-16-le" else "UTF-16; save it as UTF-8"
        yield code, marked + rows(*GOOD).decode().encode(code), words
    yield "bytes that are no UTF-8", b"\xff,y\n1,\xfe\n2,\xc3\n3,\xfe\n4,\xc3\n5,\xc3\n", None
    yield "a spreadsheet", b"PK\3\4\x14\0\6\0", "is a ZIP archive, as spreadsheets are; save it"
    yield "TSV", rows(*GOOD).replace(b",", b"\t"), "separate the fields with commas, not tabs"
    yield "semicolons", rows(*GOOD).replace(b",", b";"), "commas, not semicolons"
    yield "semicolons and decimal commas", b"a;y\n1,5;0\n2,5;1\n", "commas, not semicolons"
    yield "a decimal comma", rows("1,5,0", *GOOD), "line 2: 3 fields, but the header has 2"
    yield "a decimal comma in quotes", rows('"1,5",0', *GOOD), "line 2, column 'a': '1,5' is not a number"


def d03_names():
    body = rows(*GOOD)[4:]
    for what, head, words in [
            ("twice", b"y,y", "two columns are called 'y'"), ("unnamed", b",y", "column 1 has no name"),
            ("all numbers", b"3,4", "only numbers where the names"), ("missing", b"a,b", "no column 'y'; it has a, b"),
            ("in capitals", b"a,Y", "did you mean 'Y'?"), ("with blanks", b" a , y ", None),
            ("quoted with blanks", b'a," y"', "no column 'y'; did you mean ' y'?"), ("one column", b"y", "a single column")]:
        yield "names " + what, head + b"\n" + body, words
    yield "names twice, apart", b"b,y,c,b\n1,0,2,3\n", "two columns are called 'b'"


def d03_numbers():
    for text, words in [("nan", "not a finite"), ("-NaN", "not a finite"), ("inf", "not a finite"), ("NA", "not a finite"),
                        ("1e400", "is too large"), ("-1e309", "is too large"), ("0x1p3", "not a number"),
                        ("\uff11", "not a number"), ("\u0661", "not a number"), ("1 000", "not a number"),
                        ("1_000", "not a number"), ("1e", "not a number"), ("--1", "not a number"), (".", "not a number"),
                        ("1d3", "not a number"), ("\u22121", "not a number"), ("1" * 1025, "not a number"),
                        ("true", "not a number"), ("1e-400", None), ("1." + "0" * 1000, None), ("+.5e+1", None),
                        ("9007199254740993", None), ("18446744073709551616", None), ("0" * 400 + "7", None)]:
        place = "line 4, column 'a': '" if words else ""
        yield f"the feature {text[:9]}", rows("1,0", "2,1", text + ",1", "4,1", "5,0"), words and place + "|" + words
    yield "a feature in quotes with blanks", rows('" 1",0', *GOOD), "' 1' is not a number"


def d03_labels():
    big = rows("1,9007199254740992", "2,9007199254740993", "3,9007199254740992", "4,5", "5,5")
    for kind in None, "class":
        yield f"labels of 2^53, {kind}", big, "line 2, column 'y': a number of 2^53 or more", kind
        yield f"a label of 2^53 + 1, {kind}", rows(*GOOD, "6,-9007199254740993.0"), "line 7, column 'y'", kind
    yield "values of 2^53", big, None, "value"
    yield "labels of 2^53 - 1", big.replace(b"90071992547409", b"80071992547409"), None
    yield "labels of 2^53 and words", big + b"6,x\n", None
    yield "labels of 1e20", rows("1,1e20", "2,3e20", "3,2e20", "4,1e20", "5,4e20", "6,1e20"), None
    yield "one label", rows(*["1,3"] * 5), "every row has the same label"
    yield "one word", rows(*["1,x"] * 5), "every row has the same label"
    yield "one value", rows(*["1,3.5"] * 5), "every row has the same label", "value"
    yield "words as values", rows(*GOOD, "1,x"), "line 7, column 'y': 'x' is not a finite number", "value"
    for count, words in (1000, None), (1001, "more than 1000 different values"):
        yield f"{count} words", rows(*[f"1,w{i}" for i in range(count)]), words
        yield f"{count} numbers", rows(*[f"1,{i}" for i in range(count)]), words, "class"


def d03():
    for part in d03_rows, d03_text, d03_names, d03_numbers, d03_labels:
        for what, *rest in part():
            yield "D03 " + what, *rest


def member(flags, extra=b"", method=8, checksum=None, size=None, content=TABLE):
    """A gzip member by hand; None: the right checksum and size."""
    raw = zlib.compressobj(9, zlib.DEFLATED, -15)
    sums = struct.pack("<II", zlib.crc32(content) if checksum is None else checksum,
                       len(content) if size is None else size)
    return (bytes([0x1f, 0x8b, method, flags, 0, 0, 0, 0, 2, 3]) + extra + raw.compress(content) + raw.flush() + sums)


def d08():
    whole, wrong = member(0), "is damaged: its gzip data has an"
    head = b"\x1f\x8b\x08\x02\0\0\0\0\2\3"
    cases = [
        ("good", whole, None), ("stored", pack(TABLE, compresslevel=0), None), ("a name", member(8, b"t.csv\0"), None),
        ("a comment", member(16, b"c\0"), None), ("an extra field", member(4, b"\3\0abc"), None),
        ("all of a header", member(29, b"\0\0n\0c\0"), None), ("the header's sum", member(2, struct.pack("<H", zlib.crc32(head) & 0xffff)), None),
        ("a wrong header's sum", member(2, b"xx"), wrong), ("unknown flags", member(32), wrong),
        ("an unknown method", member(0, method=7), wrong), ("a wrong CRC", member(0, checksum=1), wrong),
        ("a wrong size", member(0, size=1), wrong), ("a size of 4 GiB more", member(0, size=0), wrong),
        ("a size of 2^32 - 1", member(0, size=2**32 - 1), wrong), ("an endless name", member(8, b"n" * 99)[:80], "ends in the middle"),
        ("two members", member(0, content=TABLE[:40]) + member(8, b"n\0", content=TABLE[40:]), None),
        ("an empty member in the middle", member(0, content=TABLE[:7]) + member(0, content=b"") + member(0, content=TABLE[7:]), None),
        ("a hundred members", b"".join(member(0, content=TABLE[i:i + 1]) for i in range(len(TABLE))), None),
        ("a second member cut", whole + member(0, content=b"7,7,1\n")[:-1], "ends in the middle"),
        ("a second member's CRC", whole + member(0, checksum=1, content=b"7,7,1\n"), wrong),
        ("zeros behind", whole + bytes(512), wrong), ("text behind", whole + b"7,7,1\n", wrong),
        ("half a magic behind", whole + b"\x1f", "ends in the middle"), ("a byte behind", whole + b"\xff", "gzip data"),
        ("an empty member", member(0, content=b""), "is empty"), ("gzip twice", pack(whole), "is gzipped twice"),
        ("the magic alone", b"\x1f\x8b", "ends in the middle"), ("half the magic", b"\x1f", "a single column"),
        ("zlib", zlib.compress(TABLE), ""), ("a wrong block", whole[:10] + b"\7" + whole[11:], wrong)]
    for what, data, words in cases:
        yield "D08 " + what, data, words


def d10():
    def column(*values):
        return rows(*[f"{value},{i % 2}" for i, value in enumerate(values)])
    far = "column 'a': values too large or too far apart"
    for what, data, words in [
            ("denormal", column("4e-310", "8e-310", "-3e-310", "5e-310", "1e-309"), None),
            ("the least", column(5e-324, 1e-323, 0, 0, 5e-324), None),
            ("-0", column("-0", "-0.0", "0", "-0e5", "+0"), None), ("-0 and 1", column("-0", 1, 0, "-0.0", 1), None),
            ("constant", column(*["0.1"] * 7), None), ("constant and large", column(*["1.7e308"] * 6), None),
            ("constant but for the last digit", column("0.1", "0.10000000000000002", "0.1", "0.1", "0.1"), None),
            ("large and near", column(*[f"170000000000000{i}" for i in range(7)]), None),
            ("10^16 and 2 more", column(10**16, 10**16 + 2, 10**16, 10**16 + 4, 10**16, 10**16 + 2), None),
            ("1e300", column("1e299", "-2e299", "3e299", "4e299", "0"), None),
            ("squares that overflow", column("1e200", "-1e200", "3e200", "1e-200", "0"), None),
            ("squares that underflow", column("1e-200", "-1e-200", "3e-200", "2e-200", "0"), None),
            ("far apart", column("1.7e308", "-1.7e308", "1.7e308", "-1.7e308", "1.7e308"), far)]:
        yield "D10 " + what, data, words
    yield "D10 -0 as a label", rows("1,-0", "2,1", "3,0", "4,-0.0", "5,1"), None
    for text, words in ("nan", "'nan' is not a finite number"), ("inf", "not a finite"), ("1e999", "too large a number"):
        yield f"D10 the label {text}", rows("1,1.5", "2,2.5", f"3,{text}", *GOOD), "line 4, column 'y': '|" + words
        yield f"D10 the class {text}", rows("1,1.5", "2,2.5", f"3,{text}", *GOOD), None, "class"
        yield f"D10 the value {text}", rows("1,1.5", f"3,{text}", *GOOD), "line 3, column 'y': '|not a finite", "value"
    yield "D10 targets far apart", rows("1,1.7e308", "1,-1.7e308", "1,1.7e308", "1,-1.7e308", "1,1.7e308"), (
        "column 'y': values too large"), "value"
    yield "D10 targets of 1e-320", rows("1,1e-320", "2,5e-320", "3,1e-319", "4,3e-320", "5,9e-320"), None, "value"
