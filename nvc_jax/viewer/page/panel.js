// A panel: one volume, or the difference of two, as a slice with axes, colour bar and readout.

import { lookupTable } from "./colours.js";
import { format, place, ticks, title } from "./numbers.js";
import { Latest, fetchJson, fetchSlice, keptSlice } from "./slices.js";

const MARGIN = { left: 64, top: 14, right: 86, bottom: 44 }; // CSS pixels around the slice
const WHOLE_SIDE = 2048; // voxels of a side up to which a slice is fetched whole
const GRAIN = 64; // voxels to which the window of a larger slice is rounded
const PREVIEW_SIDE = 1024; // pixels of a side of a preview
const FULL_DELAY = 70; // milliseconds without a change after which the full slice is fetched
const VALUE_DELAY = 90; // milliseconds that the cursor rests before an exact value is asked for
const LEAST_BAR = 170; // pixels that the colour bar is high at least
const FONT = "12px system-ui, sans-serif";

export class Panel {
  #app;
  #layers = { preview: null, full: null };
  #lanes = { preview: new Latest(), full: new Latest() };
  #timer = 0;
  #valueTimer = 0;
  #exact = null; // {key, text} of the voxel under the cursor

  /**
   * @param app state and volumes that all panels share; see `main.js`.
   * @param chosen numbers of the volume, or of two for their difference.
   */
  constructor(app, chosen) {
    this.#app = app;
    this.chosen = chosen;
    this.volume = app.volumes[chosen[0]];
    this.isDifference = chosen.length === 2;
    const name = this.isDifference ? "Difference, left − right" : this.volume.name;
    const facts = this.isDifference
      ? chosen.map((number) => app.volumes[number].name).join(" − ")
      : `${this.volume.shape.join(" × ")} ${this.volume.dtype}${this.volume.facts && ` · ${this.volume.facts}`}`;
    this.element = document.createElement("section");
    this.element.className = "panel";
    this.element.setAttribute("aria-label", name);
    this.element.innerHTML = `<h2></h2><div class="facts"></div><p role="alert" hidden></p>
      <div class="stage"><canvas tabindex="0" role="img"></canvas><p class="state" hidden></p></div>
      <p class="readout"></p>`;
    this.element.querySelector("h2").textContent = name;
    Object.assign(this.element.querySelector(".facts"), { textContent: facts, title: facts });
    this.canvas = this.element.querySelector("canvas");
    this.#resizeObserver = new ResizeObserver(() => this.refresh());
    this.#resizeObserver.observe(this.canvas);
  }

  #resizeObserver;

