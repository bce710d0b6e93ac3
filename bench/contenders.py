"""Eden and the peers in C: each a thing with a name that runs so many steps.

A maker takes a work, its memory and a number of threads, and returns a contender, or
None if that peer has no such work. Missing says why a peer is not here at all.
"""
import ctypes
import os
import pathlib
import subprocess

import work as works

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
ADAMW = (1e-3, 0.9, 0.999, 1e-8, 0.01)


class Missing(Exception):
    pass


def compile_library(folder, name, arguments, text=None):
    """A shared library from a source in bench/ or from `text`. Compiling and linking are
    apart, because linking with -Ofast would change how the whole process rounds."""
    compiler = os.environ.get("CC", "cc").split()
    made = pathlib.Path(folder) / name
    flags = [a for a in arguments if not a.startswith(("-l", "-L", "-Wl,"))]
    links = [a for a in arguments if a.startswith(("-l", "-L", "-Wl,")) or a == "-fopenmp"]
    source = str(HERE / f"{name}.c") if text is None else "-"
    for command in ([*compiler, *flags, "-fPIC", "-x", "c", "-c", source, "-o", f"{made}.o"],
                    [*compiler, "-shared", f"{made}.o", "-o", f"{made}.so", *links]):
        try:
            done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=300)
        except OSError as error:
            raise Missing(f"no compiler, {error}; CC names one") from None
        if done.returncode:
            words = [line for line in done.stderr.splitlines() if "error" in line.lower()
                     or "cannot find" in line] or done.stderr.splitlines() or ["?"]
            raise Missing(f"cannot be compiled: {words[0].strip()}")
    return ctypes.CDLL(f"{made}.so")


# ---- Eden ---------------------------------------------------------------------

class Case(ctypes.Structure):
    """bench_case of loop.c."""
    _fields_ = [("size", ctypes.c_uint64), ("tensors", ctypes.c_uint64),
                ("rows", ctypes.c_uint64), ("cols", ctypes.c_uint64),
                ("weights", ctypes.c_void_p), ("grads", ctypes.c_void_p),
                ("copy", ctypes.c_void_p), ("rule", ctypes.c_char_p),
                ("settings", ctypes.c_char_p), ("clip_norm", ctypes.c_double),
                ("loss_scale", ctypes.c_double), ("threads", ctypes.c_uint32),
                ("nonfinite", ctypes.c_uint32), ("zero_grad", ctypes.c_uint32),
                ("dtype", ctypes.c_uint32), ("grad_dtype", ctypes.c_uint32),
                ("state_dtype", ctypes.c_uint32), ("copy_dtype", ctypes.c_uint32),
                ("reserved", ctypes.c_uint32)]


def find_eden(asked):
    for path in [asked] if asked else sorted(ROOT.glob("build*/**/libeden.so"),
                                             key=lambda p: -p.stat().st_mtime):
        if pathlib.Path(path).is_file() and "sanitize" not in str(path):
            return str(path)
    raise Missing(f"{asked or 'build/**/libeden.so'} is not there; build Eden first, or say "
                  "--eden FILE")


class Eden:
    name = "Eden"

    def __init__(self, library, case, memory):
        self.lib, self.memory = library, memory
        text = ctypes.create_string_buffer(512)
        self.at = library.bench_eden_create(ctypes.byref(case), text, len(text))
        if not self.at:
            raise RuntimeError(f"Eden: {text.value.decode()}")

    def run(self, steps):
        fresh = self.memory.fresh
        seconds = self.lib.bench_eden_run(
            self.at, steps, self.memory.grads.address, fresh and fresh.address,
            self.memory.grads.size)
        if seconds < 0:
            raise RuntimeError(f"Eden: {self.lib.bench_eden_error(self.at).decode()}")
        return seconds

    def close(self):
        self.lib.bench_eden_destroy(self.at)


def eden(folder, path):
    """The maker, and the version."""
    shared = ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
    shared.eden_version.restype = shared.eden_isa_name.restype = ctypes.c_char_p
    shared.eden_isa_best.restype, shared.eden_isa_name.argtypes = ctypes.c_size_t, [ctypes.c_size_t]
    library = compile_library(folder, "loop", ["-O2", f"-I{ROOT / 'include'}", "-std=gnu11"])
    library.bench_eden_create.restype = ctypes.c_void_p
    library.bench_eden_create.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    library.bench_eden_destroy.argtypes = library.bench_eden_error.argtypes = [ctypes.c_void_p]
    library.bench_eden_error.restype = ctypes.c_char_p
    library.bench_eden_run.restype = ctypes.c_double
    library.bench_eden_run.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p,
                                       ctypes.c_void_p, ctypes.c_size_t]

    def make(work, memory, threads):
        rows, cols = work.shape(memory.elements)
        # Peers that do not look at the gradients are met by an Eden that does not.
        nonfinite = 0 if work.phase else 2
        case = Case(ctypes.sizeof(Case), work.tensors, rows, cols, memory.weights.address,
                    memory.grads.address, memory.copy and memory.copy.address,
                    work.rule.encode(), works.RULES[work.rule][0].encode(),
                    1.0 if work.phase else 0.0, work.scale, threads, nonfinite, int(work.zero),
                    work.dtype, work.grad_dtype, work.state_dtype, works.BF16, 0)
        return Eden(library, case, memory)

    version = f"{shared.eden_version().decode()}, {shared.eden_isa_name(shared.eden_isa_best()).decode()}"
    return make, version


