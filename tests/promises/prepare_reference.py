"""The reference of prepare_parity.rs: OpenCV's cvtColor, resize and copyMakeBorder's arithmetic on the same frames.

    python prepare_reference.py FOLDER

Reads FOLDER/cases.json and, per case, NUMBER.frame (packed planes) and NUMBER.tensor (float32). Prints, per case, the
largest difference in units of a pixel (0-255), how many values there are, and how many differ by more than 0.01.
"""
import json
import os
import sys

import cv2
import numpy as np

INTER = {"bilinear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST}


def planes(raw, width, height, *sizes):
    at, out = 0, []
    for w, h in sizes:
        out.append(raw[at:at + w * h].reshape(h, w))
        at += w * h
    assert at == len(raw)
    return out


def video(luma, u, v):
    """Planar 4:2:0 as OpenCV's VideoCapture hands it out, by FFmpeg's swscale: 16-bit products, each cut off
    (libswscale/x86/yuv_2_rgb.asm; coefficients of BT.601, limited range, 13 fractional bits)."""
    height, width = luma.shape
    u, v = ((plane.repeat(2, 0).repeat(2, 1)[:height, :width].astype(np.int32) - 128) * 8 for plane in (u, v))
    y = (luma.astype(np.int32) * 8 - 128) * 9539 >> 16
    green = (u * -3209 >> 16) + (v * -6660 >> 16)
    return np.stack([y + (u * 16525 >> 16), y + green, y + (v * 13075 >> 16)], 2).clip(0, 255).astype(np.uint8)


def bgr(raw, case):
    """The frame as OpenCV has it. cvtColor wants even sides of 4:2:0 and 4:2:2: the last pixel is doubled, then cut off."""
    width, height, kind = case["width"], case["height"], case["format"]
    even_w, even_h = width + width % 2, height + height % 2
    half_w, half_h = even_w // 2, even_h // 2
    if kind == "rgb":
        return raw.reshape(height, width, 3)[:, :, ::-1]
    if kind == "bgr":
        return raw.reshape(height, width, 3)
    if kind == "grey":
        return cv2.cvtColor(raw.reshape(height, width), cv2.COLOR_GRAY2BGR)
    if kind in ("yuyv", "uyvy"):
        code = cv2.COLOR_YUV2BGR_YUY2 if kind == "yuyv" else cv2.COLOR_YUV2BGR_UYVY
        return cv2.cvtColor(raw.reshape(height, even_w, 2), code)[:, :width]
    if kind == "nv12":
        luma, chroma = planes(raw, width, height, (width, height), (even_w, half_h))
        chroma, code = [chroma], cv2.COLOR_YUV2BGR_NV12
    else:
        return video(*planes(raw, width, height, (width, height), (half_w, half_h), (half_w, half_h)))
    luma = np.pad(luma, ((0, even_h - height), (0, even_w - width)), "edge")
    flat = np.concatenate([part.reshape(-1) for part in [luma, *chroma]])
    return cv2.cvtColor(flat.reshape(even_h * 3 // 2, even_w), code)[:height, :width]


def cut(picture, region, outside):
    """The part of a picture in region (x, y, width, height), `outside` where it leaves it."""
    x, y, w, h = region
    big = np.empty((h, w, 3), np.uint8)
    big[:] = outside
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = max(x, 0), max(y, 0), min(x + w, width), min(y + h, height)
    if x1 < x2 and y1 < y2:
        big[y1 - y:y2 - y, x1 - x:x2 - x] = picture[y1:y2, x1:x2]
    return big


def whole(value, rounding):
    return max(1, int(value) if rounding == "floor" else round(value))


def canvas(picture, spec, case):
    """The picture fitted to the input; BGR."""
    size_w, size_h = spec["width"], spec["height"]
    resize = spec["resize"]
    inter = INTER[resize["filter"]]
    order = {"rgb": slice(None, None, -1), "bgr": slice(None)}.get(spec["colour"])
    pad = resize["pad"] if isinstance(resize["pad"], list) else [resize["pad"]] * 3
    outside = spec.get("crop", {}).get("outside", [0, 0, 0])
    if order is None:
        pad, outside = [pad[0]] * 3, [outside[0]] * 3
    else:
        pad, outside = pad[order], outside[order]
    if case["region"]:
        return cv2.resize(cut(picture, case["region"], outside), (size_w, size_h), interpolation=inter)
    height, width = picture.shape[:2]
    if resize["mode"] == "stretch":
        return cv2.resize(picture, (size_w, size_h), interpolation=inter)
    if resize["mode"] == "centre_crop":
        ratio = max(size_h / height, size_w / width)
        new_w, new_h = whole(width * ratio, "nearest"), whole(height * ratio, "nearest")
        if new_w * new_h > 2 ** 26:
            return None
        left, top = (new_w - size_w + 1) // 2, (new_h - size_h + 1) // 2
        big = cv2.resize(picture, (new_w, new_h), interpolation=inter)
        return big[top:top + size_h, left:left + size_w]
    ratio = min(size_h / height, size_w / width)
    ratio = ratio if resize["enlarge"] else min(ratio, 1.0)
    new_w, new_h = whole(width * ratio, resize["rounding"]), whole(height * ratio, resize["rounding"])
    left, top = (0, 0) if resize["anchor"] == "top_left" else ((size_w - new_w) // 2, (size_h - new_h) // 2)
    out = np.empty((size_h, size_w, 3), np.uint8)
    out[:] = pad
    out[top:top + new_h, left:left + new_w] = cv2.resize(picture, (new_w, new_h), interpolation=inter)
    return out


def pixels(values, spec, shape):
    """The tensor's values back in units of a pixel, as height x width x channels."""
    values = values.reshape(shape)[0]
    if spec["layout"] == "nchw":
        values = values.transpose(1, 2, 0)
    channels = values.shape[2]
    std, mean = (np.array(spec.get(key, [default] * 3)[:channels], np.float64) for key, default in (("std", 1), ("mean", 0)))
    return (values.astype(np.float64) * std + mean) / spec.get("scale", 1.0)


def difference(folder, case):
    spec = case["input"]
    raw = np.fromfile(os.path.join(folder, f"{case['number']}.frame"), np.uint8)
    found = np.fromfile(os.path.join(folder, f"{case['number']}.tensor"), np.float32)
    wanted = canvas(np.ascontiguousarray(bgr(raw, case)), spec, case)
    if wanted is None:
        return {"largest": 0.0, "values": 0, "off": 0}
    if spec["colour"] == "rgb":
        wanted = wanted[:, :, ::-1]
    if spec["colour"] == "grey":
        wanted = cv2.cvtColor(np.ascontiguousarray(wanted), cv2.COLOR_BGR2GRAY)[:, :, None]
    apart = np.abs(pixels(found, spec, case["shape"]) - wanted.astype(np.float64))
    # Going back through scale, mean and std costs float32's last digits.
    largest = float(apart.max())
    return {"largest": round(largest, 2), "values": apart.size, "off": int((apart > 0.01).sum())}


if __name__ == "__main__":
    cv2.setNumThreads(1)
    with open(os.path.join(sys.argv[1], "cases.json")) as file:
        print(json.dumps([difference(sys.argv[1], case) for case in json.load(file)]))
