// The page: the state that all panels share, the controls, keyboard and mouse.

import { CHOICES } from "./colours.js";
import { format, place } from "./numbers.js";
import { Panel } from "./panel.js";
import { fetchJson } from "./slices.js";

const SLIDER = 1000; // steps of the sliders of contrast
const ZOOM = 1.25;
const MOST_ZOOM = 400;
const MOST_ASPECT = 25; // of the sides of a voxel; beyond it axes are no two of the same space
const PAGE = 10; // slices of the page keys
const SPENT = { width: 150, height: 190 }; // pixels of a panel that its slice does not have
const isNarrow = matchMedia("(max-width: 860px)");
const $ = (id) => document.getElementById(id);

const app = {
  volumes: [],
  panels: [],
  state: {
    left: 0,
    right: null,
    hasDifference: false,
    sliced: 0, // axis that wheel and arrows step along
    index: [], // voxel under the cursor; along axes that are not shown, the slice
    cursor: false, // whether the cursor is in a slice
    view: { x: 0, y: 0, zoom: 1 }, // middle in voxels, and zoom relative to a slice that fits
    contrast: { low: 0, high: 1 },
    limits: { minimum: 0, maximum: 1 },
    isContrastSet: false, // whether it is that of a slice, at least
    isContrastChosen: false, // whether the user has changed it
    difference: null, // largest difference of the colours
    isDifferenceSet: false, // whether that is from a full slice, or chosen
    colours: "gray",
    stretch: false,
  },

  /** Axes along the rows and the columns of the slice. */
  shownAxes() {
    const { spatial } = this.volumes[0];
    const shown = spatial.length > 2 ? spatial.filter((axis) => axis !== this.state.sliced) : spatial;
    return shown.slice(-2);
  },

  /** Height and width of a voxel, by the spacing where both axes have the same unit. */
  aspect() {
    const [rows, columns] = this.shownAxes().map((axis) => this.volumes[0].axes[axis]);
    const isKnown = rows.spacing && columns.spacing && rows.unit === columns.unit;
    const ratio = isKnown ? rows.spacing / columns.spacing : 1;
    return ratio > MOST_ASPECT || ratio < 1 / MOST_ASPECT ? [1, 1] : [ratio, 1];
  },

  contrastOf(panel) {
    if (!panel.isDifference) return this.state.contrast;
    const end = this.state.difference ?? 1;
    return { low: -end, high: end };
  },

  /** Return a value in the units that a packed variable stands for. */
  physical(panel, value) {
    const { scale_factor: scale, add_offset: offset } = panel.volume;
    return value * scale + (panel.isDifference ? 0 : offset);
  },

  /** Take the contrast from the first slice, until that of the volume is known. */
  noteContrast(slice) {
    if (!this.state.isContrastSet) setContrast(slice.low, slice.high, slice);
  },

  /** Take the colours of differences from the first slice, once it is there in full. */
  noteDifference(slice, level) {
    if (this.state.difference !== null && (level === "preview" || this.state.isDifferenceSet)) return;
    this.state.difference = Math.max(Math.abs(slice.low), Math.abs(slice.high)) || slice.maximum || 1;
    this.state.isDifferenceSet = level === "full";
  },
};

const state = app.state;

async function start() {
  try {
    app.volumes = await fetchJson("volumes");
    const [first] = app.volumes;
    state.index = first.shape.map((side) => Math.floor(side / 2));
    const others = first.shape.map((_, axis) => axis).filter((axis) => !first.spatial.includes(axis));
    state.sliced = first.spatial.length > 2 ? first.spatial[0] : (others.at(-1) ?? first.spatial[0]);
    for (const axis of others) if (axis !== state.sliced) state.index[axis] = 0;
    state.right = app.volumes.length > 1 ? 1 : null;
    state.hasDifference = app.volumes.length > 1;
    document.title = `${app.volumes.map((volume) => volume.name).join(", ")} – nvc view`;
    $("summary").textContent = app.volumes.map((volume) => volume.name).join(" · ");
    makeControls();
    fit();
    makePanels();
    const range = await fetchJson("contrast", { volume: 0 });
    if (!state.isContrastChosen) setContrast(range.low, range.high, range);
  } catch (error) {
    $("failure").textContent = error.message;
    $("failure").hidden = false;
  }
}

function makePanels() {
  for (const panel of app.panels) panel.remove();
  const chosen = [[state.left]];
  if (state.right !== null) chosen.push([state.right]);
  if (state.right !== null && state.hasDifference) chosen.push([state.left, state.right]);
  app.panels = chosen.map((numbers) => new Panel(app, numbers));
  Object.assign(state, { difference: null, isDifferenceSet: false });
  for (const panel of app.panels) {
    $("panels").append(panel.element);
    listen(panel);
  }
  arrange();
}

