"""Things that stand about: cars, trees, posts, signs, furniture."""

import numpy as np

from . import signs
from .mesh import CLOTH, FACADE, FOLIAGE, GLASS, LIGHT, PAINT, PLAIN, PRINT, WOOD, Mesh, rotation, turned

OCTAGON = np.array([[np.cos(np.pi / 8 + k * np.pi / 4), np.sin(np.pi / 8 + k * np.pi / 4)] for k in range(8)])
OCTAGON = OCTAGON / OCTAGON.max() / 2
DISC = np.array([[np.cos(k * np.pi / 10), np.sin(k * np.pi / 10)] for k in range(20)]) / 2
TRIANGLE = np.array([[-0.5, 0.43], [0.0, -0.43], [0.5, 0.43]])
SQUARE = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
OUTLINES = {signs.STOP: OCTAGON, signs.OCTAGON: OCTAGON, signs.YIELD: TRIANGLE, signs.NO_ENTRY: DISC,
            signs.LIMIT: DISC, signs.DISC: DISC, signs.ARROW: DISC, signs.NAME: SQUARE}


def place_in(mesh, own, at, heading, tilt=None):
    """Moves a thing built about its own origin into the scene."""
    rows, faces = own.arrays()
    turn = rotation(z=heading) if tilt is None else rotation(z=heading) @ tilt
    rows[:, 0:3] = rows[:, 0:3] @ turn.T + np.asarray(at)
    rows[:, 3:6] = rows[:, 3:6] @ turn.T
    mesh.vertices.append(rows.astype(np.float32))
    mesh.triangles.append(faces + mesh.count)
    mesh.count += len(rows)
    return rows[:, 0:3]


def plate(mesh, cell, at, size, heading, tilt=0.0, number=0, lean=0.0):
    """A sign's plate; its face looks along −y turned by `heading`. Returns the corners of the face."""
    own = Mesh()
    outline = OUTLINES.get(cell, SQUARE)
    face = np.stack([outline[:, 0], np.zeros(len(outline)), outline[:, 1]], -1) * size
    fan = [[0, k, k + 1] for k in range(1, len(outline) - 1)]
    own.add(face, (0, -1, 0), fan, (1, 1, 1), material=PRINT, number=number, uv=signs.place(cell, outline + 0.5), gloss=1.0)
    own.add(face + (0, 0.012, 0), (0, 1, 0), fan, (0.42, 0.43, 0.44), number=number and number + 100, gloss=0.2)
    rows = place_in(mesh, own, at, heading, rotation(x=lean, y=tilt))
    return rows[:len(outline)]


def sign(mesh, cell, at, size, heading, height, rng, number=0):
    """A plate on its post; `height` is that of the plate's middle. Returns the corners of the face."""
    x, y, z = at
    mesh.post((x, y + 0.045, z), height + size * 0.4, 0.032, (0.35, 0.36, 0.36), gloss=0.2)
    return plate(mesh, cell, (x, y, z + height), size, heading, tilt=rng.normal(0, 0.04), number=number, lean=rng.normal(0, 0.03))


def extrude(own, profile, half, colour, material=PAINT, gloss=0.6, inset=0.0):
    """A convex outline in the y–z plane, drawn out to both sides; the upper part may lean inwards by `inset`."""
    profile = np.asarray(profile, float)
    top = profile[:, 1].max()
    low = profile[:, 1].min()
    lean = inset * (profile[:, 1] - low) / max(top - low, 1e-6)
    left = np.stack([-half + lean, profile[:, 0], profile[:, 1]], -1)
    right = np.stack([half - lean, profile[:, 0], profile[:, 1]], -1)
    fan = [[0, k, k + 1] for k in range(1, len(profile) - 1)]
    own.add(left, (-1, 0, 0.1), fan, colour, material=material, gloss=gloss)
    own.add(right, (1, 0, 0.1), fan, colour, material=material, gloss=gloss)
    for k in range(len(profile)):
        n = (k + 1) % len(profile)
        own.quad([left[k], right[k], right[n], left[n]], colour, material=material, gloss=gloss)


