"""Measures what the scenario suite feeds its simulated camera with, on real detectors through the product's own command.

    STOPLINE_FIELD_DATA=... STOPLINE_ORT_LIBRARY=... python tests/scenarios/measure.py STOPLINE-PROGRAM [--look DIR]

needs numpy and OpenCV (tests/requirements.txt). Writes measured.json beside this file; `--look DIR` also keeps contact
sheets of the cut-outs and of composed pictures, to be looked at; `--only-persons` measures the scaled photographs of
persons anew and keeps the rest of the file. Every random number is seeded: the same program, models and pictures give
the same file.

What it measures, and how far that carries, stands in README.md beside this file.
"""
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

import cv2
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
DATA = pathlib.Path(os.environ["STOPLINE_FIELD_DATA"])
MEDIA = DATA / "media"
MANIFESTS = HERE.parent / "fixtures" / "manifests"
# Model and its rows per source row at 1280 x 720, by its own resizing (letterbox keeps the aspect, stretch does not).
MODELS = {"yolox_nano_416": 416 / 1280, "nanodet_m_320": 320 / 1280, "fastestdet_352": 352 / 720}
WIDTH, HEIGHT = 1280, 720
# Everything above this score is read: the tracker's second stage uses weak boxes too.
FLOOR = 0.1
# Object heights in rows of the model's input. The pictures are composed for YOLOX-nano's scale and serve all models.
SIGN_ROWS = [4, 5, 6, 7, 8, 10, 12, 15, 19, 24, 30, 40, 55, 80]
PERSON_ROWS = [7, 9, 11, 14, 17, 21, 26, 33, 42, 55, 75, 105, 150, 200]
LYING_ROWS = [20, 30, 40, 55, 75, 100, 140, 190]
QUANTILES = [0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100]
SIGNS = ["sign_crop_08", "sign_crop_11", "sign_crop_16", "sign_crop_22", "sign_crop_24", "sign_crop_27", "sign_crop_35"]
# Whole standing or walking persons: picture or frame of a clip, box by eye, middle of the head in parts of the box.
PERSONS = [
    ("peds_0.jpg", (452, 140, 736, 960), (0.55, 0.06)),
    ("peds_0.jpg", (1066, 102, 1391, 973), (0.45, 0.08)),
    ("peds_0.jpg", (750, 188, 1018, 930), (0.5, 0.07)),
    ("peds_0.jpg", (1486, 160, 1724, 893), (0.52, 0.08)),
    ("peds_1.jpg", (466, 111, 884, 1076), (0.48, 0.06)),
    ("humans_2.jpg", (627, 24, 973, 656), (0.6, 0.09)),
    ("coco_000000007977.jpg", (105, 150, 269, 424), (0.18, 0.14)),
    ("one-by-one-person-detection.mp4#300", (382, 3, 546, 384), (0.48, 0.08)),
    ("one-by-one-person-detection.mp4#1000", (380, 8, 526, 380), (0.48, 0.08)),
]


# Photographs that are scaled as a whole, with the persons in them that stand free: boxes by eye.
PHOTOGRAPHS = [
    ("peds_0.jpg", [(452, 140, 736, 960), (1066, 102, 1391, 973), (750, 188, 1018, 930), (1486, 160, 1724, 893)]),
    ("peds_1.jpg", [(466, 111, 884, 1076)]),
    ("peds_4.jpg", [(1472, 726, 1610, 1151), (968, 700, 1066, 1010)]),
    ("humans_2.jpg", [(627, 24, 973, 656)]),
    ("coco_000000007977.jpg", [(105, 150, 269, 424)]),
    ("coco_000000009891.jpg", [(206, 89, 348, 431)]),
]


