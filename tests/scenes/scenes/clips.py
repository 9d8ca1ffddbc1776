"""Event clips: a drive up to a stop sign, a drive towards somebody who crosses, a fall in a corridor.

    python -m scenes.clips OUT                 the three bundled clips, with signal track, event truth and calibration
    python -m scenes.clips OUT --seed 100 --count 20 --kind stop_sign     others, for tables

Nobody drove: speed, place and pedals are invented, and the pictures are rendered from just these numbers, so that
speed and motion agree exactly. The recorded driver brakes by himself, later than a system that looks ahead.
"""

import argparse
import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from . import person, room, signs, street, things
from .camera import Light, Studio, View, sky
from .mesh import Mesh, rotation
from .scene import Scene, Thing, boxes

FPS = 15
SIZE = (960, 540)
# The road camera: angle across in degrees, metres above the road, radians downwards, metres to the front of the car.
HFOV, HEIGHT, PITCH, FRONT = 45.0, 1.3, np.radians(2.0), 1.6
LANE_X = street.LANE / 2


@dataclass
class Clip:
    """A scene that moves. `moving(t)` adds what moves to a mesh and returns its things; `view(t)` is the camera."""

    still: Mesh
    fixed: list
    moving: callable
    view: callable
    light: Light
    sheet: np.ndarray
    seconds: float
    speed: callable = None
    pedals: callable = None
    events: list = field(default_factory=list)
    grey: bool = False
    past: callable = None


def travel(v0, brake_at, deceleration):
    """Speed and way of a car that drives at `v0` and brakes from `brake_at` seconds on, with a ramp of 0.4 s."""
    step = 1e-3
    times = np.arange(0, 60, step)
    a = deceleration * np.clip((times - brake_at) / 0.4, 0, 1)
    speed = np.maximum(v0 - np.cumsum(a) * step, 0)
    way = np.cumsum(speed) * step
    return (lambda t: float(np.interp(t, times, speed))), (lambda t: float(np.interp(t, times, way))), times, speed, way


def road_scene(rng, junction):
    """A street in daylight with houses on both sides, without persons or plates."""
    mesh = Mesh()
    sky(mesh)
    street.road(mesh, rng, 3.8, junction, 2.6)
    street.surroundings(mesh, rng, 3.8, 2.6, junction)
    for y in (22.0, 29.0, 71.0):
        things.car(mesh, (-2.9, y, 0), np.pi, rng)
    light = Light(sun_way=(0.5, -0.6, 0.9), clouds=0.5, dense=0.002, gain=1.25, seed=float(rng.uniform(0, 99)))
    return mesh, light


def driver(speed, times, brake_at):
    """Accelerator, steering and brake pedal that go with it: off the gas half a second before braking."""
    return lambda t: (0.12 if t < brake_at - 0.5 else 0.0, 0.0, 1 if t >= brake_at else 0)


def stop_sign(rng, kmh=24.0, size=0.75, stop_short=1.5, word="STOP"):
    """Up to a sign at the right; the driver stops with his front `stop_short` metres before it."""
    v0, drive = kmh / 3.6, 5.6
    speed, way, times, speeds, ways = travel(v0, drive, 3.0)
    sign_y = way(60) + FRONT + stop_short
    mesh, light = road_scene(rng, sign_y + 1.0)
    face = things.sign(mesh, signs.STOP, (5.0, sign_y, 0.12), size, 0.08, 2.1, rng, number=1)
    things.sign(mesh, signs.LIMIT, (5.0, sign_y * 0.45, 0.12), 0.6, 0.05, 2.2, rng)
    fixed = [Thing(1, "stop_sign", face, face.mean(0))]
    begin = next(t for t in times if 2 * 2.0 * (sign_y - way(t) - FRONT - 2.0) <= speed(t) ** 2)
    focal = SIZE[0] / 2 / np.tan(np.radians(HFOV / 2))
    seen = next((t for t in times if size * focal / (sign_y - way(t)) >= 20), 0.0)
    stands = next(t for t in times if speed(t) <= 0.01)
    event = {"kind": "stop_sign", "from_s": round(float(begin), 3), "to_s": round(float(stands) + 1.0, 3), "visible_from_s": round(float(seen), 3)}
    walker = passer_by(rng, 7.0, sign_y + 6, 1.3)
    return Clip(mesh, fixed, walker, drives(way), light, signs.atlas(rng, word), float(stands) + 1.6, speed, driver(speed, times, drive), [event])