# ---- ggml and llm.c --------------------------------------------------------------

class Loop:
    """A library with NAME_run(at, steps) and NAME_destroy(at)."""
    def __init__(self, name, library, prefix, at, memory):
        self.name, self.at, self.memory = name, at, memory
        self.step = getattr(library, f"{prefix}_run")
        self.end = getattr(library, f"{prefix}_destroy")
        self.step.restype, self.step.argtypes = ctypes.c_double, [ctypes.c_void_p, ctypes.c_uint64]
        self.end.argtypes = [ctypes.c_void_p]

    def run(self, steps):
        seconds = self.step(self.at, steps)
        if seconds < 0:
            raise RuntimeError(f"{self.name}: the step failed")
        return seconds

    def close(self):
        self.end(self.at)


def plain_adamw(work):
    return (work.rule == "adamw" and work.dtype == work.grad_dtype == works.F32
            and not work.phase and not work.copy)


def ggml(folder):
    where = os.environ.get("GGML_DIR")
    arguments = ["-O2", "-std=gnu11", "-lm"]
    if where:
        found = sorted({str(p.parent.resolve()) for p in pathlib.Path(where).rglob("libggml*.so")})
        if not found or not (pathlib.Path(where) / "include" / "ggml.h").is_file():
            raise Missing(f"GGML_DIR={where} lacks include/ggml.h or a built libggml.so")
        arguments += [f"-I{where}/include"] + [a for p in found for a in (f"-L{p}", f"-Wl,-rpath,{p}")]
    try:
        library = compile_library(folder, "ggml", arguments + ["-lggml", "-lggml-cpu", "-lggml-base"])
    except Missing as error:
        raise Missing(f"{error}{'' if where else '; GGML_DIR points to a built tree'}") from None
    library.bench_ggml_create.restype = ctypes.c_void_p
    library.bench_ggml_create.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64,
                                          ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int,
                                          ctypes.c_void_p]

    def make(work, memory, threads):
        if not plain_adamw(work):
            return None
        rows, cols = work.shape(memory.elements)
        at = library.bench_ggml_create(memory.weights.address, memory.grads.address, work.tensors,
                                       rows, cols, threads, (ctypes.c_float * 5)(*ADAMW))
        if not at:
            raise RuntimeError("ggml: out of memory")
        return Loop("ggml", library, "bench_ggml", at, memory)

    try:
        library.ggml_version.restype = ctypes.c_char_p
        version = library.ggml_version().decode()
    except AttributeError:
        version = "of unknown version"
    return {"ggml": make}, version


# gpt2_update() is made of their source with their flags; only the clock is ours.
LLMC = """
#define TESTING
#include "train_gpt2.c"
void *bench_llmc_create(float *weights, float *grads, size_t count)
{
    GPT2 *model = calloc(1, sizeof *model);
    if (!model) return NULL;
    model->params_memory = weights;
    model->grads_memory = grads;
    model->num_parameters = count;
    return model;
}
void bench_llmc_destroy(GPT2 *model)
{
    free(model->m_memory);
    free(model->v_memory);
    free(model);
}
double bench_llmc_run(GPT2 *model, unsigned long long steps)
{
    static int step;
    struct timespec a, b;
    if (!model->m_memory) step = 0;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (unsigned long long i = 0; i < steps; i++)
        gpt2_update(model, 1e-3f, 0.9f, 0.999f, 1e-8f, 0.01f, ++step);
    clock_gettime(CLOCK_MONOTONIC, &b);
    return (b.tv_sec - a.tv_sec) + 1e-9 * (b.tv_nsec - a.tv_nsec);
}
"""


def llmc(folder):
    where = os.environ.get("LLMC_DIR")
    if not where:
        raise Missing("LLMC_DIR points to no checkout")
    if not (pathlib.Path(where) / "train_gpt2.c").is_file():
        raise Missing(f"LLMC_DIR={where} has no train_gpt2.c")
    library = compile_library(folder, "llmc", [
        "-Ofast", "-march=native", "-fopenmp", "-DOMP", f"-I{where}", "-w", "-lm"], LLMC)
    library.bench_llmc_create.restype = ctypes.c_void_p
    library.bench_llmc_create.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]

    def make(work, memory, threads):
        if not plain_adamw(work) or work.tensors > 1:
            return None
        at = library.bench_llmc_create(memory.weights.address, memory.grads.address,
                                       memory.elements)
        return Loop("llm.c", library, "bench_llmc", at, memory)

    return {"llm.c": make}, "-Ofast -march=native -fopenmp; its update has one thread"
