// Slices from the server: their bytes taken apart, the latest of them kept.

const MOST_BYTES = 96 * 2 ** 20; // of slices that the page keeps
const kept = new Map();
let keptBytes = 0;

/** Fetch JSON, or throw an error with the server's words. */
export async function fetchJson(path, parameters = {}) {
  return (await request(path, parameters)).json();
}

/** Fetch a slice: its header, with `values`; see `slice_bytes.py`. */
export async function fetchSlice(parameters) {
  const key = JSON.stringify(parameters);
  if (kept.has(key)) {
    const slice = kept.get(key);
    kept.delete(key);
    kept.set(key, slice);
    return slice;
  }
  const buffer = await (await request("slice", parameters)).arrayBuffer();
  const headerBytes = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, headerBytes)));
  const Values = { uint8: Uint8Array, float32: Float32Array }[header.dtype];
  const slice = { ...header, values: new Values(buffer, 4 + headerBytes) };
  keep(key, slice);
  return slice;
}

/** Return a slice that is kept, or undefined. */
export function keptSlice(parameters) {
  return kept.get(JSON.stringify(parameters));
}

function keep(key, slice) {
  if (kept.has(key)) return;
  kept.set(key, slice);
  keptBytes += slice.values.byteLength;
  for (const [oldest, old] of kept) {
    if (keptBytes <= MOST_BYTES || oldest === key) break;
    kept.delete(oldest);
    keptBytes -= old.values.byteLength;
  }
}

async function request(path, parameters) {
  const query = new URLSearchParams(parameters);
  let response;
  try {
    response = await fetch(`api/${path}?${query}`);
  } catch {
    throw new Error("nvc view does not answer: it has ended, or is being ended. Start it again.");
  }
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({ error: response.statusText }));
  throw new Error(error);
}

/** A queue of one: while a task runs, only the latest of those that come waits. */
export class Latest {
  #isRunning = false;
  #next = null;

  run(task) {
    this.#next = task;
    if (!this.#isRunning) this.#drain();
  }

  async #drain() {
    this.#isRunning = true;
    while (this.#next) {
      const task = this.#next;
      this.#next = null;
      await task();
    }
    this.#isRunning = false;
  }
}