/** Choose as many columns of panels as show their slices largest; narrow windows scroll through one column. */
function arrange() {
  const { clientWidth: width, clientHeight: height } = $("panels");
  const [rows, columns] = app.shownAxes().map((axis) => app.volumes[0].shape[axis]);
  const [tall, wide] = app.aspect();
  const n = app.panels.length;
  const scaleOf = (perRow) => {
    const across = (width / perRow - SPENT.width) / (columns * wide);
    const down = (height / Math.ceil(n / perRow) - SPENT.height) / (rows * tall);
    return Math.min(across, down);
  };
  const choices = Array.from({ length: n }, (_, k) => k + 1);
  const best = choices.reduce((one, other) => (scaleOf(other) > scaleOf(one) ? other : one));
  $("panels").style.gridTemplateColumns = isNarrow.matches ? "" : `repeat(${best}, minmax(0, 1fr))`;
}

function refreshAll() {
  for (const panel of app.panels) panel.refresh();
}

function drawAll() {
  for (const panel of app.panels) panel.draw();
}

// Controls

function makeControls() {
  const [first] = app.volumes;
  if (app.volumes.length > 1) {
    $("volumes").hidden = false;
    const options = app.volumes.map(({ name }, number) => new Option(name, number));
    $("left").append(...options.map((option) => option.cloneNode(true)));
    $("right").append(...options, new Option("none", ""));
    $("left").value = state.left;
    $("right").value = state.right;
    $("difference").checked = state.hasDifference;
    for (const id of ["left", "right", "difference"]) $(id).addEventListener("change", chooseVolumes);
  }
  $("colours").append(...CHOICES.map((name) => new Option(name, name)));
  makeAxisChoice(first);
  makePositions(first);
  $("level").addEventListener("input", slideContrast);
  $("width").addEventListener("input", slideContrast);
  $("auto").addEventListener("click", autoContrast);
  $("full-range").addEventListener("click", () => {
    const { minimum, maximum } = app.panels[0].header() ?? state.limits;
    setContrast(Math.min(minimum, state.limits.minimum), Math.max(maximum, state.limits.maximum));
  });
  $("colours").addEventListener("change", () => {
    state.colours = $("colours").value;
    drawAll();
  });
  $("stretch").addEventListener("change", () => {
    state.stretch = $("stretch").checked;
    refreshAll();
  });
  $("zoom-in").addEventListener("click", () => zoom(ZOOM));
  $("zoom-out").addEventListener("click", () => zoom(1 / ZOOM));
  $("fit").addEventListener("click", () => {
    fit();
    refreshAll();
  });
  $("help-button").addEventListener("click", () => $("help").showModal());
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  addEventListener("resize", arrange);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
}

function makeAxisChoice({ axes, spatial }) {
  if (spatial.length < 3) {
    $("axis").hidden = true;
    return;
  }
  for (const axis of spatial) {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), {
      type: "radio",
      name: "axis",
      value: axis,
    });
    input.checked = axis === state.sliced;
    input.addEventListener("change", () => slice(axis));
    label.append(input, axes[axis].name);
    $("axis").append(label);
  }
}

function makePositions({ axes }) {
  axes.forEach(({ name, size }, axis) => {
    const element = document.createElement("div");
    element.className = "position";
    element.id = `position-${axis}`;
    element.innerHTML = `<div class="heading"><label></label><span><input type="number" min="0" step="1" />
      <span></span></span></div><input type="range" min="0" step="1" /><span class="place"></span>`;
    const [number, range] = element.querySelectorAll("input");
    element.querySelector("label").textContent = name;
    element.querySelector("label").htmlFor = `number-${axis}`;
    element.querySelector(".heading span span").textContent = `of ${size}`;
    number.id = `number-${axis}`;
    for (const input of [number, range]) {
      input.max = size - 1;
      input.setAttribute("aria-label", `${name}, voxel`);
      input.addEventListener(
        "input",
        () => input.value !== "" && step(axis, Number(input.value) - state.index[axis]),
      );
    }
    $("positions").append(element);
  });
  writePositions();
}

function writePositions() {
  const shown = app.shownAxes();
  app.volumes[0].axes.forEach((axis, k) => {
    const element = $(`position-${k}`);
    element.hidden = shown.includes(k) || axis.size === 1;
    const [number, range] = element.querySelectorAll("input");
    if (document.activeElement !== number) number.value = state.index[k];
    range.value = state.index[k];
    range.setAttribute("aria-valuetext", `${state.index[k]} ${place(axis, state.index[k])}`);
    element.querySelector(".place").textContent = place(axis, state.index[k]);
  });
  for (const input of $("axis").querySelectorAll("input"))
    input.checked = Number(input.value) === state.sliced;
}