def passer_by(rng, x, y0, pace):
    """Somebody who walks along the far pavement, towards the camera."""
    look = person.dressed(rng, False)
    side = -5.2

    def moving(mesh, t):
        pose = person.walking(2 * np.pi * t * pace / 1.4, 0.42)
        return [street.put(mesh, rng, (side, y0 - pace * t, 0.12), np.pi, 40, pose, look)]
    return moving


def drives(way, x=LANE_X):
    """The car's camera."""
    return lambda t: View(np.array([x, way(t), HEIGHT]), 0.0, PITCH, 0.0, HFOV, SIZE)


def pedestrian(rng, kmh=30.0, pace=1.4, meet=6.0):
    """Towards somebody who crosses from the right; the driver brakes late and hard, and stops before them."""
    v0 = kmh / 3.6
    person_y = v0 * meet + FRONT
    brake_at = (person_y - FRONT - 2.2 - v0 * v0 / 2 / 7.0) / v0 - 0.2
    speed, way, times, speeds, ways = travel(v0, brake_at, 7.0)
    mesh, light = road_scene(rng, None)
    for x in np.arange(-3.5, 3.4, 0.95):
        mesh.ground(x, x + 0.5, person_y - 1.4, person_y + 1.4, 0.009, (0.7, 0.7, 0.7))
    look, other = person.dressed(rng, False), person.dressed(rng, False)
    start_x, begin = 6.0, meet - (6.0 - LANE_X) / pace

    def moving(mesh, t):
        gone = max(t - begin, 0.0) * pace
        x = start_x - gone
        pose = person.walking(2 * np.pi * gone / 1.45, 0.42) if t > begin else person.standing(np.random.default_rng(5))
        z = 0.12 if abs(x) > 3.8 else 0.0
        first = street.put(mesh, rng, (x, person_y, z), np.pi / 2, 40, pose, look)
        walk = person.walking(2 * np.pi * t * 1.2 / 1.4, 0.42)
        return [first, street.put(mesh, rng, (-5.4, 18 + 1.2 * t, 0.12), 0.0, 41, walk, other)]
    stands = next(t for t in times if speed(t) <= 0.01)
    clear = begin + (start_x - LANE_X + 1.25) / pace
    event = {"kind": "pedestrian", "from_s": round(meet - 1.5, 3), "to_s": round(max(float(stands), clear), 3), "visible_from_s": round(begin, 3)}
    return Clip(mesh, [], moving, drives(way), light, signs.atlas(rng), max(clear, float(stands)) + 1.2, speed, driver(speed, times, brake_at), [event])


