"""Corridors and rooms with people in them, seen by a camera on the wall."""

import numpy as np

from . import person, signs, things
from .camera import Light, View
from .mesh import LIGHT, PLAIN, TILES, WALL, WOOD, Mesh
from .scene import Scene
from .street import FIRST_PERSON, put


def shell(mesh, rng, width, depth, high):
    """Floor, walls, ceiling, doors, windows, handrails, pictures."""
    kind = rng.integers(3)
    tone = rng.uniform(0.15, 0.6)
    floor = [np.array([tone, tone * 0.97, tone * 0.92]), np.array([0.4, 0.27, 0.16]) * rng.uniform(0.5, 1.4), rng.uniform(0.1, 0.45, 3)][kind]
    pattern = [(rng.uniform(0.3, 0.9),) * 2, (0.12, 1.3), (9.0, 9.0)][kind]
    x = width / 2
    mesh.quad([(-x, -0.6, 0), (x, -0.6, 0), (x, depth, 0), (-x, depth, 0)], floor, material=TILES, extra=pattern, gloss=rng.choice([0.0, 0.25]),
              uv=[(0, 0), (width, 0), (width, depth), (0, depth)])
    paint = np.clip(rng.uniform(0.35, 0.85) + rng.normal(0, 0.06, 3), 0.1, 0.9)
    for corners in ([(-x, depth, 0), (x, depth, 0), (x, depth, high), (-x, depth, high)],
                    [(-x, -0.6, 0), (-x, depth, 0), (-x, depth, high), (-x, -0.6, high)],
                    [(x, depth, 0), (x, -0.6, 0), (x, -0.6, high), (x, depth, high)]):
        mesh.quad(corners, paint, material=WALL)
    mesh.quad([(-x, -0.6, high), (x, -0.6, high), (x, depth, high), (-x, depth, high)], (0.8, 0.8, 0.78), material=WALL)
    base = paint * rng.uniform(0.3, 0.9)
    for side in (-1, 1):
        a, b = sorted((side * x, side * (x - 0.02)))
        mesh.box((a, -0.6, 0), (b, depth, 0.1), base)
        if rng.random() < 0.4:
            a, b = sorted((side * x, side * (x - 0.08)))
            mesh.box((a, -0.6, 0.88), (b, depth, 0.98), (0.4, 0.28, 0.16), material=WOOD)
        y = rng.uniform(0.8, 2.5)
        while y < depth - 1.2:
            on_wall(mesh, rng, side, x, y)
            y += rng.uniform(1.3, 3.2)
    if rng.random() < 0.7:
        at = rng.uniform(-x + 0.6, x - 0.6)
        door(mesh, rng, (at - 0.45, depth - 0.03, 0), (at + 0.45, depth, 2.05))


def door(mesh, rng, low, high):
    """A leaf, perhaps with glass."""
    mesh.box(low, high, rng.uniform(0.2, 0.7) * np.array([1.0, rng.uniform(0.7, 1.0), rng.uniform(0.5, 1.0)]), material=WOOD)


def on_wall(mesh, rng, side, x, y):
    """A door, a window, a picture or nothing."""
    kind = rng.random()
    a, b = sorted((side * x, side * (x - 0.03)))
    if kind < 0.45:
        door(mesh, rng, (a, y, 0), (b, y + 0.9, 2.05))
    elif kind < 0.65:
        mesh.box((a, y, 0.9), (b, y + 1.2, 2.1), (0.85, 0.9, 1.0), material=LIGHT, gloss=rng.uniform(0.02, 1.2))
    elif kind < 0.85:
        things.poster(mesh, (side * (x - 0.03), y + 0.5, 1.55), rng.uniform(0.3, 0.9), rng.uniform(0.3, 0.9), -side * np.pi / 2, rng)


def furniture(mesh, rng, width, depth, corridor):
    """Beds, chairs and things; returns places to sit and to lie: (kind, place, heading)."""
    spots, x = [], width / 2
    if not corridor:
        for _ in range(rng.integers(0, 3)):
            side, y = rng.choice([-1, 1]), rng.uniform(1.8, depth - 1.3)
            across = rng.random() < 0.5
            at = (side * (x - (1.1 if across else 0.55)), y, 0)
            heading = (np.pi / 2 * -side if across else rng.choice([0, np.pi])) + rng.normal(0, 0.03)
            legs = rng.random() < 0.3
            high = things.bed(mesh, at, heading, rng, legs)
            spots.append(("bed", (at[0], at[1], high), heading))
    for _ in range(rng.integers(0, 2 if corridor else 4)):
        side = rng.choice([-1, 1])
        at = (side * (x - rng.uniform(0.4, 0.7 if corridor else width / 2)), rng.uniform(1.5, depth - 0.6), 0)
        heading = side * np.pi / 2 + rng.normal(0, 0.4)
        roll = rng.random() < 0.25
        high = (things.wheelchair if roll else things.chair)(mesh, at, heading, rng)
        spots.append(("chair", (at[0], at[1], high), heading))
    for _ in range(rng.integers(0, 3 if corridor else 7)):
        side = rng.choice([-1, 1])
        at = (side * (x - rng.uniform(0.25, 0.5 if corridor else width / 2)), rng.uniform(1.4, depth - 0.4), 0)
        things.room_thing(mesh, at, rng.uniform(0, 2 * np.pi), rng)
    return spots