function chooseVolumes() {
  state.left = Number($("left").value);
  state.right = $("right").value === "" ? null : Number($("right").value);
  state.hasDifference = $("difference").checked;
  makePanels();
}

// Slices

let announcing = 0;

function step(axis, steps) {
  const side = app.volumes[0].shape[axis];
  const at = Math.min(Math.max(state.index[axis] + steps, 0), side - 1);
  if (at === state.index[axis]) return;
  state.index[axis] = at;
  writePositions();
  refreshAll();
  clearTimeout(announcing);
  const { name } = app.volumes[0].axes[axis];
  announcing = setTimeout(() => ($("announcement").textContent = `${name} ${at} of ${side}`), 400);
}

function slice(axis) {
  if (axis === undefined || app.volumes[0].spatial.length < 3) return;
  state.sliced = axis;
  fit();
  arrange();
  writePositions();
  refreshAll();
}

/** Step along the first axis, such as time, that is neither shown nor sliced. */
function stepAside(steps) {
  const shown = app.shownAxes();
  const { axes } = app.volumes[0];
  const axis = axes.findIndex(({ size }, k) => size > 1 && k !== state.sliced && !shown.includes(k));
  step(axis < 0 ? state.sliced : axis, steps);
}

// Contrast

function setContrast(low, high, limits) {
  state.isContrastSet = true;
  if (limits) {
    const { minimum, maximum } = limits;
    state.limits = { minimum, maximum: maximum > minimum ? maximum : minimum + 1 };
  }
  state.contrast = { low, high: high > low ? high : low + (Math.abs(low) || 1) * 1e-6 };
  const { minimum, maximum } = state.limits;
  const [level, width] = [
    (state.contrast.low + state.contrast.high) / 2,
    state.contrast.high - state.contrast.low,
  ];
  $("level").value = ((level - minimum) / (maximum - minimum)) * SLIDER;
  $("width").value = Math.sqrt(width / (maximum - minimum) / 2) * SLIDER;
  const [panel] = app.panels;
  const units = panel.volume.units ? ` ${panel.volume.units}` : "";
  const texts = [app.physical(panel, level), width * panel.volume.scale_factor];
  for (const [id, value] of [
    ["level", texts[0]],
    ["width", texts[1]],
  ]) {
    $(`${id}-text`).textContent = `${format(value, 4)}${units}`;
    $(id).setAttribute("aria-valuetext", $(`${id}-text`).textContent);
  }
  drawAll();
}

function slideContrast() {
  state.isContrastChosen = true;
  const { minimum, maximum } = state.limits;
  const level = minimum + (Number($("level").value) / SLIDER) * (maximum - minimum);
  const width = 2 * (Number($("width").value) / SLIDER) ** 2 * (maximum - minimum);
  setContrast(level - width / 2, level + width / 2);
}

function autoContrast() {
  state.isContrastChosen = true;
  const header = app.panels[0].header();
  if (header) setContrast(header.low, header.high);
  const shown = app.panels.find((panel) => panel.isDifference)?.header();
  state.isDifferenceSet = false;
  if (shown) app.noteDifference(shown, "full");
  drawAll();
}

function dragContrast(panel, dx, dy) {
  if (panel.isDifference) {
    state.difference *= 1.01 ** dx;
    state.isDifferenceSet = true;
    drawAll();
    return;
  }
  state.isContrastChosen = true;
  const { low, high } = state.contrast;
  const level = (low + high) / 2 - (dy / 300) * (high - low);
  const width = (high - low) * 1.006 ** dx;
  setContrast(level - width / 2, level + width / 2);
}

// Zoom and cursor

function fit() {
  const [rows, columns] = app.shownAxes().map((axis) => app.volumes[0].shape[axis]);
  state.view = { x: columns / 2, y: rows / 2, zoom: 1 };
}

function zoom(factor, panel, x, y) {
  const { view } = state;
  const before = panel?.geometry();
  const [rows, columns] = app.shownAxes();
  const middle = state.cursor ? [state.index[columns] + 0.5, state.index[rows] + 0.5] : [view.x, view.y];
  const [column, row] = panel ? [before.toColumn(x), before.toRow(y)] : middle;
  const next = Math.min(Math.max(view.zoom * factor, 1), MOST_ZOOM);
  const share = 1 - view.zoom / next;
  view.x += (column - view.x) * share;
  view.y += (row - view.y) * share;
  view.zoom = next;
  keepInside();
  refreshAll();
}

