"""A drive through many streets, by night or by day: short looks at one street after the other, from one camera on a car.

    python -m scenes.drives OUT --seed 32 --looks 80 --night

OUT gets `drive.mp4`, the camera's calibration, and `frames.jsonl`: what is true of each frame, as `stills` has it. A look
is a few frames of one street while the car goes on; its persons stand still. For training and measuring, not for events:
nothing is followed from one street to the next.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from . import look, street
from .camera import Studio, View
from .clips import HEIGHT, HFOV, LANE_X, PITCH, Encoder, calibration
from .scene import boxes
from .stills import counts

# Slow, so that no frame is lost where the machine has other work: what is captured is looked at twice.
FPS = 2
SIZE = (640, 360)
# Metres per second.
PACE = 3.0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=32)
    parser.add_argument("--looks", type=int, default=80, help="streets")
    parser.add_argument("--frames", type=int, default=3, help="frames of each")
    parser.add_argument("--night", action="store_true")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    calibration(given.out / "front.cal.toml", SIZE)
    studio, at = Studio(), 0
    with Encoder(given.out / "drive.mp4", SIZE, FPS, crf=20) as encoder, open(given.out / "frames.jsonl", "w", encoding="utf-8") as lines:
        for number in range(given.looks):
            for picture, truth in looked(studio, given.seed, number, given.frames, given.night):
                encoder.add(picture)
                lines.write(json.dumps({"frame": at, "look": number, **truth}) + "\n")
                at += 1
    print(given.looks, "streets,", at, "frames,", at / FPS, "s")


def looked(studio, seed, number, count, night):
    """One street: pictures and truth, the car going on between them."""
    for k in range(count):
        view = View(np.array([LANE_X, k * PACE / FPS, HEIGHT]), 0.0, PITCH, 0.0, HFOV, SIZE)
        # The same numbers make the same street; only the car is elsewhere.
        scene = street.still(np.random.default_rng([seed, number]), SIZE, night, view)
        studio.print_sheet(scene.sheet)
        studio.show("still", scene.mesh)
        picture, numbers = studio.take(scene.view, scene.light, scene.middle)
        developed = look.develop(picture, np.random.default_rng([seed, number, 1 + k]), 0.0, night, False, scene.shines, 1.0, strong=0.6)
        found = [{**thing, "wanted": counts(thing, SIZE)} for thing in boxes(scene, numbers)]
        yield developed, {"size": list(SIZE), "night": night, "objects": found}


if __name__ == "__main__":
    main()
