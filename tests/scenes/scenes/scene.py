"""A scene: what stands in it, who sees it, what is true of it."""

from dataclasses import dataclass, field

import numpy as np

from .camera import Light, View
from .mesh import Mesh

LABELS = ["stop_sign", "person", "person_down"]


@dataclass
class Thing:
    """Something with a label. `places` are world places of its outline or vertices, `at` where its distance is counted to."""

    number: int
    label: str
    places: np.ndarray
    at: np.ndarray
    keypoints: dict = field(default_factory=dict)
    more: dict = field(default_factory=dict)


@dataclass
class Scene:
    """All of a still picture."""

    mesh: Mesh
    view: View
    light: Light
    sheet: np.ndarray
    middle: tuple
    things: list
    shines: list = field(default_factory=list)
    kind: str = "street"


def boxes(scene, numbers):
    """What is true of each thing in the picture: visible box, whole box, share seen, distance, keypoints."""
    height, width = numbers.shape
    found = []
    for thing in scene.things:
        mask = numbers == thing.number
        pixels = int(mask.sum())
        if pixels == 0:
            continue
        ys, xs = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
        box = [int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1]
        whole = amodal(scene.view, thing.places)
        found.append({
            "label": thing.label, "box": box, "whole": whole, "pixels": pixels, "seen": seen_share(box, whole, width, height),
            "distance_m": round(float(np.linalg.norm(thing.at - scene.view.place)), 3),
            "keypoints": keypoints(scene.view, thing, numbers), **thing.more})
    return found


def amodal(view, places):
    """The box of everything before the camera, beyond the picture's edges too."""
    pixels, depth = view.project(places)
    pixels = pixels[depth > 0.1]
    if not len(pixels):
        return None
    low, high = pixels.min(0), pixels.max(0)
    return [round(float(v), 2) for v in (*low, *high)]


def seen_share(box, whole, width, height):
    """Area of the visible box over that of the whole one, cut at the picture's edges."""
    if whole is None:
        return 0.0
    x0, y0, x1, y1 = max(whole[0], 0), max(whole[1], 0), min(whole[2], width), min(whole[3], height)
    area = max(x1 - x0, 0) * max(y1 - y0, 0)
    return round(min((box[2] - box[0]) * (box[3] - box[1]) / area, 1.0), 3) if area > 0 else 0.0


def keypoints(view, thing, numbers):
    """Joints in pixels, and 2 where the pixel there is the person's own, else 1."""
    out = {}
    if not thing.keypoints:
        return out
    pixels, depth = view.project(np.array(list(thing.keypoints.values())))
    for name, (x, y), z in zip(thing.keypoints, pixels, depth):
        inside = z > 0.1 and 0 <= x < numbers.shape[1] and 0 <= y < numbers.shape[0]
        out[name] = [round(float(x), 2), round(float(y), 2), (2 if numbers[int(y), int(x)] == thing.number else 1) if inside else 0]
    return out
