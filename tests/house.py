#!/usr/bin/env python3
"""Hold the sources to the rules of the house, docs/design.md.

usage: tests/house.py [--self-test | ROOT]

Without arguments it first plants one violation of each rule in a scratch tree
and sees it found, then checks the repository it stands in.
"""
import ast
import pathlib
import re
import sys
import tempfile

MAX_FUNCTION = 59
MAX_FILE = 399

# What each folder may include, as regular expressions of the whole name.
C_HEADERS = r"<[a-z0-9_/]+\.h>"
PUBLIC = r"<eden/[a-z]+\.h>"
FREESTANDING = [r"<stdint\.h>", r"<stddef\.h>", r"<float\.h>", r"<eden/core\.h>"]
MAY_INCLUDE = {
    "include/eden": [PUBLIC, r"<stdint\.h>", r"<stddef\.h>"],
    "rules": [r'"engine/[a-z_]+\.h"', r"<eden/core\.h>"],
    "src/engine": [*FREESTANDING, r'"engine/[a-z0-9_]+\.h"', r'"rules\.inc"'],
    "src/optimizer": [C_HEADERS, r'"(engine|optimizer)/[a-z0-9_]+\.(h|inc)"'],
    "src/checkpoint": [C_HEADERS, r'"(engine|optimizer|checkpoint)/[a-z0-9_]+\.(h|inc)"'],
    "lab": [C_HEADERS, r'"lab/[a-z0-9_]+\.(h|inc)"'],
    "cli": [C_HEADERS, r'"(lab|cli)/[a-z0-9_]+\.(h|inc)"'],
    "examples": [C_HEADERS],
    "fuzz": [C_HEADERS, r'"(lab|cli|fuzz)/[a-z0-9_]+\.h"'],
    "bench": [C_HEADERS, r"<ggml(-cpu)?\.h>"],
    "mpi": [C_HEADERS, r'"(world|eden_mpi)\.h"', r'"optimizer/backend\.h"'],
    "python": [C_HEADERS, r'"native/[a-z0-9_]+\.h"'],
}
# The file that knows processors may have the compiler's header about them.
CPU_FILE = "src/engine/cpu.c"
CPU_HEADER = "<cpuid.h>"
FOLDERS = [*MAY_INCLUDE, "tests"]

# MPI is an optional part: the library over it and what stands on that library know it.
MPI_HEADERS = ("<mpi.h>", "<eden_mpi.h>")
MAY_USE_MPI = re.compile(r"mpi/|tests/|bench/|cli/ranks_mpi\.c")

# What the scripts in bench/ may import beside Python's own modules and each other.
BENCH_PEERS = {"torch", "deepspeed", "eden"}

# And the Python package, beside Python's own modules and its own.
PACKAGE_USES = {"torch", "numpy", "ml_dtypes"}

# Only these folders and files may say an optimizer's name: the rules, the tables
# of learning rates, and whatever shows, tests or measures single optimizers.
MAY_NAME = re.compile(r"(rules|tests|examples|fuzz|bench)/|lab/rates[^/]*$|include/")
# Batch normalization has a momentum as well.
OTHER_MEANING = {"lab": {"momentum"}}

CPU_WORDS = re.compile(
    r"\b(x?getbv\w*|_*(get_)?cpuid\w*|__builtin_cpu\w*|getauxval|HWCAP\w*|\w*intrin\.h|arm_neon"
    r"|__AVX\w*|__SSE\w*|__ARM_NEON\w*|__x86_64__|__aarch64__)\b")
BANNED = re.compile(
    r"\b(printf|fprintf|vprintf|vfprintf|dprintf|sprintf|vsprintf|puts|fputs|putchar|perror|abort"
    r"|exit|_exit|_Exit|quick_exit|assert|strcpy|strcat|strncpy|strtok|gets|atoi|atol|atof|scanf"
    r"|sscanf|rand|setlocale|system)\s*\(")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|not implemented|unimplemented")

TOKEN = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])+'", re.S)


def code_only(text, keep_strings):
    """The text with comments, and if asked the insides of strings, as blanks."""
    def blank(match):
        token = match.group()
        if token[0] == "/":
            return re.sub(r"[^\n]", " ", token)
        return token if keep_strings else '""'
    return TOKEN.sub(blank, text)


