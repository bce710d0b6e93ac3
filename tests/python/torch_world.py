"""What the tests of eden.torch share: the classes that PyTorch has too, with their options, and small weights."""
import inspect
import unittest

try:
    import torch
except ImportError as error:
    raise unittest.SkipTest("PyTorch is not installed, and eden.torch is made for it") from error

import eden.torch

# Every option both have, each in a setting that is not the default.
OPTIONS = {
    "SGD": [{}, {"momentum": 0.9}, {"momentum": 0.9, "dampening": 0.3}, {"momentum": 0.9, "nesterov": True},
            {"weight_decay": 0.1}, {"momentum": 0.9, "weight_decay": 0.1, "maximize": True}],
    "Adam": [{}, {"betas": (0.8, 0.95)}, {"eps": 1e-3}, {"weight_decay": 0.1}, {"amsgrad": True},
             {"weight_decay": 0.1, "decoupled_weight_decay": True}, {"maximize": True}],
    "AdamW": [{}, {"betas": (0.8, 0.95)}, {"eps": 1e-3}, {"weight_decay": 0.1}, {"amsgrad": True},
              {"maximize": True}],
    "Adagrad": [{}, {"lr_decay": 0.1}, {"weight_decay": 0.1}, {"initial_accumulator_value": 0.1}, {"eps": 1e-3},
                {"maximize": True}],
    "RMSprop": [{}, {"alpha": 0.9}, {"eps": 1e-3}, {"weight_decay": 0.1}, {"momentum": 0.9}, {"centered": True},
                {"momentum": 0.9, "centered": True, "weight_decay": 0.1, "maximize": True}],
    "Adafactor": [{}, {"beta2_decay": -0.5}, {"eps": (1e-20, 1e-2)}, {"d": 2.0}, {"weight_decay": 0.1},
                  {"maximize": True}],
}


def _there(name, options):
    """Is it in this PyTorch? The older ones have fewer classes and options."""
    kind = getattr(torch.optim, name, None)
    return kind is not None and set(options) <= set(inspect.signature(kind).parameters)


NEWEST = all(_there(name, options) for name, all_options in OPTIONS.items() for options in all_options)
OPTIONS = {name: [options for options in all_options if _there(name, options)]
           for name, all_options in OPTIONS.items() if _there(name, {})}
newest = unittest.skipUnless(NEWEST, f"PyTorch {torch.__version__} does not have what this compares with")
# One a class, with as much state as it can have.
FULLEST = [(name, max(all_options, key=len)) for name, all_options in OPTIONS.items()]
CASES = [(name, options) for name, all_options in OPTIONS.items() for options in all_options]


def weights(dtype=torch.float32, seed=0, shapes=((7, 5), (11,), (3, 1), ())):
    make = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape, generator=make).to(dtype)) for shape in shapes]


def gradients(params, step):
    make = torch.Generator().manual_seed(1000 + step)
    for p in params:
        p.grad = torch.randn(p.shape, generator=make).to(p.dtype)


def run(optimizer, params, first, last, before=None):
    for step in range(first, last):
        gradients(params, step)
        if before:
            before(step, params, optimizer)
        optimizer.step()
    return params


def values(params):
    return [p.detach().clone().contiguous() for p in params]


def make(module, name, params, options):
    return getattr(module, name)(params, **{"lr": 0.01, **options})


def gap(some, others):
    """The largest difference, relative to the largest value."""
    return max((float((a.detach().double() - b.detach().double()).abs().max()
                      / (b.detach().double().abs().max() + 1e-30)) for a, b in zip(some, others) if a.numel()),
               default=0.0)