def car(mesh, at, heading, rng, lights=False):
    """A saloon, an estate, a van or a lorry. Returns places of its lamps."""
    own = Mesh()
    kind = rng.choice(["saloon", "estate", "van", "lorry"], p=[0.4, 0.35, 0.17, 0.08])
    grey = rng.random() < 0.6
    colour = np.full(3, rng.choice([0.02, 0.08, 0.25, 0.5, 0.8])) if grey else rng.uniform(0.02, 0.5, 3)
    if rng.random() < 0.14:
        colour = np.array([0.5, 0.02, 0.03])
    length, half = {"saloon": 4.5, "estate": 4.3, "van": 5.2, "lorry": 8.0}[kind] * rng.uniform(0.93, 1.07), 0.88
    l = length / 2
    if kind in ("saloon", "estate"):
        extrude(own, [(-l, 0.3), (l, 0.3), (l + 0.05, 0.55), (l - 0.1, 0.78), (0.4, 0.95), (-l + 0.15, 0.98), (-l - 0.05, 0.6)], half, colour)
        rear = -l + (0.95 if kind == "saloon" else 0.25)
        extrude(own, [(rear - 0.15, 0.93), (1.05, 0.9), (0.45, 1.4), (rear + 0.35, 1.43)], half - 0.04, (0.02, 0.022, 0.025), GLASS, 0.9, 0.16)
        extrude(own, [(rear + 0.3, 1.4), (0.5, 1.38), (0.35, 1.46), (rear + 0.5, 1.48)], half - 0.16, colour)
    else:
        high = 2.1 if kind == "van" else 3.3
        half = 0.98 if kind == "van" else 1.22
        back = rng.uniform(0.5, 0.9, 3) if kind == "lorry" else colour
        extrude(own, [(-l, 0.5), (l - 1.6, 0.5), (l - 1.6, high), (-l, high)], half, back)
        extrude(own, [(l - 1.6, 0.35), (l, 0.35), (l, 1.1), (l - 0.6, 2.0), (l - 1.6, 2.1)], half, colour)
        own.quad([(-half * 0.85, l - 0.02, 1.15), (half * 0.85, l - 0.02, 1.15), (half * 0.8, l - 0.52, 1.9), (-half * 0.8, l - 0.52, 1.9)],
                 (0.02, 0.02, 0.025), material=GLASS, gloss=0.9)
    for y in (-l + 0.85, l - 0.85):
        for x in (-half + 0.08, half - 0.08):
            own.tube([(x - 0.11, y, 0.32), (x + 0.11, y, 0.32)], [0.32] * 2, [0.32] * 2, np.array([0, 1.0, 0]), np.array([0, 0, 1.0]), (0.015, 0.015, 0.017))
    shine = 6.0 if lights else 0.0
    for x in (-half + 0.25, half - 0.25):
        own.quad([(x - 0.15, -l - 0.06, 0.68), (x + 0.15, -l - 0.06, 0.68), (x + 0.15, -l - 0.06, 0.84), (x - 0.15, -l - 0.06, 0.84)],
                 (0.6, 0.02, 0.02), material=LIGHT, gloss=max(shine * 0.5, 0.3))
        own.quad([(x - 0.17, l + 0.06, 0.6), (x + 0.17, l + 0.06, 0.6), (x + 0.17, l + 0.06, 0.75), (x - 0.17, l + 0.06, 0.75)],
                 (0.95, 0.95, 0.85), material=LIGHT, gloss=max(shine * 2.5, 0.4))
    place_in(mesh, own, at, heading)
    lamps = np.array([[-half + 0.25, l + 0.06, 0.67], [half - 0.25, l + 0.06, 0.67]])
    return turned(lamps, heading) + np.asarray(at) if lights else np.zeros((0, 3))