function keepInside() {
  const { view } = state;
  const [rows, columns] = app.shownAxes().map((axis) => app.volumes[0].shape[axis]);
  view.x = Math.min(Math.max(view.x, 0), columns);
  view.y = Math.min(Math.max(view.y, 0), rows);
  if (view.zoom === 1) fit();
}

function moveCursor(panel, x, y) {
  const { toRow, toColumn, rows, columns, sides, area } = panel.geometry();
  const [row, column] = [Math.floor(toRow(y)), Math.floor(toColumn(x))];
  const isInside =
    row >= 0 &&
    column >= 0 &&
    row < sides[0] &&
    column < sides[1] &&
    x >= area.left &&
    y >= area.top &&
    x < area.left + area.width &&
    y < area.top + area.height;
  state.cursor = isInside;
  if (isInside) {
    state.index[rows] = row;
    state.index[columns] = column;
  }
  drawAll();
}

function stepCursor(down, right) {
  const [rows, columns] = app.shownAxes();
  const move = (axis, n) => {
    state.index[axis] = Math.min(Math.max(state.index[axis] + n, 0), app.volumes[0].shape[axis] - 1);
  };
  if (state.cursor) {
    move(rows, down);
    move(columns, right);
  }
  state.cursor = true;
  drawAll();
}

// Mouse and keyboard

function listen(panel) {
  const { canvas } = panel;
  let drag = null;
  canvas.addEventListener("pointerdown", (event) => {
    const isOther = event.shiftKey || event.button === 2;
    const kind = ($("drag").value === "contrast") !== isOther ? "contrast" : "pan";
    drag = { kind, x: event.clientX, y: event.clientY };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [dx, dy] = drag ? [event.clientX - drag.x, event.clientY - drag.y] : [0, 0];
    if (drag) Object.assign(drag, { x: event.clientX, y: event.clientY });
    if (drag?.kind === "contrast") dragContrast(panel, dx, dy);
    if (drag?.kind === "pan" && state.view.zoom > 1) {
      const { sx, sy } = panel.geometry();
      state.view.x -= dx / sx;
      state.view.y -= dy / sy;
      keepInside();
      refreshAll();
    }
    moveCursor(panel, event.offsetX, event.offsetY);
  });
  const endDrag = () => (drag = null);
  canvas.addEventListener("pointerup", endDrag);
  canvas.addEventListener("pointercancel", endDrag);
  canvas.addEventListener("pointerleave", () => {
    if (drag) return;
    state.cursor = false;
    drawAll();
  });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  let turned = 0; // of the wheel: touchpads send many small turns
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      if (event.ctrlKey || event.metaKey) {
        zoom(Math.exp(-event.deltaY / 300), panel, event.offsetX, event.offsetY);
        return;
      }
      turned += event.deltaMode === 0 ? event.deltaY / 50 : event.deltaY;
      const steps = Math.trunc(turned);
      turned -= steps;
      if (steps) step(state.sliced, Math.sign(steps) * Math.min(Math.abs(steps), PAGE));
    },
    { passive: false },
  );
}

const keys = {
  ArrowUp: () => step(state.sliced, 1),
  ArrowDown: () => step(state.sliced, -1),
  ArrowRight: () => stepAside(1),
  ArrowLeft: () => stepAside(-1),
  PageUp: () => step(state.sliced, PAGE),
  PageDown: () => step(state.sliced, -PAGE),
  Home: () => step(state.sliced, -Infinity),
  End: () => step(state.sliced, Infinity),
  "+": () => zoom(ZOOM),
  "=": () => zoom(ZOOM),
  "-": () => zoom(1 / ZOOM),
  0: () => $("fit").click(),
  a: autoContrast,
  z: () => slice(app.volumes[0].spatial.at(-3)),
  y: () => slice(app.volumes[0].spatial.at(-2)),
  x: () => slice(app.volumes[0].spatial.at(-1)),
  "?": () => $("help").showModal(),
};
const cursorKeys = {
  ArrowUp: () => stepCursor(-1, 0),
  ArrowDown: () => stepCursor(1, 0),
  ArrowLeft: () => stepCursor(0, -1),
  ArrowRight: () => stepCursor(0, 1),
};

document.addEventListener("keydown", (event) => {
  // Lists and numbers have keys of their own; sliders and buttons have the arrows and the like.
  const field = event.target.closest("input, select, dialog");
  const isOfField = field?.matches("select, dialog, [type=number]") || (field && event.key.length > 1);
  if (isOfField || event.ctrlKey || event.metaKey || event.altKey || !app.panels.length) return;
  const act = (event.shiftKey && cursorKeys[event.key]) || keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

start();
