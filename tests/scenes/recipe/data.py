"""Pictures and boxes of a COCO dataset, prepared as the runtime prepares them, and varied for training."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import torch

from .model import LABELS

PAD = 114
# Workers are processes; threads of OpenCV's own would only fight.
cv2.setNumThreads(0)
# Drawn once: drawing it for each picture costs more than all the rest of its preparation. Each takes another stretch (the largest input: 640 x 640).
NOISE = np.random.default_rng(0).standard_normal(1 << 21, dtype=np.float32)


class Dataset:
    """One part (`train`, `val`, `test`) of a folder: `PART.json` and `images/`. Categories are told by their names.

    `decoded` names a file that holds every picture decoded (0.7 MB each), made at the first use: training reads each picture
    many times, and decoding is a third of what its preparation costs.
    """

    def __init__(self, folder, part, labels=LABELS, decoded=None):
        folder = Path(folder)
        whole = json.loads((folder / f"{part}.json").read_text(encoding="utf-8"))
        classes = {c["id"]: labels.index(c["name"]) for c in whole["categories"] if c["name"] in labels}
        self.images = whole["images"]
        self.folder = folder / "images"
        rows = {image["id"]: [] for image in self.images}
        for box in whole["annotations"]:
            if box["category_id"] in classes:
                x, y, w, h = box["bbox"]
                rows[box["image_id"]].append([x, y, x + w, y + h, -1 if box.get("iscrowd") else classes[box["category_id"]]])
        self.boxes = [np.array(rows[image["id"]], np.float32).reshape(-1, 5) for image in self.images]
        self.bytes = [None] * len(self.images)
        self.decoded = None
        if decoded:
            self.decoded, self.places = unpacked(self, Path(decoded))

    def __len__(self):
        return len(self.images)

    def picture(self, k):
        """The picture, BGR; its file is kept in memory, or decoded on disk."""
        if self.decoded is not None:
            begin, image = self.places[k], self.images[k]
            return self.decoded[begin:self.places[k + 1]].reshape(image["height"], image["width"], 3)
        if self.bytes[k] is None:
            self.bytes[k] = np.fromfile(self.folder / self.images[k]["file_name"], np.uint8)
        return cv2.imdecode(self.bytes[k], cv2.IMREAD_COLOR)


def unpacked(data, path):
    """All pictures of a dataset one behind the other in one file, mapped; and where each begins."""
    places = np.cumsum([0] + [image["width"] * image["height"] * 3 for image in data.images])
    # Whose pictures they are: another set of the same length must not be taken for this one.
    name = path.with_name(f"{path.name}-{hashlib.sha256(json.dumps(data.images).encode()).hexdigest()[:16]}")
    if not name.exists():
        making = name.with_suffix(".part")
        whole = np.memmap(making, np.uint8, "w+", shape=(int(places[-1]),))
        for k in range(len(data.images)):
            whole[places[k]:places[k + 1]] = data.picture(k).ravel()
            data.bytes[k] = None
        whole.flush()
        making.rename(name)
    return np.memmap(name, np.uint8, "r"), places


def letterbox(picture, size):
    """The runtime's letterbox (top left, bilinear, pad 114, rounded down); the picture and its scale."""
    width, height = size
    scale = min(width / picture.shape[1], height / picture.shape[0])
    wide, high = int(picture.shape[1] * scale), int(picture.shape[0] * scale)
    out = np.full((height, width, 3), PAD, np.uint8)
    out[:high, :wide] = cv2.resize(picture, (wide, high), interpolation=cv2.INTER_LINEAR)
    return out, (wide / picture.shape[1], high / picture.shape[0])


def tensor(pictures):
    """BGR pictures to the network's input, whose channels lie together in memory (no plane is copied, convolutions want it so)."""
    stacked = np.stack([cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) for picture in pictures])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).float().div_(255)


def fitted(data, k, size):
    """A picture and its boxes, prepared without variation."""
    picture, (sx, sy) = letterbox(data.picture(k), size)
    boxes = data.boxes[k].copy()
    boxes[:, [0, 2]] *= sx
    boxes[:, [1, 3]] *= sy
    return picture, boxes


