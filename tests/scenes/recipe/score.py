"""Average precision at an overlap of 0.5 per class, for one look at a model while it trains. `stopline eval` says it officially."""

import numpy as np
import torch

from .data import fitted, tensor
from .model import boxes as decoded


@torch.no_grad()
def average_precision(net, data, size, cells, classes, batch=32, most=None):
    """AP50 per class over a part of a dataset (101 points, as COCO has it)."""
    net.eval()
    found, wanted = [[] for _ in range(classes)], [0] * classes
    numbers = range(len(data)) if most is None else range(min(most, len(data)))
    for first in range(0, len(numbers), batch):
        rows = [fitted(data, k, size) for k in numbers[first:first + batch]]
        raw = net(tensor([picture for picture, _ in rows]))
        score = raw[..., 4:5].sigmoid() * raw[..., 5:].sigmoid()
        place = decoded(raw, cells)
        for n, (_, truth) in enumerate(rows):
            for c in range(classes):
                wanted[c] += int((truth[:, 4] == c).sum())
                found[c] += matched(*suppressed(place[n].numpy(), score[n, :, c].numpy()), truth, c)
    return [precision(rows, count) for rows, count in zip(found, wanted)]


def suppressed(boxes, scores, least=0.01, overlap=0.5, most=100):
    """Greedy suppression within one class; boxes and scores, best first."""
    keep = np.flatnonzero(scores > least)
    order = keep[np.argsort(-scores[keep], kind="stable")][:400]
    out = []
    while len(order) and len(out) < most:
        out.append(order[0])
        order = order[1:][overlaps(boxes[order[0]], boxes[order[1:]]) < overlap]
    return boxes[out], scores[out]


def overlaps(one, many):
    """Overlap of one box with many."""
    low, high = np.maximum(one[:2], many[:, :2]), np.minimum(one[2:], many[:, 2:4])
    shared = np.clip(high - low, 0, None).prod(1)
    area = lambda v: np.clip(v[..., 2] - v[..., 0], 0, None) * np.clip(v[..., 3] - v[..., 1], 0, None)
    return shared / (area(one) + area(many) - shared + 1e-9)


def matched(boxes, scores, truth, c):
    """(score, right) of each detection; those on boxes to be ignored are left out."""
    own, ignored = truth[truth[:, 4] == c], truth[truth[:, 4] < 0]
    free, out = np.ones(len(own), bool), []
    for box, score in zip(boxes, scores):
        fit = overlaps(box, own) * free if len(own) else np.zeros(0)
        if len(fit) and fit.max() >= 0.5:
            free[fit.argmax()] = False
            out.append((float(score), True))
        elif not (len(ignored) and share_inside(box, ignored).max() >= 0.5):
            out.append((float(score), False))
    return out


def share_inside(one, many):
    """Share of a box that lies in each of many."""
    low, high = np.maximum(one[:2], many[:, :2]), np.minimum(one[2:], many[:, 2:4])
    return np.clip(high - low, 0, None).prod(1) / max((one[2] - one[0]) * (one[3] - one[1]), 1e-9)


def precision(rows, count):
    """Average precision of detections against `count` wanted boxes; NaN where none are."""
    if count == 0:
        return float("nan")
    right = np.array([r for _, r in sorted(rows, key=lambda row: -row[0])], float)
    if not len(right):
        return 0.0
    hits = right.cumsum()
    recall, exact = hits / count, hits / np.arange(1, len(right) + 1)
    exact = np.maximum.accumulate(exact[::-1])[::-1]
    at = np.searchsorted(recall, np.linspace(0, 1, 101))
    return float(np.mean([exact[k] if k < len(exact) else 0.0 for k in at]))
