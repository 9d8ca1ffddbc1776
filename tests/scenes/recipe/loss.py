"""Which cell answers for which box (SimOTA; Ge et al., YOLOX, 2021), and what wrong answers cost."""

import numpy as np
import torch
from torch.nn import functional

from .model import boxes as decoded


def loss(raw, wanted, cells, classes, weights=None):
    """Loss of a batch and its parts; `wanted` holds each picture's boxes (corners, class; −1: ignore), `weights` what each class counts.

    Gradients go through one gathering for the whole batch: one for each picture costs a table of the batch's size each time.
    """
    raw = raw.float()
    weights = torch.ones(classes) if weights is None else weights
    objectness, weight, at, rows, overlap = answering(raw.detach(), wanted, cells)
    count = max(len(at), 1)
    obj = functional.binary_cross_entropy_with_logits(raw[..., 4], objectness, weight, reduction="sum") / count
    if len(at):
        # The grid repeats for each picture, so a place in the flat batch tells the cell.
        own = raw.flatten(0, 1)[at]
        kind = rows[:, 4].long()
        counts = weights[kind]
        box = ((1 - giou(decoded(own, cells[at % len(cells)]), rows[:, :4])) * counts).sum() / count
        target = functional.one_hot(kind, classes).float() * overlap[:, None]
        cls = functional.binary_cross_entropy_with_logits(own[:, 5:], target, counts[:, None].expand_as(target), reduction="sum") / count
    else:
        box = cls = raw.sum() * 0
    return 5 * box + obj + cls, {"box": float(box.detach()), "objectness": float(obj.detach()), "class": float(cls.detach())}


@torch.no_grad()
def answering(raw, wanted, cells):
    """Each cell's objectness and how much that counts (pictures × cells); then, of the cells that answer for a box, their places
    in the flat batch, the boxes (n × 5), and how well they overlap already.

    In numpy from the picture on: these are many calls on little data, and each of PyTorch's costs several times as much.
    """
    found, score = decoded(raw, cells).numpy(), (raw[..., 4:5].sigmoid() * raw[..., 5:].sigmoid()).sqrt().clamp(1e-6, 1 - 1e-6)
    other = (1 - score).log()
    # What it costs to say each class: the class itself, and all others.
    dear = (other - score.log() - other.sum(-1, keepdim=True)).numpy()
    middles = np.column_stack([(cells[:, :2].numpy() + 0.5) * cells[:, 2:].numpy(), cells[:, 2].numpy()])
    objectness, weight = np.zeros(raw.shape[:2], np.float32), np.ones(raw.shape[:2], np.float32)
    places, boxes, overlaps = [np.zeros(0, int)], [np.zeros((0, 5), np.float32)], [np.zeros(0, np.float32)]
    for n, rows in enumerate(wanted):
        rows = np.asarray(rows)
        ignored, rows = rows[rows[:, 4] < 0], rows[rows[:, 4] >= 0]
        if len(ignored):
            weight[n, inside(ignored, middles).any(1)] = 0
        if not len(rows):
            continue
        cell, which, overlap = assigned(dear[n], found[n], rows, middles)
        objectness[n, cell], weight[n, cell] = 1, 1
        places.append(cell + n * len(cells)), boxes.append(rows[which]), overlaps.append(overlap)
    joined = (torch.from_numpy(np.concatenate(part)) for part in (places, boxes, overlaps))
    return torch.from_numpy(objectness), torch.from_numpy(weight), *joined


def inside(rows, middles):
    """Cells × boxes: whether the cell's middle lies in the box."""
    x, y = middles[:, :1], middles[:, 1:2]
    return (x > rows[:, 0]) & (x < rows[:, 2]) & (y > rows[:, 1]) & (y < rows[:, 3])


def assigned(dear, found, rows, middles, radius=1.5):
    """Cells, the box each answers for, and how well it overlaps already. `dear`: cells × classes; `middles`: column, row and stride in pixels."""
    reach = radius * middles[:, 2:]
    central = (np.abs(middles[:, :1] - (rows[:, 0] + rows[:, 2]) / 2) < reach) & (np.abs(middles[:, 1:2] - (rows[:, 1] + rows[:, 3]) / 2) < reach)
    within = inside(rows, middles)
    able = np.flatnonzero((central | within).any(1))
    overlap = iou(found[able], rows[:, :4])
    cost = dear[able][:, rows[:, 4].astype(int)] - 3 * np.log(overlap + 1e-8) + np.float32(1e5) * ~(central[able] & within[able])
    most = min(10, len(able))
    wanted = np.partition(overlap, len(able) - most, 0)[len(able) - most:].sum(0).astype(int).clip(1, len(able))
    chosen = np.zeros(cost.shape, bool)
    for n, many in enumerate(wanted):
        chosen[np.argpartition(cost[:, n], many - 1)[:many], n] = True
    several = np.flatnonzero(chosen.sum(1) > 1)
    if len(several):
        best = cost[several].argmin(1)
        chosen[several] = False
        chosen[several, best] = True
    taken = chosen.any(1)
    which = chosen[taken].argmax(1)
    return able[taken], which, overlap[taken, which]


def iou(a, b):
    """Overlap of every box of `a` with every box of `b`."""
    area = lambda v: (v[:, 2] - v[:, 0]).clip(0) * (v[:, 3] - v[:, 1]).clip(0)
    wide = (np.minimum(a[:, None, 2], b[None, :, 2]) - np.maximum(a[:, None, 0], b[None, :, 0])).clip(0)
    high = (np.minimum(a[:, None, 3], b[None, :, 3]) - np.maximum(a[:, None, 1], b[None, :, 1])).clip(0)
    shared = wide * high
    return shared / (area(a)[:, None] + area(b)[None] - shared + np.float32(1e-6))


def giou(a, b):
    """Generalised overlap of pairs (Rezatofighi et al., 2019)."""
    shared = (torch.min(a[:, 2:], b[:, 2:]) - torch.max(a[:, :2], b[:, :2])).clamp(0).prod(1)
    union = (a[:, 2:] - a[:, :2]).clamp(0).prod(1) + (b[:, 2:] - b[:, :2]).clamp(0).prod(1) - shared + 1e-6
    hull = (torch.max(a[:, 2:], b[:, 2:]) - torch.min(a[:, :2], b[:, :2])).clamp(0).prod(1) + 1e-6
    return shared / union - (hull - union) / hull