def optimizer_names(root):
    """Every name of a rule or a preset, from the rule files themselves."""
    names = set()
    for path in sorted((root / "rules").glob("*.c")):
        names.add(path.stem)
        text = path.read_text()
        names.update(re.findall(r"\bPRESET\(\s*\"(\w+)\"", text))
    return names


def function_lengths(lines):
    """(first line, length) of every function: from the line in the first column
    that names it to the } in the first column that ends it."""
    start, inside = None, False
    for number, line in enumerate(lines, 1):
        line = line.rstrip()
        if inside:
            if line.startswith("}"):
                yield start, number - start + 1
                start, inside = None, False
            continue
        if re.match(r"[A-Za-z_].*\(", line) and "=" not in line:
            start = number
        if start is None or line.startswith("#") or line.endswith((";", "}")):
            start = None
        elif line.endswith("{"):
            inside = True


class House:
    def __init__(self, root):
        self.root = root
        self.found = []
        self.checked = 0
        self.threads, self.environment = set(), set()
        self.names = optimizer_names(root)

    def report(self, rule, where, text):
        self.found.append((rule, f"{where}: {text}"))

    def check_all(self):
        for folder in FOLDERS:
            base = self.root / folder
            for path in sorted(base.rglob("*.[ch]")) if base.is_dir() else []:
                self.check_file(path, folder)
        for folder in ("tests", "bench", "python/eden", "examples"):
            for path in sorted((self.root / folder).rglob("*.py")):
                self.check_length(path)
        for path in sorted((self.root / "python" / "eden").rglob("*.py")):
            self.check_package(path)
        self.check_imports()
        if len(self.threads) > 1:
            self.report("threads", ", ".join(sorted(self.threads)), "only one file knows threads")
        if len(self.environment) > 1:
            self.report("environment", ", ".join(sorted(self.environment)),
                        "only one file reads the environment")
        for path in sorted((self.root / "rules").glob("*")):
            if path.suffix != ".c":
                self.report("rules", path.name, "only rules live in rules/")
        return self.found

    def check_length(self, path):
        name = path.relative_to(self.root).as_posix()
        count = len(path.read_text().splitlines())
        if count > MAX_FILE:
            self.report("file", name, f"{count} lines, at most {MAX_FILE}")

    def check_imports(self):
        scripts = sorted((self.root / "bench").glob("*.py"))
        known = BENCH_PEERS | {path.stem for path in scripts} | set(sys.stdlib_module_names)
        for path in scripts:
            self.checked += 1
            for module in re.findall(r"^\s*(?:import|from)\s+([\w]+)", path.read_text(), re.M):
                if module not in known:
                    self.report("include", f"bench/{path.name}", f"bench may not import {module}")

    def check_package(self, path):
        """The Python package knows the library by its functions and optimizers by the table."""
        self.checked += 1
        name, tree = path.relative_to(self.root).as_posix(), ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = node.end_lineno - node.lineno + 1
                if length > MAX_FUNCTION:
                    self.report("function", f"{name}:{node.lineno}",
                                f"a function of {length} lines, at most {MAX_FUNCTION}")
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else \
                [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for module in modules:
                top = module.partition(".")[0]
                if top not in PACKAGE_USES | set(sys.stdlib_module_names):
                    self.report("include", f"{name}:{node.lineno}", f"python may not import {top}")
        texts = (node for node in ast.walk(tree) if isinstance(node, ast.Constant))
        documents = {id(node.body[0].value) for node in ast.walk(tree)
                     if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)) and node.body
                     and isinstance(node.body[0], ast.Expr)}
        words = [(node.lineno, node.value) for node in texts
                 if isinstance(node.value, str) and id(node) not in documents]
        words += [(node.lineno, node.attr) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
        for line, text in words:
            for word in sorted(set(re.findall(r"[a-z][a-z0-9]*", text.lower())) & self.names):
                self.report("name", f"{name}:{line}", f"names the optimizer {word}")

    def check_file(self, path, folder):
        self.checked += 1
        name = path.relative_to(self.root).as_posix()
        text = path.read_text()
        self.check_length(path)
        lines = code_only(text, keep_strings=False).splitlines()
        for first, length in function_lengths(lines):
            if length > MAX_FUNCTION:
                self.report("function", f"{name}:{first}",
                            f"a function of {length} lines, at most {MAX_FUNCTION}")
        for number, line in enumerate(text.splitlines(), 1):
            if UNFINISHED.search(line):
                self.report("unfinished", f"{name}:{number}", line.strip())
        code = code_only(text, keep_strings=True)
        for number, line in enumerate(code.splitlines(), 1):
            self.check_line(name, folder, number, line)
        if name.startswith("src/"):
            self.check_library(name, lines)

    def check_line(self, name, folder, number, line):
        where = f"{name}:{number}"
        include = re.match(r"\s*#\s*include\s+(\S+)", line)
        if include and folder in MAY_INCLUDE:
            what = include.group(1)
            if (name, what) != (CPU_FILE, CPU_HEADER) and not any(
                    re.fullmatch(allowed, what) for allowed in MAY_INCLUDE[folder]):
                self.report("include", where, f"{folder} may not include {what}")
            if what in MPI_HEADERS and not MAY_USE_MPI.match(name):
                self.report("mpi", where, f"only mpi/ and its clients may include {what}")
            if what == "<pthread.h>" and name.startswith("src/"):
                self.threads.add(name)
        if not MAY_NAME.match(name):
            for word in sorted(set(re.findall(r"[a-z][a-z0-9]*", line.lower())) & self.names):
                if word not in OTHER_MEANING.get(folder, ()):
                    self.report("name", where, f"names the optimizer {word}")

    def check_library(self, name, lines):
        for number, line in enumerate(lines, 1):
            where = f"{name}:{number}"
            word = BANNED.search(line)
            if word:
                self.report("banned", where, f"calls {word.group(1)}")
            if name != CPU_FILE and CPU_WORDS.search(line):
                self.report("cpu", where, f"names {CPU_WORDS.search(line).group()}; "
                            f"only {CPU_FILE} knows processors")
            if re.search(r"\bgetenv\b", line):
                self.environment.add(name)


def comment_ratio(root):
    """Lines that hold a comment and lines that hold code, in the public headers."""
    for path in sorted((root / "include" / "eden").glob("*.h")):
        text = path.read_text()
        bare = code_only(text, keep_strings=True).splitlines()
        code = sum(1 for line in bare if line.strip())
        comments = sum(1 for a, b in zip(text.splitlines(), bare) if a.strip() != b.strip())
        print(f"{path.name}: {comments} comment lines, {code} code lines")


# One violation of each rule: its name, the file, the text.
PLANTED = [
    ("include", "rules/other.c", '#include "optimizer/text.h"\n'),
    ("include", "rules/other.c", "#include <math.h>\n"),
    ("include", "src/engine/a.c", "#include <string.h>\n"),
    ("include", "src/engine/a.c", '#include "optimizer/text.h"\n'),
    ("include", "src/optimizer/a.c", '#include "checkpoint/json.h"\n'),
    ("include", "lab/a.c", '#include "optimizer/text.h"\n'),
    ("include", "cli/a.c", '#include "engine/rule.h"\n'),
    ("include", "examples/a.c", '#include "lab/data.h"\n'),
    ("include", "fuzz/a.c", '#include "optimizer/text.h"\n'),
    ("include", "bench/a.c", '#include "engine/rule.h"\n'),
    ("include", "bench/a.py", "def f():\n    import numpy\n"),
    ("include", "python/native/a.c", '#include "optimizer/text.h"\n'),
    ("include", "python/eden/a.py", "def f():\n    import scipy\n"),
    ("include", "mpi/a.c", '#include "optimizer/shard.h"\n'),
    ("include", "mpi/a.c", '#include "engine/driver.h"\n'),
    ("mpi", "src/optimizer/a.c", "#include <mpi.h>\n"),
    ("mpi", "cli/a.c", "#include <eden_mpi.h>\n"),
    ("name", "mpi/a.c", 'const char *a = "zeus";\n'),
    ("function", "mpi/a.c", "int f(void)\n{\n" + "    g();\n" * 57 + "}\n"),
    ("name", "python/eden/a.py", "def f(a):\n    return a.zeus\n"),
    ("function", "python/eden/a.py", "def f():\n" + "    g()\n" * 60),
    ("function", "cli/a.c", "int f(void)\n{\n" + "    g();\n" * 57 + "}\n"),
    ("function", "src/engine/a.c", "F(g)\n#undef F\nstatic int f(int a,\n             int b)\n{\n"
     + "    if (a) {\n    }\n" * 28 + "    b++;\n}\n"),
    ("file", "lab/a.c", "int a;\n" * 400),
    ("file", "tests/a.py", "a = 1\n" * 400),
    ("file", "bench/a.py", "a = 1\n" * 400),
    ("name", "cli/a.c", 'if (!strcmp(name, "zeus")) return 1;\n'),
    ("name", "src/engine/a.c", "int zeus_step;\n"),
    ("name", "cli/a.c", "int is_titan;\n"),
    ("threads", "src/optimizer/a.c", "#include <pthread.h>\n"),
    ("environment", "src/optimizer/a.c", 'char *e = getenv("A");\n'),
    ("cpu", "src/engine/a.c", "#ifdef __AVX2__\n"),
    ("banned", "src/checkpoint/a.c", 'void f(void) { printf("a"); }\n'),
    ("banned", "src/optimizer/a.c", "void f(void) { abort(); }\n"),
    ("unfinished", "lab/a.c", "/* " + "TO" + "DO */\n"),
    ("rules", "rules/a.h", "int a;\n"),
]
# And what must not be found: a clean tree, near misses.
CLEAN = {
    "rules/zeus.c": '#define RULE_PRESETS(PRESET) PRESET("titan", "", "", "", "", 1)\n'
                    '#include "engine/rule.h"\n',
    "src/engine/cpu.c": "#include <cpuid.h>\n#ifdef __AVX2__\n#endif\n",
    "src/optimizer/threads.c": "#include <pthread.h>\nint f(void) { return 0; }\n"
                               'char *e(void) { return getenv("EDEN"); }\n',
    "src/optimizer/b.c": "/* zeus, printf(), TOD */\nint zeusical; int n = snprintf(0, 0, 0);\n",
    "cli/b.c": "int f(void)\n{\n" + "    g();\n" * 55 + "}\n",
    "lab/c.c": "static const int a[F(2)] = {\n" + "    1,\n" * 70 + "};\nint f(int a,\n      int b);\n",
    "mpi/b.c": '#include <mpi.h>\n#include "world.h"\n#include "optimizer/backend.h"\n',
    "bench/b.c": "#include <eden/eden.h>\n#include <ggml-cpu.h>\nint zeus_step;\n",
    "bench/b.py": "import json\nimport c\nfrom torch.optim import SGD\n",
    "bench/c.py": "import os\n",
    "lab/rates.c": 'const char *a = "zeus";\n',
    "tests/b.c": '#include "engine/rule.h"\nconst char *a = "zeus";\n',
}


def plant(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def self_test():
    failed = 0
    for rule, name, text in [("", "", "")] + PLANTED:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            plant(root, CLEAN)
            if name:
                plant(root, {name: text})
            rules = {found for found, _ in House(root).check_all()}
            if rules != ({rule} if rule else set()):
                failed += 1
                print(f"self-test: planted {rule or 'nothing'} in {name}, found {rules or 'nothing'}")
    print(f"self-test: {len(PLANTED) + 1 - failed} of {len(PLANTED) + 1} as they should be")
    return failed


def main():
    arguments = sys.argv[1:]
    failed = 0
    if not arguments or arguments == ["--self-test"]:
        failed = self_test()
    if arguments != ["--self-test"]:
        root = pathlib.Path(arguments[0] if arguments else __file__).resolve()
        house = House(root if arguments else root.parent.parent)
        for rule, text in house.check_all():
            print(f"{rule}: {text}")
        failed += len(house.found)
        comment_ratio(house.root)
        print(f"{house.checked} files checked, {len(house.found)} violations")
        if not house.checked:
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
