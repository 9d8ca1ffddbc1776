"""Persons: a skeleton with clothes, and the poses it takes. Angles in radians, lengths in heights unless said otherwise."""

from dataclasses import dataclass, field

import numpy as np

from .mesh import CLOTH, PLAIN, Mesh, rotation

# The joints that are projected into each frame's truth, in COCO's spelling.
KEYPOINTS = [
    "nose", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
]

SKIN = [(0.86, 0.66, 0.54), (0.75, 0.55, 0.42), (0.58, 0.39, 0.28), (0.42, 0.27, 0.19), (0.27, 0.17, 0.12)]
HAIR = [(0.05, 0.04, 0.03), (0.18, 0.11, 0.06), (0.45, 0.32, 0.16), (0.6, 0.58, 0.55), (0.35, 0.13, 0.06)]


@dataclass
class Look:
    """What somebody wears and how big they are; the height is in metres."""

    height: float
    width: float
    skin: tuple
    hair: tuple
    upper: tuple
    lower: tuple
    shoes: tuple
    sleeves: bool
    trousers: bool
    skirt: float
    coat: float
    long_hair: bool
    hat: bool
    backpack: bool
    pattern: float


def dressed(rng, child=None):
    """Somebody, from the seed's next numbers."""
    child = rng.random() < 0.2 if child is None else child
    height = rng.uniform(1.0, 1.45) if child else np.clip(rng.normal(1.71, 0.09), 1.48, 1.98)
    skirt = rng.uniform(0.12, 0.3) if rng.random() < 0.14 else 0.0
    return Look(
        height=float(height), width=float(rng.uniform(0.88, 1.28)), skin=SKIN[rng.integers(len(SKIN))],
        hair=HAIR[rng.integers(len(HAIR))], upper=cloth(rng), lower=cloth(rng, dark=0.7),
        shoes=cloth(rng, dark=0.6), sleeves=rng.random() < 0.65, trousers=rng.random() < 0.8, skirt=skirt,
        coat=rng.uniform(0.1, 0.25) if rng.random() < 0.2 else 0.0, long_hair=rng.random() < 0.35,
        hat=rng.random() < 0.15, backpack=rng.random() < 0.15, pattern=float(rng.choice([0, 0, 0, 1, 2])))


def cloth(rng, dark=0.35):
    """A colour of clothes: greys, blues, browns, and some bright ones."""
    if rng.random() < dark:
        grey = rng.uniform(0.02, 0.2)
        return tuple(np.clip(grey + rng.uniform(-0.02, 0.03, 3) + (0, 0, rng.choice([0, 0.06])), 0, 1))
    if rng.random() < 0.35:
        return tuple(rng.uniform(0.45, 0.9) + rng.uniform(-0.08, 0.08, 3))
    return tuple(rng.uniform(0.03, 0.75, 3))


@dataclass
class Pose:
    """Joint angles; `turn` is the pelvis's rotation, `limbs` are left then right."""

    turn: np.ndarray = field(default_factory=lambda: np.eye(3))
    spine: float = 0.0
    lean: float = 0.0
    twist: float = 0.0
    neck: float = 0.0
    look: float = 0.0
    hip: tuple = (0.0, 0.0)
    spread: tuple = (0.05, 0.05)
    knee: tuple = (0.05, 0.05)
    shoulder: tuple = (0.0, 0.0)
    out: tuple = (0.12, 0.12)
    elbow: tuple = (0.25, 0.25)
    lift: float = 0.0

    def blend(self, other, share):
        """A pose between this one (0) and `other` (1); `turn` is not blended."""
        mix = lambda a, b: tuple(np.array(a) * (1 - share) + np.array(b) * share)
        flat = lambda a, b: a * (1 - share) + b * share
        return Pose(
            turn=self.turn, spine=flat(self.spine, other.spine), lean=flat(self.lean, other.lean),
            twist=flat(self.twist, other.twist), neck=flat(self.neck, other.neck), look=flat(self.look, other.look),
            hip=mix(self.hip, other.hip), spread=mix(self.spread, other.spread), knee=mix(self.knee, other.knee),
            shoulder=mix(self.shoulder, other.shoulder), out=mix(self.out, other.out),
            elbow=mix(self.elbow, other.elbow), lift=flat(self.lift, other.lift))