def fall(rng, way=1, begin=2.4, down=10.6, child=False, infrared=False, grey=False, other=False):
    """Somebody walks along a corridor towards the camera, falls and stays down; perhaps another one walks past."""
    mesh = Mesh()
    room.shell(mesh, rng, 2.4, 12.0, 2.6)
    things.chair(mesh, (-0.85, 7.5, 0), np.pi / 2 * -1, rng)
    look, end = person.dressed(rng, child), person.lying(rng, way)
    long, pace, start = 1.0, 1.0, 8.4
    past = walks_past(rng) if other else lambda mesh, t: []

    def moving(mesh, t):
        return falls(mesh, t) + past(mesh, t)

    def falls(mesh, t):
        y = start - pace * min(t, begin)
        if t < begin:
            return [street.put(mesh, rng, (0.1, y, 0), np.pi, 40, person.walking(2 * np.pi * t * pace / 1.3, 0.36), look)]
        share = min((t - begin) / long, 1.0) ** 1.8
        pose = person.falling(share, end, way, 0.5)
        reach = (pose.turn @ np.array([0, 0, 0.5 * look.height]))[:2]
        still = max(0.0, 1 - (t - begin - long) / 1.5) if share >= 1 else 0.0
        pose.look += 0.15 * np.sin(t * 3) * still
        return [street.put(mesh, rng, (0.1 - reach[0], y - reach[1], 0), np.pi, 40, pose, look, "person_down" if share > 0.75 else "person")]
    lamps = [((0, y, 2.35), np.array([1.0, 0.95, 0.85]) * 0.55) for y in (2.0, 6.0, 10.0)]
    light = Light(sun=(0.12, 0.12, 0.11), sun_way=(0.3, -0.4, 1.2), above=(0.26, 0.26, 0.25), below=(0.15, 0.15, 0.14), mist=(0.5, 0.5, 0.5), dense=0.0001,
                  lamps=lamps, beam_low=False, gain=1.15, seed=float(rng.uniform(0, 99)))
    if infrared:
        light = room.light_of(rng, 2.4, 12.0, 2.6, True)
    view = lambda t: View(np.array([0.55, 0.1, 2.35]), 0.07, 0.3, 0.0, 68.0, SIZE)
    event = {"kind": "fall", "from_s": round(begin + long, 3), "to_s": round(begin + long + down, 3), "visible_from_s": begin}
    return Clip(mesh, [], moving, view, light, signs.atlas(rng), begin + long + down, None, None, [event], grey or infrared, past)


def walks_past(rng):
    """Somebody else, along the wall away from the camera."""
    look, pace, late = person.dressed(rng), rng.uniform(0.7, 1.3), rng.uniform(0, 4)

    def moving(mesh, t):
        gone = max(t - late, 0.0) * pace
        if 2.2 + gone > 11.4:
            return []
        return [street.put(mesh, rng, (-0.75, 2.2 + gone, 0), 0.0, 41, person.walking(2 * np.pi * gone / 1.3, 0.36), look, "person")]
    return moving


def clutter(rng, kmh=30.0, seconds=8.0):
    """A drive along a street with all that looks like a stop sign, and people who stay on the pavement: no event."""
    v0 = kmh / 3.6
    mesh, light = road_scene(rng, None)
    for k, y in enumerate(np.arange(18, 18 + v0 * seconds + 20, 9.0)):
        cell, side = int(rng.choice(street.CONFUSERS)), (1 if k % 2 else -1)
        things.sign(mesh, cell, (side * rng.uniform(4.6, 5.6), y, 0.12), rng.uniform(0.6, 0.9), rng.normal(0, 0.1), rng.uniform(1.8, 2.6), rng)
    walkers = [(person.dressed(rng), float(rng.choice([-1, 1]) * rng.uniform(5.2, 6.0)), 16 + 14 * k, rng.uniform(-1.5, 1.5)) for k in range(4)]

    def moving(mesh, t):
        return [street.put(mesh, rng, (x, y + pace * t, 0.12), 0.0 if pace > 0 else np.pi, 40 + k, person.walking(2 * np.pi * t * abs(pace) / 1.4, 0.4), look)
                for k, (look, x, y, pace) in enumerate(walkers)]
    return Clip(mesh, [], moving, drives(lambda t: v0 * t), light, signs.atlas(rng), seconds, lambda t: v0, lambda t: (0.12, 0.0, 0), [])


def no_fall(rng, seconds=12.0, child=False, **more):
    """Somebody in a corridor who walks, bends or kneels for a while, gets up and goes on: no event."""
    clip = fall(rng, begin=2.4, down=seconds - 3.4, **more)
    look, low = person.dressed(rng, child), [person.bending, person.kneeling, person.crawling][rng.integers(2)](rng)
    up = person.standing(rng)

    def moving(mesh, t):
        walked = min(t, 2.4) + max(t - 8.0, 0.0)
        share = np.clip(min((t - 2.6) / 1.2, (7.6 - t) / 1.2), 0, 1)
        pose = up.blend(low, share)
        pose.turn = np.eye(3) if share < 0.05 else mesh_turn(low.turn, share)
        if t < 2.4 or t > 8.0:
            pose = person.walking(2 * np.pi * walked / 1.3, 0.36)
        return [street.put(mesh, rng, (0.1, 8.8 - walked, 0), np.pi, 40, pose, look, "person")] + clip.past(mesh, t)
    clip.moving, clip.events, clip.seconds = moving, [], seconds
    return clip


