// Plays a run in the browser. The log comes once, as edri_sim/viz/replay/log.py packs it; nothing is asked for later.

const SERIES = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]; // Okabe and Ito (2008).
const OTHER = "#8c959f";
const THEMES = {
  light: { ink: "#24292f", faint: "#59636e", grid: "#d0d7de", paper: "#ffffff", up: "#009E73", down: "#D55E00",
    node: "#dbeaf5", nodeEdge: "#0072B2", switch: "#fff1c2", switchEdge: "#9a6b00", busy: "#0072B2", wait: "#E69F00" },
  dark: { ink: "#e6edf3", faint: "#9aa5b1", grid: "#3d444d", paper: "#0d1117", up: "#2ea583", down: "#ff8a4c",
    node: "#12304a", nodeEdge: "#56B4E9", switch: "#3a3005", switchEdge: "#E6C200", busy: "#56B4E9", wait: "#E69F00" },
};
const NONE = 0xffff;
const SHOWN = 0.45; // The least seconds of wall time for which an event on its way is seen, however quick it was.
const BLOCK = 256; // Flights of which the latest end is kept, so that most are passed over at once.
const HELD = 0.06; // The share of its way at which an event stands before it goes: beside its source.
const LOST = 3;
const PALE = 0.35;
const WIDE = 1.6; // Half the width of the field in which vertices have their places, as in edri_sim/viz/layout.py.
const MANY = 60; // Links above which they are thin, and the picture is higher.

// The log

const KINDS = { f8: Float64Array, u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i4: Int32Array };
const padded = (size) => size + ((8 - (size % 8)) % 8);

async function unpack(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const size = new DataView(buffer).getUint32(0, true);
  const log = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, size)));
  let at = 8 + padded(size);
  for (const [name, kind, length] of log.columns) {
    log[name] = new KINDS[kind](buffer, at, length);
    at += padded(log[name].byteLength);
  }
  return index(log);
}

/** Adds what is looked up for every frame. */
function index(log) {
  log.latest = new Float64Array(Math.ceil(log.flight_end.length / BLOCK)).fill(-1);
  log.flight_end.forEach((end, i) => { log.latest[i >> 8] = Math.max(log.latest[i >> 8], end); });
  log.typeOf = new Int32Array(log.event_number.length);
  log.row_event.forEach((event, row) => { if (event >= 0) log.typeOf[event] = log.row_type[row]; });
  log.place = new Map(log.types.map((name, i) => [log.names.indexOf(name), i]));
  log.counts = log.types.map(() => 0);
  log.typeOf.forEach((type) => { log.counts[log.place.get(type)] += 1; });
  log.quickest = quickest(log);
  return log;
}

/** The least time that a flight took between any two vertices: what takes longer has waited before it went. */
function quickest(log) {
  const least = new Map();
  log.flight_end.forEach((end, i) => {
    const key = log.flight_source[i] * 65536 + log.flight_target[i];
    if (log.flight_way[i] !== LOST) least.set(key, Math.min(least.get(key) ?? Infinity, end - log.flight_start[i]));
  });
  return least;
}

/** How many of the ascending `values` from `low` to `high` are at most `value`, plus `low`. */
function above(values, value, low = 0, high = values.length) {
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= value) low = middle + 1; else high = middle;
  }
  return low;
}

/** Whether a line stands: 0, yes; 1, not known, or not yet; 2, no. */
function standing(up, time) {
  if (up === null || (up.length && time < up[0][0])) return 1;
  return within(up, time) ? 0 : 2;
}

const within = (periods, time) => periods.some(([begin, end]) => begin <= time && time < end);

function loadAt(log, vertex, time) {
  const from = log.load_from[vertex];
  const i = above(log.load_time, time, from, log.load_from[vertex + 1]) - 1;
  return i < from ? [0, 0, 0] : [log.load_outbox[i], log.load_queued[i], log.load_busy[i]];
}

// Words

const PARTS = [[1, "s"], [1e-3, "ms"], [1e-6, "\u00b5s"], [1e-9, "ns"]];