def standing(rng):
    """Upright, weight on one leg, arms somewhere."""
    arms = rng.random()
    shoulder, elbow = rng.uniform(-0.2, 0.3, 2), rng.uniform(0.1, 0.6, 2)
    if arms < 0.15:
        shoulder, elbow = rng.uniform(0.3, 0.8, 2), rng.uniform(1.4, 2.2, 2)
    elif arms < 0.22:
        shoulder[0] = rng.uniform(1.2, 2.8)
    return Pose(
        spine=rng.uniform(-0.05, 0.15), lean=rng.uniform(-0.06, 0.06), neck=rng.uniform(-0.1, 0.5),
        look=rng.uniform(-0.8, 0.8), hip=tuple(rng.uniform(-0.1, 0.15, 2)), spread=tuple(rng.uniform(0.02, 0.16, 2)),
        knee=tuple(rng.uniform(0.0, 0.25, 2)), shoulder=tuple(shoulder), out=tuple(rng.uniform(0.05, 0.3, 2)),
        elbow=tuple(elbow))


def walking(phase, stride=0.42, rng=None):
    """One moment of a gait; `phase` goes up by 2π per two steps."""
    legs = np.array([np.sin(phase), -np.sin(phase)])
    bend = np.clip(np.array([np.cos(phase), -np.cos(phase)]), 0, 1) * 0.85 + 0.08
    extra = 0.0 if rng is None else rng.uniform(-0.05, 0.1)
    return Pose(
        spine=0.06 + extra, twist=0.1 * np.sin(phase), hip=tuple(legs * stride), knee=tuple(bend),
        shoulder=tuple(-legs * stride * 0.8), elbow=(0.4, 0.4), out=(0.1, 0.1))


def sitting(rng, floor=False):
    """On a chair, or on the floor with the legs ahead."""
    hip = rng.uniform(1.3, 1.6, 2)
    knee = rng.uniform(1.2, 1.7, 2) if not floor else rng.uniform(0.1, 1.3, 2)
    if floor:
        hip = rng.uniform(1.2, 1.6, 2) + knee * 0.4
    return Pose(spine=rng.uniform(0.0, 0.5), neck=rng.uniform(0, 0.5), hip=tuple(hip), knee=tuple(knee),
                spread=tuple(rng.uniform(0.05, 0.3, 2)), shoulder=tuple(rng.uniform(0.2, 0.8, 2)),
                elbow=tuple(rng.uniform(0.5, 1.4, 2)))


def bending(rng):
    """Bent forwards, as somebody who picks something up or ties a shoe."""
    return Pose(turn=rotation(x=-rng.uniform(0.3, 0.9)), spine=rng.uniform(0.4, 1.1), neck=rng.uniform(-0.3, 0.3),
                hip=tuple(rng.uniform(0.35, 0.9, 2)), knee=tuple(rng.uniform(0.0, 0.6, 2)),
                shoulder=tuple(rng.uniform(0.8, 1.7, 2)), elbow=tuple(rng.uniform(0.1, 0.6, 2)))


def kneeling(rng):
    """On one knee or both, or squatting."""
    kind = rng.integers(3)
    hip = [(1.4, 0.1), (0.15, 0.1), (1.9, 1.9)][kind]
    knee = [(1.5, 1.6), (1.7, 1.7), (2.3, 2.3)][kind]
    return Pose(spine=rng.uniform(0.0, 0.6), neck=rng.uniform(0, 0.5), hip=hip, knee=knee,
                shoulder=tuple(rng.uniform(0.2, 1.2, 2)), elbow=tuple(rng.uniform(0.3, 1.3, 2)))