class Varied(torch.utils.data.Dataset):
    """Training pictures: scaled, moved, mirrored, joined by four, recoloured. Chance comes from seed, round and number.

    `repeat` holds (class, times): pictures that show a rare class come several times a round, each time varied otherwise.
    """

    def __init__(self, data, size, seed, mosaic=0.5, repeat=()):
        self.data, self.size, self.seed, self.mosaic, self.round = data, size, seed, mosaic, 0
        shows = lambda boxes: max([times for c, times in repeat if (boxes[:, 4] == c).any()], default=1)
        self.order = [k for k, boxes in enumerate(data.boxes) for _ in range(shows(boxes))]

    def __len__(self):
        return len(self.order)

    def __getitem__(self, at):
        rng, k = np.random.default_rng([self.seed, self.round, at]), self.order[at]
        if rng.random() < self.mosaic:
            picture, boxes = self.joined(k, rng)
        else:
            picture, boxes = self.single(k, rng, self.size, (0.6, 1.7))
        return recoloured(picture, rng), boxes

    def single(self, k, rng, size, zoom):
        """One picture, zoomed and moved into `size`, perhaps mirrored."""
        source, boxes = self.data.picture(k), self.data.boxes[k].copy()
        high, wide = source.shape[:2]
        base = min(size[0] / wide, size[1] / high)
        scale = base * np.exp(rng.uniform(np.log(zoom[0]), np.log(zoom[1])))
        sx, sy = scale * rng.uniform(0.92, 1.08), scale
        move = [rng.uniform(min(0, size[0] - wide * sx), max(0, size[0] - wide * sx)), rng.uniform(min(0, size[1] - high * sy), max(0, size[1] - high * sy))]
        if rng.random() < 0.5:
            sx, move[0] = -sx, move[0] + wide * sx
        matrix = np.array([[sx, 0, move[0] + sx / 2 - 0.5], [0, sy, move[1] + sy / 2 - 0.5]], np.float32)
        picture = cv2.warpAffine(source, matrix, size, flags=cv2.INTER_LINEAR, borderValue=(PAD,) * 3)
        xs = np.sort(boxes[:, [0, 2]] * sx + move[0], 1)
        return picture, cut(np.column_stack([xs[:, 0], boxes[:, 1] * sy + move[1], xs[:, 1], boxes[:, 3] * sy + move[1], boxes[:, 4]]), size)

    def joined(self, k, rng):
        """Four pictures around a point."""
        width, height = self.size
        x, y = int(width * rng.uniform(0.3, 0.7)), int(height * rng.uniform(0.3, 0.7))
        out, boxes = np.full((height, width, 3), PAD, np.uint8), []
        for n, (x0, y0, x1, y1) in enumerate([(0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)]):
            which = k if n == 0 else self.order[int(rng.integers(len(self.order)))]
            part, found = self.single(which, rng, (x1 - x0, y1 - y0), (0.9, 2.2))
            out[y0:y1, x0:x1] = part
            boxes.append(found + np.array([x0, y0, x0, y0, 0], np.float32))
        return out, np.concatenate(boxes)


def cut(boxes, size):
    """Boxes cut at the edges. Where little is left, or what is left is tiny, it is to be ignored (class −1)."""
    whole = np.maximum((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), 1e-6)
    boxes[:, [0, 2]] = boxes[:, [0, 2]].clip(0, size[0])
    boxes[:, [1, 3]] = boxes[:, [1, 3]].clip(0, size[1])
    wide, high = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    boxes = boxes.astype(np.float32)
    boxes[(wide * high < whole * 0.35) | (np.maximum(wide, high) < 5) | (np.minimum(wide, high) < 2), 4] = -1
    return boxes[(wide > 0.5) & (high > 0.5)]


def recoloured(picture, rng):
    """Brightness, contrast, colours, grey, blur, noise: bytes to bytes."""
    out = picture
    if rng.random() < 0.8:
        gain = np.clip(rng.normal(1, 0.18), 0.4, 1.7) * (1 + rng.normal(0, 0.06, 3))
        shift = rng.normal(0, 14)
        ramp = np.arange(256, dtype=np.float32)
        gamma = 255 * (ramp / 255) ** np.exp(rng.normal(0, 0.25))
        table = np.clip(gamma[:, None] * gain + shift, 0, 255).astype(np.uint8)
        out = cv2.LUT(out, table.reshape(1, 256, 3))
    if rng.random() < 0.3:
        grey = cv2.cvtColor(cv2.cvtColor(out, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        share = 1.0 if rng.random() < 0.35 else rng.uniform(-0.5, 0.8)
        out = cv2.addWeighted(out, 1 - share, grey, share, 0)
    if rng.random() < 0.15:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.4, 1.1))
    if rng.random() < 0.2:
        begin = int(rng.integers(len(NOISE) - out.size))
        out = np.clip(NOISE[begin:begin + out.size].reshape(out.shape) * np.float32(rng.uniform(1, 10)) + out, 0, 255).astype(np.uint8)
    return out


def gather(batch):
    """A batch: the pictures' tensor, and each one's boxes."""
    return tensor([picture for picture, _ in batch]), [torch.from_numpy(np.ascontiguousarray(boxes)) for _, boxes in batch]
