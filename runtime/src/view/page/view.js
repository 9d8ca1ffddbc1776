"use strict";
// Shows /state.json a few times a second. Everything that comes in is put in place as text, never as HTML.

const PERIOD_MS = 300;
// While new pictures come, oftener.
const BUSY_MS = 100;
// Older than this the picture is not what is going on.
const STALE_MS = 2000;
const COLOURS = { stop_sign: "#ff4d4d", pedestrian: "#ffb020", person: "#4da3ff", fall: "#ff4dd2" };

const at = (id) => document.getElementById(id);
const made = (tag, text = "", kind = "") => {
  const node = document.createElement(tag);
  node.textContent = text;
  if (kind) node.className = kind;
  return node;
};
const filled = (parent, children) => parent.replaceChildren(...children);
const ms = (us) => (us / 1000).toFixed(us < 10000 ? 2 : 1) + " ms";
const words = (code) => (code ?? "").replaceAll("_", " ");

let shown = new Map();
let pictured = "";

async function look() {
  let wait = PERIOD_MS;
  try {
    const answer = await fetch("/state.json", { cache: "no-store" });
    const said = await answer.json();
    const frames = Object.values(said.pictures ?? {}).map((picture) => picture.frame).join();
    if (frames !== pictured) wait = BUSY_MS;
    pictured = frames;
    show(said);
  } catch (error) {
    lost(`this page has lost stopline view: ${error.message}`);
  }
  setTimeout(look, wait);
}

function lost(why) {
  at("lost").hidden = false;
  at("lost").textContent = why;
  at("state").textContent = "unknown";
  at("state").className = "state bad";
  document.body.classList.add("stale");
}

function show(said) {
  const silent = said.silent_ms ?? Infinity;
  if (!said.connected || silent > STALE_MS) {
    lost(said.lost ?? `the daemon has said nothing for ${(silent / 1000).toFixed(1)} s`);
  } else {
    at("lost").hidden = true;
    document.body.classList.remove("stale");
    state(said.health);
  }
  at("name").textContent = said.name || "Stopline";
  at("version").textContent = said.version ? `stopline ${said.version}` : "";
  cameras(said);
  events(said.events ?? []);
  if (said.health) {
    command(said.health, Object.values(said.records ?? {}));
    latency(said.health.stages);
    frames(said.health.cameras);
  }
}

function state(health) {
  if (!health) return;
  const { name, cause } = health.state;
  at("state").textContent = cause ? `${words(name)}: ${words(cause)}` : words(name);
  const kinds = { active: "good", ready: "good", degraded: "some", init: "some" };
  at("state").className = `state ${kinds[name] ?? "bad"}`;
  at("armed").textContent = health.arming.armed ? "armed" : "not armed";
  at("armed").title = health.arming.because;
  at("armed").className = health.arming.armed ? "badge armed" : "badge";
}

function cameras(said) {
  const named = (said.health?.cameras ?? []).map((camera) => camera.name);
  const names = named.length ? named : Object.keys(said.pictures ?? {});
  for (const name of names) {
    if (!shown.has(name)) shown.set(name, camera(name));
    const { canvas, caption, faults } = shown.get(name);
    const health = said.health?.cameras.find((one) => one.name === name);
    const record = said.records?.[name];
    caption.textContent = `${name}${health ? ` · ${health.size.join("×")} · ${health.models.join(", ") || "no model"}` : ""} `;
    faults.textContent = (health?.faults ?? []).map(words).join(", ");
    picture(name, canvas, said.pictures?.[name], record);
  }
  for (const [name, { figure }] of shown) {
    if (names.includes(name)) continue;
    figure.remove();
    shown.delete(name);
  }
}

function camera(name) {
  const figure = made("figure");
  const canvas = made("canvas");
  canvas.width = 640;
  canvas.height = 360;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `picture of camera ${name}`);
  const words = made("figcaption");
  const caption = made("span");
  const faults = made("span", "", "faults");
  words.append(caption, faults);
  figure.append(canvas, words);
  at("cameras").append(figure);
  return { figure, canvas, caption, faults, frame: null };
}

// A new picture is fetched only when there is one; boxes are those of the newest record.
async function picture(name, canvas, meta, record) {
  const kept = shown.get(name);
  if (!meta || kept.busy || kept.frame === meta.frame) return;
  kept.busy = true;
  try {
    const answer = await fetch(`/picture/${encodeURIComponent(name)}.jpg?frame=${meta.frame}`);
    if (!answer.ok) return;
    const bitmap = await createImageBitmap(await answer.blob());
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    const to = canvas.getContext("2d");
    to.drawImage(bitmap, 0, 0);
    kept.frame = meta.frame;
    if (record) boxes(to, record, bitmap.width / meta.image_size[0]);
    canvas.dataset.frame = meta.frame;
  } finally {
    kept.busy = false;
  }
}