def crawling(rng):
    """On hands and knees."""
    return Pose(turn=rotation(x=-1.45), spine=rng.uniform(-0.1, 0.2), neck=rng.uniform(-0.7, 0.0),
                hip=tuple(rng.uniform(1.3, 1.7, 2)), knee=tuple(rng.uniform(1.4, 1.7, 2)),
                shoulder=tuple(rng.uniform(1.3, 1.7, 2)), elbow=tuple(rng.uniform(0.0, 0.3, 2)))


def lying(rng, way=None):
    """On the back, the belly or a side; `way` is 0 back, 1 belly, 2 left, 3 right."""
    way = int(rng.choice([0, 0, 1, 2, 3])) if way is None else way
    turn = [rotation(x=np.pi / 2), rotation(x=-np.pi / 2), rotation(x=-np.pi / 2) @ rotation(z=-np.pi / 2),
            rotation(x=-np.pi / 2) @ rotation(z=np.pi / 2)][way]
    curled = rng.random() < 0.35 or way > 1
    hip = rng.uniform(0.2, 1.5, 2) if curled else rng.uniform(-0.05, 0.25, 2)
    knee = hip * rng.uniform(0.9, 1.5) if curled else rng.uniform(0.0, 0.5, 2)
    if way == 1:
        hip, knee = rng.uniform(-0.1, 0.15, 2), rng.uniform(0.0, 0.5, 2)
    flat = way < 2
    return Pose(turn=turn, spine=rng.uniform(-0.1, 0.25 if not curled else 0.6), lean=rng.uniform(-0.2, 0.2),
                neck=rng.uniform(-0.2, 0.4), look=rng.uniform(-0.9, 0.9), hip=tuple(hip), knee=tuple(knee),
                spread=tuple(rng.uniform(0.0, 0.45, 2)),
                shoulder=tuple(rng.uniform(-0.1, 0.4, 2) if flat else rng.uniform(0.2, 1.4, 2)),
                out=tuple(rng.uniform(0.1, 1.9, 2) if flat else rng.uniform(0.0, 0.4, 2)),
                elbow=tuple(rng.uniform(0.1, 1.3, 2)))


def falling(share, end, way, knees):
    """A moment of a fall: `share` 0 upright, 1 lies in pose `end`; `way` as in [`lying`]; `knees` is how far they give."""
    tilt = share * np.pi / 2
    about = [rotation(x=tilt), rotation(x=-tilt), rotation(y=-tilt), rotation(y=tilt)][way]
    start = Pose(spine=0.1, knee=(0.2, 0.2), shoulder=(0.3, 0.3), out=(0.3, 0.3))
    middle = np.sin(share * np.pi)
    pose = start.blend(end, share)
    pose.turn = about
    pose.knee = tuple(np.array(pose.knee) + knees * middle)
    pose.hip = tuple(np.array(pose.hip) + knees * 0.6 * middle)
    pose.shoulder = tuple(np.array(pose.shoulder) + 1.2 * middle)
    pose.out = tuple(np.array(pose.out) + 0.4 * middle)
    return pose


def build(mesh, look, pose, at, heading, number):
    """Adds the figure, standing (or lying) on the ground at `at`, facing `heading` (0: away along y).

    Returns its keypoints (name → place) and the cosine between spine and the vertical.
    """
    own = Mesh()
    joints, spine = figure(own, look, pose, number)
    rows, faces = own.arrays()
    turn = rotation(z=heading)
    rows[:, 0:3] = rows[:, 0:3] @ turn.T
    rows[:, 3:6] = rows[:, 3:6] @ turn.T
    shift = np.array([at[0], at[1], at[2] - rows[:, 2].min() + pose.lift])
    rows[:, 0:3] += shift
    mesh.vertices.append(rows.astype(np.float32))
    mesh.triangles.append(faces + mesh.count)
    mesh.count += len(rows)
    return {name: turn @ place + shift for name, place in joints.items()}, float(spine[2])


