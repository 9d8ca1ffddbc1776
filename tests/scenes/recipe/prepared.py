"""Holds the recipe's preparation of pictures against the runtime's, by the digest of what a model is fed.

    python -m recipe.prepared MODEL.onnx --dataset DATASET --run RUN --stopline stopline [--count 100]

The digest is that of the whole tensor, so equal means equal in every bit. Pictures are handed over as PNG: of a JPEG two
decoders may make pixels that differ by one.
"""

import argparse
import hashlib
from pathlib import Path

import cv2
import numpy as np

from . import bundle
from .data import Dataset, letterbox

# Golden pictures that one bundle may hold.
MOST = 50


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--stopline", required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.set_defaults(size="416x256", version="0.0.0", score=bundle.SCORE, sign_score=bundle.SIGN_SCORE, nms_iou=bundle.NMS_IOU)
    given = parser.parse_args()
    data, model = Dataset(given.dataset, "test"), given.model.read_bytes()
    size = tuple(int(v) for v in given.size.split("x"))
    equal = 0
    for first in range(0, given.count, MOST):
        pictures = [resized(data.picture(k), k) for k in range(first, min(first + MOST, given.count))]
        names = [f"golden/{first + n:04d}.png" for n in range(len(pictures))]
        files = {name: cv2.imencode(".png", picture)[1].tobytes() for name, picture in zip(names, pictures)}
        report = bundle.tested(given.stopline, {**bundle.described(given, model), "golden": [bundle.blank(name) for name in names]}, model, files)
        told = {row["image"]: row["input_sha256"] for row in report["golden"]}
        equal += sum(told[name] == own(picture, size) for name, picture in zip(names, pictures))
    print(f"{equal} of {given.count} tensors are equal in every bit")
    raise SystemExit(0 if equal == given.count else 1)


def resized(picture, k):
    """Every second picture is enlarged, so that reduction by other factors is held too."""
    return picture if k % 2 == 0 else cv2.resize(picture, (1280, picture.shape[0] * 1280 // picture.shape[1]), interpolation=cv2.INTER_CUBIC)


def own(picture, size):
    """SHA-256 of this recipe's tensor: bytes × 1/255 in f32, as the manifest says."""
    values = letterbox(picture, size)[0][..., ::-1].transpose(2, 0, 1).astype(np.float32) * np.float32(1 / 255)
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


if __name__ == "__main__":
    main()
