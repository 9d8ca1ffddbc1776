"""Scores every case in a folder with pycocotools' COCOeval, for eval_parity.rs.

Usage: eval_reference.py FOLDER
For each NAME.gt.json and NAME.dt.json it writes NAME.bin, little-endian float64: 12 summary figures, the average
precision of each category, then the arrays precision, scores and recall as COCOeval lays them out.
"""

import contextlib
import io
import json
import pathlib
import sys

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def score(truth_file, found_file):
    truth = COCO(str(truth_file))
    if json.loads(found_file.read_text()):
        found = truth.loadRes(str(found_file))
    else:
        # loadRes cannot read an empty list; a dataset of the same pictures without annotations is the same.
        found = COCO()
        found.dataset = {"images": truth.dataset["images"], "categories": truth.dataset["categories"], "annotations": []}
        found.createIndex()
    evaluation = COCOeval(truth, found, "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    precision = evaluation.eval["precision"]
    per_category = []
    for category in range(precision.shape[2]):
        values = precision[:, :, category, 0, 2]
        values = values[values > -1]
        per_category.append(values.mean() if values.size else -1.0)
    parts = [evaluation.stats, per_category, precision, evaluation.eval["scores"], evaluation.eval["recall"]]
    return np.concatenate([np.asarray(part, dtype="<f8").ravel() for part in parts])


def main():
    folder = pathlib.Path(sys.argv[1])
    for truth_file in sorted(folder.glob("*.gt.json")):
        name = truth_file.name.removesuffix(".gt.json")
        with contextlib.redirect_stdout(io.StringIO()):
            figures = score(truth_file, folder / f"{name}.dt.json")
        figures.tofile(folder / f"{name}.bin")


if __name__ == "__main__":
    main()