  remove() {
    this.#resizeObserver.disconnect();
    clearTimeout(this.#timer);
    this.element.remove();
  }

  /** Return where the slice lies: its area, the box of its visible part, and pixels per voxel. */
  geometry() {
    const { view, stretch } = this.#app.state;
    const [rows, columns] = this.#app.shownAxes();
    const area = {
      left: MARGIN.left,
      top: MARGIN.top,
      width: Math.max(this.canvas.clientWidth - MARGIN.left - MARGIN.right, 20),
      height: Math.max(this.canvas.clientHeight - MARGIN.top - MARGIN.bottom, 20),
    };
    const sides = [this.volume.shape[rows], this.volume.shape[columns]];
    const aspect = this.#app.aspect();
    const fit = [area.height / (sides[0] * aspect[0]), area.width / (sides[1] * aspect[1])];
    const least = Math.min(...fit);
    const [sy, sx] = [0, 1].map((k) => (stretch ? fit[k] : least) * aspect[k] * view.zoom);
    const middle = { x: area.left + area.width / 2, y: area.top + area.height / 2 };
    const toX = (column) => middle.x + (column - view.x) * sx;
    const toY = (row) => middle.y + (row - view.y) * sy;
    const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
    const box = {
      left: clamp(toX(0), area.left, area.left + area.width),
      right: clamp(toX(sides[1]), area.left, area.left + area.width),
      top: clamp(toY(0), area.top, area.top + area.height),
      bottom: clamp(toY(sides[0]), area.top, area.top + area.height),
    };
    return {
      ...{ area, box, sides, rows, columns, sx, sy, toX, toY },
      toColumn: (x) => view.x + (x - middle.x) / sx,
      toRow: (y) => view.y + (y - middle.y) / sy,
    };
  }

  /** Fetch what is not there of the slice that is chosen, and draw what is. */
  refresh() {
    if (!this.canvas.clientWidth) return;
    const wanted = this.#queries();
    const kept = keptSlice(wanted.full);
    clearTimeout(this.#timer);
    if (kept) {
      this.#show("full", wanted, kept);
    } else if (this.#layers.full?.key !== wanted.key) {
      this.#setState(this.#layers.preview?.slice === wanted.slice ? "preview" : "reading …");
      if (wanted.preview && this.#layers.preview?.key !== wanted.key) this.#load("preview", wanted);
      this.#timer = setTimeout(() => this.#load("full", wanted), FULL_DELAY);
    }
    this.draw();
  }

  #queries() {
    const shape = this.geometry();
    const { index } = this.#app.state;
    const { area, sides } = shape;
    const isWhole = Math.max(...sides) <= WHOLE_SIDE;
    const window = isWhole
      ? [0, sides[0], 0, sides[1]]
      : [
          ...visible(shape.toRow(area.top), shape.toRow(area.top + area.height), sides[0]),
          ...visible(shape.toColumn(area.left), shape.toColumn(area.left + area.width), sides[1]),
        ];
    const pixels = Math.ceil((Math.max(area.width, area.height) * devicePixelRatio) / 256) * 256;
    const most = isWhole ? WHOLE_SIDE : Math.min(pixels, WHOLE_SIDE);
    const at = index.map((i, axis) => (axis === shape.rows || axis === shape.columns ? 0 : i));
    const common = {
      volume: this.chosen.join(","),
      axes: `${shape.rows},${shape.columns}`,
      index: at.join(","),
      window: window.join(","),
    };
    const hasPreview = this.chosen.every((number) => this.#app.volumes[number].preview);
    return {
      slice: `${common.volume}|${common.axes}|${common.index}`,
      key: JSON.stringify({ ...common, most }),
      full: { ...common, level: "full", most },
      preview: hasPreview ? { ...common, level: "preview", most: PREVIEW_SIDE } : null,
    };
  }

  #load(level, wanted) {
    this.#lanes[level].run(async () => {
      const isCurrent = () => this.#queries().slice === wanted.slice;
      if (!isCurrent()) return;
      try {
        const slice = await fetchSlice(wanted[level]);
        if (isCurrent()) this.#show(level, wanted, slice);
      } catch (error) {
        if (isCurrent()) this.#fail(level, error);
      }
      this.draw();
    });
  }

