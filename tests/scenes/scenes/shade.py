"""The two shader programs: what a pixel looks like, and which object it belongs to."""

VERTEX = """
#version 330
uniform mat4 p3d_ModelViewProjectionMatrix;
in vec4 p3d_Vertex; in vec3 p3d_Normal; in vec4 tint; in vec2 sheet; in vec4 extra;
out vec3 place; out vec3 normal; out vec4 colour; out vec2 uv; flat out vec4 more;
void main() {
  gl_Position = p3d_ModelViewProjectionMatrix * p3d_Vertex;
  place = p3d_Vertex.xyz; normal = p3d_Normal; colour = tint; uv = sheet; more = extra;
}
"""

NUMBER = """
#version 330
flat in vec4 more;
out vec4 shown;
void main() {
  float n = floor(more.y + 0.5);
  shown = vec4(mod(n, 256.0) / 255.0, floor(n / 256.0) / 255.0, 0.0, 1.0);
}
"""

def colour(kind):
    """The program of one material. A program each, since llvmpipe runs every branch of a shader for every pixel."""
    return "#version 330\n#define KIND %d\n" % kind + COLOUR


COLOUR = """
uniform vec3 eye; uniform vec3 sun_way; uniform vec3 sun; uniform vec3 above; uniform vec3 below;
uniform vec4 mist; uniform float dense; uniform vec3 beam_way; uniform vec4 beam; uniform vec4 lamp_place[4];
uniform vec4 lamp[4]; uniform mat4 to_shade; uniform sampler2D shade_map; uniform sampler2D prints;
uniform float gain; uniform float wet; uniform float seed; uniform float clouds; uniform float infrared;
in vec3 place; in vec3 normal; in vec4 colour; in vec2 uv; flat in vec4 more;
out vec4 shown;

float hash(vec3 p) { p = fract(p * 0.1031 + seed * 0.013); p += dot(p, p.zyx + 31.32); return fract((p.x + p.y) * p.z); }
float noise(vec3 p) {
  vec3 i = floor(p), f = fract(p); f = f * f * (3.0 - 2.0 * f);
  return mix(mix(mix(hash(i), hash(i + vec3(1,0,0)), f.x), mix(hash(i + vec3(0,1,0)), hash(i + vec3(1,1,0)), f.x), f.y),
             mix(mix(hash(i + vec3(0,0,1)), hash(i + vec3(1,0,1)), f.x), mix(hash(i + vec3(0,1,1)), hash(i + vec3(1,1,1)), f.x), f.y), f.z);
}
float fbm(vec3 p) { return 0.5 * noise(p) + 0.25 * noise(p * 2.03) + 0.125 * noise(p * 4.1) + 0.125 * noise(p * 8.3); }
vec3 sky(vec3 way) {
  float t = clamp(way.z, 0.0, 1.0);
  vec3 c = mix(mist.rgb, above * 1.15, pow(t, 0.5));
  float cover = smoothstep(0.62 - clouds * 0.4, 0.8, fbm(vec3(way.xy / (way.z + 0.12) * 1.7, 3.0)));
  c = mix(c, mist.rgb * 1.25, cover * clouds * step(0.0, way.z));
  return c + sun * pow(max(dot(way, sun_way), 0.0), 350.0) * 4.0 * (1.0 - clouds * 0.8);
}
float lit() {
  vec4 q = to_shade * vec4(place + normal * 0.04, 1.0);
  vec3 p = q.xyz / q.w * 0.5 + 0.5;
  if (p.x < 0.0 || p.x > 1.0 || p.y < 0.0 || p.y > 1.0 || p.z > 1.0) return 1.0;
  float s = 0.0; vec2 step_ = vec2(1.0 / 1024.0);
  for (int i = 0; i < 4; i++) {
    vec2 o = vec2(float(i % 2) - 0.5, float(i / 2) - 0.5) * 1.5;
    s += texture(shade_map, p.xy + o * step_).r < p.z - 0.0012 ? 0.0 : 1.0;
  }
  return s * 0.25;
}
void main() {
  const int kind = KIND;
  vec3 way = normalize(place - eye);
  float far = length(place - eye);
  vec3 n = normalize(normal); if (dot(n, way) > 0.0 && kind != 10) n = -n;
  vec3 base = colour.rgb; float gloss = colour.a; vec3 own = vec3(0.0);
  float fine = 1.0 / (1.0 + far * far * 0.004);
  if (kind == 10) { vec3 c = sky(way); shown = vec4(pow(clamp(c * gain, 0.0, 1.0), vec3(0.4545)), 1.0); return; }
  if (kind == 0) base *= 0.9 + 0.2 * noise(place * 14.0);
  else if (kind == 1) {
    float patches = smoothstep(0.35, 0.6, fbm(vec3(place.xy * 0.35, 1.0)));
    base *= 0.75 + 0.3 * patches + (0.5 * noise(place * 45.0) - 0.25) * fine;
    base *= 1.0 - 0.5 * smoothstep(0.485, 0.5, fbm(vec3(place.xy * 0.9, 5.0))) * smoothstep(0.515, 0.5, fbm(vec3(place.xy * 0.9, 5.0)));
    gloss = wet * (0.3 + 0.7 * patches);
  } else if (kind == 2) {
    vec2 size = vec2(more.z, more.w); vec2 q = uv / size; vec2 f = fract(q); vec2 cell = floor(q);
    float pane = step(0.22, f.x) * step(f.x, 0.78) * step(0.25, f.y) * step(f.y, 0.85);
    float bar = step(abs(f.x - 0.5), 0.02) + step(abs(f.y - 0.55), 0.02);
    base *= 0.8 + 0.35 * fbm(place * 1.3) + 0.14 * (hash(floor(vec3(uv.x * 4.0 + 0.5 * mod(floor(uv.y * 9.0), 2.0), uv.y * 9.0, 1.0))) - 0.5);
    if (pane > 0.5) {
      float lamp_on = step(0.75, hash(vec3(cell, more.z)));
      base = bar > 0.5 ? vec3(0.6) : vec3(0.03, 0.035, 0.04) + 0.25 * hash(vec3(cell, 2.0)) * step(0.4, hash(vec3(cell, 3.0)));
      gloss = 0.7; own = vec3(1.0, 0.8, 0.5) * 0.45 * lamp_on * clamp(1.0 - dot(sun + above, vec3(0.4)), 0.0, 1.0) * (1.0 - bar);
    }
  } else if (kind == 3) base *= 0.35 + 1.3 * fbm(place * 5.0 + 3.0) * (0.6 + 0.6 * noise(place * 19.0));
  else if (kind == 4) base *= 0.55 + 0.6 * fbm(place * 0.8) + 0.5 * (noise(place * 22.0) - 0.5) * fine + 0.3 * (noise(place * 6.0) - 0.5);
  else if (kind == 5) { base = pow(texture(prints, uv).rgb, vec3(2.2)) * colour.rgb; }
  else if (kind == 6) { own = colour.rgb * colour.a; base = vec3(0.3); gloss = 0.0; }
  else if (kind == 9) {
    vec2 q = uv / max(more.zw, vec2(0.05)); vec2 f = fract(q);
    float joint = step(f.x, 0.03) + step(f.y, 0.03);
    base *= (0.85 + 0.25 * hash(vec3(floor(q), 1.0))) * (joint > 0.5 ? 0.75 : 1.0) * (0.92 + 0.16 * noise(place * 9.0));
  } else if (kind == 11) {
    base *= 0.78 + 0.4 * noise(vec3(uv * vec2(9.0, 7.0), 1.0 + more.y)) ;
    if (more.z > 1.5) base = mix(base, vec3(0.75) - base * 0.6, step(0.5, fract(uv.y * 9.0)));
    else if (more.z > 0.5) base = mix(base, base.bgr * 0.6 + 0.2, step(0.55, noise(vec3(uv * 16.0, 7.0))));
  } else if (kind == 12) base *= 0.7 + 0.5 * noise(vec3(uv.x * 3.0, uv.y * 40.0, 1.0));
  else if (kind == 13) base *= 0.93 + 0.12 * fbm(place * 1.7) + 0.03 * noise(place * 60.0);
  vec3 flipped = reflect(way, n);
  float shadow = lit();
  vec3 light = sun * max(dot(n, sun_way), 0.0) * shadow;
  light += mix(below, above, 0.5 + 0.5 * n.z) * (kind == 1 || n.z > 0.9 ? 0.75 + 0.25 * shadow : 1.0);
  vec3 head = normalize(place - eye);
  float cone = smoothstep(beam.y, beam.y + 0.2, dot(head, beam_way)) * (beam.z > 0.5 ? smoothstep(0.12, -0.02, head.z) * 0.8 + 0.2 : 1.0);
  float reach = beam.x * cone / (1.0 + far * far * 0.012);
  light += vec3(1.0, 0.96, 0.88) * reach * max(dot(n, -head), 0.0);
  if (kind == 5) own += base * reach * 2.5 * max(dot(n, -head), 0.0) * gloss;
  for (int i = 0; i < 4; i++) {
    vec3 d = lamp_place[i].xyz - place; float l2 = dot(d, d);
    light += lamp[i].rgb * max(dot(n, d * inversesqrt(l2)), 0.0) / (1.0 + l2 * 0.15);
  }
  vec3 c = base * light + own;
  float fres = gloss * (0.04 + 0.6 * pow(1.0 - max(dot(-way, n), 0.0), 4.0));
  if (kind == 7 || kind == 8 || gloss > 0.01) c += sky(flipped) * fres + sun * shadow * gloss * pow(max(dot(flipped, sun_way), 0.0), 60.0);
  float cover = 1.0 - exp(-pow(far * dense, 1.2));
  c = mix(c, mist.rgb, cover * mist.a);
  if (infrared > 0.5) { float g = dot(c, vec3(0.6, 0.25, 0.15)); c = vec3(g); }
  c *= gain; c = c * (1.0 + c * 0.12) / (1.0 + c * 0.35);
  shown = vec4(pow(clamp(c, 0.0, 1.0), vec3(0.4545)), 1.0);
}
"""