def main():
    program = sys.argv[1]
    if "--only-persons" in sys.argv:
        return only_persons(program)
    look = pathlib.Path(sys.argv[sys.argv.index("--look") + 1]) if "--look" in sys.argv else None
    signs = [cut_sign(MEDIA / "stop-sign" / f"{name}.png") for name in SIGNS]
    persons = [cut_person(*person) for person in PERSONS]
    if look:
        look.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(look / "cutouts.png"), sheet(signs + persons))
    measured = {"schema": 1, "source_size": [WIDTH, HEIGHT], "floor": FLOOR, "quantiles": QUANTILES, "models": {}}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        sets = {light: compose(folder / light, signs, persons, light) for light in ("day", "night")}
        sets["lying"] = compose_lying(folder / "lying", persons)
        for light in ("day", "night"):
            sets[f"scaled_{light}"] = scale_photographs(folder / f"scaled_{light}", light)
        for clip in DARK_CLIPS:
            darken_clip(folder / "dark", clip)
        if look:
            for light in sets:
                chosen = sorted((folder / light).glob("*.jpg"))[::97][:12]
                cv2.imwrite(str(look / f"composed_{light}.jpg"), sheet([cv2.imread(str(path)) for path in chosen], 640))
        for model, scale in MODELS.items():
            print(model, flush=True)
            found = {light: detect(program, model, folder / light) for light in sets}
            curves = {
                "stop_sign": {light: curve(found[light], sets[light], "stop sign", scale) for light in ("day", "night")},
                "person": {light: scaled_curve(found, sets, light, scale) for light in ("day", "night")},
                "person_cut_out": {light: curve(found[light], sets[light], "person", scale) for light in ("day", "night")},
                "person_lying": {"day": curve(found["lying"], sets["lying"], "person", scale)},
            }
            records = {clip: replay(program, model, clip) for clip in CLIPS}
            dark = {clip: dark_records(program, model, folder / "dark", clip) for clip in DARK_CLIPS}
            measured["models"][model] = {
                "rows_per_source_row": round(scale, 5),
                "curves": curves,
                "persistence": persistence(found["day"], sets["day"], records),
                "clutter": {
                    "day": {label: clutter(records, label) for label in ("stop sign", "person")},
                    "night": {label: clutter(dark, label) for label in ("stop sign", "person")},
                },
            }
    (HERE / "measured.json").write_text(pretty(measured))


# Cut-outs: colour and a soft mask, both as large as the photograph allows.


def cut_sign(path):
    """An octagon photographed to the picture's edges: the convex hull of what is red, grown by its white border."""
    image = cv2.imread(str(path))
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    red = ((hsv[..., 0] < 12) | (hsv[..., 0] > 165)) & (hsv[..., 1] > 110) & (hsv[..., 2] > 60)
    red = cv2.morphologyEx(red.astype(np.uint8), cv2.MORPH_OPEN, np.ones((9, 9), np.uint8))
    parts, labels, stats, _ = cv2.connectedComponentsWithStats(red)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    hull = cv2.convexHull(np.argwhere(labels == largest)[:, ::-1].astype(np.int32))
    mask = cv2.fillConvexPoly(np.zeros(red.shape, np.uint8), hull, 255)
    mask = cv2.dilate(mask, np.ones((9, 9), np.uint8))
    return trim(image, mask)


def cut_person(name, box, head):
    """GrabCut from a box by eye, the head being certain."""
    clip, _, at = name.partition("#")
    image = frame_of(f"pedestrian/{clip}", int(at)) if at else cv2.imread(str(MEDIA / "pedestrian" / name))
    x1, y1, x2, y2 = box
    margin = (y2 - y1) // 6
    left, top = max(0, x1 - margin), max(0, y1 - margin)
    image = image[top : y2 + margin, left : x2 + margin]
    scale = min(1.0, 700 / image.shape[0])
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    x1, y1, x2, y2 = [int(v * scale) for v in (x1 - left, y1 - top, x2 - left, y2 - top)]
    mask = np.full(image.shape[:2], cv2.GC_BGD, np.uint8)
    mask[y1:y2, x1:x2] = cv2.GC_PR_FGD
    middle = (int(x1 + head[0] * (x2 - x1)), int(y1 + head[1] * (y2 - y1)))
    cv2.circle(mask, middle, max(2, int(0.04 * (y2 - y1))), cv2.GC_FGD, -1)
    cv2.setRNGSeed(7)
    cv2.grabCut(image, mask, None, np.zeros((1, 65)), np.zeros((1, 65)), 6, cv2.GC_INIT_WITH_MASK)
    mask = np.where((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD), 255, 0).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    parts, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return trim(image, (labels == largest).astype(np.uint8) * 255)


