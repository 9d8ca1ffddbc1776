"""Pixels from triangles: the graphics library, without a screen.

One [`Studio`] renders any number of scenes. Mesa's llvmpipe draws where there is no graphics processor.
"""

from dataclasses import dataclass, field

import numpy as np
from panda3d import core

from .mesh import ASPHALT, FLOATS, GRASS, SKY, Mesh
from .shade import NUMBER, VERTEX, colour

core.loadPrcFileData("", """
load-display p3headlessgl
aux-display p3tinydisplay
window-type offscreen
audio-library-name null
notify-level-device fatal
notify-level-egldisplay error
gl-version 3 3
textures-power-2 none
gl-coordinate-system default
sync-video false
""")

# What lies behind everything is drawn last: then most of its pixels need no shading.
LATE = {ASPHALT: 5, GRASS: 6, SKY: 9}


@dataclass
class View:
    """Where the camera is: place in metres, angles in radians (pitch positive downwards, yaw positive to the left)."""

    place: np.ndarray
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    hfov: float = 60.0
    size: tuple = (640, 360)

    def axes(self):
        """Rows: right, down, forward of the camera, in world axes."""
        cy, sy, cp, sp = np.cos(self.yaw), np.sin(self.yaw), np.cos(self.pitch), np.sin(self.pitch)
        forward = np.array([-sy * cp, cy * cp, -sp])
        right = np.array([cy, sy, 0.0])
        down = np.cross(forward, right)
        cr, sr = np.cos(self.roll), np.sin(self.roll)
        return np.array([right * cr + down * sr, down * cr - right * sr, forward])

    def focal(self):
        """Focal length in pixels; pixels are square."""
        return self.size[0] / 2 / np.tan(np.radians(self.hfov) / 2)

    def project(self, places):
        """World places to pixels (from the upper left corner's edge) and depth in metres."""
        seen = (np.atleast_2d(places) - self.place) @ self.axes().T
        depth = np.where(np.abs(seen[:, 2]) < 1e-6, 1e-6, seen[:, 2])
        x = self.size[0] / 2 + self.focal() * seen[:, 0] / depth
        y = self.size[1] / 2 + self.focal() * seen[:, 1] / depth
        return np.stack([x, y], -1), seen[:, 2]


@dataclass
class Light:
    """What shines. Colours are linear, about 1 for daylight."""

    sun_way: tuple = (0.3, -0.5, 0.8)
    sun: tuple = (0.9, 0.85, 0.75)
    above: tuple = (0.35, 0.42, 0.55)
    below: tuple = (0.2, 0.19, 0.17)
    mist: tuple = (0.6, 0.65, 0.7)
    dense: float = 0.001
    beam: float = 0.0
    beam_cone: float = 0.75
    beam_low: bool = True
    lamps: list = field(default_factory=list)
    gain: float = 1.3
    wet: float = 0.0
    clouds: float = 0.4
    infrared: bool = False
    seed: float = 0.0