def mesh_turn(turn, share):
    """A share of a rotation about x."""
    return rotation(x=share * np.arctan2(turn[2, 1], turn[2, 2]))


def frames(studio, clip, rng, fps=FPS):
    """Each frame's time, picture and truth."""
    studio.print_sheet(clip.sheet)
    studio.show("still", clip.still)
    for k in range(int(clip.seconds * fps)):
        t = k / fps
        mesh, view = Mesh(), clip.view(t)
        found = clip.fixed + clip.moving(mesh, t)
        studio.show("moving", mesh)
        middle = (view.place[0], view.place[1] + (18 if clip.speed else 6), 0)
        picture, numbers = studio.take(view, clip.light, middle)
        if clip.grey:
            picture = np.repeat(picture.mean(2, keepdims=True), 3, 2).astype(np.uint8)
        scene = Scene(mesh, view, clip.light, clip.sheet, middle, found)
        yield t, seen(picture, rng), {"time_s": round(t, 4), "speed_mps": round(clip.speed(t), 4) if clip.speed else 0.0, "objects": boxes(scene, numbers)}
    studio.show("moving", Mesh())


def seen(picture, rng):
    """A plain, good camera: slightly soft, a little noise."""
    out = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 0.6)
    noise = cv2.GaussianBlur(rng.standard_normal(out.shape, dtype=np.float32), (0, 0), 0.8)
    return np.clip(out + noise * 2.2 + 0.5, 0, 255).astype(np.uint8)


class Encoder:
    """Pictures to an H.264 file, by ffmpeg; the same pictures give the same bytes with one version of it."""

    def __init__(self, path, size, fps, crf=25):
        self.process = subprocess.Popen(
            ["ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{size[0]}x{size[1]}", "-r", str(fps), "-i", "-",
             "-vf", "scale=out_color_matrix=bt709:out_range=tv", "-c:v", "libx264", "-preset", "slow", "-crf", str(crf), "-bf", "0", "-g", "30",
             "-threads", "1", "-pix_fmt", "yuv420p", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv",
             "-fflags", "+bitexact", "-flags:v", "+bitexact", "-movflags", "+faststart", str(path)], stdin=subprocess.PIPE)

    def __enter__(self):
        return self

    def add(self, picture):
        """One BGR picture more."""
        self.process.stdin.write(picture.tobytes())

    def __exit__(self, kind, problem, trace):
        self.process.stdin.close()
        if self.process.wait() and kind is None:
            raise RuntimeError(f"ffmpeg ended with {self.process.returncode}")


def write(studio, clip, rng, out, name, crf=25):
    """The clip, its track, its truth; returns the truth of all frames."""
    truth = []
    with Encoder(out / f"{name}.mp4", SIZE, FPS, crf) as encoder:
        for _, picture, row in frames(studio, clip, rng):
            encoder.add(picture)
            truth.append(row)
    note = "rendered; nobody drove; the driver of the track is invented" if clip.speed else "rendered; nobody fell"
    events = {"schema": 1, "clip": f"{name}.mp4", "note": note, "events": clip.events}
    (out / f"{name}.truth.json").write_text(json.dumps(events, indent=2) + "\n", encoding="utf-8")
    if clip.speed:
        track(clip, out / f"{name}.track.csv")
    return truth