def trim(image, mask):
    rows, columns = np.where(mask.any(1))[0], np.where(mask.any(0))[0]
    window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return np.dstack([image[window], mask[window]])


def sheet(pictures, width=300):
    tiles = []
    for picture in pictures:
        if picture.shape[2] == 4:
            alpha = picture[..., 3:] / 255.0
            picture = (picture[..., :3] * alpha + np.array([200, 80, 200]) * (1 - alpha)).astype(np.uint8)
        scale = width / max(picture.shape[:2])
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        tile = np.zeros((width, width, 3), np.uint8)
        tile[: small.shape[0], : small.shape[1]] = small
        tiles.append(tile)
    while len(tiles) % 4:
        tiles.append(np.zeros_like(tiles[0]))
    return np.vstack([np.hstack(tiles[k : k + 4]) for k in range(0, len(tiles), 4)])


# Composed pictures: one sign on the right half and one person on the left half of a real road picture.


def backgrounds(light):
    stills = ["bdd_0ace96c3-48481887", "bdd_adb4871d-4d063244", "udacity_test1", "udacity_test5"]
    pictures = [cv2.imread(str(MEDIA / "drive" / f"{name}.jpg")) for name in stills]
    pictures += [frame_of("drive/udacity_solidWhiteRight.mp4", at) for at in (0, 110, 215)]
    pictures.append(frame_of("drive/udacity_highway_38f.mp4", 20))
    pictures = [cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for picture in pictures]
    if light == "day":
        return pictures
    real = cv2.imread(str(MEDIA / "drive" / "bdd_9aa94005-ff1d4c9a.jpg"))
    return [real, cv2.flip(real, 1)] + [darken(picture, 0.18) for picture in pictures[:6]]


def frame_of(clip, at):
    video = cv2.VideoCapture(str(MEDIA / clip))
    for _ in range(at + 1):
        picture = video.read()[1]
    return picture


def darken(picture, gain):
    """Less light before the camera's own curve (gamma 2.2)."""
    return (255 * (gain * (picture / 255.0) ** 2.2) ** (1 / 2.2)).astype(np.uint8)


def compose(folder, signs, persons, light):
    folder.mkdir()
    random = np.random.default_rng(1 if light == "day" else 2)
    truth = {}
    scale = MODELS["yolox_nano_416"]
    for b, background in enumerate(backgrounds(light)):
        for s in range(max(len(signs), len(persons))):
            sign, person = s % len(signs), s % len(persons)
            # The same object keeps its place in the scene from one height to the next, as in an approach.
            sign_at = (random.uniform(0.62, 0.85), random.uniform(0.25, 0.5))
            person_at = (random.uniform(0.18, 0.35), random.uniform(0.45, 0.6))
            lit_sign, lit_person = lit(signs[sign], light, random, True), lit(persons[person], light, random, False)
            for k, (sign_rows, person_rows) in enumerate(zip(SIGN_ROWS, PERSON_ROWS)):
                canvas = background.astype(np.float32)
                boxes = {
                    "stop sign": paste(canvas, lit_sign, sign_rows / scale, sign_at, random),
                    "person": paste(canvas, lit_person, person_rows / scale, person_at, random),
                }
                name = f"{b:02}_{s:02}_{k:02}.jpg"
                cv2.imwrite(str(folder / name), finish(canvas, light, random), [cv2.IMWRITE_JPEG_QUALITY, 90])
                truth[name] = {"boxes": boxes, "step": k, "object": {"stop sign": (b, sign), "person": (b, person)}}
    return truth


