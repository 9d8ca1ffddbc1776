"""Printed faces: one picture per scene with the plates of signs, things that look like them, and posters."""

import math
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

CELL = 256
COLUMNS = 4
ROWS = 4
STOP, YIELD, NO_ENTRY, LIMIT, OCTAGON, DISC, ARROW, NAME = range(8)
POSTERS = range(8, 16)
WORDS = ["STOP"] * 7 + ["ARRÊT", "ALTO", "PARE", "DUR", "STOP ALTO"]
SAYS = ["SALE", "OPEN", "SHOP", "PARK", "EXIT", "CAFE", "50%", "BUS", "HOTEL", "NEW", "GO", "TAXI", "WAIT", "SLOW"]
FACES = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def atlas(rng, word=None):
    """The sheet of one scene: an RGB picture of 4 × 4 cells. `word` stands on the stop sign; without it, chance says."""
    sheet = Image.new("RGB", (CELL * COLUMNS, CELL * ROWS), (128, 128, 128))
    draw = [stop, give_way, no_entry, limit, octagon, disc, arrow, name]
    for cell in range(COLUMNS * ROWS):
        face = stop(rng, word) if cell == STOP else draw[cell](rng) if cell < len(draw) else poster(rng)
        if cell < len(draw):
            face = weathered(face, rng)
        sheet.paste(face, ((cell % COLUMNS) * CELL, (cell // COLUMNS) * CELL))
    return np.asarray(sheet)


def place(cell, corners):
    """Texture places of `corners`, given in shares of cell number `cell` from its lower left."""
    column, row = cell % COLUMNS, cell // COLUMNS
    corners = np.asarray(corners, np.float32) * 0.98 + 0.01
    return np.stack([(column + corners[:, 0]) / COLUMNS, 1 - (row + 1 - corners[:, 1]) / ROWS], -1)


def font(size, rng=None):
    """A bold face that matplotlib brings."""
    names = ["DejaVuSans-Bold.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansMono-Bold.ttf", "DejaVuSerif-Bold.ttf"]
    return ImageFont.truetype(str(FACES / names[0 if rng is None else rng.integers(len(names))]), size)


def written(image, text, box, colour, rng=None, face=None):
    """Writes `text` so that it fills `box`, squeezed as sign makers do."""
    face = face or font(120, rng)
    left, top, right, bottom = face.getbbox(text)
    mask = Image.new("L", (max(right - left, 1), max(bottom - top, 1)), 0)
    ImageDraw.Draw(mask).text((-left, -top), text, fill=255, font=face)
    x0, y0, x1, y1 = (int(v) for v in box)
    mask = mask.resize((max(x1 - x0, 1), max(y1 - y0, 1)), Image.BILINEAR)
    image.paste(Image.new("RGB", mask.size, colour), (x0, y0), mask)


def octagon_at(radius, centre=CELL / 2):
    """Corners of an upright octagon."""
    return [(centre + radius * math.cos(math.pi / 8 + k * math.pi / 4),
             centre + radius * math.sin(math.pi / 8 + k * math.pi / 4)) for k in range(8)]


def byte(colour):
    """0 to 1 becomes 0 to 255."""
    return tuple(int(np.clip(v, 0, 1) * 255) for v in colour)


def red(rng):
    """The reds of signs: new, faded to pink or orange, dark."""
    kind = rng.random()
    if kind < 0.6:
        return byte((rng.uniform(0.6, 0.85), rng.uniform(0.03, 0.16), rng.uniform(0.05, 0.2)))
    if kind < 0.8:
        return byte((rng.uniform(0.75, 0.9), rng.uniform(0.2, 0.38), rng.uniform(0.2, 0.38)))
    return byte((rng.uniform(0.4, 0.6), rng.uniform(0.03, 0.12), rng.uniform(0.05, 0.12)))


def stop(rng, word=None):
    """A stop sign's face."""
    white = byte([rng.uniform(0.78, 1.0)] * 3)
    image = Image.new("RGB", (CELL, CELL), white)
    draw = ImageDraw.Draw(image)
    full = CELL / 2 / math.cos(math.pi / 8)
    draw.polygon(octagon_at(full * rng.uniform(0.9, 0.965)), fill=red(rng))
    chance = WORDS[rng.integers(len(WORDS))]
    word = word or chance
    half = rng.uniform(0.36, 0.42) * CELL
    tall = rng.uniform(0.15, 0.19) * CELL
    middle = CELL / 2
    lines = word.split()
    for k, line in enumerate(lines):
        mid = middle + (k - (len(lines) - 1) / 2) * tall * 1.7
        t = tall if len(lines) == 1 else tall * 0.75
        written(image, line, (middle - half, mid - t, middle + half, mid + t), white)
    return image


def give_way(rng):
    """A triangle, point down."""
    image = Image.new("RGB", (CELL, CELL), red(rng))
    inner = (255, 255, 255) if rng.random() < 0.7 else (250, 220, 40)
    ImageDraw.Draw(image).polygon([(60, 46), (CELL - 60, 46), (CELL / 2, 180)], fill=inner)
    return image


def no_entry(rng):
    """A red disc with a bar."""
    image = Image.new("RGB", (CELL, CELL), red(rng))
    ImageDraw.Draw(image).rectangle((45, 105, CELL - 45, 151), fill=(240, 240, 240))
    return image


def limit(rng):
    """A speed limit."""
    image = Image.new("RGB", (CELL, CELL), red(rng))
    ImageDraw.Draw(image).ellipse((34, 34, CELL - 34, CELL - 34), fill=(240, 240, 240))
    written(image, str(rng.integers(2, 12) * 10), (70, 85, CELL - 70, 172), (20, 20, 20))
    return image


def octagon(rng):
    """An octagon that is no stop sign: not red, or without any word, or of another colour's word."""
    hues = [(0.1, 0.25, 0.7), (0.95, 0.75, 0.1), (0.1, 0.5, 0.2), (0.9, 0.5, 0.1), (0.85, 0.85, 0.85), (0.1, 0.1, 0.1), (0.45, 0.3, 0.2)]
    image = Image.new("RGB", (CELL, CELL), (235, 235, 235))
    full = CELL / 2 / math.cos(math.pi / 8)
    ImageDraw.Draw(image).polygon(octagon_at(full * 0.94), fill=byte(np.array(hues[rng.integers(len(hues))]) + rng.uniform(-0.05, 0.05, 3)))
    written(image, SAYS[rng.integers(len(SAYS))], (40, 95, CELL - 40, 160), (250, 250, 250), rng)
    return image


def disc(rng):
    """A red disc with something on it, as shops hang out."""
    image = Image.new("RGB", (CELL, CELL), red(rng))
    if rng.random() < 0.7:
        written(image, SAYS[rng.integers(len(SAYS))], (40, 92, CELL - 40, 164), (245, 245, 245), rng)
    return image


def arrow(rng):
    """A blue plate with an arrow."""
    image = Image.new("RGB", (CELL, CELL), byte((0.05, 0.2, rng.uniform(0.45, 0.8))))
    draw = ImageDraw.Draw(image)
    draw.polygon([(128, 40), (200, 130), (150, 130), (150, 215), (106, 215), (106, 130), (56, 130)], fill=(240, 240, 240))
    return image.rotate(float(rng.choice([0, 90, 180, 270])))


def name(rng):
    """A white, green or blue plate with words."""
    back = [(0.95, 0.95, 0.95), (0.05, 0.4, 0.2), (0.1, 0.25, 0.6), (0.9, 0.8, 0.2)][rng.integers(4)]
    image = Image.new("RGB", (CELL, CELL), byte(back))
    ink = (20, 20, 20) if sum(back) > 1.5 else (245, 245, 245)
    for k in range(rng.integers(1, 4)):
        written(image, SAYS[rng.integers(len(SAYS))], (25, 25 + k * 75, CELL - 25, 80 + k * 75), ink, rng)
    return image


def poster(rng):
    """An advertisement, a shop's window, a picture on a wall: colours, shapes, words, often red."""
    base = np.array([rng.uniform(0.1, 0.95, 3), (0.75, 0.1, 0.12), (0.9, 0.9, 0.88)][rng.choice(3, p=[0.5, 0.2, 0.3])])
    image = Image.new("RGB", (CELL, CELL), byte(base))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(2, 10)):
        x, y = rng.uniform(0, CELL, 2)
        w, h = rng.uniform(10, 140, 2)
        fill = byte((0.8, 0.1, 0.1)) if rng.random() < 0.25 else byte(rng.uniform(0, 1, 3))
        shape = rng.integers(4)
        if shape == 0:
            draw.ellipse((x, y, x + w, y + w), fill=fill)
        elif shape == 1:
            draw.rectangle((x, y, x + w, y + h), fill=fill)
        elif shape == 2:
            draw.polygon([tuple(rng.uniform(0, CELL, 2)) for _ in range(3)], fill=fill)
        else:
            draw.line((x, y, x + w, y + h), fill=fill, width=int(rng.integers(2, 14)))
    for _ in range(rng.integers(0, 4)):
        x, y = rng.uniform(5, 150), rng.uniform(5, 200)
        written(image, SAYS[rng.integers(len(SAYS))], (x, y, x + rng.uniform(40, 100), y + rng.uniform(14, 50)), byte(rng.uniform(0, 1, 3)), rng)
    return image


def weathered(image, rng):
    """Dirt, scratches, stickers, sun."""
    draw = ImageDraw.Draw(image)
    if rng.random() < 0.2:
        for _ in range(rng.integers(1, 4)):
            x, y = rng.uniform(30, 220, 2)
            s = rng.uniform(8, 38)
            draw.rectangle((x, y, x + s * rng.uniform(0.7, 2), y + s), fill=byte(rng.uniform(0, 1, 3)))
    for _ in range(rng.integers(0, 12) if rng.random() < 0.4 else 0):
        x, y = rng.uniform(0, CELL, 2)
        draw.line((x, y, x + rng.uniform(-40, 40), y + rng.uniform(-40, 40)), fill=byte([rng.uniform(0.2, 0.9)] * 3), width=int(rng.integers(1, 3)))
    pixels = np.asarray(image, np.float32) / 255
    if rng.random() < 0.5:
        small = rng.uniform(0, 1, (8, 8)).astype(np.float32)
        blots = np.asarray(Image.fromarray((small * 255).astype(np.uint8)).resize((CELL, CELL), Image.BICUBIC), np.float32) / 255
        share = np.clip((blots - rng.uniform(0.45, 0.8)) * 3, 0, 1)[..., None] * rng.uniform(0.2, 0.8)
        pixels = pixels * (1 - share) + np.array([0.3, 0.25, 0.2]) * rng.uniform(0.4, 1.3) * share
    fade = rng.uniform(0, 0.25)
    pixels = pixels * (1 - fade) + fade * pixels.mean()
    return Image.fromarray((np.clip(pixels, 0, 1) * 255).astype(np.uint8))