def tree(mesh, at, rng, bare=False):
    """A trunk and leaves; a bush where it is low."""
    height = rng.uniform(2.5, 9)
    mesh.limb(at, np.asarray(at) + (rng.uniform(-0.3, 0.3), 0, height * 0.6), 0.09 + height * 0.014, 0.06, (0.13, 0.1, 0.07), around=7, material=WOOD)
    green = np.array([rng.uniform(0.05, 0.2), rng.uniform(0.14, 0.3), rng.uniform(0.03, 0.08)])
    if rng.random() < 0.2:
        green = np.array([rng.uniform(0.3, 0.5), rng.uniform(0.15, 0.3), 0.04])
    for _ in range(1 if bare else rng.integers(3, 7)):
        r = height * rng.uniform(0.13, 0.24)
        centre = np.asarray(at) + (rng.uniform(-r, r), rng.uniform(-r, r), height * rng.uniform(0.55, 0.9))
        mesh.ball(centre, (r, r, r * rng.uniform(0.7, 1.1)), green * rng.uniform(0.8, 1.2), lumps=0.22, rng=rng, around=9, stacks=7, material=FOLIAGE)


def bush(mesh, at, rng):
    """Leaves on the ground."""
    r = rng.uniform(0.3, 0.9)
    mesh.ball(np.asarray(at) + (0, 0, r * 0.6), (r, r, r * 0.8), (0.08, rng.uniform(0.14, 0.26), 0.05), lumps=0.25, rng=rng, around=9, stacks=6, material=FOLIAGE)


def lamppost(mesh, at, rng):
    """A street lamp; returns where its light is."""
    height = rng.uniform(5, 8)
    mesh.post(at, height, 0.06, (0.25, 0.26, 0.26))
    head = np.asarray(at) + (-1.2 * np.sign(at[0] or 1), 0, height)
    mesh.limb(np.asarray(at) + (0, 0, height), head, 0.04, 0.04, (0.25, 0.26, 0.26), around=6)
    return head - (0, 0, 0.2)


def street_thing(mesh, at, rng):
    """Bins, bollards, hydrants, letter boxes, traffic lights, cones, a statue: some red, some as tall as people."""
    kind = rng.integers(8)
    x, y, z = at
    if kind == 0:
        mesh.post(at, rng.uniform(0.7, 1.1), rng.uniform(0.06, 0.12), rng.uniform(0.05, 0.6, 3))
    elif kind == 1:
        mesh.post(at, 0.6, 0.13, (0.55, 0.05, 0.04))
        mesh.ball((x, y, 0.62 + z), (0.14, 0.14, 0.12), (0.55, 0.05, 0.04))
    elif kind == 2:
        mesh.box((-0.25, -0.2, 0), (0.25, 0.2, rng.uniform(0.8, 1.5)), rng.uniform(0.02, 0.6, 3), turn=rng.uniform(0, 3), at=at)
    elif kind == 3:
        mesh.post(at, 3.0, 0.06, (0.1, 0.1, 0.1))
        mesh.box((-0.16, -0.15, 2.2), (0.16, 0.1, 3.1), (0.03, 0.03, 0.03), at=at)
        for k, colour in enumerate([(0.05, 0.7, 0.2), (0.8, 0.5, 0.05), (0.9, 0.04, 0.03)]):
            mesh.ball((x, y - 0.16, z + 2.35 + 0.28 * k), (0.1, 0.04, 0.1), colour, material=LIGHT, gloss=rng.choice([0.2, 1.6]))
    elif kind == 4:
        mesh.tube([at, (x, y, z + 0.7)], [0.17, 0.03], [0.17, 0.03], np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (0.8, 0.22, 0.03))
    elif kind == 5:
        mesh.box((-0.35, -0.3, 0), (0.35, 0.3, rng.uniform(1.1, 1.8)), rng.uniform(0.05, 0.7, 3), turn=rng.uniform(0, 3), at=at)
        mesh.ball((x, y, z + 1.9), (0.25, 0.25, 0.25), rng.uniform(0.1, 0.6, 3))
    elif kind == 6:
        mesh.limb((x, y, z), (x + rng.uniform(-0.05, 0.05), y, z + rng.uniform(1.3, 2.0)), 0.2, 0.14, rng.uniform(0.1, 0.5, 3), material=CLOTH)
    else:
        mesh.box((-0.05, -0.9, 0.35), (0.45, 0.9, 0.45), (0.3, 0.2, 0.1), turn=rng.uniform(0, 3), at=at, material=WOOD)


