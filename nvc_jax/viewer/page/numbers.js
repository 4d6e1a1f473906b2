// Numbers and positions as text, and ticks of axes.

/** Return a number with about `digits` significant digits. */
export function format(value, digits = 5) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 10 ** Math.max(digits, 6))) {
    const [mantissa, exponent] = value.toExponential(digits - 2).split("e");
    return `${trim(mantissa)}e${Number(exponent)}`.replaceAll("-", "−");
  }
  return trim(value.toPrecision(digits)).replace("-", "−");
}

function trim(text) {
  return text.includes(".") && !text.includes("e") ? text.replace(/\.?0+$/, "") : text;
}

/** Return the position of voxel `i` along an axis; null where the axis states none. */
export function position(axis, i) {
  if (axis.values) return axis.values[Math.round(i)] ?? null;
  return axis.spacing === null ? null : (axis.origin ?? 0) + i * axis.spacing;
}

/** Return a position with its unit, or an empty text. */
export function place(axis, i) {
  const at = position(axis, i);
  return at === null ? "" : `${format(at)}${axis.unit ? ` ${axis.unit}` : ""}`;
}

/** Return the title of an axis: its name and unit. */
export function title(axis) {
  if (!axis.values && axis.spacing === null) return `${axis.name} (voxels)`;
  return axis.unit ? `${axis.name} (${axis.unit})` : axis.name;
}

/** Return ticks {i, text} of an axis between voxels `first` and `last`, about `count` of them. */
export function ticks(axis, first, last, count) {
  if (axis.values && !isNearlyEven(axis.values)) {
    const step = Math.max(1, Math.ceil((last - first) / count));
    const begin = Math.ceil(Math.max(first, 0) / step) * step;
    const end = Math.min(last, axis.values.length - 1);
    return range(begin, end, step).map((i) => ({ i, text: format(axis.values[i], 4) }));
  }
  const [origin, spacing] = line(axis);
  const [low, high] = [origin + first * spacing, origin + last * spacing].sort((one, other) => one - other);
  const isInVoxels = !axis.values && axis.spacing === null;
  const step = niceStep((high - low) / count, isInVoxels ? 1 : 0);
  const begin = Math.ceil(low / step - 1e-9) * step;
  const marks = range(begin, high + step * 1e-9, step).map((at) => ({
    i: (at - origin) / spacing,
    text: format(Math.abs(at) < step * 1e-6 ? 0 : at, 6),
  }));
  return spacing < 0 ? marks.reverse() : marks;
}

/** Return origin and spacing of an axis; of nearly even values, those of the line through both ends. */
function line({ values, origin, spacing }) {
  if (!values) return spacing === null ? [0, 1] : [origin ?? 0, spacing];
  return [values[0], (values.at(-1) - values[0]) / (values.length - 1)];
}

function isNearlyEven(values) {
  if (values.length < 2 || values.includes(null)) return false;
  const mean = (values.at(-1) - values[0]) / (values.length - 1);
  return (
    mean !== 0 && values.every((value, i) => Math.abs(value - values[0] - i * mean) < Math.abs(mean) / 2)
  );
}

function range(begin, end, step) {
  const n = Math.max(0, Math.floor((end - begin) / step + 1e-9) + 1);
  return Array.from({ length: Math.min(n, 100) }, (_, k) => begin + k * step);
}

function niceStep(step, least) {
  const power = 10 ** Math.floor(Math.log10(step));
  const nice = [1, 2, 5, 10].find((factor) => factor * power >= step * 0.999) * power;
  return Math.max(nice, least);
}