function amount(seconds) {
  const [unit, word] = PARTS.find(([least]) => Math.abs(seconds) >= least * 0.9995) ?? [1, "s"];
  return `${Number((seconds / unit).toPrecision(4))} ${word}`;
}

const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
const nameOf = (log, event) =>
  `${log.names[log.typeOf[event]]} ${log.names[log.event_origin[event]].split("/")[0]}/${log.event_number[event]}`;

/** One row of the trace in words. */
function sentence(log, row) {
  const stage = log.stages[log.row_stage[row]];
  const where = log.names[log.row_component[row]];
  const detail = log.row_detail[row];
  if (log.row_event[row] < 0) return `${stage}: ${log.names[log.row_type[row]]} (${where.split("/")[0]})`;
  const node = where.split("/")[0];
  const name = () => log.names[detail];
  const sentences = {
    created: `published at ${node}`, routed: `routed at ${node}`, queued: `queued at ${where}`,
    started: `handler begins at ${where}, slot ${detail}`, finished: `handler ends at ${where}`,
    replied: `reply is back at ${node}`, failed: `failed at ${node}: ${name()}`, dropped: `dropped at ${node}: ${name()}`,
    held: `held in the outbox of ${node}, for ${name()}`, sent: `sent from ${node} to ${name()}`,
    resent: `sent again from ${node} to ${name()}`, delivered: `delivered to ${node}, from ${name()}`,
    duplicate: `came to ${node} again, and was dropped`, "given up": `given up at ${node}, for ${name()}`,
  };
  return sentences[stage] ?? `${stage} at ${where}`;
}

// The picture

class Picture {
  constructor(canvas, log) {
    Object.assign(this, { canvas, log, pen: canvas.getContext("2d"), theme: THEMES.light, chosen: null, selected: null });
    this.base = document.createElement("canvas");
    this.colour = log.types.map((_, i) => SERIES[i] ?? OTHER);
    this.shownTypes = log.types.map(() => true);
    this.hits = [];
  }

  fit() {
    const scale = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    Object.assign(this, { width, height, scale });
    for (const each of [this.canvas, this.base]) {
      each.width = Math.max(1, Math.round(width * scale));
      each.height = Math.max(1, Math.round(height * scale));
    }
    const [roomX, roomY] = this.log.room;
    const [across, up] = [width / (2 * WIDE + roomX + 0.06), height / (2 + roomY + 0.06)];
    this.box = [Math.min(150, Math.max(14, roomX * across - 4)), Math.min(46, Math.max(12, roomY * up - 4))];
    this.at = this.log.vertices.map(({ at: [x, y] }) => [width / 2 + x * across, height / 2 - y * up]);
    this.drawBase();
  }

  /** What is the same in every frame of one size and theme: boxes and names. */
  drawBase() {
    const pen = this.base.getContext("2d");
    pen.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    const [width, height] = this.box;
    const font = (size) => `${height > 20 ? 600 : 400} ${size}px system-ui, sans-serif`;
    pen.font = font(Math.min(13, height * 0.42));
    const widest = Math.max(...this.log.vertices.map(({ label }) => pen.measureText(label).width), 1);
    pen.font = font(Math.max(7, Math.min(13, height * 0.42, (Math.min(13, height * 0.42) * (width - 4)) / widest)));
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    this.log.vertices.forEach((vertex, i) => this.drawBox(pen, vertex, this.at[i], width, height));
  }

  drawBox(pen, vertex, [x, y], width, height) {
    const switchLike = vertex.kind === "switch";
    pen.fillStyle = switchLike ? this.theme.switch : this.theme.node;
    pen.strokeStyle = switchLike ? this.theme.switchEdge : this.theme.nodeEdge;
    pen.lineWidth = height > 20 ? 1.5 : 1;
    pen.beginPath();
    pen.roundRect(x - width / 2, y - height / 2, width, height, switchLike ? 0 : height / 4);
    pen.fill();
    pen.stroke();
    pen.fillStyle = this.theme.ink;
    pen.fillText(fitted(pen, vertex.label, width - 4), x, y - (height > 30 ? height * 0.12 : 0));
  }