def building(mesh, low, high, rng):
    """A house with windows, a roof, perhaps posters and an awning."""
    colour = [(0.45, 0.22, 0.16), (0.55, 0.5, 0.42), (0.4, 0.4, 0.4), (0.65, 0.6, 0.5), (0.3, 0.32, 0.36), (0.6, 0.35, 0.25)][rng.integers(6)]
    colour = np.clip(np.array(colour) * rng.uniform(0.7, 1.25), 0, 0.9)
    mesh.box(low, high, colour, material=FACADE, extra=(rng.uniform(1.8, 3.6), rng.uniform(2.7, 3.6)), gloss=0.0)
    inner = high[0] if abs(high[0]) < abs(low[0]) else low[0]
    side = -np.sign(inner)
    for _ in range(rng.integers(0, 4)):
        y = rng.uniform(low[1] + 1, max(high[1] - 1, low[1] + 1.5))
        width, tall, z = rng.uniform(0.8, 3.5), rng.uniform(0.7, 2.4), rng.uniform(1.2, 3.5)
        poster(mesh, (inner + side * 0.05, y, z), width, tall, -side * np.pi / 2, rng)
    if rng.random() < 0.4:
        y = rng.uniform(low[1], high[1])
        mesh.box((min(inner, inner + side * 1.2), y, 2.7), (max(inner, inner + side * 1.2), y + 4, 2.85), rng.choice([[0.55, 0.04, 0.05], [0.1, 0.3, 0.2], [0.7, 0.7, 0.6]]))


def poster(mesh, at, width, tall, heading, rng):
    """A printed rectangle; its face looks along −y turned by `heading`."""
    own = Mesh()
    cell = int(rng.choice(list(signs.POSTERS)))
    corners = np.array([[-width / 2, 0, -tall / 2], [width / 2, 0, -tall / 2], [width / 2, 0, tall / 2], [-width / 2, 0, tall / 2]])
    own.add(corners, (0, -1, 0), [[0, 1, 2], [0, 2, 3]], (1, 1, 1), material=PRINT, uv=signs.place(cell, SQUARE + 0.5))
    place_in(mesh, own, at, heading)


def bed(mesh, at, heading, rng, over_legs=False):
    """A bed with mattress, pillow and blanket; returns the height of what one lies on."""
    own = Mesh()
    high = rng.uniform(0.42, 0.6)
    cover = rng.uniform(0.2, 0.8, 3)
    own.box((-0.5, -1.05, 0.1), (0.5, 1.05, high - 0.12), (0.4, 0.3, 0.2), material=WOOD)
    own.box((-0.48, -1.02, high - 0.12), (0.48, 1.02, high), (0.8, 0.8, 0.78), material=CLOTH)
    own.box((-0.5, 1.02, 0.1), (0.5, 1.08, high + 0.45), (0.35, 0.28, 0.2), material=WOOD)
    own.ball((0, 0.8, high + 0.05), (0.33, 0.2, 0.09), (0.85, 0.85, 0.85), material=CLOTH)
    if rng.random() < 0.7 or over_legs:
        own.ball((0, -0.35, high), (0.52, 0.7, 0.2 if over_legs else 0.07), cover, lumps=0.06, rng=rng, around=14, material=CLOTH)
    place_in(mesh, own, at, heading)
    return high


def chair(mesh, at, heading, rng):
    """A chair that faces along y; returns the seat's height."""
    own = Mesh()
    colour = rng.uniform(0.05, 0.5, 3)
    if rng.random() < 0.35:
        own.box((-0.38, -0.35, 0.08), (0.38, 0.38, 0.44), colour, material=CLOTH)
        own.box((-0.38, -0.45, 0.3), (0.38, -0.3, 0.95), colour * 0.9, material=CLOTH)
        for x in (-0.45, 0.38):
            own.box((x, -0.4, 0.1), (x + 0.08, 0.35, 0.62), colour * 0.8, material=CLOTH)
    else:
        own.box((-0.22, -0.22, 0.42), (0.22, 0.24, 0.46), colour, material=WOOD)
        own.box((-0.22, -0.25, 0.5), (0.22, -0.21, 0.92), colour, material=WOOD)
        for x in (-0.2, 0.17):
            for y in (-0.22, 0.2):
                own.box((x, y, 0), (x + 0.035, y + 0.035, 0.43), colour * 0.7)
    place_in(mesh, own, at, heading)
    return 0.45


