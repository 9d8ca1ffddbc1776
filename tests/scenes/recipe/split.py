"""COCO files become a dataset of three parts, as `recipe.train` reads it.

    python -m recipe.split instances.json … --images DIR --out DATASET [--add OTHER_DATASET]

A picture's part comes from the SHA-256 of its bytes: 8 of 10 train, 1 validate, 1 test; so the same picture never is in
two parts, whatever is collected later. `--add` joins another dataset's parts, so that fine-tuning does not forget them.
"""

import argparse
import hashlib
import json
import shutil
from pathlib import Path

from .model import LABELS

PARTS = ("train", "val", "test")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("coco", type=Path, nargs="+")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--add", type=Path)
    parser.add_argument("--add-most", type=int, help="of each part of the other dataset only the first so many pictures")
    given = parser.parse_args()
    (given.out / "images").mkdir(parents=True, exist_ok=True)
    parts = {part: {"images": [], "annotations": [], "categories": [{"id": k + 1, "name": name} for k, name in enumerate(LABELS)]} for part in PARTS}
    for path in given.coco:
        take(parts, json.loads(path.read_text(encoding="utf-8")), given.images, given.out, None)
    for part in PARTS if given.add else ():
        take(parts, first(json.loads((given.add / f"{part}.json").read_text(encoding="utf-8")), given.add_most), given.add / "images", given.out, part)
    for part, whole in parts.items():
        (given.out / f"{part}.json").write_text(json.dumps(whole), encoding="utf-8")
        print(f"{part}: {len(whole['images'])} pictures, {len(whole['annotations'])} boxes")


def first(whole, most):
    """A COCO file's first `most` pictures, with their boxes."""
    images = whole["images"][:most]
    chosen = {image["id"] for image in images}
    return {**whole, "images": images, "annotations": [box for box in whole["annotations"] if box["image_id"] in chosen]}


def take(parts, whole, images, out, part):
    """Adds a COCO file's pictures and boxes to `part`, or to the part that each picture's bytes say."""
    names = {c["id"]: c["name"] for c in whole["categories"]}
    boxes = {image["id"]: [] for image in whole["images"]}
    for box in whole["annotations"]:
        if names[box["category_id"]] in LABELS:
            boxes[box["image_id"]].append(box)
    for image in whole["images"]:
        data = (images / image["file_name"]).read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        own = parts[part or part_of(digest)]
        name = f"{digest[:24]}{Path(image['file_name']).suffix}"
        shutil.copyfile(images / image["file_name"], out / "images" / name)
        number = sum(len(p["images"]) for p in parts.values()) + 1
        own["images"].append({**image, "id": number, "file_name": name})
        for box in boxes[image["id"]]:
            category = LABELS.index(names[box["category_id"]]) + 1
            own["annotations"].append({**box, "id": len(own["annotations"]) + 1, "image_id": number, "category_id": category})


def part_of(digest):
    """The part of a picture whose bytes have this digest."""
    digit = int(digest[:2], 16) % 10
    return "test" if digit == 0 else "val" if digit == 1 else "train"


if __name__ == "__main__":
    main()
