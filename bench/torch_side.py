"""PyTorch's optimizers and DeepSpeed's, over the memory that Eden uses too."""
import ctypes
import os
import time

import work as works
from contenders import Missing


class Python:
    """A contender whose step is a Python function, as its users call it."""
    def __init__(self, name, memory, step):
        self.name, self.memory, self.step = name, memory, step

    def run(self, steps):
        step, clock = self.step, time.perf_counter
        if not self.memory.fresh:
            begun = clock()
            for _ in range(steps):
                step()
            return clock() - begun
        seconds = 0.0
        for _ in range(steps):
            self.memory.refill()
            begun = clock()
            step()
            seconds += clock() - begun
        return seconds

    def close(self):
        self.step = None


def import_torch():
    try:
        import torch
    except ImportError as error:
        raise Missing(f"{error}; run with a Python that has it") from None
    except OSError as error:
        raise Missing(f"PyTorch does not load: {str(error).splitlines()[0]}") from None
    return torch


def view(torch, area, dtype):
    kind = torch.float32 if dtype == works.F32 else torch.bfloat16
    return torch.frombuffer(memoryview(area.map), dtype=kind)


def parts(flat, work, elements):
    rows, cols = work.shape(elements)
    return [flat[i * rows * cols:(i + 1) * rows * cols].view(rows, cols)
            for i in range(work.tensors)]


def make_params(torch, work, memory):
    """Weights with their gradients, and with bf16-master the model's two."""
    weights = [torch.nn.Parameter(w) for w in parts(view(torch, memory.weights, work.dtype),
                                                    work, memory.elements)]
    grads = parts(view(torch, memory.grads, work.grad_dtype), work, memory.elements)
    if not work.copy:
        for weight, grad in zip(weights, grads):
            weight.grad = grad
        return weights, None, None
    for weight in weights:
        weight.grad = torch.zeros_like(weight)
    return weights, grads, parts(view(torch, memory.copy, works.BF16), work, memory.elements)


def phase_step(torch, work, weights, optimizer, foreach):
    """The usual calls between backward and the next forward."""
    clip = torch.nn.utils.clip_grad_norm_
    if work.scale:
        scaler = torch.amp.GradScaler("cpu", init_scale=work.scale, growth_interval=2**31 - 1)
        scaler.scale(torch.zeros(()))  # makes the scale, as the loss does

        def step():
            scaler.unscale_(optimizer)
            clip(weights, 1.0, foreach=foreach)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=False)
    else:
        def step():
            clip(weights, 1.0, error_if_nonfinite=True, foreach=foreach)
            optimizer.step()
            if work.zero:
                optimizer.zero_grad(set_to_none=False)
    return step


def step_of(torch, work, memory, optimizer_of, foreach):
    weights, grads, model = make_params(torch, work, memory)
    optimizer = optimizer_of(weights)
    if work.phase:
        return phase_step(torch, work, weights, optimizer, foreach)
    if not work.copy:
        return optimizer.step
    masters = [w.detach() for w in weights]

    def step():
        torch._foreach_copy_([w.grad for w in weights], grads)
        optimizer.step()
        torch._foreach_copy_(model, masters)
    return step


def pytorch(_folder):
    torch = import_torch()

    def maker(name, **kind):
        def make(work, memory, threads):
            title, arguments = works.RULES[work.rule][1:]
            cls = getattr(torch.optim, title, None) if title else None
            # PyTorch keeps its state in the dtype of the weights.
            if cls is None or work.state_dtype != work.dtype:
                return None
            options = dict(kind)
            if title in ("Adafactor", "RMSprop"):  # which have no fused form
                if options.pop("fused"):
                    return None
            try:
                cls([torch.nn.Parameter(torch.zeros(8))], **arguments, **options)
            except (TypeError, RuntimeError):  # an older PyTorch without this kind
                return None
            torch.set_num_threads(threads)
            step = step_of(torch, work, memory, lambda w: cls(w, **arguments, **options),
                           kind["foreach"] or kind["fused"])
            return Python(name, memory, step)
        return make

    version = f"{torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"
    return {"loop": maker("loop", foreach=False, fused=False),
            "each": maker("each", foreach=True, fused=False),
            "fused": maker("fused", foreach=False, fused=True)}, version


def compiled(_folder):
    """foreach under torch.compile: slow to make, so only if asked for."""
    torch = import_torch()

    def make(work, memory, threads):
        title, arguments = works.RULES[work.rule][1:]
        if not title or work.state_dtype != work.dtype or work.phase or work.copy:
            return None
        torch.set_num_threads(threads)
        torch._dynamo.reset()
        cls = getattr(torch.optim, title)
        step = step_of(torch, work, memory, lambda w: cls(w, foreach=True, **arguments), True)
        return Python("compiled", memory, torch.compile(step))

    return {"compiled": make}, torch.__version__


def deepspeed(_folder):
    torch = import_torch()
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ.setdefault("DEEPSPEED_LOG_LEVEL", "error")
    try:
        import deepspeed as library
        from deepspeed.ops.adagrad import DeepSpeedCPUAdagrad
        from deepspeed.ops.adam import DeepSpeedCPUAdam
        from deepspeed.ops.lion import DeepSpeedCPULion
        DeepSpeedCPUAdam([torch.nn.Parameter(torch.zeros(8))])  # builds it
    except ImportError as error:
        raise Missing(str(error)) from None
    except Exception as error:  # whatever a build can die of
        raise Missing(f"its CPUAdam cannot be built: {error}") from None
    classes = {"adamw": DeepSpeedCPUAdam, "adam": DeepSpeedCPUAdam, "lion": DeepSpeedCPULion,
               "adagrad": DeepSpeedCPUAdagrad}

    def make(work, memory, threads):
        cls = classes.get(work.rule)
        if cls is None:
            return None
        options = dict(works.RULES[work.rule][2])
        if cls is DeepSpeedCPUAdam:
            options["adamw_mode"] = work.rule == "adamw"
        if work.state_dtype == works.BF16:
            options["fp32_optimizer_states"] = False
        torch.set_num_threads(threads)
        return Python("DeepSpeed", memory,
                      step_of(torch, work, memory, lambda weights: cls(weights, **options), True))

    return {"DeepSpeed": make}, library.__version__