  draw(time, speed, row) {
    const { pen } = this;
    pen.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    pen.fillStyle = this.theme.paper;
    pen.fillRect(0, 0, this.width, this.height);
    this.drawLinks(time);
    pen.drawImage(this.base, 0, 0, this.width, this.height);
    this.drawLoads(time);
    this.drawTroubles(time);
    this.drawFlights(time, speed, row);
    this.drawFrames();
  }

  drawLinks(time) {
    const { pen, log, theme } = this;
    const hit = new Set(log.troubles.filter((each) => within([each.period], time)).flatMap((each) => each.links));
    const sorts = [[], [], []]; // Up, not known, broken.
    log.links.forEach(({ up }, i) => { sorts[hit.has(i) ? 2 : standing(up, time)].push(i); });
    const many = log.links.length > MANY;
    const looks = [[many ? theme.grid : theme.up, many ? 0.8 : 2, []], [theme.grid, many ? 0.8 : 2, []], [theme.down, many ? 1.4 : 2.5, [5, 4]]];
    sorts.forEach((links, sort) => {
      [pen.strokeStyle, pen.lineWidth] = looks[sort];
      pen.setLineDash(looks[sort][2]);
      pen.beginPath();
      for (const i of links) {
        pen.moveTo(...this.at[log.links[i].a]);
        pen.lineTo(...this.at[log.links[i].b]);
      }
      pen.stroke();
    });
    pen.setLineDash([]);
    this.broken = sorts[2];
  }

  /** Below each name what the vertex has to do: busy handlers, and what waits, as words or as bars where they are small. */
  drawLoads(time) {
    const { pen, log, theme, box: [width, height] } = this;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.font = `${Math.min(11, height * 0.3)}px system-ui, sans-serif`;
    log.vertices.forEach((_, i) => {
      const [outbox, queued, busy] = loadAt(log, i, time);
      const waiting = outbox + queued;
      const [x, y] = this.at[i];
      if (height > 30) {
        pen.fillStyle = theme.ink;
        const words = [busy && `${busy} busy`, waiting && `${waiting} wait`].filter(Boolean).join(", ");
        if (words) pen.fillText(words, x, y + height * 0.27);
      }
      this.drawBar(theme.busy, busy, x - width / 2, y + height / 2 - 3, width);
      this.drawBar(theme.wait, waiting, x - width / 2, y + height / 2, width);
    });
  }

  /** A bar that is full at a thousand: each doubling adds a tenth. */
  drawBar(colour, count, x, y, width) {
    if (!count) return;
    this.pen.fillStyle = colour;
    this.pen.fillRect(x, y, width * Math.min(1, (1 + Math.log2(count)) / 11), 3);
  }

  drawTroubles(time) {
    const { pen, log, theme } = this;
    const size = Math.max(5, Math.min(9, this.box[1] / 4));
    for (const i of this.broken) {
      const [a, b] = [this.at[log.links[i].a], this.at[log.links[i].b]];
      this.drawCross((a[0] + b[0]) / 2, (a[1] + b[1]) / 2, size, theme.down);
    }
    pen.font = "600 12px system-ui, sans-serif";
    pen.textAlign = "center";
    for (const { name, period, links, vertex } of log.troubles) {
      if (!within([period], time)) continue;
      if (vertex !== null) this.drawCross(...this.at[vertex], this.box[1] / 2, theme.down);
      const link = log.links[links[0]];
      const [x, y] = vertex !== null ? this.beside(vertex) : link ? mean(this.at[link.a], this.at[link.b]) : [0, 0];
      this.drawLabel(name, x, Math.max(12, y - (vertex !== null ? 0 : size + 12)));
    }
  }

  /** A place next to a vertex, on the side of the middle, where there is room for words. */
  beside(vertex) {
    const [[x, y], [width, height]] = [this.at[vertex], this.box];
    const [dx, dy] = [this.width / 2 - x, this.height / 2 - y];
    if (Math.abs(dx) > Math.abs(dy)) return [x + Math.sign(dx) * (width / 2 + 60), y];
    return [x, y + (Math.sign(dy) || 1) * (height / 2 + 14)];
  }

