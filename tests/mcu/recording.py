"""Makes tests/mcu/recording.txt: detections for the decision on a host and on a microcontroller.

    python tests/mcu/recording.py PERSON.jsonl SIGN.jsonl >tests/mcu/recording.txt

The two files are decision records of `stopline replay --records`: the first of a camera that looks into a corridor (here:
intel-iot-devkit/sample-videos, one-by-one-person-detection.mp4, CC BY 4.0, Intel; 14 s, YOLOX-nano 416), the second of a
rendered approach. After them come modelled boxes: a stop sign that is braked for and held, a person who crosses, a fall,
with noise, misses and faults. Speeds and pedals are invented throughout: this is about equal bytes, not about driving.
"""

import json
import random
import sys

random.seed(5)
NS = 1_000_000_000
clock = 1.0


def frame(camera, number, width, height, boxes):
    print("F", camera, number, int(clock * NS), width, height)
    for role, score, box in boxes:
        print("O", role, repr(round(score, 5)), *(repr(round(edge, 3)) for edge in box))


def ego(speed, accelerator=0.2, steering=0.0, release=0):
    print("E", repr(round(speed, 4)), accelerator, steering, release)


def recorded(path, camera, step, speed):
    global clock
    roles = {"person": "P", "stop sign": "S"}
    ego(speed)
    for line in open(path):
        record = json.loads(line)
        boxes = [(roles[d["label"]], d["score"], d["box"]) for d in record["detections"] if d["label"] in roles]
        width, height = record["image_size"]
        clock += step
        frame(camera, record["frame"], width, height, boxes)


def seen(ahead, left, low, high, wide):
    """The box of a thing before a level camera, 1.3 m over the road, 900 pixels of focal length, 1280 by 720."""
    noise = [random.gauss(0, 0.6) for _ in range(4)]
    x, y = 640 - 900 * left / ahead, 360 + 900 * 1.3 / ahead
    half = 450 * wide / ahead
    box = [x - half, y - 900 * high / ahead, x + half, y - 900 * low / ahead]
    return [min(max(edge + shake, 0), limit) for edge, shake, limit in zip(box, noise, (1280, 720, 1280, 720))]


def drive(seconds, speed, gap, things, brakes_at=None, deceleration=2.6, faults=()):
    """`gap` metres to the thing; from `brakes_at` metres on the vehicle brakes."""
    global clock
    for number in range(int(seconds * 30)):
        clock += 1 / 30
        if brakes_at is not None and gap < brakes_at:
            speed = max(0.0, speed - deceleration / 30)
        gap -= speed / 30
        ego(speed)
        for at, cause, comes in faults:
            if at == number:
                print("X", 0, cause, comes)
        boxes = []
        for role, place in things:
            where = place(number / 30, gap)
            if where is not None and where[0] > 2 and random.random() > 0.12:
                boxes.append((role, 0.55 + 0.4 * random.random(), seen(*where)))
        frame(0, number, 1280, 720, boxes)


recorded(sys.argv[1], 1, 0.1, 0.0)
recorded(sys.argv[2], 0, 0.04, 8.3)
sign = ("S", lambda t, gap: (gap, -2.8, 2.1, 2.85, 0.75))
drive(13, 11.1, 80.0, [sign], brakes_at=31, deceleration=2.22)
ego(0.0, release=1)
drive(0.1, 0.0, 3.0, [])
ego(0.0)
drive(2, 0.0, 3.0, [])
person = ("P", lambda t, gap: (gap, -4.0 + 1.4 * t, 0.0, 1.75, 0.6))
drive(4, 9.0, 30.0, [person], brakes_at=14, deceleration=7.0, faults=[(40, "camera_covered", 1), (70, "camera_covered", 0)])
for number in range(120):
    clock += 0.1
    ego(0.0)
    down = min(max((number - 30) / 6, 0.0), 1.0)
    tall, wide = 300 - 240 * down, 90 + 230 * down
    box = [400 - wide / 2, 650 - tall, 400 + wide / 2, 650]
    frame(1, number, 1280, 720, [("P", 0.8, [edge + random.gauss(0, 1.5) for edge in box])])
