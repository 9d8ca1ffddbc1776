"""Where a model loses: average precision (overlap 0.5) by the size of boxes and by the kind of scene.

    python -m recipe.sizes DATASET MODEL.onnx [--part test] [--json FILE]

A box's size is its longer side in pixels of the model's input. Within a range of sizes, as COCO does it for small, medium
and large: wanted boxes of other sizes count neither for nor against, nor do unmatched detections of other sizes.
Kinds come from `truth.jsonl` of the renderer; without that file there are none.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from .compare import Answers
from .data import Dataset, fitted, tensor
from .model import LABELS, boxes as decoded, grid
from .score import overlaps, precision, share_inside, suppressed

RANGES = [(0, 8), (8, 12), (12, 16), (16, 24), (24, 48), (48, 1e9)]
# Sizes from which on the whole is told again: what the detector may be asked for.
FROM = [0, 8, 12, 16, 24]
KINDS = {
    "street, day": lambda t: t["kind"] == "street" and not t["night"] and not t["infrared"] and t["rain"] == 0 and t["fog"] < 0.01,
    "street, night": lambda t: t["kind"] == "street" and t["night"],
    "street, rain or fog": lambda t: t["kind"] == "street" and not t["night"] and (t["rain"] > 0 or t["fog"] >= 0.01),
    "room, lamps or daylight": lambda t: t["kind"] != "street" and not t["infrared"],
    "room, infrared": lambda t: t["kind"] != "street" and t["infrared"],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--part", default="test")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    data = Dataset(given.dataset, given.part)
    whole = tables(Answers(given.model), data, kinds(given.dataset, data))
    print(f"{len(data)} pictures of {given.part}; AP50 (wanted boxes)")
    for title, rows in whole.items():
        print(f"\n{title:26}" + "".join(f"{label:>20}" for label in LABELS))
        for name, row in rows.items():
            print(f"{name:26}" + "".join(f"{cell(*row[label]):>20}" for label in LABELS))
    if given.json:
        given.json.write_text(json.dumps(whole, indent=1), encoding="utf-8")


def cell(ap, count):
    """One figure and its base."""
    return "–" if ap is None else f"{ap:.3f} ({count})"


def kinds(folder, data):
    """Each picture's truth by its file's name, where the renderer left it; `None` where it did not."""
    path = Path(folder) / "truth.jsonl"
    if not path.exists():
        return None
    told = {row["name"]: row for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())}
    return [told[image["file_name"]] for image in data.images]


def tables(model, data, truths):
    """All tables: title → row → label → (AP50 or None, wanted boxes)."""
    found = answers(model, data)
    numbers = range(len(data))
    out = {
        "longer side, input pixels": {name_of(low, high): each(found, numbers, low, high) for low, high in RANGES},
        "all from a size on": {f"from {low} on" if low else "all": each(found, numbers, low, 1e9) for low in FROM},
    }
    if truths:
        out["kind of scene"] = {name: each(found, [k for k in numbers if chosen(truths[k])], 0, 1e9) for name, chosen in KINDS.items()}
    return out


def name_of(low, high):
    """A range in words."""
    return f"below {high:g}" if low == 0 else f"{low:g} on" if high > 1e6 else f"{low:g} to {high:g}"


def answers(model, data, batch=16):
    """For each picture: its truth, and per class boxes and scores after suppression."""
    size, out = (model.width, model.height), []
    cells = grid(*size)
    for first in range(0, len(data), batch):
        rows = [fitted(data, k, size) for k in range(first, min(first + batch, len(data)))]
        raw = model(tensor([picture for picture, _ in rows]))
        score, place = raw[..., 4:5].sigmoid() * raw[..., 5:].sigmoid(), decoded(raw, cells)
        for n, (_, truth) in enumerate(rows):
            out.append((truth, [suppressed(place[n].numpy(), score[n, :, c].numpy()) for c in range(len(LABELS))]))
    return out


def each(found, numbers, low, high):
    """Label → (AP50, wanted boxes) over some pictures and one range of sizes."""
    out = {}
    for c, label in enumerate(LABELS):
        rows, wanted = [], 0
        for k in numbers:
            truth, boxes = found[k][0], found[k][1][c]
            own = truth[truth[:, 4] == c][:, :4]
            wanted += int(within(own, low, high).sum())
            rows += matched(*boxes, own, truth[truth[:, 4] < 0][:, :4], low, high)
        out[label] = (round(precision(rows, wanted), 4) if wanted else None, wanted)
    return out


def within(boxes, low, high):
    """Which boxes' longer side lies in the range."""
    side = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) if len(boxes) else np.zeros(0)
    return (side >= low) & (side < high)


def matched(boxes, scores, own, ignored, low, high):
    """(score, right) of each detection that counts in this range."""
    counts, free, out = within(own, low, high), np.ones(len(own), bool), []
    sized = within(boxes, low, high)
    for box, score, fits in zip(boxes, scores, sized):
        overlap = overlaps(box, own) * free if len(own) else np.zeros(0)
        if len(overlap) and overlap.max() >= 0.5:
            # A wanted box of this range goes before one of another.
            best = (overlap + 2.0 * (counts & (overlap >= 0.5))).argmax()
            free[best] = False
            if counts[best]:
                out.append((float(score), True))
        elif fits and not (len(ignored) and share_inside(box, ignored).max() >= 0.5):
            out.append((float(score), False))
    return out


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