def wheelchair(mesh, at, heading, rng):
    """A wheelchair that faces along y; returns the seat's height."""
    own = Mesh()
    dark = (0.04, 0.04, 0.05)
    own.box((-0.22, -0.2, 0.46), (0.22, 0.25, 0.5), dark, material=CLOTH)
    own.box((-0.22, -0.25, 0.5), (0.22, -0.2, 0.95), dark, material=CLOTH)
    for x in (-0.3, 0.3):
        own.tube([(x - 0.02, -0.1, 0.3), (x + 0.02, -0.1, 0.3)], [0.3] * 2, [0.3] * 2, np.array([0, 1.0, 0]), np.array([0, 0, 1.0]), (0.12, 0.12, 0.13))
        own.limb((x * 0.7, 0.25, 0.46), (x * 0.7, 0.5, 0.1), 0.02, 0.02, (0.4, 0.4, 0.42), around=6)
        own.ball((x * 0.7, 0.4, 0.08), (0.03, 0.08, 0.08), (0.1, 0.1, 0.1))
    place_in(mesh, own, at, heading)
    return 0.5


def room_thing(mesh, at, heading, rng):
    """Tables, cupboards, plants, lamps, coat racks; bags, blankets, cushions and rugs on the floor."""
    own = Mesh()
    kind = rng.integers(9)
    colour = rng.uniform(0.05, 0.6, 3)
    if kind == 0:
        own.box((-0.6, -0.4, 0.7), (0.6, 0.4, 0.74), (0.4, 0.27, 0.15), material=WOOD)
        for x, y in ((-0.55, -0.35), (0.5, -0.35), (-0.55, 0.3), (0.5, 0.3)):
            own.box((x, y, 0), (x + 0.05, y + 0.05, 0.7), (0.3, 0.2, 0.12), material=WOOD)
    elif kind == 1:
        own.box((-0.5, -0.28, 0), (0.5, 0.28, rng.uniform(0.7, 2.0)), (0.45, 0.33, 0.2) * rng.uniform(0.5, 1.4, 1), material=WOOD)
    elif kind == 2:
        own.post((0, 0, 0), 0.35, 0.16, (0.4, 0.2, 0.12))
        own.ball((0, 0, 0.8), (0.35, 0.35, 0.5), (0.07, 0.2, 0.06), lumps=0.3, rng=rng, material=FOLIAGE)
    elif kind == 3:
        own.post((0, 0, 0), 1.7, 0.025, (0.3, 0.2, 0.1))
        own.ball((0, 0, 1.25), (0.2, 0.2, 0.45), colour, lumps=0.1, rng=rng, material=CLOTH)
    elif kind == 4:
        own.ball((0, 0, 0.13), (rng.uniform(0.2, 0.45), rng.uniform(0.15, 0.9), rng.uniform(0.08, 0.2)), colour, lumps=0.25, rng=rng, around=12, material=CLOTH)
    elif kind == 5:
        own.box((-0.3, -0.2, 0), (0.3, 0.2, rng.uniform(0.2, 0.5)), colour, material=PLAIN)
    elif kind == 6:
        own.box((-rng.uniform(0.5, 1.0), -rng.uniform(0.6, 1.5), 0.003), (0.8, 1.0, 0.015), colour, material=CLOTH, extra=(float(rng.integers(0, 3)), 0))
    elif kind == 7:
        own.limb((-rng.uniform(0.4, 0.9), 0, 0.14), (rng.uniform(0.4, 0.9), 0, 0.14), 0.14, 0.12, colour, material=CLOTH)
    else:
        own.ball((0, 0, 0.2), (0.35, 0.55, 0.16), colour, around=12, material=CLOTH)
        own.ball((0, 0.55, 0.3), (0.1, 0.16, 0.12), colour * 0.8)
    place_in(mesh, own, at, heading)