  drawLabel(words, x, y) {
    const { pen, theme } = this;
    const width = pen.measureText(words).width + 8;
    const left = Math.max(2, Math.min(this.width - width - 2, x - width / 2));
    pen.fillStyle = theme.paper;
    pen.fillRect(left, y - 9, width, 18);
    pen.fillStyle = theme.down;
    pen.fillText(words, left + width / 2, y);
  }

  drawCross(x, y, size, colour) {
    const { pen } = this;
    pen.strokeStyle = colour;
    pen.lineWidth = 2.5;
    pen.beginPath();
    pen.moveTo(x - size, y - size);
    pen.lineTo(x + size, y + size);
    pen.moveTo(x + size, y - size);
    pen.lineTo(x - size, y + size);
    pen.stroke();
  }

  // Events on their way

  drawFlights(time, speed, row) {
    const { log } = this;
    this.hits = [];
    const least = SHOWN * speed;
    const last = above(log.flight_start, time);
    const first = above(log.flight_start, time - least);
    const now = row < 0 ? -1 : log.row_event[row];
    for (let i = last - 1; i >= first; i -= 1) this.drawFlight(i, time, least, now);
    for (let block = (first - 1) >> 8; block >= 0; block -= 1) {
      if (log.latest[block] < time) continue;
      for (let i = Math.min(first, (block + 1) * BLOCK) - 1; i >= block * BLOCK; i -= 1) {
        if (log.flight_end[i] > time) this.drawFlight(i, time, least, now);
      }
    }
  }

  drawFlight(i, time, least, now) {
    const { log, pen } = this;
    const event = log.flight_event[i];
    const type = log.place.get(log.typeOf[event]);
    if (!this.shownTypes[type]) return;
    const way = log.flight_way[i];
    const share = this.share(i, time, least);
    if (share === HELD && way !== 0) return; // What is held up stands there once, however often it was sent.
    const [x, y] = this.point(i, way === LOST ? share / 2 : share);
    pen.globalAlpha = way === LOST ? 1 - share * PALE : 1;
    this.drawMark(x, y, way, this.colour[type], event === now || event === this.selected);
    pen.globalAlpha = 1;
    this.hits.push([x, y, event]);
  }

  /** How much of its way it has gone; it stands at its source as long as it was held up. */
  share(i, time, least) {
    const { log } = this;
    const start = log.flight_start[i];
    const key = log.flight_source[i] * 65536 + log.flight_target[i];
    const moving = Math.max(least, 2 * (log.quickest.get(key) ?? 0));
    const end = Math.max(log.flight_end[i], start + least);
    const begin = Math.max(start, end - moving);
    return time < begin ? HELD : Math.min(1, HELD + ((1 - HELD) * (time - begin)) / (end - begin || 1));
  }

  /** A place on the way of a flight; there and back run on two sides of the link. */
  point(i, share) {
    const { log } = this;
    const via = log.flight_via[i];
    const stops = [log.flight_source[i], ...(via === NONE ? [] : [via]), log.flight_target[i]].map((v) => this.at[v]);
    const leg = Math.min(stops.length - 2, Math.floor(share * (stops.length - 1)));
    const [a, b] = [stops[leg], stops[leg + 1]];
    const part = share * (stops.length - 1) - leg;
    const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
    const aside = Math.min(5, this.box[1] / 6) / (Math.hypot(dx, dy) || 1);
    return [a[0] + part * dx - aside * dy, a[1] + part * dy + aside * dx];
  }

  /** A disc; a ring for a reply, a triangle for what is sent again, a cross for a duplicate or what is lost. */
  drawMark(x, y, way, colour, marked) {
    const { pen } = this;
    const size = this.box[1] > 20 ? 5 : 3;
    pen.fillStyle = colour;
    pen.strokeStyle = colour;
    pen.lineWidth = 2;
    pen.beginPath();
    MARKS[way](pen, x, y, size);
    if (!marked) return;
    pen.strokeStyle = this.theme.ink;
    pen.lineWidth = 1.5;
    pen.beginPath();
    pen.arc(x, y, size + 4, 0, 2 * Math.PI);
    pen.stroke();
  }