  #show(level, wanted, slice) {
    if (level === "preview" && this.#layers.full?.slice === wanted.slice) return;
    const before = this.#layers[level];
    if (before?.data !== slice) {
      this.#layers[level] = { key: wanted.key, slice: wanted.slice, data: slice, picture: null, look: "" };
    }
    if (level === "full" && this.#layers.preview?.slice !== wanted.slice) this.#layers.preview = null;
    if (level === "preview" && this.#layers.full?.slice !== wanted.slice) this.#layers.full = null;
    if (this.isDifference) this.#app.noteDifference(slice, level);
    else this.#app.noteContrast(slice);
    this.#alert("");
    this.#setState(level === "full" ? "" : "preview");
  }

  #fail(level, error) {
    if (level === "full" || !this.#layers.full) this.#alert(error.message);
    this.#setState(this.#layers.preview ? "preview only" : "");
    if (!this.#layers.preview) this.#layers.full = null;
  }

  #alert(text) {
    const alert = this.element.querySelector("[role=alert]");
    alert.textContent = text;
    alert.hidden = !text;
  }

  #setState(text) {
    const state = this.element.querySelector(".state");
    state.textContent = text;
    state.hidden = !text;
    this.canvas.setAttribute("aria-busy", String(text !== "" && !text.endsWith("only")));
  }

  /** Return the header of the finest slice that is shown, or undefined. */
  header() {
    return (this.#layers.full ?? this.#layers.preview)?.data;
  }

  /** Draw the slice, its axes, colour bar, cursor and readout. */
  draw() {
    const context = this.canvas.getContext("2d");
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    this.canvas.width = Math.round(width * devicePixelRatio);
    this.canvas.height = Math.round(height * devicePixelRatio);
    context.scale(devicePixelRatio, devicePixelRatio);
    context.font = FONT;
    const shape = this.geometry();
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name);
    const inks = {
      text: resolve(colour("--text")),
      quiet: resolve(colour("--quiet")),
      line: resolve(colour("--line")),
    };

    this.#drawSlice(context, shape, resolve(colour("--hatch")), resolve(colour("--hatch-ground")));
    this.#drawAxes(context, shape, inks);
    this.#drawColourBar(context, width, shape, inks);
    this.#drawCursor(context, shape);
    this.#writeReadout(shape);
  }

  #drawSlice(context, shape, hatch, ground) {
    const { area, sides } = shape;
    context.save();
    context.beginPath();
    context.rect(area.left, area.top, area.width, area.height);
    context.clip();
    context.beginPath();
    context.rect(shape.toX(0), shape.toY(0), sides[1] * shape.sx, sides[0] * shape.sy);
    context.clip();
    context.fillStyle = hatching(context, hatch, ground);
    context.fillRect(area.left, area.top, area.width, area.height);
    context.imageSmoothingEnabled = false;
    for (const layer of [this.#layers.preview, this.#layers.full]) {
      if (!layer || this.#axesOf(layer) !== `${shape.rows},${shape.columns}`) continue;
      const { origin, pixel, shape: pixels } = layer.data;
      const [x, y] = [shape.toX(origin[1]), shape.toY(origin[0])];
      const place = [x, y, pixels[1] * pixel[1] * shape.sx, pixels[0] * pixel[0] * shape.sy];
      context.fillRect(...place); // missing values show the hatching, not the preview below
      context.drawImage(this.#picture(layer), ...place);
    }
    context.restore();
  }

  #axesOf(layer) {
    return layer.slice.split("|")[1];
  }

  /** Return a canvas with the colours of a layer's values; missing values are transparent. */
  #picture(layer) {
    const { low, high } = this.#app.contrastOf(this);
    const map = this.isDifference ? "difference" : this.#app.state.colours;
    const look = `${low} ${high} ${map}`;
    if (layer.look === look) return layer.picture;
    const { values, shape } = layer.data;
    layer.picture ??= Object.assign(document.createElement("canvas"), { width: shape[1], height: shape[0] });
    const image = new ImageData(shape[1], shape[0]);
    const words = new Uint32Array(image.data.buffer);
    const table = lookupTable(map);
    const scale = 255 / Math.max(high - low, Number.MIN_VALUE);
    for (let k = 0; k < values.length; k++) {
      const level = (values[k] - low) * scale;
      words[k] = level !== level ? 0 : table[level <= 0 ? 0 : level >= 255 ? 255 : (level + 0.5) | 0];
    }
    layer.picture.getContext("2d").putImageData(image, 0, 0);
    layer.look = look;
    return layer.picture;
  }

  #drawAxes(context, shape, inks) {
    const { box } = shape;
    const [rows, columns] = [this.volume.axes[shape.rows], this.volume.axes[shape.columns]];
    context.strokeStyle = inks.quiet;
    context.fillStyle = inks.quiet;
    context.lineWidth = 1;
    context.strokeRect(box.left - 0.5, box.top - 0.5, box.right - box.left + 1, box.bottom - box.top + 1);
    context.beginPath();

    context.textAlign = "center";
    context.textBaseline = "top";
    const first = shape.toColumn(box.left) - 0.5;
    const last = shape.toColumn(box.right) - 0.5;
    let end = -Infinity;
    for (const { i, text } of ticks(columns, first, last, Math.max((box.right - box.left) / 70, 2))) {
      const x = shape.toX(i + 0.5);
      const half = context.measureText(text).width / 2;
      if (x - half < end + 6) continue;
      context.moveTo(x, box.bottom);
      context.lineTo(x, box.bottom + 4);
      context.fillText(text, x, box.bottom + 6);
      end = x + half;
    }
    context.textAlign = "right";
    context.textBaseline = "middle";
    const [top, bottom] = [shape.toRow(box.top) - 0.5, shape.toRow(box.bottom) - 0.5];
    for (const { i, text } of ticks(rows, top, bottom, Math.max((box.bottom - box.top) / 45, 2))) {
      const y = shape.toY(i + 0.5);
      context.moveTo(box.left, y);
      context.lineTo(box.left - 4, y);
      context.fillText(text, box.left - 6, y);
    }
    context.stroke();

    context.fillStyle = inks.text;
    context.textAlign = "center";
    context.textBaseline = "top";
    context.fillText(title(columns), (box.left + box.right) / 2, box.bottom + 23);
    context.save();
    context.translate(Math.max(box.left - 62, 2), (box.top + box.bottom) / 2);
    context.rotate(-Math.PI / 2);
    context.fillText(title(rows), 0, 0);
    context.restore();
  }

