"""What a training step costs on this machine: processor time of one thread for a picture, in milliseconds.

    python -m recipe.steps DATASET [--size 416x256] [--batch 16] [--steps 8]

Processor time, not the clock: a busy machine stretches the clock, and caches shared with others stretch this too.
"""

import argparse
import time
from pathlib import Path

import torch

from .data import Dataset, Varied, gather
from .loss import loss
from .model import LABELS, Net, grid

WAYS = {"f32": (False, []), "bfloat16": (True, []), "bfloat16, stem held": (True, ["stem"]), "bfloat16, stem and down4 held": (True, ["stem", "down4"])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--size", default="416x256")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=8)
    given = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(1)
    size = tuple(int(v) for v in given.size.split("x"))
    data = Dataset(given.dataset, "train")
    varied = Varied(data, size, 1)
    first = lambda k: gather([varied[(k * given.batch + n) % len(varied)] for n in range(given.batch)])
    begin = time.process_time()
    batches = [first(k) for k in range(4)]
    print(f"preparation {(time.process_time() - begin) / 4 / given.batch * 1e3:.1f}", end="")
    # Mosaics take others too, so every picture is decoded before.
    decoded = [data.picture(k) for k in range(len(data))]
    data.picture = lambda k: decoded[k]
    begin = time.process_time()
    batches = [first(k) for k in range(4)]
    print(f", of decoded pictures {(time.process_time() - begin) / 4 / given.batch * 1e3:.1f}")
    for name, (short, held) in WAYS.items():
        spent = measured(batches, grid(*size), short, held, given.steps)
        print(f"{name}: " + ", ".join(f"{part} {value:.1f}" for part, value in spent.items()) + f"; together {sum(spent.values()):.1f}", flush=True)


def measured(batches, cells, short, held, steps):
    """Milliseconds a picture of each part of a step; the first two steps are not counted."""
    net = Net().freeze(held).train().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=1e-6, fused=True)
    spent = dict.fromkeys(["forward", "loss", "backward", "weights"], 0.0)
    for step in range(steps + 2):
        pictures, wanted = batches[step % len(batches)]
        at = [time.process_time()]
        with torch.autocast("cpu", torch.bfloat16, enabled=short):
            raw = net(pictures)
        at.append(time.process_time())
        value, _ = loss(raw, wanted, cells, len(LABELS))
        at.append(time.process_time())
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        at.append(time.process_time())
        torch.nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimiser.step()
        at.append(time.process_time())
        if step >= 2:
            for name, begin, end in zip(spent, at, at[1:]):
                spent[name] += (end - begin) * 1e3 / steps / len(wanted)
    return spent


if __name__ == "__main__":
    main()
