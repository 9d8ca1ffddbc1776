"""AP50 per class of ONNX files on a part of a dataset, by ONNX Runtime: what eight bits cost.

    python -m recipe.compare DATASET model.onnx model-int8.onnx [--part test]
"""

import argparse
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from .data import Dataset
from .model import LABELS, grid
from .score import average_precision


class Answers:
    """An ONNX file where `average_precision` expects a network."""

    def __init__(self, path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        _, _, self.height, self.width = self.session.get_inputs()[0].shape

    def eval(self):
        """Nothing to do."""

    def __call__(self, pictures):
        rows = np.concatenate([self.session.run(None, {"images": np.ascontiguousarray(one[None].numpy())})[0] for one in pictures])
        raw = torch.from_numpy(rows)
        raw[..., 4:] = torch.logit(raw[..., 4:], eps=1e-6)
        return raw


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--part", default="test")
    given = parser.parse_args()
    data = Dataset(given.dataset, given.part)
    for path in given.models:
        model = Answers(path)
        found = average_precision(model, data, (model.width, model.height), grid(model.width, model.height), len(LABELS))
        print(path.name, {name: round(ap, 4) for name, ap in zip(LABELS, found)}, "mAP50", round(float(np.nanmean(found)), 4))


if __name__ == "__main__":
    main()
