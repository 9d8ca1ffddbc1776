"""How a model that was trained on rendered scenes fares on real pictures.

    python -m recipe.real MODEL.onnx --stopline stopline --media FIELD_DATA/media [--score 0.4]

The pictures fall into two halves by their bytes' SHA-256: `development` (first byte even), which may be looked at while
the renderer is improved, and `report` (odd), whose figures are printed as they are. Clips count wrong boxes only.
"""

import argparse
import hashlib
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from .model import LABELS
from .score import overlaps, share_inside

# Clips in which there is no stop sign and nobody lies; persons are in some, so persons are not counted.
CLIPS = ["drive/udacity_highway_38f.mp4", "drive/udacity_solidWhiteRight.mp4", "drive/parking_car-detection.mp4",
         "pedestrian/one-by-one-person-detection.mp4", "pedestrian/person-bicycle-car.mp4"]
NOBODY = CLIPS[:3]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--stopline", required=True)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--manifest", type=Path)
    parser.add_argument("--score", type=float, default=0.4)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    truth = json.loads((Path(__file__).parent / "real.json").read_text(encoding="utf-8"))["pictures"]
    model = ["--model", str(given.model)] + (["--manifest", str(given.manifest)] if given.manifest else [])
    halves = {half: judged(given, model, {k: v for k, v in truth.items() if half_of(given.media / k) == half}) for half in ("development", "report")}
    clips = {clip: clip_counts(given, model, clip) for clip in CLIPS if (given.media / clip).exists()}
    for half, row in halves.items():
        print(f"{half}: {row['pictures']} pictures, {row['wrong_per_picture']:.2f} wrong boxes a picture, {row['wrong_in_negatives']} in {row['negatives']} pictures with nobody and no sign")
        for label, r in row["labels"].items():
            print(f"  {label}: {r['found']} of {r['wanted']} found, recall {r['recall']} (95 %: {r['low']} to {r['high']}), {r['wrong']} wrong")
    for clip, row in clips.items():
        print(f"{clip}: {row}")
    if given.json:
        given.json.write_text(json.dumps({"score": given.score, "halves": halves, "clips": clips}, indent=1), encoding="utf-8")


def half_of(path):
    """`development` or `report`."""
    return "report" if hashlib.sha256(path.read_bytes()).digest()[0] % 2 else "development"


def judged(given, model, truth):
    """Recall and wrong boxes over some pictures."""
    paths = [str(given.media / name) for name in truth]
    out = subprocess.run([given.stopline, "detect", *model, "--score", str(given.score), "--json", *paths], capture_output=True, check=True, text=True)
    seen = json.loads(out.stdout)["images"]
    counts = {label: [0, 0, 0] for label in LABELS}
    negatives = wrong_in_negatives = 0
    for name, rows in truth.items():
        found = seen[str(given.media / name)]
        before = sum(c[2] for c in counts.values())
        count(found, rows, counts)
        if not rows:
            negatives += 1
            wrong_in_negatives += sum(c[2] for c in counts.values()) - before
    wrong = sum(c[2] for c in counts.values())
    labels = {label: {"wanted": w, "found": f, "wrong": x, **wilson(f, w)} for label, (w, f, x) in counts.items()}
    return {"pictures": len(truth), "wrong_per_picture": round(wrong / max(len(truth), 1), 3), "negatives": negatives, "wrong_in_negatives": wrong_in_negatives, "labels": labels}


def count(found, rows, counts):
    """Adds one picture: wanted, found, wrong per label. A box that only has the other person label is wrong."""
    ignored = np.array([r[1:] for r in rows if r[0] == "ignore"], float).reshape(-1, 4)
    for label in LABELS:
        own = np.array([r[1:] for r in rows if r[0] == label], float).reshape(-1, 4)
        free = np.ones(len(own), bool)
        counts[label][0] += len(own)
        for box in sorted((d for d in found if d["label"] == label), key=lambda d: -d["score"]):
            place = np.array(box["box"], float)
            fit = overlaps(place, own) * free if len(own) else np.zeros(0)
            if len(fit) and fit.max() >= 0.5:
                free[fit.argmax()] = False
                counts[label][1] += 1
            elif not (len(ignored) and share_inside(place, ignored).max() >= 0.5):
                counts[label][2] += 1


def clip_counts(given, model, clip):
    """Wrong boxes in a clip: stop signs and persons down everywhere, persons where nobody is."""
    with tempfile.TemporaryDirectory() as folder:
        records = Path(folder) / "r.jsonl"
        subprocess.run([given.stopline, "replay", *model, "--score", str(given.score), "--every", str(given.every), "--records", str(records), str(given.media / clip)],
                       check=True, capture_output=True)
        rows = [json.loads(line) for line in records.read_text(encoding="utf-8").splitlines()]
    labels = LABELS if clip in NOBODY else ["stop_sign", "person_down"]
    return {"frames": len(rows), **{label: sum(d["label"] == label for row in rows for d in row["detections"]) for label in labels}}


def wilson(found, wanted, z=1.959964):
    """Share found, with Wilson's 95 % interval."""
    if wanted == 0:
        return {"recall": None, "low": None, "high": None}
    p, n = found / wanted, wanted
    middle, half = (p + z * z / 2 / n) / (1 + z * z / n), z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
    return {"recall": round(p, 3), "low": round(float(middle - half), 3), "high": round(float(middle + half), 3)}


if __name__ == "__main__":
    main()
