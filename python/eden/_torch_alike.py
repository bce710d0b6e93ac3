"""Are tensors still of the type, dtype, shape and strides that they were found good with?

PyTorch's compiler asks this of many tensors in one call, several times quicker than their getters answer it.
That call is not public: it is tried here on what has to differ, and where it is missing or does not tell,
the engine looks at each tensor as it does the first time.
"""
import torch


def _guards():
    try:
        from torch._C._dynamo.guards import TensorGuards
        plain = torch.zeros(2, 3)
        check = TensorGuards(plain, dynamic_dims_sizes=None, dynamic_dims_strides=None).check
        others = (None, torch.zeros(3, 2), torch.zeros(6), torch.zeros(3, 2).t(), torch.zeros(2, 6)[:, ::2],
                  torch.zeros(2, 3, dtype=torch.bfloat16), torch.zeros(2, 3, device="meta"), torch.zeros(2, 3).to_sparse(),
                  torch._neg_view(plain), torch.nn.Parameter(plain.clone()), torch.zeros(2, 3, requires_grad=True))
        good = check(plain) is True and check(torch.ones(2, 3)) is True and not any(check(t) for t in others)
        return TensorGuards if good else None
    except Exception:  # whatever another version makes of it
        return None


_GUARDS = _guards()


def alike(tensors):
    """A function that says of as many tensors whether each is as the one now in its place. It may say no of
    some that are, such as one that is there twice."""
    if _GUARDS is None or not tensors:
        return never
    try:
        return _GUARDS(*tensors, dynamic_dims_sizes=None, dynamic_dims_strides=None).check
    except Exception:  # of tensors without strides
        return never


def never(*_tensors):
    return False