  #drawColourBar(context, width, shape, inks) {
    const { area } = shape;
    const { low, high } = this.#app.contrastOf(this);
    const table = lookupTable(this.isDifference ? "difference" : this.#app.state.colours);
    const header = this.header();
    const hasMissing = header && header.dtype === "float32" && header.values.some(Number.isNaN);
    const room = Math.max(shape.box.bottom - shape.box.top, Math.min(area.height, LEAST_BAR));
    const middle = (shape.box.top + shape.box.bottom) / 2;
    const begin = Math.min(Math.max(middle - room / 2, area.top), area.top + area.height - room);
    const [x, top] = [Math.min(shape.box.right + 12, width - MARGIN.right + 12), begin + 18];
    const height = Math.max(room - 18 - (hasMissing ? 40 : 0), 30);
    const gradient = context.createLinearGradient(0, top + height, 0, top);
    for (let k = 0; k <= 16; k++) {
      const word = table[Math.round((k / 16) * 255)];
      gradient.addColorStop(k / 16, `rgb(${word & 255} ${(word >> 8) & 255} ${(word >> 16) & 255})`);
    }
    context.fillStyle = gradient;
    context.fillRect(x, top, 12, height);
    context.strokeStyle = inks.quiet;
    context.strokeRect(x - 0.5, top - 0.5, 13, height + 1);
    context.fillStyle = inks.quiet;
    context.textAlign = "left";
    context.textBaseline = "middle";
    for (const share of [0, 0.25, 0.5, 0.75, 1]) {
      const value = this.#app.physical(this, low + share * (high - low));
      context.fillText(format(value, 4), x + 17, top + height * (1 - share), MARGIN.right - 30);
    }
    context.fillStyle = inks.text;
    context.textBaseline = "top";
    context.fillText(this.volume.units ?? "value", x, begin - 2, MARGIN.right - 14);
    if (hasMissing) {
      const style = getComputedStyle(document.documentElement);
      const [hatch, ground] = ["--hatch", "--hatch-ground"].map((name) =>
        resolve(style.getPropertyValue(name)),
      );
      context.fillStyle = hatching(context, hatch, ground);
      context.fillRect(x, top + height + 20, 12, 12);
      context.strokeRect(x - 0.5, top + height + 19.5, 13, 13);
      context.fillStyle = inks.quiet;
      context.fillText("missing", x + 17, top + height + 20);
    }
  }

