"""Still pictures with exact boxes: a folder of JPEGs, three COCO files, and the truth of each frame.

    python -m scenes.stills OUT --count 5000 --seed 1

A picture's own seed is made of the run's seed and its number, and says which part it belongs to: 8 of 10 train, 1
validate, 1 test. So parts never share a scene, and more pictures can be added to a folder later.
"""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np

from . import look, room, street
from .camera import Studio
from .scene import LABELS, boxes

PARTS = ("train", "val", "test")
SIZES = [(640, 360), (640, 360), (640, 360), (640, 480), (640, 400)]
# Below this height in pixels, of a picture 640 across, a box is neither wanted nor wrong.
LEAST_PX = 9.0
LEAST_SEEN = 0.3
# Share of pictures that show rooms and corridors. Where persons lie is mostly there.
INDOORS = 0.4


def part_of(seed, number):
    """`train`, `val` or `test`."""
    digit = hashlib.sha256(f"{seed}/{number}".encode()).digest()[0] % 10
    return "test" if digit == 0 else "val" if digit == 1 else "train"


def sample(studio, seed, number, size=None, indoors=INDOORS, night=None):
    """One picture (JPEG bytes), its size and its truth; `indoors` and `night` are how likely it is a room, and a street by night."""
    rng = np.random.default_rng([seed, number])
    size = size or SIZES[rng.integers(len(SIZES))]
    outdoors = rng.random() < 1 - indoors
    dark = None if night is None else bool(rng.random() < night)
    scene = street.still(rng, size, dark) if outdoors else room.still(rng, size)
    studio.print_sheet(scene.sheet)
    studio.show("still", scene.mesh)
    picture, numbers = studio.take(scene.view, scene.light, scene.middle)
    dark = outdoors and max(scene.light.sun) == 0 and scene.light.above[2] < 0.1
    rain = rng.uniform(0.2, 1) if outdoors and rng.random() < 0.12 else 0.0
    developed = look.develop(picture, rng, rain, dark, scene.light.infrared, scene.shines, float(outdoors and rng.random() < 0.4))
    truth = {"size": list(size), "kind": scene.kind, "night": bool(dark), "infrared": scene.light.infrared, "rain": round(rain, 3),
             "fog": round(float(scene.light.dense), 4), "camera": camera(scene.view), "objects": boxes(scene, numbers)}
    return look.encoded(developed, rng), truth


def camera(view):
    """The camera, for the truth."""
    return {"place": [round(float(v), 4) for v in view.place], "yaw": round(view.yaw, 5), "pitch": round(float(view.pitch), 5),
            "roll": round(float(view.roll), 5), "hfov_deg": view.hfov, "focal_px": round(float(view.focal()), 3)}


def counts(thing, size):
    """Whether a box is wanted; others are marked as crowds, which evaluation ignores."""
    tall = thing["box"][3] - thing["box"][1]
    wide = thing["box"][2] - thing["box"][0]
    scale = 640 / size[0]
    return max(tall, wide) * scale >= LEAST_PX and min(tall, wide) * scale >= LEAST_PX * 0.4 and thing["seen"] >= LEAST_SEEN and thing["pixels"] * scale * scale >= 30


def coco(rows):
    """A COCO instances file of `(number, name, truth)`."""
    out = {"images": [], "annotations": [], "categories": [{"id": k + 1, "name": name} for k, name in enumerate(LABELS)]}
    for number, name, truth in rows:
        out["images"].append({"id": number, "file_name": name, "width": truth["size"][0], "height": truth["size"][1]})
        for thing in truth["objects"]:
            x0, y0, x1, y1 = thing["box"]
            out["annotations"].append({
                "id": len(out["annotations"]) + 1, "image_id": number, "category_id": LABELS.index(thing["label"]) + 1,
                "bbox": [x0, y0, x1 - x0, y1 - y0], "area": thing["pixels"], "iscrowd": 0 if counts(thing, truth["size"]) else 1})
    return out


def digest(folder):
    """SHA-256 over the truth of all pictures and the bytes of their files, in order."""
    whole = hashlib.sha256()
    for path in sorted(folder.glob("images/*.jpg")):
        whole.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    whole.update("\n".join(sorted((folder / "truth.jsonl").read_text(encoding="utf-8").splitlines())).encode())
    return whole.hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", help="WxH of every picture, for example 1920x1080")
    parser.add_argument("--indoors", type=float, default=INDOORS, help="share of rooms and corridors; give a seed of its own where it is not the default")
    parser.add_argument("--night", type=float, help="share of the streets by night; default: 0.22, drawn with the scene")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="only the numbers of these parts")
    given = parser.parse_args()
    (given.out / "images").mkdir(parents=True, exist_ok=True)
    size = tuple(int(v) for v in given.size.split("x")) if given.size else None
    studio = Studio() if given.count else None
    with open(given.out / "truth.jsonl", "a", encoding="utf-8") as lines:
        for number in range(given.first, given.first + given.count):
            if part_of(given.seed, number) not in given.parts:
                continue
            data, truth = sample(studio, given.seed, number, size, given.indoors, given.night)
            name = f"{given.seed:04d}_{number:06d}.jpg"
            (given.out / "images" / name).write_bytes(data)
            lines.write(json.dumps({"number": number, "seed": given.seed, "name": name, **truth}) + "\n")
            lines.flush()
    finish(given.out)


def finish(out):
    """Writes the COCO files of all pictures in `truth.jsonl`."""
    rows = sorted((json.loads(line) for line in (out / "truth.jsonl").read_text(encoding="utf-8").splitlines()), key=lambda row: row["number"])
    again = [row["number"] for row, after in zip(rows, rows[1:]) if row["number"] == after["number"]]
    if again:
        raise SystemExit(f"{out}: number {again[0]} stands for {again.count(again[0]) + 1} pictures, and labels go by it; give each seed numbers of its own with --first")
    for part in PARTS:
        chosen = [(row["number"], row["name"], row) for row in rows if part_of(row["seed"], row["number"]) == part]
        (out / f"{part}.json").write_text(json.dumps(coco(chosen)), encoding="utf-8")
        print(f"{part}: {len(chosen)} pictures")
    print("digest", digest(out))


if __name__ == "__main__":
    main()
