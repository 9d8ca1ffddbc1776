"""Roads, junctions and pavements, with what stands and goes there."""

import numpy as np

from . import person, signs, things
from .camera import Light, View, sky
from .mesh import ASPHALT, GRASS, LIGHT, TILES, Mesh
from .scene import Scene, Thing

LANE = 3.2
FIRST_PERSON = 30
# Cells of the sheet that look like a stop sign to somebody who is in a hurry.
CONFUSERS = [signs.YIELD, signs.NO_ENTRY, signs.LIMIT, signs.OCTAGON, signs.OCTAGON, signs.DISC, signs.DISC, signs.ARROW, signs.NAME]


def road(mesh, rng, half, junction, walk):
    """Carriageway, markings, kerbs, pavements; a crossing road at `junction` metres where it is not None."""
    grey = rng.uniform(0.06, 0.2)
    mesh.ground(-half, half, -20, 220, 0.0, (grey, grey, grey * 1.03), material=ASPHALT)
    paint = np.full(3, rng.uniform(0.45, 0.8))
    for y in np.arange(-18, 160, rng.choice([6.0, 9.0])):
        if junction is None or not junction - 6 < y < junction + 14:
            mesh.ground(-0.06, 0.06, y, y + 3, 0.008, paint)
    if rng.random() < 0.5:
        for x in (-half + 0.25, half - 0.25):
            mesh.ground(x - 0.06, x + 0.06, -18, 200 if junction is None else junction - 1, 0.008, paint)
    pave = rng.uniform(0.22, 0.45)
    pave = np.array([pave, pave * 0.98, pave * 0.93])
    spans = [(-20, 220)] if junction is None else [(-20, junction), (junction + 9, 220)]
    for low, high in spans:
        for side in (-1, 1):
            a, b = sorted((side * half, side * (half + walk)))
            mesh.box((a, low, -0.2), (b, high, 0.12), pave, material=TILES, extra=(0.6, 0.6))
    green = np.array([rng.uniform(0.1, 0.25), rng.uniform(0.16, 0.3), 0.06]) if rng.random() < 0.75 else np.array([0.3, 0.25, 0.18])
    mesh.ground(-300, 300, -60, 320, -0.05, green, material=GRASS)
    if junction is not None:
        mesh.ground(-90, 90, junction + 1, junction + 8, 0.004, (grey, grey, grey), material=ASPHALT)
        if rng.random() < 0.7:
            mesh.ground(0.1, half - 0.1, junction - 1.2, junction - 0.8, 0.009, paint)
        if rng.random() < 0.5:
            for x in np.arange(-half + 0.3, half - 0.4, 0.95):
                mesh.ground(x, x + 0.5, junction - 4.6, junction - 1.8, 0.009, paint)


def surroundings(mesh, rng, half, walk, junction):
    """Houses, trees, bushes, lamps, things, posters. Returns where street lamps shine."""
    edge, lamps = half + walk, []
    town = rng.random()
    for side in (-1, 1):
        y = rng.uniform(-15, 5)
        while y < 110 and town < 0.75:
            long, gap = rng.uniform(6, 22), rng.choice([0.0, rng.uniform(2, 15)])
            if not (junction is not None and y < junction + 9 and y + long > junction - 1):
                back = edge + rng.choice([0.05, rng.uniform(1, 9)])
                a, b = sorted((side * back, side * (back + rng.uniform(6, 14))))
                things.building(mesh, (a, y, 0), (b, y + long, rng.uniform(4, 16)), rng)
            y += long + gap
        for _ in range(rng.integers(0, 9 if town < 0.75 else 22)):
            at = (side * (edge + rng.uniform(-0.6, 1.5 if town < 0.75 else 25)), rng.uniform(4, 90), 0)
            (things.tree if rng.random() < 0.7 else things.bush)(mesh, at, rng)
        for y in np.arange(rng.uniform(5, 20), 90, rng.uniform(18, 30)):
            if rng.random() < 0.7:
                lamps.append(things.lamppost(mesh, (side * (half + 0.5), y, 0.1), rng))
        for _ in range(rng.integers(0, 6)):
            things.street_thing(mesh, (side * (half + rng.uniform(0.3, walk)), rng.uniform(4, 45), 0.12), rng)
        if rng.random() < 0.25:
            y = rng.uniform(10, 50)
            mesh.post((side * (edge + 0.5), y + 0.1, 0), 3.5, 0.06, (0.3, 0.3, 0.3))
            things.poster(mesh, (side * (edge + 0.5), y, 3.4), rng.uniform(1.5, 4), rng.uniform(1, 2.4), rng.normal(0, 0.3), rng)
    return lamps