  drawFrames() {
    if (this.chosen === null) return;
    const { pen, box: [width, height] } = this;
    const [x, y] = this.at[this.chosen];
    pen.strokeStyle = this.theme.ink;
    pen.lineWidth = 2.5;
    pen.strokeRect(x - width / 2 - 3, y - height / 2 - 3, width + 6, height + 6);
  }

  /** What is at a point: an event on its way, else a vertex, else nothing. */
  find(x, y) {
    const near = this.hits.map(([hx, hy, event]) => [Math.hypot(hx - x, hy - y), event]).filter(([far]) => far < 9);
    if (near.length) return { event: near.reduce((a, b) => (b[0] < a[0] ? b : a))[1] };
    const [width, height] = this.box;
    const vertex = this.at.findIndex(([vx, vy]) => Math.abs(vx - x) <= width / 2 && Math.abs(vy - y) <= height / 2);
    return vertex < 0 ? null : { vertex };
  }
}

const mean = (a, b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];

function disc(pen, x, y, size) { pen.arc(x, y, size, 0, 2 * Math.PI); pen.fill(); }
function ring(pen, x, y, size) { pen.arc(x, y, size - 0.5, 0, 2 * Math.PI); pen.stroke(); }
function cross(pen, x, y, size) {
  pen.moveTo(x - size, y - size); pen.lineTo(x + size, y + size);
  pen.moveTo(x + size, y - size); pen.lineTo(x - size, y + size); pen.stroke();
}
function triangle(pen, x, y, size) {
  pen.moveTo(x, y - size - 1); pen.lineTo(x + size + 1, y + size); pen.lineTo(x - size - 1, y + size); pen.fill();
}
const MARKS = [disc, triangle, cross, cross, ring];

/** A name, shortened in its middle until it fits: the ends of names tell them apart. */
function fitted(pen, words, width) {
  if (pen.measureText(words).width <= width) return words;
  for (let keep = words.length - 1; keep > 2; keep -= 1) {
    const head = Math.floor(keep / 4);
    const short = `${words.slice(0, head)}\u2026${words.slice(head - keep)}`;
    if (pen.measureText(short).width <= width) return short;
  }
  return words.slice(-2);
}

/** Above the slider: how many events were on their way over time, and when there were faults. */
function drawTracks(canvas, log, theme, shownTypes) {
  const scale = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  const whole = log.duration || 1;
  for (const { period: [begin, end] } of log.troubles) {
    pen.fillStyle = theme.down;
    pen.globalAlpha = 0.28;
    pen.fillRect((begin / whole) * width, 0, Math.max(2, ((end - begin) / whole) * width), height);
    pen.globalAlpha = 1;
  }
  const bins = new Uint32Array(Math.max(1, Math.floor(width / 3)));
  log.row_time.forEach((time, row) => {
    if (log.row_event[row] >= 0 && shownTypes[log.place.get(log.row_type[row])]) {
      bins[Math.min(bins.length - 1, Math.max(0, Math.floor((time / whole) * bins.length)))] += 1;
    }
  });
  const most = bins.reduce((a, b) => Math.max(a, b), 1);
  pen.fillStyle = theme.busy;
  bins.forEach((count, i) => {
    const tall = count && Math.max(1.5, (count / most) * (height - 4));
    pen.fillRect((i * width) / bins.length, height - tall, width / bins.length - 0.5, tall);
  });
}

// The controls

const HTML = `
<div class="bar">
  <button class="start" title="to the begin (Home)" aria-label="to the begin">|\u25c2</button>
  <button class="back" title="one step back (left arrow)" aria-label="one step back">\u25c2 step</button>
  <button class="play" title="play or pause (space)">\u25b6\ufe0e Play</button>
  <button class="next" title="to the next event (right arrow)" aria-label="to the next event">step \u25b8</button>
  <label>speed <select class="speed" title="run seconds in each second that you watch (+ and -)"></select></label>
  <span class="clock"></span>
  <label>look at <select class="look"><option value="">nothing</option></select></label>
</div>
<div class="stage">
  <div class="field"><canvas class="picture" role="img"></canvas></div>
  <div class="story" tabindex="0" role="region" aria-label="story"></div>
</div>
<canvas class="tracks" aria-hidden="true"></canvas>
<input class="scrub" type="range" min="0" max="10000" step="1" value="0" aria-label="time">
<div class="bar types" role="group" aria-label="event types"></div>
<p class="note">\u25cf sent &nbsp; \u25b2 sent again &nbsp; \u2715 duplicate, or lost &nbsp; \u25cb reply &nbsp; dashed: the link is
broken &nbsp; bars under a box: blue, busy handlers; orange, events that wait. Above the slider: how much happened when, and
faults in orange. A quick event is shown longer than it took.</p>
<p class="note said" aria-live="polite"></p>`;