def figure(mesh, look, pose, number):
    """The figure with its pelvis at the origin, in metres. Returns joints and the spine's direction."""
    h, w = look.height, look.width
    part = Part(mesh, number, look.pattern)
    pelvis, chest_turn = pose.turn, pose.turn @ rotation(x=-pose.spine, y=pose.lean, z=pose.twist)
    at = lambda frame, x, y, z: frame @ (np.array([x, y, z]) * h)
    waist = at(pelvis, 0, 0, 0.05)
    chest, neck = waist + at(chest_turn, 0, 0, 0.13), waist + at(chest_turn, 0, 0, 0.25)
    head_turn = chest_turn @ rotation(x=-pose.neck, z=pose.look)
    torso(part, look, pelvis, chest_turn, waist, chest, neck)
    head = head_on(part, look, neck, chest_turn, head_turn)
    joints = {"nose": head + at(head_turn, 0, 0.055, -0.01)}
    for side, sign in ((0, -1), (1, 1)):
        name = ("left", "right")[side]
        joints.update(arm(part, look, pose, side, sign, name, neck, chest_turn))
        joints.update(leg(part, look, pose, side, sign, name, pelvis))
    if look.backpack:
        back = chest + at(chest_turn, 0, -0.1 * w, 0.02)
        mesh.ball(back, np.array([0.09, 0.06, 0.14]) * h, look.shoes, turn=chest_turn, material=CLOTH, number=number)
    return joints, (neck - waist) / np.linalg.norm(neck - waist)


@dataclass
class Part:
    """Where parts go, and what they all share."""

    mesh: Mesh
    number: int
    pattern: float

    def limb(self, start, end, first, last, colour, material=CLOTH, **more):
        """A limb of this person."""
        self.mesh.limb(start, end, first, last, colour, material=material, number=self.number,
                       extra=(self.pattern if material == CLOTH else 0.0, 0.0), **more)


def torso(part, look, pelvis, chest_turn, waist, chest, neck):
    """Hips to neck, and what hangs from the waist."""
    h, w = look.height, look.width
    low = pelvis @ np.array([0, 0, -0.05 * h])
    centres = [low, pelvis @ np.array([0, 0, 0.0]), waist, chest, neck - chest_turn @ np.array([0, 0, 0.03 * h]), neck]
    across = np.array([0.07, 0.098, 0.088, 0.108, 0.105, 0.04]) * h * np.sqrt(w)
    along = np.array([0.05, 0.07, 0.062, 0.072, 0.055, 0.035]) * h * w
    u = np.array([pelvis[:, 0]] * 3 + [chest_turn[:, 0]] * 3)
    v = np.array([pelvis[:, 1]] * 3 + [chest_turn[:, 1]] * 3)
    part.mesh.tube(centres[1:], across[1:], along[1:], u[1:], v[1:], look.upper, material=CLOTH, number=part.number,
                   extra=(part.pattern, 0.0))
    part.mesh.tube(centres[:3], across[:3] * 0.99, along[:3] * 0.99, u[:3], v[:3], look.lower, material=CLOTH,
                   number=part.number)
    hem = max(look.skirt, look.coat)
    if hem and pelvis[2, 2] > 0.7:
        down = pelvis @ np.array([0, 0, -hem * h])
        part.mesh.tube([waist, pelvis @ np.zeros(3), down], np.array([0.095, 0.11, 0.14]) * h, np.array([0.07, 0.085, 0.11]) * h,
                       pelvis[:, 0], pelvis[:, 1], look.lower if look.skirt else look.upper, material=CLOTH, number=part.number)


