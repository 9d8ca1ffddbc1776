"""Triangles as numpy arrays: what a scene is made of before the graphics library sees it.

World axes: x to the right, y forwards, z up, metres. A vertex has 16 floats: place, normal, colour and gloss, texture
place, material, object number, and two values that the material reads.
"""

from dataclasses import dataclass, field

import numpy as np

# Materials, as the fragment shader knows them.
PLAIN, ASPHALT, FACADE, FOLIAGE, GRASS, PRINT, LIGHT, GLASS, PAINT, TILES, SKY, CLOTH, WOOD, WALL = range(14)

FLOATS = 16


@dataclass
class Mesh:
    """A growing list of triangles."""

    vertices: list = field(default_factory=list)
    triangles: list = field(default_factory=list)
    count: int = 0

    def add(self, places, normals, faces, colour, material=PLAIN, number=0, uv=None, extra=(0.0, 0.0), gloss=0.0):
        """Adds vertices and the faces between them; `faces` counts from the first vertex given."""
        places = np.asarray(places, np.float32).reshape(-1, 3)
        rows = np.zeros((len(places), FLOATS), np.float32)
        rows[:, 0:3] = places
        rows[:, 3:6] = normals
        rows[:, 6:9] = colour
        rows[:, 9] = gloss
        if uv is not None:
            rows[:, 10:12] = uv
        rows[:, 12] = material
        rows[:, 13] = number
        rows[:, 14:16] = extra
        self.vertices.append(rows)
        self.triangles.append(np.asarray(faces, np.uint32).reshape(-1, 3) + self.count)
        self.count += len(places)

    def arrays(self):
        """All vertices (n × 16) and triangles (m × 3)."""
        if not self.vertices:
            return np.zeros((0, FLOATS), np.float32), np.zeros((0, 3), np.uint32)
        return np.concatenate(self.vertices), np.concatenate(self.triangles)

    def quad(self, corners, colour, **more):
        """Four corners, counter-clockwise seen from the front."""
        corners = np.asarray(corners, np.float32)
        normal = np.cross(corners[1] - corners[0], corners[3] - corners[0])
        normal = normal / max(np.linalg.norm(normal), 1e-9)
        more.setdefault("uv", [(0, 0), (1, 0), (1, 1), (0, 1)])
        self.add(corners, normal, [[0, 1, 2], [0, 2, 3]], colour, **more)

    def ground(self, x0, x1, y0, y1, z, colour, turn=0.0, about=(0.0, 0.0), **more):
        """A level rectangle, cut into strips so that far vertices are not all there is."""
        corners = np.array([[x0, y0, z], [x1, y0, z], [x1, y1, z], [x0, y1, z]], np.float32)
        self.quad(turned(corners, turn, about), colour, **more)

    def box(self, low, high, colour, turn=0.0, at=(0.0, 0.0, 0.0), **more):
        """An upright box from corner `low` to corner `high`, turned about its own origin, then moved to `at`."""
        (x0, y0, z0), (x1, y1, z1) = low, high
        sides = [
            [(x0, y0, z0), (x1, y0, z0), (x1, y0, z1), (x0, y0, z1)],
            [(x1, y0, z0), (x1, y1, z0), (x1, y1, z1), (x1, y0, z1)],
            [(x1, y1, z0), (x0, y1, z0), (x0, y1, z1), (x1, y1, z1)],
            [(x0, y1, z0), (x0, y0, z0), (x0, y0, z1), (x0, y1, z1)],
            [(x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1)],
        ]
        for side in sides:
            corners = np.array(side, np.float32)
            wide = np.linalg.norm(corners[1] - corners[0])
            high_ = np.linalg.norm(corners[3] - corners[0])
            uv = [(0, 0), (wide, 0), (wide, high_), (0, high_)]
            self.quad(turned(corners, turn) + np.asarray(at, np.float32), colour, **{"uv": uv, **more})

    def limb(self, start, end, first, last, colour, side=None, flat=1.0, around=10, **more):
        """A rounded tube from `start` to `end` with radii `first` and `last`; `flat` scales the radius across `side`."""
        start, end = np.asarray(start, float), np.asarray(end, float)
        axis = end - start
        length = max(np.linalg.norm(axis), 1e-6)
        axis = axis / length
        u, v = frame_of(axis, side)
        steps = [(-0.95, 0.15), (-0.6, 0.78), (0.0, 1.0)]
        profile = [(a * first / length, r * first, a) for a, r in steps]
        profile += [(0.5, (first + last) / 2, 0.0)]
        profile += [(1 - a * last / length, r * last, -a) for a, r in reversed(steps)]
        angle = np.arange(around) * (2 * np.pi / around)
        ring = np.cos(angle)[:, None] * u * flat + np.sin(angle)[:, None] * v
        places, normals = [], []
        for t, radius, lean in profile:
            places.append(start + axis * (t * length) + ring * radius)
            out = ring * np.sqrt(max(0.05, 1 - lean * lean)) + axis * lean
            normals.append(out / np.linalg.norm(out, axis=1, keepdims=True))
        self.rings(np.array(places), np.array(normals), colour, **more)

    def tube(self, centres, across, along, u, v, colour, around=12, **more):
        """A tube through `centres` with half widths `across` along `u` and `along` along `v` at each centre."""
        angle = np.arange(around) * (2 * np.pi / around)
        places, normals = [], []
        for i, centre in enumerate(centres):
            ui, vi = (u[i], v[i]) if np.ndim(u) == 2 else (u, v)
            c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
            places.append(np.asarray(centre) + c * ui * across[i] + s * vi * along[i])
            out = c * ui * along[i] + s * vi * across[i]
            normals.append(out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9))
        self.rings(np.array(places), np.array(normals), colour, **more)

    def rings(self, places, normals, colour, **more):
        """Joins rings of equal length by triangles and closes both ends."""
        rows, around, _ = places.shape
        i, j = np.meshgrid(np.arange(rows - 1), np.arange(around), indexing="ij")
        a, b = i * around + j, i * around + (j + 1) % around
        faces = np.stack([np.stack([a, b, b + around], -1), np.stack([a, b + around, a + around], -1)], 2)
        faces = [faces.reshape(-1, 3)]
        for row, flip in ((0, True), (rows - 1, False)):
            fan = [[row * around, row * around + k, row * around + k + 1] for k in range(1, around - 1)]
            faces.append(np.array(fan)[:, ::-1] if flip else np.array(fan))
        uv = np.stack(np.meshgrid(np.linspace(0, 1, around), np.linspace(0, 1, rows)), -1).reshape(-1, 2)
        more.setdefault("uv", uv)
        self.add(places.reshape(-1, 3), normals.reshape(-1, 3), np.concatenate(faces), colour, **more)

    def ball(self, centre, radii, colour, turn=None, around=10, stacks=7, lumps=0.0, rng=None, **more):
        """An ellipsoid; `turn` is a 3 × 3 rotation, `lumps` moves vertices in and out by that share."""
        up = np.linspace(-np.pi / 2, np.pi / 2, stacks)
        angle = np.arange(around) * (2 * np.pi / around)
        unit = np.stack([
            np.outer(np.cos(up), np.cos(angle)), np.outer(np.cos(up), np.sin(angle)),
            np.outer(np.sin(up), np.ones(around))], -1)
        scale = np.ones(unit.shape[:2])
        if lumps and rng is not None:
            scale = 1 + rng.uniform(-lumps, lumps, scale.shape)
        places = unit * np.asarray(radii) * scale[..., None]
        normals = unit / np.asarray(radii)
        normals = normals / np.linalg.norm(normals, axis=-1, keepdims=True)
        if turn is not None:
            places, normals = places @ turn.T, normals @ turn.T
        self.rings(places + np.asarray(centre), normals, colour, **more)

    def post(self, at, height, radius, colour, **more):
        """An upright round post."""
        at = np.asarray(at, float)
        top = at + np.array([0, 0, height])
        self.tube([at, top], [radius] * 2, [radius] * 2, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), colour,
                  around=8, **more)


def frame_of(axis, side=None):
    """Two directions at right angles to `axis`; the first near `side`."""
    side = np.array([1.0, 0.0, 0.0]) if side is None else np.asarray(side, float)
    u = side - axis * (side @ axis)
    if np.linalg.norm(u) < 1e-3:
        u = np.cross(axis, [0.0, 1.0, 0.2])
    u = u / np.linalg.norm(u)
    return u, np.cross(axis, u)


def turned(places, angle, about=(0.0, 0.0)):
    """Turns places about an upright axis by `angle` radians, counter-clockwise from above."""
    if angle == 0.0:
        return places
    c, s = np.cos(angle), np.sin(angle)
    out = np.array(places, np.float32)
    x, y = places[..., 0] - about[0], places[..., 1] - about[1]
    out[..., 0] = about[0] + c * x - s * y
    out[..., 1] = about[1] + s * x + c * y
    return out


def rotation(x=0.0, y=0.0, z=0.0):
    """Rotation about x, then y, then z, in radians."""
    cx, sx, cy, sy, cz, sz = np.cos(x), np.sin(x), np.cos(y), np.sin(y), np.cos(z), np.sin(z)
    rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    rz = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return rz @ ry @ rx
