"""Which cell answers for which box (SimOTA; Ge et al., YOLOX, 2021), and what wrong answers cost."""

import torch
from torch.nn import functional

from .model import boxes as decoded


def loss(raw, wanted, cells, classes, weights=None):
    """Loss of a batch and its parts; `wanted` holds each picture's boxes (corners, class; −1: ignore), `weights` what each class counts."""
    weights = torch.ones(classes) if weights is None else weights
    found = decoded(raw, cells)
    objectness = torch.zeros(raw.shape[:2])
    weight = torch.ones(raw.shape[:2])
    box_terms, class_terms, total = [], [], 0
    for n, rows in enumerate(wanted):
        ignored, rows = rows[rows[:, 4] < 0], rows[rows[:, 4] >= 0]
        if len(ignored):
            weight[n, inside(ignored, cells).any(1)] = 0
        if not len(rows):
            continue
        cell, which, overlap = assigned(raw[n].detach(), found[n].detach(), rows, cells)
        objectness[n, cell], weight[n, cell] = 1, 1
        total += len(cell)
        counts = weights[rows[which, 4].long()]
        box_terms.append(((1 - giou(found[n, cell], rows[which, :4])) * counts).sum())
        target = functional.one_hot(rows[which, 4].long(), classes).float() * overlap[:, None]
        class_terms.append(functional.binary_cross_entropy_with_logits(raw[n, cell, 5:], target, counts[:, None].expand_as(target), reduction="sum"))
    count = max(total, 1)
    obj = functional.binary_cross_entropy_with_logits(raw[..., 4], objectness, weight, reduction="sum") / count
    box = torch.stack(box_terms).sum() / count if box_terms else raw.sum() * 0
    cls = torch.stack(class_terms).sum() / count if class_terms else raw.sum() * 0
    return 5 * box + obj + cls, {"box": float(box.detach()), "objectness": float(obj.detach()), "class": float(cls.detach())}


def inside(rows, cells):
    """Cells × boxes: whether the cell's middle lies in the box."""
    x, y = ((cells[:, 0] + 0.5) * cells[:, 2])[:, None], ((cells[:, 1] + 0.5) * cells[:, 2])[:, None]
    return (x > rows[:, 0]) & (x < rows[:, 2]) & (y > rows[:, 1]) & (y < rows[:, 3])


@torch.no_grad()
def assigned(raw, found, rows, cells, radius=1.5):
    """Cells, the box each answers for, and how well it overlaps already."""
    x, y, stride = ((cells[:, 0] + 0.5) * cells[:, 2])[:, None], ((cells[:, 1] + 0.5) * cells[:, 2])[:, None], cells[:, 2:3]
    cx, cy = (rows[:, 0] + rows[:, 2]) / 2, (rows[:, 1] + rows[:, 3]) / 2
    central = ((x - cx).abs() < radius * stride) & ((y - cy).abs() < radius * stride)
    within = inside(rows, cells)
    able = (central | within).any(1).nonzero()[:, 0]
    overlap = iou(found[able], rows[:, :4])
    score = (raw[able, 4:5].sigmoid() * raw[able, 5:].sigmoid()).sqrt().clamp(1e-6, 1 - 1e-6)
    right = score[:, rows[:, 4].long()]
    wrong = -(1 - score).log().sum(1, keepdim=True) + (1 - right).log()
    cost = -right.log() + wrong - 3 * (overlap + 1e-8).log() + 1e5 * ~(central[able] & within[able])
    chosen = torch.zeros_like(cost, dtype=torch.bool)
    wanted = overlap.topk(min(10, len(able)), 0).values.sum(0).int().clamp(1)
    for n in range(len(rows)):
        chosen[cost[:, n].topk(min(int(wanted[n]), len(able)), largest=False).indices, n] = True
    several = chosen.sum(1) > 1
    if several.any():
        best = cost[several].argmin(1)
        chosen[several] = False
        chosen[several.nonzero()[:, 0], best] = True
    taken = chosen.any(1)
    which = chosen[taken].float().argmax(1)
    return able[taken], which, overlap[taken].gather(1, which[:, None])[:, 0]


def iou(a, b):
    """Overlap of every box of `a` with every box of `b`."""
    low, high = torch.max(a[:, None, :2], b[None, :, :2]), torch.min(a[:, None, 2:], b[None, :, 2:])
    shared = (high - low).clamp(0).prod(2)
    area = lambda v: (v[:, 2:] - v[:, :2]).clamp(0).prod(1)
    return shared / (area(a)[:, None] + area(b)[None] - shared + 1e-6)


def giou(a, b):
    """Generalised overlap of pairs (Rezatofighi et al., 2019)."""
    shared = (torch.min(a[:, 2:], b[:, 2:]) - torch.max(a[:, :2], b[:, :2])).clamp(0).prod(1)
    union = (a[:, 2:] - a[:, :2]).clamp(0).prod(1) + (b[:, 2:] - b[:, :2]).clamp(0).prod(1) - shared + 1e-6
    hull = (torch.max(a[:, 2:], b[:, 2:]) - torch.min(a[:, :2], b[:, :2])).clamp(0).prod(1) + 1e-6
    return shared / union - (hull - union) / hull