function boxes(to, record, scale) {
  to.lineWidth = 2;
  to.font = "13px system-ui, sans-serif";
  const followed = record.tracks ?? [];
  const drawn = followed.length
    ? followed.map((track) => ({ ...track, label: `${words(track.role)} #${track.id}` }))
    : record.detections;
  for (const { box, label, role, score } of drawn) {
    const [x1, y1, x2, y2] = box.map((side) => side * scale);
    to.strokeStyle = to.fillStyle = COLOURS[role ?? label.replaceAll(" ", "_")] ?? "#7ee787";
    to.strokeRect(x1, y1, x2 - x1, y2 - y1);
    const text = `${label} ${score.toFixed(2)}`;
    const wide = to.measureText(text).width + 6;
    to.fillRect(x1, Math.max(0, y1 - 17), wide, 17);
    to.fillStyle = "#000";
    to.fillText(text, x1 + 3, Math.max(13, y1 - 4));
  }
}

// The command is that of the newest record, which is newer than the health of the last second.
function command(health, records) {
  const newest = records.reduce((a, b) => (b.captured_ns > (a?.captured_ns ?? 0) ? b : a), null);
  const { row, valid, deceleration, hold } = newest?.command ?? health.command;
  const speed = newest?.ego?.speed;
  const situations = records.flatMap((record) => record.situations ?? []).filter(({ phase }) => phase !== "ended");
  const lines = [
    ["row", words(row)],
    ["valid", valid ? "yes" : "no"],
    ["deceleration", `${deceleration.toFixed(2)} m/s²${hold ? ", hold" : ""}`],
    ["situations", situations.map(situation).join("; ") || "none"],
    ["own speed", typeof speed === "number" ? `${(speed * 3.6).toFixed(1)} km/h` : (speed ?? "missing").replace("missing", "–")],
    ["longest gap", ms(health.command.longest_gap_us)],
    ["faults", health.faults.map(words).join(", ") || "none"],
    ["armed", health.arming.because],
  ];
  at("command").className = row;
  filled(at("command"), lines.flatMap(([name, value]) => [made("dt", name), made("dd", value)]));
  filled(at("actuators"), health.actuators.map(({ name, kind, fault }) =>
    made("li", `${name} (${kind}): ${fault ?? "works"}`, fault ? "fault" : "")));
  filled(at("models"), health.models.map(({ name, identity, frames }) => made("li", identity
    ? `${name}: ${identity.name} ${identity.version}, ${identity.digest.slice(0, 12)}, ${frames} frames`
    : `${name}: not loaded`)));
}

function situation({ kind, id, phase, distance_m: distance, ttc_s: left }) {
  const far = distance === undefined ? "" : `, ${distance.toFixed(1)} m`;
  return `${words(kind)} ${id} ${phase}${far}${left === undefined ? "" : `, ${left.toFixed(1)} s left`}`;
}

// Buckets are powers of two of a microsecond, counted cumulatively.
function latency(stages) {
  filled(at("latency").tBodies[0], stages.map((stage) => {
    const counts = stage.within_power_us.map((within, i, all) => within - (i ? all[i - 1] : 0));
    const rank = (share) => stage.within_power_us.findIndex((within) => within >= share * stage.count);
    const bound = (share) => (stage.count && rank(share) >= 0 ? `≤ ${ms(2 ** rank(share))}` : "–");
    const row = made("tr");
    const mean = stage.count ? ms(stage.sum_us / stage.count) : "–";
    const cells = [words(stage.stage), mean, bound(0.5), bound(0.99), ms(stage.max_us)];
    row.append(...cells.map((text) => made("td", text)), bars(counts));
    return row;
  }));
}

function bars(counts) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const range = counts.slice(7, 21);
  const most = Math.max(1, ...range);
  svg.setAttribute("viewBox", `0 0 ${range.length} 1`);
  svg.setAttribute("preserveAspectRatio", "none");
  range.forEach((count, i) => {
    const bar = document.createElementNS(space, "rect");
    const tall = count ? Math.max(0.06, count / most) : 0;
    for (const [key, value] of [["x", i + 0.1], ["y", 1 - tall], ["width", 0.8], ["height", tall]]) {
      bar.setAttribute(key, value);
    }
    svg.append(bar);
  });
  const cell = made("td");
  cell.append(svg);
  return cell;
}

function frames(list) {
  filled(at("frames").tBodies[0], list.map((camera) => {
    const row = made("tr");
    const cells = [camera.name, camera.decided_fps.toFixed(1), camera.delivered, camera.dropped, camera.replaced, camera.skipped, camera.lost];
    row.append(...cells.map((value) => made("td", String(value))));
    return row;
  }));
}

function events(list) {
  filled(at("events"), list.slice().reverse().map(({ wall, text }) => {
    const line = made("li", text);
    line.prepend(made("time", wall.slice(11, 19)));
    return line;
  }));
}

look();