def compose_lying(folder, persons):
    """Cut-outs turned by a right angle on indoor floors: what a wall camera sees of a person on the ground, nearly."""
    folder.mkdir()
    random = np.random.default_rng(3)
    empty = [frame_of("pedestrian/one-by-one-person-detection.mp4", at) for at in (50, 700)]
    floors = [cv2.resize(picture, (WIDTH, HEIGHT)) for picture in empty]
    floors += [cv2.flip(picture, 1) for picture in floors]
    truth = {}
    for b, floor in enumerate(floors):
        for s, person in enumerate(persons):
            turned = lit(np.rot90(person, 1 if (b + s) % 2 else 3), "day", random, False)
            at = (random.uniform(0.4, 0.6), random.uniform(0.65, 0.75))
            for k, rows in enumerate(LYING_ROWS):
                canvas = floor.astype(np.float32)
                height = rows / MODELS["yolox_nano_416"] * turned.shape[0] / turned.shape[1]
                box = paste(canvas, turned, height, at, random)
                name = f"{b:02}_{s:02}_{k:02}.jpg"
                cv2.imwrite(str(folder / name), finish(canvas, "day", random), [cv2.IMWRITE_JPEG_QUALITY, 90])
                truth[name] = {"boxes": {"person": box}, "step": k, "object": {"person": (b, s)}}
    return truth


def scale_photographs(folder, light):
    """Whole photographs made smaller and put anywhere on grey: persons where they belong, on feet that stand."""
    folder.mkdir()
    random = np.random.default_rng(5 if light == "day" else 6)
    scale = MODELS["yolox_nano_416"]
    truth = {}
    for p, (name, boxes) in enumerate(PHOTOGRAPHS):
        photograph = cv2.imread(str(MEDIA / "pedestrian" / name))
        middle = float(np.median([box[3] - box[1] for box in boxes]))
        for k, rows in enumerate(PERSON_ROWS):
            smaller = rows / scale / middle
            width, height = int(photograph.shape[1] * smaller), int(photograph.shape[0] * smaller)
            if smaller > 1 or width > WIDTH or height > HEIGHT:
                continue
            small = cv2.resize(photograph, (width, height), interpolation=cv2.INTER_AREA)
            small = small if light == "day" else darken(small, 0.18)
            for place in range(6):
                canvas = np.full((HEIGHT, WIDTH, 3), 114, np.float32)
                x, y = int(random.integers(0, WIDTH - width + 1)), int(random.integers(0, HEIGHT - height + 1))
                canvas[y : y + height, x : x + width] = small
                picture = f"{p:02}_{k:02}_{place}.jpg"
                cv2.imwrite(str(folder / picture), finish(canvas, light, random), [cv2.IMWRITE_JPEG_QUALITY, 90])
                for one, box in enumerate(boxes):
                    placed = [x + box[0] * smaller, y + box[1] * smaller, x + box[2] * smaller, y + box[3] * smaller]
                    truth[f"{picture}#{one}"] = {"boxes": {"person": placed}, "step": k, "object": {"person": (p, one)}}
    return truth


def scaled_curve(found, sets, light, scale):
    truth = sets[f"scaled_{light}"]
    return curve({name: found[f"scaled_{light}"][name.split("#")[0]] for name in truth}, truth, "person", scale)


def only_persons(program):
    measured = json.loads((HERE / "measured.json").read_text())
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        sets = {f"scaled_{light}": scale_photographs(folder / f"scaled_{light}", light) for light in ("day", "night")}
        for model, scale in MODELS.items():
            found = {light: detect(program, model, folder / light) for light in sets}
            curves = measured["models"][model]["curves"]
            curves["person"] = {light: scaled_curve(found, sets, light, scale) for light in ("day", "night")}
    (HERE / "measured.json").write_text(pretty(measured))


def lit(cutout, light, random, reflects):
    """Its colours times its mask, and the mask. By night persons are dim; a sign's sheeting sends the headlights back."""
    low, high = (0.75, 1.1) if light == "day" else (0.35, 0.9) if reflects else (0.05, 0.2)
    gain = random.uniform(low, high)
    table = 255 * np.minimum(1.0, gain * (np.arange(256) / 255.0) ** 2.2) ** (1 / 2.2)
    alpha = cutout[..., 3:] / 255.0
    return np.dstack([table[cutout[..., :3]] * alpha, alpha]).astype(np.float32)