class Player {
  constructor(root, log) {
    Object.assign(this, { root, log, time: 0, row: -1, playing: false, before: 0 });
    root.innerHTML = HTML;
    root.classList.toggle("many", log.vertices.length > MANY);
    this.part = (name) => root.querySelector(`.${name}`);
    this.picture = new Picture(this.part("picture"), log);
    this.part("picture").setAttribute("aria-label", `${plural(log.vertices.length, "place")} and the events between them`);
    this.fillSpeeds();
    this.fillLook();
    this.fillTypes();
    this.listen();
    this.retheme();
    this.show(null);
    this.moveTo(0);
  }

  fillSpeeds() {
    const goal = (this.log.duration || 1) / 20; // A whole run in about twenty seconds.
    const round = [];
    for (let power = -9; power <= 6; power += 1) for (const digit of [1, 2, 5]) round.push(Number(`${digit}e${power}`));
    const best = round.findIndex((speed) => speed >= goal * 0.75);
    this.speeds = round.slice(Math.max(0, best - 12), best + 7);
    this.speed = round[best] ?? 1;
    this.part("speed").append(...this.speeds.map((speed) => new Option(`${speed.toLocaleString("en",
      { maximumSignificantDigits: 3, maximumFractionDigits: 10 })} \u00d7`, speed, false, speed === this.speed)));
  }

  fillLook() {
    const options = this.log.vertices.map((vertex, i) => new Option(vertex.label, i));
    this.part("look").append(...options);
  }

  fillTypes() {
    const labels = this.log.types.map((name, i) => {
      const label = document.createElement("label");
      label.className = "type";
      const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
      box.addEventListener("change", () => this.filter(i, box.checked));
      const swatch = document.createElement("i");
      swatch.style.background = this.picture.colour[i];
      label.append(box, swatch, `${name} (${this.log.counts[i].toLocaleString("en")})`);
      return label;
    });
    this.part("types").append(...labels);
  }

  filter(type, shown) {
    this.picture.shownTypes[type] = shown;
    this.retrack();
    this.draw();
  }

  listen() {
    const clicks = { start: () => this.moveTo(0), back: () => this.step(-1), play: () => this.toggle(), next: () => this.step(1) };
    for (const [name, action] of Object.entries(clicks)) this.part(name).addEventListener("click", action);
    this.part("speed").addEventListener("change", (event) => this.setSpeed(Number(event.target.value)));
    this.part("look").addEventListener("change", (event) =>
      this.show(event.target.value === "" ? null : { vertex: Number(event.target.value) }));
    this.part("scrub").addEventListener("input", (event) => {
      this.pause();
      this.moveTo((event.target.value / 10000) * this.log.duration);
    });
    this.part("picture").addEventListener("click", (event) => this.show(this.picture.find(event.offsetX, event.offsetY)));
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.resizing = new ResizeObserver(() => this.refit());
    this.resizing.observe(this.part("field"));
    this.schemes = matchMedia("(prefers-color-scheme: dark)");
    this.rethemed = () => this.retheme();
    this.schemes.addEventListener("change", this.rethemed);
    this.watching = new MutationObserver(this.rethemed);
    this.watching.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  }

  close() {
    this.pause();
    this.resizing.disconnect();
    this.watching.disconnect();
    this.schemes.removeEventListener("change", this.rethemed);
  }

