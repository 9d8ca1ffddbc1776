"""Trains the detector.

    python -m recipe.train DATASET --out RUN                    from nothing
    python -m recipe.train DATASET --out RUN --from OLD/best.pt fine-tunes: shorter, slower steps
    python -m recipe.train DATASET --out RUN --minutes 45       as many rounds as the time allows

RUN gets `best.pt`, `last.pt`, `metrics.csv`, `curves.png`, `run.json`, and `mlruns/`, which MLflow opens (README).
"""

import argparse
import copy
import csv
import math
import time
from pathlib import Path

import numpy as np
import torch

from .data import Dataset, Varied, gather
from .loss import loss
from .model import LABELS, WIDTHS, Net, cost, grid
from .record import Record
from .restore import from_onnx, settled
from .score import average_precision


def main():
    given = arguments()
    torch.manual_seed(given.seed)
    torch.set_num_threads(given.threads)
    size = tuple(int(v) for v in given.size.split("x"))
    net = Net(widths=tuple(int(v) for v in given.widths.split(",")))
    if given.start:
        net = started(given.start)
    net.freeze(given.freeze)
    train, val = Dataset(given.dataset, "train", decoded=given.decoded), Dataset(given.dataset, "val")
    if given.start and given.start.suffix == ".onnx":
        # There its normalisations are folded in. By batches they would change what it answers until they are learnt again.
        some = Varied(train, size, given.seed)
        settled(net, gather([some[k] for k in range(0, len(some), max(len(some) // 64, 1))])[0])
    macs, parameters = cost(*size, net.widths)
    record = Record(given.out, given.dataset, {**vars(given), "macs": macs, "parameters": parameters, "train": len(train), "val": len(val)})
    print(f"{len(train)} pictures, {parameters} parameters, {macs / 1e6:.0f} M multiply-adds", flush=True)
    Trainer(net, train, val, size, given, record).all()


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--from", dest="start", type=Path, help="weights to begin with (`best.pt`, or an ONNX file of `recipe.export`)")
    parser.add_argument("--size", default="416x256")
    parser.add_argument("--widths", default=",".join(map(str, WIDTHS)))
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--minutes", type=float, default=0, help="end after this long; the schedule is stretched to it")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--decay", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--small-until", type=float, default=0.45, help="share of the schedule that is trained at three quarters of the size, which is faster")
    parser.add_argument("--mosaic", type=float, default=0.5, help="share of training pictures that are joined of four; small networks often do better with few")
    parser.add_argument("--repeat", nargs="*", default=[], metavar="LABEL=TIMES", help="pictures with a rare label come several times a round")
    parser.add_argument("--class-weight", nargs="*", default=[], metavar="LABEL=FACTOR", help="what wrong boxes and classes of a label cost, beside others")
    parser.add_argument("--freeze", nargs="*", default=[], metavar="NAME", help="convolutions that stay as they are, from the first on (stem down4): a step costs a third less")
    parser.add_argument("--per-round", type=int, default=0, help="pictures of a round, drawn anew each time; 0: all. For short rounds on a slow machine")
    parser.add_argument("--decoded", type=Path, help="file to keep decoded training pictures in, for speed")
    parser.add_argument("--bf16", action="store_true", help="compute in bfloat16 where PyTorch may: faster on processors with AVX512-BF16; weights stay f32")
    parser.add_argument("--val-most", type=int, default=300, help="pictures looked at after each round")
    return parser.parse_args()


def started(path):
    """A network with weights of a run, or of an ONNX file that `recipe.export` wrote."""
    if path.suffix == ".onnx":
        return from_onnx(path)
    kept = torch.load(path, map_location="cpu", weights_only=True)
    net = Net(widths=kept["widths"])
    net.load_state_dict(kept["net"])
    return net


class Trainer:
    """One run."""

    def __init__(self, net, train, val, size, given, record):
        net.to(memory_format=torch.channels_last)
        self.net, self.val, self.size, self.given, self.record = net, val, size, given, record
        repeat = [(LABELS.index(name), int(times)) for name, times in (part.split("=") for part in given.repeat)]
        self.varied = Varied(train, size, given.seed, repeat=repeat)
        self.weights = torch.ones(len(LABELS))
        for name, factor in (part.split("=") for part in given.class_weight):
            self.weights[LABELS.index(name)] = float(factor)
        self.cells = grid(*size)
        self.mean = copy.deepcopy(net).eval()
        self.steps, self.begin, self.best = 0, time.monotonic(), -1.0
        trained = [p for p in net.parameters() if p.requires_grad]
        weights, others = [p for p in trained if p.ndim > 1], [p for p in trained if p.ndim <= 1]
        self.optimiser = torch.optim.AdamW([{"params": weights, "weight_decay": given.decay}, {"params": others, "weight_decay": 0.0}], lr=given.rate, fused=True)

    def all(self):
        """All rounds."""
        rows = []
        for number in range(self.given.epochs):
            if self.share(number, 0) >= 1:
                break
            parts = self.round(number)
            found = average_precision(self.mean, self.val, self.size, self.cells, len(LABELS), most=self.given.val_most)
            row = {"epoch": number, "minutes": round((time.monotonic() - self.begin) / 60, 2), "rate": self.optimiser.param_groups[0]["lr"],
                   **parts, **{f"ap50_{name}": round(ap, 4) for name, ap in zip(LABELS, found)}, "map50": round(float(np.nanmean(found)), 4)}
            rows.append(row)
            self.keep(row, rows)
        self.record.finish(rows)

    def share(self, number, inside):
        """How much of the schedule is over, from 0 to 1: by time where minutes are given, else by rounds."""
        if self.given.minutes:
            return (time.monotonic() - self.begin) / 60 / self.given.minutes
        return (number + inside) / self.given.epochs

    def rate(self, share):
        """A short rise, then half a cosine down to a fiftieth."""
        rise = min(self.steps / 200, 1.0) if not self.given.start else 1.0
        return self.given.rate * rise * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(share, 1.0))))

    def round(self, number):
        """One pass over the training pictures. Returns mean losses."""
        self.net.train()
        self.varied.round = number
        share = self.share(number, 0)
        self.varied.mosaic = self.given.mosaic if share < 0.8 else min(self.given.mosaic, 0.1)
        self.varied.size = self.size if share >= self.given.small_until else tuple(max(side * 3 // 4 // 32, 1) * 32 for side in self.size)
        cells = grid(*self.varied.size)
        order = torch.Generator().manual_seed(self.given.seed * 1000 + number)
        chosen = torch.utils.data.RandomSampler(self.varied, generator=order, num_samples=self.given.per_round or None)
        loader = torch.utils.data.DataLoader(self.varied, self.given.batch, sampler=chosen, num_workers=self.given.workers, collate_fn=gather,
                                             drop_last=len(chosen) >= self.given.batch, prefetch_factor=4 if self.given.workers else None)
        sums, count = {}, 0
        for pictures, wanted in loader:
            share = self.share(number, count / max(len(loader), 1))
            if share >= 1:
                break
            for group in self.optimiser.param_groups:
                group["lr"] = self.rate(share)
            with torch.autocast("cpu", torch.bfloat16, enabled=self.given.bf16):
                raw = self.net(pictures.to(memory_format=torch.channels_last))
            value, parts = loss(raw, wanted, cells, len(LABELS), self.weights)
            self.optimiser.zero_grad(set_to_none=True)
            value.backward()
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), 10.0)
            self.optimiser.step()
            self.steps, count = self.steps + 1, count + 1
            self.follow()
            sums = {name: sums.get(name, 0.0) + part for name, part in parts.items()}
        return {name: round(part / max(count, 1), 4) for name, part in sums.items()}

    @torch.no_grad()
    def follow(self):
        """The mean of the weights over the last steps, which is what is kept."""
        keep = min(0.998, (1 + self.steps) / (10 + self.steps))
        own = [value for value in self.net.state_dict().values() if value.dtype.is_floating_point]
        torch._foreach_lerp_([value for value in self.mean.state_dict().values() if value.dtype.is_floating_point], own, 1 - keep)

    def keep(self, row, rows):
        """Writes weights, metrics, curves."""
        kept = {"net": self.mean.state_dict(), "widths": list(self.net.widths), "size": list(self.size), "labels": LABELS, "epoch": row["epoch"]}
        torch.save(kept, self.given.out / "last.pt")
        if row["map50"] > self.best:
            self.best = row["map50"]
            torch.save(kept, self.given.out / "best.pt")
        with open(self.given.out / "metrics.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            writer.writeheader()
            writer.writerows([{name: one.get(name, "") for name in row} for one in rows])
        self.record.metrics(row)
        print(row, flush=True)


if __name__ == "__main__":
    main()