  #drawCursor(context, shape) {
    const { cursor, index } = this.#app.state;
    if (!cursor) return;
    const { area } = shape;
    const [x, y] = [shape.toX(index[shape.columns] + 0.5), shape.toY(index[shape.rows] + 0.5)];
    context.save();
    context.beginPath();
    context.rect(area.left, area.top, area.width, area.height);
    context.clip();
    for (const [ink, thickness] of [
      ["rgb(0 0 0 / 60%)", 3],
      ["rgb(255 214 10)", 1],
    ]) {
      context.strokeStyle = ink;
      context.lineWidth = thickness;
      context.beginPath();
      for (const [dx, dy] of [
        [1, 0],
        [-1, 0],
        [0, 1],
        [0, -1],
      ]) {
        context.moveTo(x + 5 * dx, y + 5 * dy);
        context.lineTo(x + 16 * dx, y + 16 * dy);
      }
      context.stroke();
    }
    context.restore();
  }

  #writeReadout(shape) {
    const readout = this.element.querySelector(".readout");
    const { cursor, index } = this.#app.state;
    const { axes } = this.volume;
    const where = index
      .map((i, axis) => {
        const isUnknown = !cursor && (axis === shape.rows || axis === shape.columns);
        const at = isUnknown ? "" : place(axes[axis], i);
        return `${axes[axis].name} ${isUnknown ? "–" : i}${at && ` (${at})`}`;
      })
      .join(" · ");
    const value = cursor ? this.#valueAtCursor(shape) : "";
    const units = this.volume.units && value && value !== "missing" ? ` ${this.volume.units}` : "";
    readout.replaceChildren(
      Object.assign(document.createElement("b"), { textContent: value ? `${value}${units}` : " " }),
      document.createElement("br"),
      where,
    );
    const shown = `${axes[shape.rows].name} down, ${axes[shape.columns].name} to the right`;
    this.canvas.setAttribute(
      "aria-label",
      `${this.element.getAttribute("aria-label")}: ${shown}; ${where}; ${value}`,
    );
  }

  /** Return the value under the cursor as text; one that the slice does not have exactly is asked for. */
  #valueAtCursor(shape) {
    const { index } = this.#app.state;
    const slice = this.#queries().slice;
    const layer = [this.#layers.full, this.#layers.preview].find((one) => one?.slice === slice);
    if (!layer) return "…";
    const { origin, pixel, shape: pixels, values, exact } = layer.data;
    const row = Math.floor((index[shape.rows] - origin[0]) / pixel[0]);
    const column = Math.floor((index[shape.columns] - origin[1]) / pixel[1]);
    const isInside = row >= 0 && column >= 0 && row < pixels[0] && column < pixels[1];
    const value = isInside ? values[row * pixels[1] + column] : NaN;
    if (exact && isInside) return this.#text(value);
    const key = `${slice}|${index.join(",")}`;
    if (this.#exact?.key === key) return this.#exact.text;
    clearTimeout(this.#valueTimer);
    if (layer === this.#layers.full) this.#valueTimer = setTimeout(() => this.#askValue(key), VALUE_DELAY);
    return isInside && !Number.isNaN(value) ? `≈ ${this.#text(value)}` : "…";
  }

  #text(value) {
    return Number.isNaN(value) ? "missing" : format(this.#app.physical(this, value), 7);
  }

  async #askValue(key) {
    try {
      const index = this.#app.state.index.join(",");
      const { value, valid } = await fetchJson("value", { volume: this.chosen.join(","), index });
      const isPacked = this.volume.scale_factor !== 1 || this.volume.add_offset !== 0;
      const isRounded = isPacked || (this.isDifference && !/^-?\d+$/.test(value));
      const text = isRounded ? this.#text(Number(value)) : value.replace("-", "−");
      this.#exact = { key, text: valid ? text : "missing" };
    } catch (error) {
      this.#exact = { key, text: "unreadable" };
    }
    this.draw();
  }
}

function visible(first, end, side) {
  const margin = (end - first) / 8;
  const start = Math.min(Math.max(Math.floor((first - margin) / GRAIN) * GRAIN, 0), side - 1);
  const stop = Math.min(Math.max(Math.ceil((end + margin) / GRAIN) * GRAIN, start + 1), side);
  return [start, stop];
}

const patterns = new Map();

function hatching(context, ink, ground) {
  const key = `${ink} ${ground}`;
  if (!patterns.has(key)) {
    const tile = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
    const pen = tile.getContext("2d");
    pen.fillStyle = ground;
    pen.fillRect(0, 0, 8, 8);
    pen.strokeStyle = ink;
    pen.lineWidth = 1.5;
    pen.beginPath();
    for (const shift of [-8, 0, 8]) {
      pen.moveTo(shift - 1, 9);
      pen.lineTo(shift + 9, -1);
    }
    pen.stroke();
    patterns.set(key, context.createPattern(tile, "repeat"));
  }
  return patterns.get(key);
}

const resolved = new Map();
const isDark = matchMedia("(prefers-color-scheme: dark)");

/** Return a colour that a canvas takes from `light-dark(a, b)`. */
function resolve(text) {
  const key = `${text} ${isDark.matches}`;
  if (!resolved.has(key)) {
    const pair = /light-dark\(([^,]+),([^)]+)\)/.exec(text);
    resolved.set(key, pair ? pair[isDark.matches ? 2 : 1].trim() : text.trim());
  }
  return resolved.get(key);
}
