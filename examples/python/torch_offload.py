#!/usr/bin/env python3
"""The optimizer of a model on the CPU, with 8-bit state, while the model computes elsewhere.

The device keeps bfloat16 weights alone. The CPU keeps what an optimizer needs: the same
weights, the 16 bits that each lacks of float32 (master="split"), and two running means of 8
bits (state="q8"): 6 bytes a weight instead of 16. Each step moves gradients there and weights
back. Without a GPU the "device" is the CPU too, and all else is the same.

    pip install torch ./python
    python3 examples/python/torch_offload.py
"""
import torch

import eden.torch


class Offloaded:
    """A model's optimizer in the CPU's memory."""
    def __init__(self, model, **settings):
        self.model = list(model.parameters())
        self.host = [torch.nn.Parameter(p.detach().to("cpu", copy=True)) for p in self.model]
        self.optimizer = eden.torch.AdamW(self.host, state="q8", master="split", clip_norm=1.0, **settings)

    def step(self):
        for p, host in zip(self.model, self.host):
            host.grad = p.grad.to("cpu") if p.grad is not None else None
        self.optimizer.step()
        with torch.no_grad():
            for p, host in zip(self.model, self.host):
                p.copy_(host)

    def bytes_per_weight(self):
        """Of weights and state on the CPU."""
        kept = [t for state in self.optimizer.state.values() for t in state.values()] + self.host
        return sum(t.numel() * t.element_size() for t in kept) / sum(p.numel() for p in self.host)


def main():
    torch.manual_seed(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = torch.nn.Sequential(torch.nn.Linear(256, 1024), torch.nn.GELU(), torch.nn.Linear(1024, 256))
    model = model.to(device, torch.bfloat16)
    offloaded = Offloaded(model, lr=1e-3)
    inputs = torch.randn(512, 256, device=device).bfloat16()
    wanted = torch.tanh(inputs.roll(1, dims=1))
    for step in range(60):
        loss = torch.nn.functional.mse_loss(model(inputs), wanted)
        model.zero_grad()
        loss.backward()
        offloaded.step()
        if step % 20 == 0 or step == 59:
            print(f"step {step:3}  loss {loss:.4f}")
    print(f"{offloaded.bytes_per_weight():.2f} bytes a weight on the CPU, and 2 on {device}")


if __name__ == "__main__":
    main()