def people(mesh, rng, width, depth, spots):
    """Persons on floor, chairs and beds. Who lies in a bed is `person_down` too: where lying is allowed, the place says."""
    found, number = [], FIRST_PERSON
    for kind, at, heading in spots:
        if rng.random() < 0.4:
            if kind == "chair":
                pose = person.sitting(rng)
                look = person.dressed(rng, False)
                at = (at[0], at[1], at[2] - 0.47 * look.height * 0.5)
                at = (at[0], at[1], 0.0)
                found.append(put(mesh, rng, at, heading, number, pose, look, "person"))
            else:
                found.append(put(mesh, rng, at, heading + np.pi, number, person.lying(rng, 0), label="person_down"))
            number += 1
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.17, 0.5, 0.23, 0.1]))):
        at = (rng.uniform(-width / 2 + 0.5, width / 2 - 0.5), 1.6 + (depth - 2.2) * rng.random() ** 1.3, 0)
        found.append(put(mesh, rng, at, rng.uniform(0, 2 * np.pi), number, indoors_pose(rng)))
        number += 1
    return found


def indoors_pose(rng):
    """What people do indoors; many lie on the floor, some are on their way there."""
    kind = rng.random()
    if kind < 0.36:
        return person.lying(rng)
    if kind < 0.42:
        way = int(rng.integers(4))
        return person.falling(rng.uniform(0.15, 0.95), person.lying(rng, way), way, rng.uniform(0, 1.2))
    if kind < 0.60:
        return person.walking(rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.45), rng)
    if kind < 0.76:
        return person.standing(rng)
    if kind < 0.83:
        return person.bending(rng)
    if kind < 0.89:
        return person.kneeling(rng)
    if kind < 0.96:
        return person.sitting(rng, floor=True)
    return person.crawling(rng)


def light_of(rng, width, depth, high, infrared):
    """Lamps at the ceiling, daylight from windows, or the camera's own infrared."""
    if infrared:
        return Light(sun=(0, 0, 0), above=(0.02,) * 3, below=(0.02,) * 3, mist=(0, 0, 0), dense=0.0001, beam=rng.uniform(1.2, 2.6),
                     beam_cone=rng.uniform(0.2, 0.7), beam_low=False, gain=rng.uniform(1.0, 1.6), infrared=True, seed=rng.uniform(0, 99))
    level, warm = rng.uniform(0.08, 0.4), np.array([1.0, rng.uniform(0.8, 1.0), rng.uniform(0.55, 1.0)])
    lamps = [((rng.uniform(-0.3, 0.3) * width, depth * (k + 0.5) / 3, high - 0.25), warm * rng.uniform(0.1, 0.8)) for k in range(3)]
    way = (rng.normal(), rng.normal() - 0.5, rng.uniform(0.6, 1.6))
    sun = warm * (rng.uniform(0.1, 0.5) if rng.random() < 0.5 else 0.0)
    return Light(sun_way=way, sun=tuple(sun), above=tuple(level * np.array([1.0, 0.98, 0.94])), below=(level * 0.6,) * 3, mist=(0.5, 0.5, 0.5),
                 dense=0.0001, lamps=lamps, beam_low=False, gain=rng.uniform(0.9, 1.4), seed=rng.uniform(0, 99))


def still(rng, size, infrared=None):
    """One room or corridor from the seed's numbers."""
    infrared = rng.random() < 0.14 if infrared is None else infrared
    corridor = rng.random() < 0.45
    width, depth = (rng.uniform(1.7, 3.0), rng.uniform(7, 18)) if corridor else (rng.uniform(3, 6.5), rng.uniform(3.8, 8))
    high = rng.uniform(2.4, 3.0)
    mesh = Mesh()
    shell(mesh, rng, width, depth, high)
    spots = furniture(mesh, rng, width, depth, corridor)
    found = people(mesh, rng, width, min(depth, 11), spots)
    low = rng.random() < 0.25
    place = np.array([rng.uniform(-0.42, 0.42) * width, rng.uniform(0.0, 0.4), rng.uniform(0.9, 1.5) if low else rng.uniform(1.8, high - 0.12)])
    yaw = float(np.arctan2(place[0], depth * 0.5) + rng.normal(0, 0.15))
    pitch = rng.uniform(0.0, 0.25) if low else rng.uniform(0.12, 0.6)
    view = View(place, yaw, pitch, rng.normal(0, 0.02), float(rng.choice([55, 65, 75, 90, 105])), size)
    light = light_of(rng, width, depth, high, infrared)
    return Scene(mesh, view, light, signs.atlas(rng), (0.0, min(depth / 2, 6.0), 0.0), found, [], "room")