def head_on(part, look, neck, chest_turn, head_turn):
    """Neck, head, hair, hat. Returns the middle of the head."""
    h = look.height * (1.0 if look.height > 1.45 else 1.0 + (1.45 - look.height) * 0.35)
    base = neck + chest_turn @ np.array([0, 0, 0.03 * h])
    part.limb(neck - chest_turn @ np.array([0, 0, 0.02 * h]), base, 0.034 * h, 0.032 * h, look.skin, material=PLAIN)
    head = base + head_turn @ np.array([0, 0.012, 0.068]) * h
    more = {"turn": head_turn, "number": part.number}
    part.mesh.ball(head, np.array([0.047, 0.058, 0.071]) * h, look.skin, **more)
    hair = head + head_turn @ np.array([0, -0.012, 0.016]) * h
    part.mesh.ball(hair, np.array([0.052, 0.056, 0.066]) * h, look.upper if look.hat else look.hair, **more)
    if look.long_hair:
        part.mesh.ball(head + head_turn @ np.array([0, -0.045, -0.045]) * h, np.array([0.048, 0.025, 0.08]) * h, look.hair, **more)
    if look.hat:
        part.mesh.ball(head + head_turn @ np.array([0, 0.03, 0.035]) * h, np.array([0.055, 0.075, 0.012]) * h, look.upper, **more)
    return head


def arm(part, look, pose, side, sign, name, neck, chest_turn):
    """Upper arm, forearm, hand. Returns shoulder, elbow and wrist."""
    h, w = look.height, look.width
    shoulder = neck + chest_turn @ np.array([sign * 0.108 * np.sqrt(w), 0, -0.035]) * h
    upper = chest_turn @ rotation(y=-sign * pose.out[side]) @ rotation(x=pose.shoulder[side])
    elbow = shoulder + upper @ np.array([0, 0, -0.175 * h])
    lower = upper @ rotation(x=pose.elbow[side])
    wrist = elbow + lower @ np.array([0, 0, -0.15 * h])
    tip = wrist + lower @ np.array([0, 0, -0.055 * h])
    part.limb(shoulder, elbow, 0.033 * h * w, 0.026 * h * w, look.upper)
    material, colour = (CLOTH, look.upper) if look.sleeves else (PLAIN, look.skin)
    part.limb(elbow, wrist, 0.025 * h * w, 0.019 * h * w, colour, material=material)
    part.limb(wrist, tip, 0.02 * h, 0.015 * h, look.skin, material=PLAIN)
    return {f"{name}_shoulder": shoulder, f"{name}_elbow": elbow, f"{name}_wrist": wrist}


def leg(part, look, pose, side, sign, name, pelvis):
    """Thigh, shin, foot. Returns hip, knee and ankle."""
    h, w = look.height, look.width
    hip = pelvis @ np.array([sign * 0.052, 0, -0.02]) * h
    upper = pelvis @ rotation(y=-sign * pose.spread[side]) @ rotation(x=pose.hip[side])
    knee = hip + upper @ np.array([0, 0, -0.245 * h])
    lower = upper @ rotation(x=-pose.knee[side])
    ankle = knee + lower @ np.array([0, 0, -0.235 * h])
    toe = ankle + lower @ np.array([0, 0.11 * h, -0.018 * h])
    bare = look.skirt and not look.trousers
    part.limb(hip, knee, 0.05 * h * w, 0.036 * h * w, look.skin if bare else look.lower, material=PLAIN if bare else CLOTH)
    covered = look.trousers and not bare
    part.limb(knee, ankle, 0.034 * h * w, 0.024 * h, look.lower if covered else look.skin, material=CLOTH if covered else PLAIN)
    part.limb(ankle - lower @ np.array([0, 0.02 * h, 0.005 * h]), toe, 0.026 * h, 0.022 * h, look.shoes, material=PLAIN)
    return {f"{name}_hip": hip, f"{name}_knee": knee, f"{name}_ankle": ankle}