  key(event) {
    const typing = event.target.matches("select, input") && !event.target.matches(".scrub");
    const keys = {
      " ": () => this.toggle(), ArrowRight: () => this.step(1), ArrowLeft: () => this.step(-1),
      PageDown: () => this.moveTo(this.time + this.log.duration / 50), PageUp: () => this.moveTo(this.time - this.log.duration / 50),
      Home: () => this.moveTo(0), End: () => this.moveTo(this.log.duration),
      "+": () => this.faster(1), "-": () => this.faster(-1), Escape: () => this.show(null),
    };
    event.stopPropagation(); // Jupyter has a meaning of its own for most keys.
    const pressing = event.key === " " && event.target.matches("button");
    if (typing || pressing || !(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  }

  // Time

  toggle() { if (this.playing) this.pause(); else this.play(); }

  play() {
    if (this.time >= this.log.duration) this.moveTo(0);
    this.playing = true;
    this.before = performance.now();
    this.label();
    this.frame = requestAnimationFrame((now) => this.tick(now));
  }

  pause() {
    this.playing = false;
    cancelAnimationFrame(this.frame);
    this.label();
  }

  label() { this.part("play").textContent = this.playing ? "\u23f8\ufe0e Pause" : "\u25b6\ufe0e Play"; }

  tick(now) {
    if (!this.playing) return;
    const passed = Math.min(0.1, Math.max(0, (now - this.before) / 1000)); // A tab that slept does not jump.
    this.before = now;
    this.moveTo(this.time + passed * this.speed);
    if (this.time >= this.log.duration) this.pause();
    else this.frame = requestAnimationFrame((then) => this.tick(then));
  }

  moveTo(time) {
    this.time = Math.max(0, Math.min(this.log.duration, time));
    this.row = above(this.log.row_time, this.time) - 1;
    this.draw();
  }

  step(by) {
    this.pause();
    let row = this.row + by;
    while (row >= 0 && row < this.log.row_time.length && !this.counts(row)) row += by;
    if (row < 0) return this.moveTo(0);
    if (row >= this.log.row_time.length) return this.moveTo(this.log.duration);
    this.row = row;
    this.time = Math.max(0, this.log.row_time[row]);
    this.draw();
    return this.say(row);
  }

  /** Whether a row is of a type that is shown; those of links and faults always are. */
  counts(row) {
    return this.log.row_event[row] < 0 || this.picture.shownTypes[this.log.place.get(this.log.row_type[row])];
  }

  say(row) {
    const event = this.log.row_event[row];
    this.part("said").textContent =
      `${amount(this.log.row_time[row])}: ${event < 0 ? "" : `${nameOf(this.log, event)} `}${sentence(this.log, row)}`;
  }

  setSpeed(speed) {
    this.speed = speed;
    this.part("speed").value = speed;
    this.draw();
  }

  faster(by) {
    const place = this.speeds.indexOf(this.speed) + by;
    if (place >= 0 && place < this.speeds.length) this.setSpeed(this.speeds[place]);
  }

  // What is seen

  retheme() {
    const jupyter = document.body.dataset.jpThemeLight;
    const dark = jupyter === undefined ? this.schemes.matches : jupyter === "false";
    this.root.dataset.theme = dark ? "dark" : "light";
    this.picture.theme = THEMES[this.root.dataset.theme];
    this.refit();
  }

  refit() {
    this.picture.fit();
    this.retrack();
    this.draw();
  }

  retrack() { drawTracks(this.part("tracks"), this.log, this.picture.theme, this.picture.shownTypes); }

  draw() {
    this.picture.draw(this.time, this.speed, this.row);
    this.part("clock").textContent = `${amount(this.time)} of ${amount(this.log.duration)}`;
    this.part("scrub").value = this.log.duration ? Math.round((this.time / this.log.duration) * 10000) : 0;
    this.part("scrub").setAttribute("aria-valuetext", amount(this.time));
    this.remark();
  }

  // Stories

  /** Tell of a vertex, of an event, or of the whole. */
  show(what) {
    this.picture.chosen = what?.vertex ?? null;
    this.picture.selected = what?.event ?? null;
    this.part("look").value = what?.vertex ?? "";
    this.told = what;
    if (what?.event !== undefined) this.tellEvent(what.event);
    else if (what?.vertex !== undefined) this.tellVertex(what.vertex);
    else this.tellWhole();
    this.draw();
  }

  tell(head, words, rows, line) {
    const story = this.part("story");
    story.replaceChildren(element("h4", head), ...words.map((each) => typeof each === "string" ? element("p", each) : each));
    const list = document.createElement("ol");
    this.lines = rows.map((row) => {
      const item = document.createElement("li");
      item.append(element("time", amount(this.log.row_time[row])), " ", ...line(row));
      return item;
    });
    this.told = { ...this.told, rows };
    list.append(...this.lines);
    story.append(list);
    this.remark();
  }

  tellWhole() {
    const { log } = this;
    const faults = log.troubles.map(({ name, period: [begin, end] }) => `${name}, from ${amount(begin)} to ${amount(end)}`);
    this.tell(`${log.words}${log.seed ? `, seed ${log.seed}` : ""}`,
      [`${amount(log.duration)}, ${plural(log.event_number.length, "event")}, ${plural(log.row_time.length, "row")} in the trace.`,
        ...faults, "Click a box or an event on its way for its story."], [], () => []);
  }

  tellEvent(event) {
    const { log } = this;
    const rows = rowsOf(log, (row) => log.row_event[row] === event);
    const created = rows.find((row) => log.stages[log.row_stage[row]] === "created");
    const parent = created === undefined ? -1 : log.row_detail[created];
    const children = rowsOf(log, (row) => log.stages[log.row_stage[row]] === "created" && log.row_detail[row] === event);
    const words = parent >= 0 ? [this.paragraph("because of ", [parent])] : [];
    if (children.length) words.push(this.paragraph("led to ", children.slice(0, 20).map((row) => log.row_event[row])));
    this.tell(nameOf(log, event), words, rows, (row) => [sentence(log, row)]);
  }

  tellVertex(vertex) {
    const { log } = this;
    const { label, kind } = log.vertices[vertex];
    const rows = rowsOf(log, (row) => log.row_vertex[row] === vertex);
    const near = rows.slice(Math.max(0, above(rows.map((row) => log.row_time[row]), this.time) - 100)).slice(0, 200);
    const [outbox, queued, busy] = loadAt(log, vertex, this.time);
    const now = `At ${amount(this.time)}: ${plural(busy, "busy handler")}, ${queued} wait in mailboxes, ${outbox} in the outbox.`;
    const some = near.length < rows.length ? [`The ${near.length} rows about that time, of ${rows.length.toLocaleString("en")}:`] : [];
    this.tell(`${kind} ${label}`, [now, ...some], near, (row) => {
      const event = log.row_event[row];
      return event < 0 ? [sentence(log, row)] : [this.link(event), ` ${sentence(log, row)}`];
    });
  }

  paragraph(words, events) {
    const paragraph = element("p", words);
    events.forEach((event, i) => paragraph.append(i ? ", " : "", this.link(event)));
    return paragraph;
  }

  link(event) {
    const button = element("button", nameOf(this.log, event));
    button.className = "link";
    button.addEventListener("click", () => this.show({ event }));
    return button;
  }

  /** Mark the last line of the story that has happened. */
  remark() {
    if (!this.told?.rows) return;
    const last = this.told.rows.findLastIndex((row) => row <= this.row);
    if (this.marked && this.marked === this.lines[last]) return;
    if (this.marked) this.marked.className = "";
    this.marked = this.lines[last];
    if (!this.marked) return;
    this.marked.className = "now";
    const story = this.part("story");
    story.scrollTop = this.marked.offsetTop - story.clientHeight / 2;
  }
}

function element(tag, words) {
  return Object.assign(document.createElement(tag), { textContent: words });
}

function rowsOf(log, wanted) {
  const rows = [];
  for (let row = 0; row < log.row_time.length; row += 1) if (wanted(row)) rows.push(row);
  return rows;
}

/** anywidget's door: the model has the packed log as `log`. */
async function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "edri-replay";
  root.tabIndex = 0;
  root.dataset.lmSuppressShortcuts = "true";
  el.append(root);
  const sent = model.get("log");
  const player = new Player(root, await unpack(new Uint8Array(sent.buffer, sent.byteOffset, sent.byteLength)));
  root.player = player;
  return () => player.close();
}

export default { render };