def traffic(mesh, rng, half, night, hand):
    """Parked and driving cars. Returns lamps that shine at the camera."""
    lamps = []
    for side in (-1, 1):
        if rng.random() < 0.55:
            y = rng.uniform(3, 14)
            while y < 70:
                if rng.random() < 0.6:
                    things.car(mesh, (side * (half - 0.95), y + 2.5, 0), rng.normal(0, 0.03) + (np.pi if side == -hand else 0), rng)
                y += rng.uniform(5.6, 9)
    if rng.random() < 0.5:
        lamps.extend(things.car(mesh, (-hand * LANE / 2, rng.uniform(9, 70), 0), np.pi + rng.normal(0, 0.03), rng, lights=night))
    if rng.random() < 0.3:
        things.car(mesh, (hand * LANE / 2, rng.uniform(9, 60), 0), rng.normal(0, 0.03), rng, lights=night)
    return lamps


def near(rng, low=3.5, high=48):
    """A distance: as many near as far ones, as a picture sees it."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def plates(mesh, rng, half, hand, view):
    """Stop signs and what is none. Returns the things with a label."""
    found = []
    for k in range(int(rng.choice([0, 1, 2], p=[0.35, 0.55, 0.10]))):
        y = near(rng, 2.2, 42)
        side = hand if rng.random() < 0.8 else -hand
        x = side * (half + rng.uniform(0.2, 2.2))
        if y < 9:
            x = view.place[0] - np.tan(view.yaw) * y + rng.uniform(-0.75, 0.75) * y * np.tan(np.radians(view.hfov / 2))
        size, height = float(rng.choice([0.6, 0.75, 0.75, 0.9])), rng.uniform(1.4, 2.8)
        if y < 5:
            height = float(np.clip(view.place[2] + rng.normal(0.1, 0.4), 1.0, 3))
        face = things.sign(mesh, signs.STOP, (x, y, 0), size, rng.normal(0, 0.22), height, rng, number=1 + k)
        found.append(Thing(1 + k, "stop_sign", face, face.mean(0)))
        if rng.random() < 0.12:
            things.bush(mesh, (x + rng.normal(0, 0.4), y - 0.6, height - rng.uniform(0.5, 1.1)), rng)
        if rng.random() < 0.15:
            things.plate(mesh, signs.NAME, (x, y - 0.01, height - size * 0.72), size * 0.5, 0.0)
    for _ in range(rng.integers(0, 4)):
        side = rng.choice([-1, 1])
        cell, y = int(rng.choice(CONFUSERS)), near(rng, 4, 40)
        things.sign(mesh, cell, (side * (half + rng.uniform(0.2, 2.5)), y, 0), rng.uniform(0.5, 0.95), rng.normal(0, 0.25), rng.uniform(1.5, 3), rng)
    if rng.random() < 0.12:
        y = near(rng, 5, 30)
        things.sign(mesh, signs.STOP, (-hand * (half + 0.8), y, 0), 0.75, np.pi + rng.normal(0, 0.3), 2.1, rng)
    return found


def people(mesh, rng, half, walk, view):
    """Persons on pavement and road. Returns the things with a label."""
    found, count = [], int(rng.choice([0, 1, 2, 3, 5, 8], p=[0.2, 0.25, 0.2, 0.17, 0.12, 0.06]))
    for k in range(count):
        y = near(rng, 2.5, 42)
        wide = np.tan(np.radians(view.hfov / 2)) * y
        ahead = view.place[0] - np.tan(view.yaw) * y
        x = ahead + rng.uniform(-0.9, 0.9) * min(wide, 14)
        z = 0.12 if half < abs(x) < half + walk else 0.0
        heading = float(rng.choice([0, np.pi, np.pi / 2, -np.pi / 2]) + rng.normal(0, 0.4))
        found.append(put(mesh, rng, (x, y, z), heading, FIRST_PERSON + k, outdoors_pose(rng)))
    return found


def outdoors_pose(rng):
    """What people do in the street; a few lie there."""
    kind = rng.random()
    if kind < 0.46:
        return person.walking(rng.uniform(0, 2 * np.pi), rng.uniform(0.25, 0.55), rng)
    if kind < 0.76:
        return person.standing(rng)
    if kind < 0.80:
        return person.bending(rng)
    if kind < 0.84:
        return person.kneeling(rng)
    if kind < 0.87:
        return person.sitting(rng, floor=True)
    return person.lying(rng)


def put(mesh, rng, at, heading, number, pose, look=None, label=None):
    """Adds one person and says what is true of them. Who lies, or has fallen below sitting, is `person_down`."""
    start = len(mesh.vertices)
    look = look or person.dressed(rng)
    joints, upright = person.build(mesh, look, pose, at, heading, number)
    places = np.concatenate([rows[:, 0:3] for rows in mesh.vertices[start:]])
    hips = (joints["left_hip"][2] + joints["right_hip"][2]) / 2 - at[2]
    knees = (joints["left_knee"][2] + joints["right_knee"][2]) / 2 - at[2]
    on_all_fours = hips > 0.22 * look.height and abs(hips - knees) > 0.15 * look.height
    down = upright < 0.5 and hips < 0.3 * look.height and not on_all_fours
    label = label or ("person_down" if down else "person")
    middle = places.mean(0)
    return Thing(number, label, places, np.array([middle[0], middle[1], at[2]]), joints,
                 {"height_m": round(look.height, 3), "upright": round(upright, 3)})


def weather(rng, night):
    """Light and air."""
    way = np.array([rng.normal(), rng.normal(), rng.uniform(0.25, 1.6)])
    if night:
        glow = rng.uniform(0.004, 0.03)
        tint = np.array([1.0, 0.85, 0.65]) if rng.random() < 0.6 else np.array([0.8, 0.9, 1.0])
        return Light(sun_way=tuple(way), sun=(0, 0, 0), above=tuple(glow * np.array([0.6, 0.7, 1.0])), below=(glow * 0.5,) * 3,
                     mist=tuple(glow * 1.5 * tint), dense=rng.choice([0.002, 0.012]), beam=rng.uniform(1.5, 5) * (rng.random() < 0.85),
                     beam_cone=rng.uniform(0.72, 0.88), gain=rng.uniform(1.3, 2.4), wet=rng.choice([0.0, 0.8]), seed=rng.uniform(0, 99))
    cloudy = rng.random()
    power = np.clip(1.25 - 1.3 * cloudy, 0.0, 1.1)
    warm = np.array([1.0, rng.uniform(0.85, 1.0), rng.uniform(0.68, 0.98)])
    sky_ = np.array([0.36, 0.44, 0.58]) if cloudy < 0.6 else np.array([0.5, 0.52, 0.55])
    strength = rng.uniform(0.7, 1.25)
    return Light(sun_way=tuple(way), sun=tuple(power * warm), above=tuple(sky_ * strength), below=(0.19 * strength, 0.18 * strength, 0.16 * strength),
                 mist=tuple(np.array([0.62, 0.66, 0.7]) * strength * rng.uniform(0.8, 1.2)), clouds=cloudy, wet=rng.choice([0.0, 0.0, 0.7]),
                 dense=float(rng.choice([0.0008, 0.003, 0.012, 0.035], p=[0.55, 0.25, 0.14, 0.06])), gain=rng.uniform(1.0, 1.7), seed=rng.uniform(0, 99))


def camera(rng, size, hand):
    """On a car, or on a wall or post beside the road."""
    fov = float(rng.choice([42, 50, 60, 70, 90]))
    if rng.random() < 0.72:
        place = np.array([hand * LANE / 2 + rng.normal(0, 0.25), 0.0, rng.uniform(1.1, 2.2)])
        return View(place, rng.normal(0, 0.07), rng.normal(0.03, 0.035), rng.normal(0, 0.012), fov, size)
    place = np.array([rng.uniform(-6, 6), 0.0, rng.uniform(1.4, 4.5)])
    return View(place, rng.normal(0, 0.25), rng.uniform(0.0, 0.1) + 0.05 * max(place[2] - 1.5, 0), rng.normal(0, 0.02), fov, size)


def still(rng, size, night=None, view=None):
    """One scene of the street from the seed's numbers; seen by `view`, or by a camera that chance places."""
    night = rng.random() < 0.22 if night is None else night
    hand = 1 if rng.random() < 0.85 else -1
    mesh, lanes = Mesh(), rng.choice([1.0, 1.0, 1.6])
    half, walk = LANE * lanes + rng.uniform(0, 1.2), rng.uniform(1.2, 3.5)
    junction = rng.uniform(8, 50) if rng.random() < 0.6 else None
    view = view or camera(rng, size, hand)
    sky(mesh)
    road(mesh, rng, half, junction, walk)
    posts = surroundings(mesh, rng, half, walk, junction)
    found = plates(mesh, rng, half, hand, view)
    found += people(mesh, rng, half, walk, view)
    cars = traffic(mesh, rng, half, night, hand)
    light = weather(rng, night)
    shines = []
    if night:
        posts = sorted(posts, key=lambda p: abs(p[1] - 15))[:4]
        light.lamps = [(p, np.array([1.0, 0.75, 0.45]) * rng.uniform(2, 6)) for p in posts]
        for p in posts:
            mesh.ball(p, (0.22, 0.22, 0.1), (1.0, 0.8, 0.5), material=LIGHT, gloss=8.0)
        shines = lamps_seen(view, cars, posts)
    elif light.sun[0] > 0.5 and rng.random() < 0.25:
        pixels, depth = view.project(view.place + np.array([light.sun_way]) * 500)
        if depth[0] > 0:
            shines = [(*pixels[0], 0.12, 0.9)]
    return Scene(mesh, view, light, signs.atlas(rng), (view.place[0], 18.0, 0.0), found, shines, "street")


def lamps_seen(view, cars, posts):
    """Where lamps are in the picture, and how far their glare goes."""
    shines = []
    for places, power in ((cars, 0.9), (posts, 0.35)):
        if len(places):
            pixels, depth = view.project(np.array(places))
            shines += [(x, y, min(0.5 / z, 0.06), power) for (x, y), z in zip(pixels, depth) if z > 1]
    return shines