class Studio:
    """Holds the offscreen buffers."""

    def __init__(self):
        self.engine = core.GraphicsEngine.getGlobalPtr()
        self.pipe = core.GraphicsPipeSelection.getGlobalPtr().makeDefaultPipe()
        if self.pipe is None:
            raise RuntimeError("no offscreen graphics: install libegl1 and libgl1-mesa-dri (Debian), then try again")
        self.root = core.NodePath("scene")
        self.nodes = {}
        self.buffers = {}
        self.host = None
        self.colours = {}
        self.number = core.Shader.make(core.Shader.SL_GLSL, VERTEX, NUMBER)
        self.prints = core.Texture("prints")
        self.layout = self._layout()
        self._shade_camera()

    def driver(self):
        """What draws, for records."""
        gsg = self.host.getGsg()
        return f"{gsg.getDriverRenderer()}, {gsg.getDriverVersion()}, panda3d {core.PandaSystem.getVersionString()}"

    def show(self, part, mesh):
        """Replaces one part of the scene (`still`, `moving`)."""
        rows, faces = mesh.arrays() if isinstance(mesh, Mesh) else mesh
        for node in self.nodes.pop(part, []):
            node.removeNode()
        if not len(rows):
            return
        data = core.GeomVertexData("d", self.layout, core.Geom.UHStatic)
        data.uncleanSetNumRows(len(rows))
        memoryview(data.modifyArray(0)).cast("B")[:] = np.ascontiguousarray(rows, np.float32).tobytes()
        kinds = rows[faces[:, 0], 12].astype(int)
        self.nodes[part] = [self._node(data, faces[kinds == kind], int(kind)) for kind in np.unique(kinds)]

    def _node(self, data, faces, kind):
        indices = core.GeomTriangles(core.Geom.UHStatic)
        indices.setIndexType(core.GeomEnums.NTUint32)
        array = indices.modifyVertices()
        array.uncleanSetNumRows(faces.size)
        memoryview(array).cast("B")[:] = np.ascontiguousarray(faces, np.uint32).tobytes()
        geom = core.Geom(data)
        geom.addPrimitive(indices)
        node = core.GeomNode(str(kind))
        node.addGeom(geom)
        node.setBounds(core.OmniBoundingVolume())
        node.setFinal(True)
        if kind not in self.colours:
            self.colours[kind] = core.Shader.make(core.Shader.SL_GLSL, VERTEX, colour(kind))
        path = self.root.attachNewNode(node)
        path.setShader(self.colours[kind])
        path.setTwoSided(True)
        path.setBin("fixed", LATE.get(kind, 0))
        return path

    def print_sheet(self, sheet):
        """Sets the sheet of printed faces (RGB bytes)."""
        height, width, _ = sheet.shape
        self.prints.setup2dTexture(width, height, core.Texture.TUnsignedByte, core.Texture.FRgb)
        self.prints.setRamImage(np.ascontiguousarray(sheet[::-1, :, ::-1]).tobytes())
        self.prints.setMinfilter(core.SamplerState.FTLinearMipmapLinear)
        self.prints.setMagfilter(core.SamplerState.FTLinear)
        self.prints.setAnisotropicDegree(4)

    def take(self, view, light, middle):
        """A BGR picture and the object numbers of its pixels; `middle` is the place shadows are drawn around."""
        colour, number = self._buffers(view.size)
        self._aim(colour[1], view)
        self._aim(number[1], view)
        self._lights(view, light, middle)
        for buffer, _, _ in self.buffers.values():
            buffer.setActive(False)
        for buffer in (self.shade, colour[0], number[0]):
            buffer.setActive(True)
        self.engine.renderFrame()
        self.engine.syncFrame()
        return _pixels(colour[2], view.size)[..., :3], _numbers(_pixels(number[2], view.size))

    def _layout(self):
        array = core.GeomVertexArrayFormat()
        for name, count, kind in (("vertex", 3, core.Geom.CPoint), ("normal", 3, core.Geom.CNormal),
                                  ("tint", 4, core.Geom.COther), ("sheet", 2, core.Geom.COther), ("extra", 4, core.Geom.COther)):
            array.addColumn(name, count, core.Geom.NTFloat32, kind)
        assert array.getStride() == FLOATS * 4
        layout = core.GeomVertexFormat()
        layout.addArray(array)
        return core.GeomVertexFormat.registerFormat(layout)

    def _make(self, size, samples, depth=None):
        wanted = core.FrameBufferProperties()
        wanted.setRgbaBits(8, 8, 8, 8)
        wanted.setDepthBits(24)
        wanted.setMultisamples(samples)
        flags = core.GraphicsPipe.BFRefuseWindow
        buffer = self.engine.makeOutput(self.pipe, "b", len(self.buffers), wanted, core.WindowProperties.size(*size),
                                        flags, self.host.getGsg() if self.host else None, self.host)
        if buffer is None:
            raise RuntimeError(f"no offscreen buffer of {size[0]}x{size[1]}")
        self.host = self.host or buffer
        texture = core.Texture()
        if depth is None:
            buffer.addRenderTexture(texture, core.GraphicsOutput.RTMCopyRam, core.GraphicsOutput.RTPColor)
        else:
            buffer.addRenderTexture(depth, core.GraphicsOutput.RTMBindOrCopy, core.GraphicsOutput.RTPDepth)
        buffer.setClearColor((0, 0, 0, 1))
        return buffer, texture

    def _buffers(self, size):
        for kind, samples, shader in (("colour", 4, None), ("number", 0, self.number)):
            if (kind, size) in self.buffers:
                continue
            buffer, texture = self._make(size, samples)
            camera = self._camera(buffer, shader)
            self.buffers[kind, size] = (buffer, camera, texture)
        return self.buffers["colour", size], self.buffers["number", size]

    def _camera(self, buffer, shader):
        node = core.Camera("c", core.PerspectiveLens())
        state = core.NodePath("state")
        if shader is not None:
            state.setShader(shader, 100)
        state.setAntialias(core.AntialiasAttrib.MMultisample)
        node.setInitialState(state.getState())
        camera = self.root.attachNewNode(node)
        buffer.makeDisplayRegion().setCamera(camera)
        return camera

    def _shade_camera(self):
        self._make((16, 16), 0)
        self.shade_map = core.Texture("shade")
        self.shade_map.setWrapU(core.SamplerState.WMClamp)
        self.shade_map.setWrapV(core.SamplerState.WMClamp)
        self.shade, _ = self._make((1024, 1024), 0, self.shade_map)
        self.shade_camera = self._camera(self.shade, self.number)
        lens = core.OrthographicLens()
        lens.setNearFar(1, 160)
        self.shade_camera.node().setLens(lens)

    def _aim(self, camera, view):
        lens = camera.node().getLens()
        lens.setFilmSize(view.size[0], view.size[1])
        lens.setFocalLength(float(view.focal()))
        lens.setNearFar(0.08, 900)
        right, down, forward = view.axes()
        rows = np.eye(4)
        rows[0, :3], rows[1, :3], rows[2, :3], rows[3, :3] = right, forward, -down, view.place
        camera.setMat(core.LMatrix4f(*[float(v) for v in rows.ravel()]))

    def _lights(self, view, light, middle):
        root = self.root
        way = np.array(light.sun_way, float)
        way = way / np.linalg.norm(way)
        reach = 34.0 if light.beam_low else 9.0
        self.shade_camera.node().getLens().setFilmSize(reach * 2, reach * 2)
        self.shade_camera.setPos(*(np.asarray(middle, float) + way * 80))
        self.shade_camera.lookAt(core.Point3(*[float(v) for v in middle]), core.Vec3(0, 1, 0.01))
        matrix = root.getMat(self.shade_camera) * self.shade_camera.node().getLens().getProjectionMat()
        forward = view.axes()[2]
        values = {
            "eye": core.Vec3(*view.place), "sun_way": core.Vec3(*way), "sun": core.Vec3(*light.sun),
            "above": core.Vec3(*light.above), "below": core.Vec3(*light.below), "mist": core.Vec4(*light.mist, 1.0),
            "dense": light.dense, "beam_way": core.Vec3(*forward),
            "beam": core.Vec4(light.beam, light.beam_cone, float(light.beam_low), 0), "to_shade": matrix,
            "shade_map": self.shade_map, "prints": self.prints, "gain": light.gain, "wet": light.wet,
            "seed": light.seed, "clouds": light.clouds, "infrared": float(light.infrared)}
        lamps = (light.lamps + [((0, 0, -1000), (0, 0, 0))] * 4)[:4]
        values["lamp_place"] = [core.Vec4(*[float(v) for v in place], 1) for place, _ in lamps]
        values["lamp"] = [core.Vec4(*[float(v) for v in colour], 1) for _, colour in lamps]
        for name, value in values.items():
            if name in ("lamp_place", "lamp"):
                root.setShaderInput(name, core.PTALVecBase4f([core.LVecBase4f(v) for v in value]))
            else:
                root.setShaderInput(name, value)


def sky(mesh):
    """A big ball around everything."""
    mesh.ball((0, 0, 0), (700, 700, 700), (0, 0, 0), around=16, stacks=12, material=SKY)


def _pixels(texture, size):
    data = np.frombuffer(texture.getRamImageAs("BGRA"), np.uint8)
    return data.reshape(size[1], size[0], 4)[::-1]


def _numbers(pixels):
    return pixels[..., 2].astype(np.int32) + pixels[..., 1].astype(np.int32) * 256
