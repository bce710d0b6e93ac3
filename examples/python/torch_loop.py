#!/usr/bin/env python3
"""A PyTorch training loop with one line changed: ten classes, made from noise.

    pip install torch ./python
    python3 examples/python/torch_loop.py
"""
import torch

import eden.torch


def make_data(count, generator):
    """Ten blobs of 64 features, one for each class."""
    centres = torch.randn(10, 64, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(10, (count,), generator=generator)
    return centres[labels] + 1.5 * torch.randn(count, 64, generator=generator), labels


def main():
    torch.manual_seed(1)
    generator = torch.Generator().manual_seed(1)
    images, labels = make_data(4096, generator)
    test_images, test_labels = make_data(1024, generator)
    model = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
    epochs, batch = 5, 64

    # optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    optimizer = eden.torch.AdamW(model.parameters(), lr=3e-3)
    steps = epochs * len(images) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps)

    for epoch in range(epochs):
        order = torch.randperm(len(images), generator=generator)
        for rows in order.split(batch):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(images[rows]), labels[rows])
            loss.backward()
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            right = (model(test_images).argmax(1) == test_labels).float().mean()
        print(f"epoch {epoch + 1}  loss {loss:.4f}  test accuracy {100 * right:.1f} %")


if __name__ == "__main__":
    main()