def paste(canvas, cutout, height, at, random):
    """Scales by area average to `height` rows, puts it at a sub-pixel place; returns its exact box."""
    scale = height / cutout.shape[0]
    x = min(max(at[0] * WIDTH - cutout.shape[1] * scale / 2 + random.uniform(-2, 2), 0), WIDTH)
    y = min(max(at[1] * HEIGHT - height / 2 + random.uniform(-2, 2), 0), HEIGHT - height - 1)
    # Smoothed to the target's sampling, so that fine detail does not alias as no lens would.
    source = cutout
    coarse = max(1, int(0.5 / scale))
    if coarse > 1:
        # Whole blocks only: their areas stay where they were.
        rows, columns = (-(-side // coarse) * coarse for side in source.shape[:2])
        source = np.pad(source, ((0, rows - source.shape[0]), (0, columns - source.shape[1]), (0, 0)))
        source = cv2.resize(source, (columns // coarse, rows // coarse), interpolation=cv2.INTER_AREA)
    step = scale * coarse
    source = cv2.GaussianBlur(cv2.copyMakeBorder(source, 3, 3, 3, 3, cv2.BORDER_CONSTANT), (0, 0), max(0.5 / step, 0.3))
    left, top = int(x) - 4, int(y) - 4
    size = (int(cutout.shape[1] * scale) + 10, int(height) + 10)
    # Source pixel i (3 of them border) covers x + step * (i - 3) to x + step * (i - 2).
    move = np.float32([[step, 0, x - left + step * -2.5 - 0.5], [0, step, y - top + step * -2.5 - 0.5]])
    placed = cv2.warpAffine(source, move, size, flags=cv2.INTER_LINEAR)
    ys, xs = max(top, 0), max(left, 0)
    part = placed[ys - top : HEIGHT - top, xs - left : WIDTH - left]
    window = canvas[ys : ys + part.shape[0], xs : xs + part.shape[1]]
    window *= 1 - part[..., 3:]
    window += part[..., :3]
    return [x, y, min(x + cutout.shape[1] * scale, WIDTH), y + height]


def finish(canvas, light, random):
    """Sensor noise: little by day, much by night. One field of it, moved to another place for every picture."""
    sigma = 2.0 if light == "day" else 9.0
    side = [slice(start, start + length) for start, length in zip(random.integers(0, 256, 2), canvas.shape)]
    return np.clip(canvas + sigma * NOISE[side[0], side[1]], 0, 255).astype(np.uint8)


NOISE = np.random.default_rng(0).normal(0, 1, (HEIGHT + 256, WIDTH + 256, 3)).astype(np.float32)


# The product's own command does the seeing.


def command(program, model, *arguments):
    engine = ["--backend", "ort"] if os.environ.get("STOPLINE_ORT_LIBRARY") else []
    model_files = ["--model", DATA / "models" / f"{model}.onnx", "--manifest", MANIFESTS / f"{model}.toml"]
    return [program, arguments[0], *engine, *model_files, "--score", str(FLOOR), *arguments[1:]]


def detect(program, model, folder):
    output = subprocess.run(command(program, model, "detect", "--json", folder), stdout=subprocess.PIPE, check=True)
    return {pathlib.Path(path).name: found for path, found in json.loads(output.stdout)["images"].items()}


CLIPS = {  # label → whether the clip holds none of it, seen by eye from end to end
    "drive/udacity_solidWhiteRight.mp4": {"stop sign", "person"},
    "drive/udacity_highway_38f.mp4": {"stop sign", "person"},
    "drive/parking_car-detection.mp4": {"stop sign"},
    "pedestrian/one-by-one-person-detection.mp4": {"stop sign"},
    "pedestrian/person-bicycle-car.mp4": {"stop sign"},
}


def replay(program, model, clip):
    with tempfile.TemporaryDirectory() as folder:
        records = pathlib.Path(folder) / "records.jsonl"
        arguments = command(program, model, "replay", "--records", records, MEDIA / clip)
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return [json.loads(line) for line in records.read_text().splitlines()]


DARK_CLIPS = ("drive/udacity_solidWhiteRight.mp4", "drive/udacity_highway_38f.mp4")


def darken_clip(folder, clip):
    """No clip by night is at hand: the day's with less light and a noisy sensor. No head lamps, no reflections."""
    random = np.random.default_rng(4)
    video = cv2.VideoCapture(str(MEDIA / clip))
    to = folder / pathlib.Path(clip).stem
    to.mkdir(parents=True)
    at = 0
    while True:
        more, picture = video.read()
        if not more:
            return
        dark = finish(darken(picture, 0.18).astype(np.float32), "night", random)
        cv2.imwrite(str(to / f"{at:05}.jpg"), dark, [cv2.IMWRITE_JPEG_QUALITY, 90])
        at += 1


def dark_records(program, model, folder, clip):
    pictures = folder / pathlib.Path(clip).stem
    found = detect(program, model, pictures)
    height, width = cv2.imread(str(sorted(pictures.iterdir())[0])).shape[:2]
    return [
        {"position_us": at * 40_000, "image_size": [width, height], "detections": found[name]}
        for at, name in enumerate(sorted(found))
    ]


# What is read out of it.


def overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def best(found, label, box):
    """The strongest box of `label` that covers the object; small boxes are a pixel off more easily."""
    fitting = [one for one in found if one["label"] == label and overlap(one["box"], box) >= 0.4]
    return max(fitting, key=lambda one: one["score"], default=None)


def samples(found, truth, label):
    for name, what in sorted(truth.items()):
        box = what["boxes"][label]
        yield what, box, best(found[name], label, box)


def curve(found, truth, label, scale):
    """Per height: quantiles of the score (0 where nothing was found), and bias and spread of the box."""
    steps = {}
    for what, box, seen in samples(found, truth, label):
        steps.setdefault(what["step"], []).append((box, seen))
    rows = []
    for _, pairs in sorted(steps.items()):
        # A lying person is as tall as the body is long.
        sizes = [max(box[3] - box[1], box[2] - box[0]) if label == "person" else box[3] - box[1] for box, _ in pairs]
        scores = [seen["score"] if seen else 0.0 for _, seen in pairs]
        rows.append({
            "rows": round(float(np.median(sizes)) * scale, 2),
            "n": len(pairs),
            "recall_at_0.3": round(float(np.mean([score >= 0.3 for score in scores])), 3),
            "score_quantiles": [round(float(value), 3) for value in np.percentile(scores, QUANTILES)],
            "box": box_noise([(box, seen["box"]) for box, seen in pairs if seen]),
        })
    return rows


def box_noise(pairs):
    """[mean, standard deviation] of the errors relative to the height, robustly (median, 1.48 MAD)."""
    if len(pairs) < 8:
        return None
    errors = {"log_height": [], "log_width": [], "x": [], "bottom": []}
    for truth, seen in pairs:
        height = truth[3] - truth[1]
        errors["log_height"].append(math.log((seen[3] - seen[1]) / height))
        errors["log_width"].append(math.log((seen[2] - seen[0]) / (truth[2] - truth[0])))
        errors["x"].append((seen[0] + seen[2] - truth[0] - truth[2]) / 2 / height)
        errors["bottom"].append((seen[3] - truth[3]) / height)
    def spread(values):
        middle = float(np.median(values))
        return [round(middle, 4), round(1.4826 * float(np.median(np.abs(np.array(values) - middle))), 4)]
    return {name: spread(values) for name, values in errors.items()}


def persistence(found, truth, records):
    """How much of a score's luck belongs to the object, to the last moments, and to the single frame."""
    shares = {label: object_share(found, truth, label) for label in ("stop sign", "person")}
    pairs = {}
    runs = []
    for clip, label in (
        ("drive/udacity_solidWhiteRight.mp4", "car"), ("drive/udacity_highway_38f.mp4", "car"),
        ("pedestrian/one-by-one-person-detection.mp4", "person"),
    ):
        period = period_of(records[clip])
        for track in follow(records[clip], label, period):
            times = np.array([at for at, _, _ in track])
            scores = np.array([score for _, score, _ in track])
            runs += miss_runs(scores, period)
            # What is left when the slow trend (growing, turning) is taken away.
            rest = scores - np.polyval(np.polyfit(times, scores, 2), times)
            if rest.std() < 1e-6:
                continue
            rest /= rest.std()
            for lag in range(1, int(1.0 / period) + 1):
                pairs.setdefault(round(lag * period, 3), []).extend(rest[lag:] * rest[:-lag])
    lags = sorted(pairs)
    correlation = [float(np.mean(pairs[lag])) for lag in lags]
    white, seconds = fit_decay(lags, correlation)
    return {
        "object_share": {label: round(share, 3) for label, share in shares.items()},
        "single_frame_share": round(white, 3),
        "seconds": round(seconds, 3),
        "measured": {"lag_s": lags, "correlation": [round(value, 3) for value in correlation],
                     "pairs": [len(pairs[lag]) for lag in lags]},
        "runs_below_0.3_s": quantiles_of(runs),
    }


def object_share(found, truth, label):
    """Correlation of score ranks of one object in one scene between neighbouring heights."""
    by_step = {}
    for what, _, seen in samples(found, truth, label):
        by_step.setdefault(what["step"], {})[tuple(what["object"][label])] = seen["score"] if seen else 0.0
    products = []
    for step in sorted(by_step)[:-1]:
        here, there = by_step[step], by_step[step + 1]
        both = sorted(set(here) & set(there))
        a, b = ranks([here[key] for key in both]), ranks([there[key] for key in both])
        if a.std() > 0 and b.std() > 0:
            products.append(float(np.corrcoef(a, b)[0, 1]))
    return max(0.0, float(np.mean(products)))


def ranks(values):
    order = np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(float)
    for value in set(values):
        same = [k for k, other in enumerate(values) if other == value]
        order[same] = np.mean(order[same])
    return order


def fit_decay(lags, correlation):
    """(1 - white) exp(-lag / seconds), by least squares on a grid."""
    grid = [(white, seconds) for white in np.linspace(0, 0.9, 46) for seconds in np.geomspace(0.03, 2.0, 60)]
    def error(candidate):
        white, seconds = candidate
        return sum((value - (1 - white) * math.exp(-lag / seconds)) ** 2 for lag, value in zip(lags, correlation))
    return min(grid, key=error)


def period_of(records):
    return (records[-1]["position_us"] - records[0]["position_us"]) / 1e6 / (len(records) - 1)


def follow(records, label, period, least=1.0):
    """Objects followed by overlap; a frame without a fitting box is a miss with score 0; ends after half a second of them."""
    alive, done = [], []
    for record in records:
        at = record["position_us"] / 1e6
        boxes = sorted((one for one in record["detections"] if one["label"] == label), key=lambda one: -one["score"])
        for track in alive:
            last = [entry for entry in track if entry[2] is not None][-1][2]
            fitting = max(boxes, key=lambda one: overlap(one["box"], last), default=None)
            if fitting and overlap(fitting["box"], last) >= 0.3:
                boxes = [one for one in boxes if overlap(one["box"], fitting["box"]) < 0.5]
                track.append((at, fitting["score"], fitting["box"]))
            else:
                track.append((at, 0.0, None))
        limit = max(2, int(0.5 / period))
        done += [track for track in alive if all(entry[2] is None for entry in track[-limit:])]
        alive = [track for track in alive if any(entry[2] is not None for entry in track[-limit:])]
        alive += [[(at, one["score"], one["box"])] for one in boxes if one["score"] >= 0.4]
    tracks = []
    for track in done + alive:
        while track[-1][2] is None:
            track.pop()
        if track[-1][0] - track[0][0] >= least and max(entry[1] for entry in track) >= 0.5:
            tracks.append(track)
    return tracks


def miss_runs(scores, period):
    runs, length = [], 0
    for score in scores:
        if score < 0.3:
            length += 1
        elif length:
            runs.append(length * period)
            length = 0
    return runs


def clutter(records, label):
    """False boxes of `label`, joined to tracklets, on the clips that hold none."""
    seconds, frames, boxes, tracklets = 0.0, 0, 0, []
    for clip, none_of in CLIPS.items():
        if label not in none_of or clip not in records:
            continue
        period = period_of(records[clip])
        seconds += len(records[clip]) * period
        frames += len(records[clip])
        boxes += sum(one["label"] == label for record in records[clip] for one in record["detections"])
        tracklets += [(records[clip][0]["image_size"], track) for track in tracklets_of(records[clip], label, period)]
    measured = {
        "seconds": round(seconds, 2), "frames": frames, "boxes": boxes, "tracklets": len(tracklets),
        "boxes_at_0.3": sum(entry[1] >= 0.3 for _, track in tracklets for entry in track),
        "tracklets_with_2_at_0.3": sum(sum(entry[1] >= 0.3 for entry in track) >= 2 for _, track in tracklets),
        "per_hour": round(len(tracklets) / seconds * 3600, 1),
        # Exact (Garwood) one-sided 95 % bound on the rate.
        "per_hour_upper_95": round(poisson_upper(len(tracklets)) / seconds * 3600, 1),
    }
    if tracklets:
        life = [track[-1][0] - track[0][0] + 0.0 for _, track in tracklets]
        growth = [math.log(height(track[-1][2]) / height(track[0][2])) / (track[-1][0] - track[0][0])
                  for _, track in tracklets if track[-1][0] > track[0][0]]
        measured |= {
            "life_s": quantiles_of(life),
            "score": quantiles_of([entry[1] for _, track in tracklets for entry in track]),
            "peak_score": quantiles_of([max(entry[1] for entry in track) for _, track in tracklets]),
            "height_of_picture": quantiles_of([height(track[0][2]) / size[1] for size, track in tracklets]),
            "width_of_height": quantiles_of([(t[0][2][2] - t[0][2][0]) / height(t[0][2]) for _, t in tracklets]),
            "x_of_picture": quantiles_of([(t[0][2][0] + t[0][2][2]) / 2 / size[0] for size, t in tracklets]),
            "bottom_of_picture": quantiles_of([t[0][2][3] / size[1] for size, t in tracklets]),
            "log_growth_per_s": quantiles_of(growth) if growth else None,
        }
    return measured


def tracklets_of(records, label, period):
    alive, done = [], []
    for record in records:
        at = record["position_us"] / 1e6
        boxes = [one for one in record["detections"] if one["label"] == label]
        for track in alive:
            fitting = max(boxes, key=lambda one: overlap(one["box"], track[-1][2]), default=None)
            if fitting and overlap(fitting["box"], track[-1][2]) >= 0.2:
                boxes.remove(fitting)
                track.append((at, fitting["score"], fitting["box"]))
        done += [track for track in alive if at - track[-1][0] > 3.5 * period]
        alive = [track for track in alive if at - track[-1][0] <= 3.5 * period]
        alive += [[(at, one["score"], one["box"])] for one in boxes]
    return done + alive


def height(box):
    return max(box[3] - box[1], 1.0)


def quantiles_of(values):
    if not values:
        return {"n": 0}
    return {"n": len(values), "quantiles": [round(float(value), 4) for value in np.percentile(values, QUANTILES)]}


def poisson_upper(events):
    """Largest mean that still gives `events` or fewer with 5 %: by bisection on the distribution itself."""
    def at_most(mean):
        return sum(math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(events + 1))
    low, high = 1e-9, 10.0 + 3 * events
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if at_most(middle) > 0.05 else (low, middle)
    return high


def pretty(value):
    """JSON with lists of numbers on one line."""
    def write(value, indent):
        flat = not isinstance(value, (dict, list)) or not any(isinstance(v, (dict, list)) for v in value) and isinstance(value, list)
        if flat or not value:
            return json.dumps(value)
        inner = " " * (indent + 1)
        if isinstance(value, list):
            return "[\n" + ",\n".join(inner + write(v, indent + 1) for v in value) + "\n" + " " * indent + "]"
        return "{\n" + ",\n".join(f"{inner}{json.dumps(k)}: {write(v, indent + 1)}" for k, v in value.items()) + "\n" + " " * indent + "}"
    return write(value, 0) + "\n"


if __name__ == "__main__":
    main()