def track(clip, path):
    """The signal track, 50 samples a second, to half a second beyond the clip."""
    lines = ["# stopline signal track, schema 1", "# invented together with the rendered clip: nobody drove; speed and motion in the picture agree exactly",
             "time_us,speed,accelerator,steering_angle,brake_pedal"]
    for k in range(int((clip.seconds + 0.5) * 50)):
        t = k / 50
        accelerator, steering, brake = clip.pedals(t)
        lines.append(f"{int(round(t * 1e6))},{clip.speed(t):.4f},{accelerator:g},{steering:g},{brake}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def calibration(path, size=None, hfov=HFOV):
    """The road camera's calibration, exact from the renderer."""
    size = size or SIZE
    focal = size[0] / 2 / np.tan(np.radians(hfov) / 2)
    path.write_text(f"""# The camera of the rendered road clips: exact, since the renderer was given these numbers.
schema = 1
camera = "front"
made = "2026-11-22"
from = "parameters"
picture = [{size[0]}, {size[1]}]

[lens]
model = "brown-conrady"
focal = [{focal:.6f}, {focal:.6f}]
centre = [{size[0] / 2 - 0.5}, {size[1] / 2 - 0.5}]
distortion = [0.0, 0.0, 0.0, 0.0, 0.0]

[mount]
height_m = {HEIGHT}
pitch_deg = {np.degrees(PITCH):.4f}
roll_deg = 0.0
yaw_deg = 0.0
pitch_sigma_deg = 0.2
front_m = {FRONT}
lateral_m = 0.0
""", encoding="utf-8")


BUNDLED = ["stop_sign", "pedestrian", "fall"]
KINDS = {"stop_sign": stop_sign, "pedestrian": pedestrian, "fall": fall, "clutter": clutter, "no_fall": no_fall}

# What a kind's number in the seed is: new kinds go to the end, so that old clips stay as they are.
ORDER = ["fall", "pedestrian", "stop_sign", "clutter", "no_fall"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kind", choices=sorted(KINDS), nargs="*")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--count", type=int, default=0, help="clips of each kind from the seeds SEED, SEED+1, …; 0: the bundled ones")
    parser.add_argument("--frames", type=Path, help="folder for the truth of every frame (JSON)")
    parser.add_argument("--size", help="WxH; default: 960x540. 640x360 takes half the time")
    given = parser.parse_args()
    if given.size:
        global SIZE
        SIZE = tuple(int(v) for v in given.size.split("x"))
    given.out.mkdir(parents=True, exist_ok=True)
    calibration(given.out / "front.cal.toml")
    studio = Studio()
    for kind in given.kind or (KINDS if given.count else BUNDLED):
        for k in range(max(given.count, 1)):
            rng = np.random.default_rng([given.seed + k, ORDER.index(kind)])
            name = kind if given.count == 0 else f"{kind}_{given.seed + k}"
            truth = write(studio, varied(kind, rng) if given.count else KINDS[kind](rng), rng, given.out, name)
            if given.frames:
                given.frames.mkdir(parents=True, exist_ok=True)
                (given.frames / f"{name}.frames.json").write_text(json.dumps(truth), encoding="utf-8")
            print(name, len(truth), "frames", (given.out / f"{name}.mp4").stat().st_size, "bytes", flush=True)


def varied(kind, rng):
    """A clip of this kind with other numbers."""
    if kind == "stop_sign":
        return stop_sign(rng, kmh=float(rng.uniform(15, 36)), size=float(rng.choice([0.75, 0.9])), word=None)
    if kind == "pedestrian":
        return pedestrian(rng, kmh=float(rng.uniform(15, 36)), pace=float(rng.uniform(1.0, 1.8)))
    if kind == "clutter":
        return clutter(rng, kmh=float(rng.uniform(15, 36)))
    those = {"child": rng.random() < 0.15, "infrared": rng.random() < 0.25, "grey": rng.random() < 0.15, "other": rng.random() < 0.25}
    if kind == "no_fall":
        return no_fall(rng, **those)
    return fall(rng, way=int(rng.integers(4)), begin=float(rng.uniform(1.5, 3)), **those)


if __name__ == "__main__":
    main()
