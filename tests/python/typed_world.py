"""Scripts of users, which test_stubs gives to a type checker: what is right, and lines that are not."""

NUMPY = '''
import eden.numpy as en
import numpy as np

w = np.zeros(3, np.float32)
with en.Adam({"w": w}, lr=1e-3) as q:
    q.step({"w": w})
    with q.lookahead():
        q.step({"w": w})
    q.add({"b": w})
    q.add_group("g", {"c": w}, rule=en.SGD, lr=0.1)
    q.set(lr=0.5)
    q.set("g", lr=0.5)
    q.schedule("lr", lambda step: 1.0 / step)
    q.notes["epoch"] = "3"
    text: str = q.notes["epoch"]
    norm: float = q.grad_norm
    left: int = q.skipped + q.steps + q.state_bytes + q.steps_of("w")
    total: float = q.state("w", "m").sum().item() + float(q.get("lr"))
    with q.averaged():
        q.save("a.eden", parts="weights")
    said: list[str] = q.load("a.eden", partial=True).differences
    names: list[str] = q.names
q.close()
'''

NUMPY_WRONG = '''
import eden.numpy as en

q = en.Adam({}, lr=1e-3)
q.grad_nrom
q.step()
q.save("a", parts="weigths")
q.notes["epoch"] = 3
q.load("a").loadde
with en.Adam({}) as r:
    r.stpe({})
text: str = q.grad_norm
q.clip = 1.0
'''

TORCH = '''
import eden.torch as et
import torch

q = et.AdamW([torch.zeros(3, requires_grad=True)], lr=1e-3)
q.step()
loss = q.step(lambda: torch.zeros(()))
q.zero_grad()
q.add_param_group({"params": []})
norm: float = q.grad_norm + q.clip_norm + q.clip_value
left: int = q.skipped + q.seed
q.clip_norm = 1.0
q.nonfinite = "skip"
q.threads = None
q.load_state_dict(q.state_dict())
scheduler = torch.optim.lr_scheduler.StepLR(q, 10)
'''

TORCH_WRONG = '''
import eden.torch as et

q = et.AdamW([], lr=1e-3)
q.grad_nrom
q.clip_nrom = 1.0
q.nonfinite = "ignore"
text: str = q.skipped
'''
