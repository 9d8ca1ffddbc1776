"""What lens, sensor and encoder do to a picture. Bytes in, bytes out; all chance comes from the seed."""

import cv2
import numpy as np


def develop(picture, rng, rain=0.0, night=False, infrared=False, shines=(), speed=0.0, strong=1.0):
    """The whole chain, each step with its own chance; `strong` scales how often."""
    out = picture.astype(np.float32)
    height, width = out.shape[:2]
    out = glare(out, rng, shines, night)
    if rain > 0:
        out = rained(out, rng, rain)
    if rng.random() < 0.12 * strong:
        out = dirty(out, rng)
    if rng.random() < (0.18 + 0.3 * (speed > 0)) * strong:
        out = moved(out, rng, width)
    if rng.random() < 0.25 * strong:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.4, 1.5) * width / 640)
    if rng.random() < 0.3 * strong:
        small = rng.uniform(0.45, 0.8)
        out = cv2.resize(cv2.resize(out, None, fx=small, fy=small, interpolation=cv2.INTER_AREA), (width, height), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.25 * strong:
        soft = cv2.GaussianBlur(out, (0, 0), 1.2)
        out = out + (out - soft) * rng.uniform(0.3, 1.2)
    out = toned(out, rng)
    if infrared or rng.random() < 0.06 * strong:
        out = np.repeat(out.mean(2, keepdims=True), 3, 2)
    out = noisy(out, rng, rng.uniform(0.5, 4) * (2.2 if night or infrared else 1.0))
    return np.clip(out + 0.5, 0, 255).astype(np.uint8)


def encoded(picture, rng):
    """A JPEG of a quality that cameras use, as bytes."""
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(55, 95))])[1].tobytes()


def glare(out, rng, shines, night):
    """Light that spreads: from lamps in the picture, and from all that is very bright."""
    height, width = out.shape[:2]
    for x, y, size, power in shines:
        if not (-width * 0.2 < x < width * 1.2 and -height * 0.2 < y < height * 1.2):
            continue
        yy, xx = np.mgrid[0:height, 0:width].astype(np.float32)
        r2 = (((xx - x) ** 2 + (yy - y) ** 2) / (size * width) ** 2).astype(np.float32)
        out = out + (255 * power / (1 + r2 * 8) * cv2.exp(-r2)).astype(np.float32)[..., None]
    if night or rng.random() < 0.3:
        bright = np.clip(out - 225, 0, 400)
        out = out + cv2.GaussianBlur(bright, (0, 0), width * 0.015) * rng.uniform(0.5, 2.0)
    return out


def rained(out, rng, amount):
    """Streaks, and a little less contrast."""
    height, width = out.shape[:2]
    layer = np.zeros((height, width), np.float32)
    slant = rng.uniform(-0.25, 0.25)
    for _ in range(int(amount * 500)):
        x, y, l = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.02, 0.09) * height
        cv2.line(layer, (int(x), int(y)), (int(x + slant * l), int(y + l)), float(rng.uniform(0.1, 0.45)), 1)
    layer = cv2.GaussianBlur(layer, (0, 0), 0.7)[..., None]
    return out * (1 - layer * 0.5) + 190 * layer * 0.6


def dirty(out, rng):
    """Drops and smears on the glass before the lens."""
    height, width = out.shape[:2]
    mask = np.zeros((height, width), np.float32)
    for _ in range(rng.integers(1, 14)):
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        axes = (int(rng.uniform(0.005, 0.05) * width) + 1, int(rng.uniform(0.005, 0.05) * width) + 1)
        cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, float(rng.uniform(0.2, 0.8)), -1)
    mask = cv2.GaussianBlur(mask, (0, 0), width * rng.uniform(0.003, 0.02))[..., None]
    blurred = cv2.GaussianBlur(out, (0, 0), width * 0.012)
    return out * (1 - mask) + (blurred * 0.75 + np.float32(rng.uniform(0, 60))) * mask


def moved(out, rng, width):
    """Motion during the exposure, mostly sideways."""
    length = max(2, int(rng.uniform(1.5, 8) * width / 640))
    kernel = np.zeros((length * 2 + 1,) * 2, np.float32)
    angle = rng.normal(0, 0.4)
    end = (int(length + np.cos(angle) * length), int(length + np.sin(angle) * length))
    start = (2 * length - end[0], 2 * length - end[1])
    cv2.line(kernel, start, end, 1.0, 1)
    return cv2.filter2D(out, -1, kernel / kernel.sum())


def toned(out, rng):
    """White balance, contrast, gamma, dark corners."""
    height, width = out.shape[:2]
    out = out * ((1 + rng.normal(0, 0.05, 3)) * rng.uniform(0.82, 1.15)).astype(np.float32)
    out = (out - 118) * rng.uniform(0.75, 1.25) + 118 + rng.uniform(-14, 14)
    out = 255 * cv2.pow(np.clip(out / 255, 0, 1.5), float(rng.uniform(0.8, 1.3)))
    if rng.random() < 0.3:
        yy, xx = np.mgrid[-1:1:height * 1j, -1:1:width * 1j]
        out = out * (1 - rng.uniform(0.1, 0.45) * (xx ** 2 + yy ** 2)[..., None] / 2).astype(np.float32)
    return out


def noisy(out, rng, sigma):
    """Shot and read noise, some of it per colour, softened as demosaicing does."""
    height, width = out.shape[:2]
    noise = rng.standard_normal((height, width, 3), dtype=np.float32)
    mixed = cv2.GaussianBlur(noise + noise[..., 1:2], (0, 0), 0.6)
    return out + mixed * np.float32(sigma) * (0.6 + 0.5 * cv2.sqrt(np.clip(out, 0, 255) / 255))
