"""A decoder of nvc payloads in plain NumPy, float64, written from ``FORMAT.md`` alone: slow, and to be read.

It shares no code with the package. ``decode`` takes a payload without its checksum, the chunk's shape and the
model's parameters as nested dicts of arrays.
"""

import functools
import itertools
import math
import struct
from typing import Any

import imagecodecs
import numpy as np

DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64"]
Shape = tuple[int, ...]


def decode(payload: bytes, room: Shape, params: Any) -> np.ndarray:
    magic, kind, dtype, _, *extent = struct.unpack_from("<4sBBHIII", payload)
    assert magic == b"nvc\x01"
    _, *sizes = struct.unpack_from("<dIII", payload, 20)
    body, specials, correction = (
        payload[start:end] for start, end in itertools.pairwise(40 + np.cumsum([0, *sizes]))
    )
    values = decode_body(kind, body, correction, np.dtype(DTYPES[dtype]), tuple(extent), room, params)
    return put_specials(values, specials)


def decode_body(
    kind: int, body: bytes, correction: bytes, dtype: np.dtype, extent: Shape, room: Shape, params: Any
) -> np.ndarray:
    if kind == 0:
        unpack = [bytes, imagecodecs.zstd_decode, imagecodecs.blosc_decode][body[0]]
        return np.frombuffer(unpack(body[1:]), dtype).reshape(extent).copy()
    if kind == 1:
        return np.full(extent, np.frombuffer(body, dtype)[0])
    if kind == 2:
        integers = coded_integers(body, extent, room)
        if dtype.kind != "f":
            return integers.astype(dtype)
        flip = np.int64(2 ** (8 * dtype.itemsize - 1) - 1)
        return np.where(integers < 0, integers ^ flip, integers).astype(f"i{dtype.itemsize}").view(dtype)
    if kind == 3:
        low, spacing = struct.unpack_from("<dd", body)
        points = coded_integers(body[16:], extent, room)
        if dtype.kind != "f":
            limits = np.iinfo(dtype)
            return np.clip(points * int(spacing) + int(low), limits.min, limits.max).astype(dtype)
        return rounded(low + points * spacing, dtype)
    assert kind == 4
    numbers = decode_spectral(body, extent, room, params, dtype in ("uint32", "int32", "float64"))
    if not correction:
        return rounded(numbers, dtype)
    spacing, n = struct.unpack_from("<dI", correction)
    positions = np.frombuffer(correction, "<u4", n, 12)
    exact = np.frombuffer(correction, dtype, n, 12 + 4 * n)
    numbers = numbers + spacing * sparse_integers(correction[12 + n * (4 + dtype.itemsize) :], extent)
    values = rounded(numbers, dtype)
    values.reshape(-1)[positions] = exact
    return values


def rounded(numbers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    numbers = numbers if dtype.kind == "f" else np.rint(numbers)
    return np.clip(numbers, float(limits.min), float(limits.max)).astype(dtype)


def put_specials(values: np.ndarray, stored: bytes) -> np.ndarray:
    if not stored:
        return values
    size = values.dtype.itemsize
    n_patterns, n_labels, n_rest = struct.unpack_from("<BxxxII", stored)
    patterns = np.frombuffer(stored, f"<u{size}", n_patterns, 12)
    start = 12 + n_patterns * size
    labels = np.frombuffer(imagecodecs.zstd_decode(stored[start : start + n_labels]), np.uint8)
    rest = np.frombuffer(stored, f"<u{size}", n_rest, start + n_labels)
    bits = values.reshape(-1).view(f"u{size}")
    for n, pattern in enumerate(patterns, 1):
        bits[labels == n] = pattern
    bits[labels == 255] = rest
    return values


class Lanes:
    """The states of a stream's lanes, and the words that they still have to take."""

    def __init__(self, words: np.ndarray, n_lanes: int) -> None:
        halves = words[len(words) - 2 * n_lanes :].astype(np.int64).reshape(n_lanes, 2)
        self.states = halves[:, 0] | halves[:, 1] << 16
        self.words = words.astype(np.int64).tolist()[: len(words) - 2 * n_lanes]

    def _refill(self, lanes: np.ndarray) -> None:
        low = lanes[self.states[lanes] < 1 << 16]
        for lane in reversed(low):
            self.states[lane] = self.states[lane] << 16 | self.words.pop()

    def tokens(self, lanes: np.ndarray, tables: np.ndarray) -> np.ndarray:
        """A token in each of ``lanes``, by ``tables`` (n, 64)."""
        slots = self.states[lanes] & 4095
        ends = np.cumsum(tables.astype(np.int64), axis=1)
        tokens = (ends <= slots[:, None]).sum(axis=1)
        row = np.arange(len(lanes))
        frequency = tables.astype(np.int64)[row, tokens]
        self.states[lanes] = frequency * (self.states[lanes] >> 12) + slots - (ends[row, tokens] - frequency)
        self._refill(lanes)
        return tokens

    def bits(self, lanes: np.ndarray, n: np.ndarray) -> np.ndarray:
        bits = self.states[lanes] & ((1 << n) - 1)
        self.states[lanes] >>= n
        self._refill(lanes)
        return bits

    def integers(self, lanes: np.ndarray, tables: np.ndarray) -> np.ndarray:
        """An integer in each of ``lanes``."""
        tokens = self.tokens(lanes, tables)
        n = np.where(tokens == 63, 24, np.maximum(tokens - 17, 0) // 2)
        bits = np.zeros_like(n)
        for take, shift in ((np.minimum(n, 16), 0), (np.maximum(n - 16, 0), 16)):
            some = take > 0
            bits[some] |= self.bits(lanes[some], take[some]) << shift
        magnitude = np.where(tokens < 17, (tokens + 1) // 2, (1 << n) + 8 + bits)
        signed = np.where(tokens % 2 == 1, -magnitude, magnitude)
        return np.where(tokens == 63, bits - (1 << 23), signed)


def steps(n_items: int, n_lanes: int) -> Any:
    """For each step the lanes that take part, and their items."""
    each = -(-n_items // n_lanes)
    for step in range(each):
        items = np.arange(n_lanes) * each + step
        yield np.flatnonzero(items < n_items), items[items < n_items]


@functools.cache
def geometric_tables() -> np.ndarray:
    tables = np.zeros((32, 64), np.int64)
    token = np.arange(63)
    count = np.where(token < 17, 1, 2 ** (np.maximum(token - 17, 0) // 2))
    smallest = np.where(token < 17, (token + 1) // 2, count + 8)
    for j in range(32):
        m = 4.0 ** ((j - 12) / 3)
        r = (math.sqrt(1 + m * m) - 1) / m
        share = r ** smallest.astype(float) * (1 - r ** count.astype(float)) / (1 + r)
        share[0] = (1 - r) / (1 + r)
        share = np.append(np.where(share < 2.0**-24, 0, np.floor(share * 2.0**30)), 2.0**16)
        exact = share / share.sum() * 4096
        least = (share > 0).astype(np.int64)
        row = np.maximum(np.floor(exact).astype(np.int64), least)
        while row.sum() != 4096:
            gain = np.where(exact > 0, exact / np.maximum(row, 1), 0)
            if row.sum() < 4096:
                row[np.argmax(gain)] += 1
            else:
                row[np.argmin(np.where(row > least, gain, np.inf))] -= 1
        tables[j] = row
    return tables


def geometric_stream(words: np.ndarray, n_lanes: int, scales: list[int], n_blocks: int) -> np.ndarray:
    """Integers (blocks, dimensions)."""
    means = [4.0 ** ((scale - 12) / 3) for scale in scales]
    expected = [max(round(256 * mean), 1) for mean in means]
    first = min(max(sum(expected) // 64, 128), 1 << 26)
    ratios = [round(4096 * 4.0 ** ((k - 8.5) / 3)) for k in range(17)]
    result = np.zeros((n_blocks, len(scales)), np.int64)
    lanes = Lanes(words, n_lanes)
    for active, blocks in steps(n_blocks, n_lanes):
        total = np.full(len(active), first)
        before = 0
        for d, scale in enumerate(scales):
            base = min(first + before, 1 << 26)
            thresholds = np.array([(base >> 12) * q + ((base & 4095) * q >> 12) for q in ratios])
            above = (total[:, None] >= thresholds).sum(axis=1)
            table = geometric_tables()[np.clip(scale + above - 9, 0, 31)]
            result[blocks, d] = lanes.integers(active, table)
            total = np.minimum(total + 256 * np.minimum(np.abs(result[blocks, d]), 1 << 18), 1 << 26)
            before += expected[d]
    return result


def words_at(stored: bytes, start: int, used: int) -> np.ndarray:
    return np.frombuffer(stored, "<u2", used, start)


def coded_integers(stored: bytes, extent: Shape, room: Shape) -> np.ndarray:
    predictor, shift, n_low, scale, used, n_lanes, n_far, base = struct.unpack_from("<BBBBIIIq", stored)
    n, grid = math.prod(extent), [-(-side // 4) for side in room]
    cubes = geometric_stream(words_at(stored, 24, used), n_lanes, [scale] * 64, math.prod(grid))
    high = cubes.reshape(*grid, 4, 4, 4).transpose(0, 3, 1, 4, 2, 5).reshape([4 * side for side in grid])
    residuals = high[tuple(slice(0, side) for side in extent)] << n_low
    start = 24 + 2 * used
    for bit in range(n_low):
        plane = np.frombuffer(stored, np.uint8, -(-n // 8), start + bit * -(-n // 8))
        residuals = residuals | np.unpackbits(plane, count=n).astype(np.int64).reshape(extent) << bit
    start += n_low * -(-n // 8)
    positions = np.frombuffer(stored, "<u4", n_far, start)
    residuals.reshape(-1)[positions] = np.frombuffer(stored, "<i8", n_far, start + 4 * n_far)
    axes = [(), (2,), (1, 2), (0, 1, 2), (2, 2), (0, 1, 2, 0, 1, 2)][predictor]
    for axis in axes:
        residuals = np.cumsum(residuals, axis=axis)
    return (residuals << shift) + np.int64(base)


def sparse_integers(stored: bytes, extent: Shape) -> np.ndarray:
    (n,) = struct.unpack_from("<I", stored)
    negative = np.unpackbits(np.frombuffer(stored, np.uint8, -(-n // 8), 4), count=n) == 1
    start = 4 + -(-n // 8)
    sequences = []
    for _ in range(2):
        scale, used, n_lanes = struct.unpack_from("<BxxxII", stored, start)
        start += 12
        values = np.zeros(n, np.int64)
        if scale:
            runs = geometric_stream(words_at(stored, start, used), n_lanes, [scale - 1] * 64, -(-n // 64))
            signed = runs.reshape(-1)[:n]
            values = np.where(signed >= 0, 2 * signed, -2 * signed - 1)
            start += 2 * used
        sequences.append(values)
    gaps, magnitudes = sequences
    result = np.zeros(extent, np.int64)
    grid = [-(-side // 8) for side in extent]
    for place, negated, magnitude in zip(np.cumsum(gaps + 1) - 1, negative, magnitudes, strict=True):
        z, y, x = np.unravel_index(place // 512, grid)
        dz, dy, dx = np.unravel_index(place % 512, (8, 8, 8))
        value = magnitude + 1
        result[8 * z + dz, 8 * y + dy, 8 * x + dx] = -value if negated else value
    return result


def dct(n: int, half: bool = False) -> np.ndarray:
    frequency = np.arange(n)[:, None] + (0.5 if half else 0)
    matrix = np.sqrt(2 / n) * np.cos(np.pi * (np.arange(n) + 0.5) * frequency / n)
    if not half:
        matrix[0] /= np.sqrt(2)
    return matrix


def rotation(name: int) -> np.ndarray:
    mirror = np.eye(4)[::-1]
    if name == 0:
        return np.eye(4)
    s = 1.0 if name == 1 else 1.6
    full = mirror @ dct(4).T @ np.diag([s, 1, 1, 1]) @ dct(4, half=True) @ mirror
    return (np.eye(4) + full) / 2 if name == 2 else full


def unfilter(name: int) -> np.ndarray:
    """What undoes the filter on the eight voxels around a border."""
    change = np.linalg.inv(rotation(name)) - np.eye(4)
    matrix = np.eye(8)
    for i, k in itertools.product(range(4), repeat=2):
        for target, sign in ((3 - i, 1), (4 + i, -1)):
            matrix[target, 3 - k] += sign * change[i, k] / 2
            matrix[target, 4 + k] -= sign * change[i, k] / 2
    return matrix


def decode_spectral(body: bytes, extent: Shape, room: Shape, params: Any, is_wide: bool) -> np.ndarray:
    low, high, step, used, n_lanes, name, predictor, boundaries, profile = struct.unpack_from(
        "<ddfIIBBBB", body
    )
    entropy = {key: np.asarray(value) for key, value in params["entropy"].items()}
    if entropy["tables"].ndim == 3:
        entropy = {key: value if key == "order" else value[profile] for key, value in entropy.items()}
    grid = tuple(-(-side // 8) for side in room)
    n = math.prod(grid)
    index = np.stack(np.unravel_index(np.arange(n), grid), axis=1)
    shorts = (index + 1) * 8 > np.array(extent)
    short_sides = np.array([(side - 1) % 8 + 1 for side in extent])
    present = np.flatnonzero((index * 8 < np.array(extent)).all(axis=1))
    tables = entropy["frequencies"]
    n_classes, n_tables = len(entropy["tables"]), len(entropy["bits"])
    n_quantizers = len(entropy["shrink"]) // n_tables

    lanes = Lanes(words_at(body, 32, used), n_lanes)
    classes, modes, ends = (np.zeros(n, np.int64) for _ in range(3))
    integers = np.zeros((n, 512), np.int64)
    earlier = np.full(n_lanes, n_classes)
    for active, items in steps(len(present), n_lanes):
        block = present[items]
        found = lanes.tokens(active, entropy["class_frequencies"][earlier[active]])
        earlier[active] = classes[block] = found
        leads = (index[block] % 2 == 0).all(axis=1)
        modes[block[leads]] = lanes.tokens(active[leads], entropy["mode_frequencies"][found[leads]])
        ends[block] = lanes.tokens(active, entropy["end_frequencies"][found])
        integers[block, 0] = lanes.integers(active, tables[entropy["tables"][found, 0]])

    frequency = np.stack(np.unravel_index(np.arange(512), (8, 8, 8)), axis=1)
    order = entropy["order"]
    places = []
    for block in present:
        has = ~(shorts[block] & (frequency[order] >= short_sides)).any(axis=1)
        latents = order[has][: 16 * ends[block]]
        places.append(np.stack([np.full(len(latents), block), latents], axis=1))
    coded = np.concatenate(places)
    begins = np.concatenate([np.arange(len(own)) == 0 for own in places])
    quantizer, next_but_one = np.zeros((2, n_lanes), np.int64)
    halves = np.zeros((n, 512))
    for step_index, (active, items) in enumerate(steps(len(coded), n_lanes)):
        block, latent = coded[items].T
        if n_quantizers == 2:
            if step_index == 0:
                state = lanes.bits(active, np.full(len(active), 2))  # a lane may begin within a block
                quantizer[active], next_but_one[active] = state & 1, state >> 1
            fresh = active[begins[items]]
            quantizer[fresh], next_but_one[fresh] = 0, 0
        own = quantizer[active]
        found = lanes.integers(active, tables[entropy["tables"][classes[block], latent] + n_tables * own])
        integers[block, latent], halves[block, latent] = found, own
        if n_quantizers == 2:
            quantizer[active], next_but_one[active] = next_but_one[active] ^ found & 1, own

    means = integers[:, 0].reshape(grid)
    for axis in [(), (2,), (1, 2), (0, 1, 2)][predictor]:
        means = np.cumsum(means, axis=axis)
    integers[:, 0] = means.reshape(-1)
    modes = modes.reshape(grid)[tuple(np.ix_(*(np.arange(side) // 2 * 2 for side in grid)))].reshape(-1)

    rows = np.minimum(entropy["tables"], n_tables - 1)[classes] + n_tables * halves.astype(int)
    of = entropy["shrink"].astype(float)[rows]
    of[:, 0] = 0
    less = np.where(np.abs(integers) == 1, of[..., 0], of[..., 1])
    values = np.sign(integers) * (np.abs(integers) - halves / 2 - less)
    values = values + refinement(
        params["refinement"], values, order, n_classes * profile + classes, 3 * name + modes, grid
    )
    scale = np.where(shorts, np.sqrt(short_sides / 8), 1).prod(axis=1)[:, None]
    emphasis, weights = pre_emphasis()
    for axis in range(3):
        for end, at in enumerate((index[:, axis] == 0, index[:, axis] == grid[axis] - 1)):
            if boundaries >> 2 * axis + end & 1:
                scale = scale * np.where(at[:, None], weights[frequency[:, axis]][None], 1)
    latents = values * float(step) / np.where(np.arange(512)[None] == 0, 1, scale)
    unit = inverse(latents.reshape(*grid, 8, 8, 8), modes.reshape(grid), name, extent)
    for axis in range(3):
        for end in range(2):
            if boundaries >> 2 * axis + end & 1:
                part = np.moveaxis(np.flip(unit, axis) if end else unit, axis, 0)
                part[:4] = np.tensordot(np.linalg.inv(emphasis), part[:4].copy(), 1)
    unit = unstretched(unit, extent)
    unit = unit[tuple(slice(0, side) for side in extent)] + 0.5
    if is_wide:
        return low + np.clip(unit, 0, 1) * (high - low)
    return np.clip(low * (1 - unit) + high * unit, low, high)


def gelu(x: np.ndarray) -> np.ndarray:
    return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def refinement(
    params: Any, values: np.ndarray, order: np.ndarray, classes: np.ndarray, ways: np.ndarray, grid: Shape
) -> np.ndarray:
    own = np.arcsinh(values[:, order[:63]])
    seen = [own]
    volume = np.concatenate([values[:, :1], own[:, :31]], axis=1).reshape(*grid, 32)
    for axis in range(3):
        for towards in (-1, 1):
            neighbour = np.zeros_like(volume)
            neighbour[..., 0] = volume[..., 0]
            here, there = [slice(None)] * 3, [slice(None)] * 3
            here[axis], there[axis] = (
                (slice(1, None), slice(0, -1)) if towards < 0 else (slice(0, -1), slice(1, None))
            )
            neighbour[tuple(here)] = volume[tuple(there)]
            neighbour[..., 0] = np.arcsinh(neighbour[..., 0] - volume[..., 0])
            seen.append(neighbour.reshape(-1, 32))
    features = np.concatenate(seen, axis=1)
    net = {k: {n: np.asarray(a, float) for n, a in v.items()} for k, v in params["network"].items()}
    hidden = features @ net["first"]["kernel"] + net["first"]["bias"]
    hidden = gelu(hidden + net["classes"]["embedding"][classes] + net["ways"]["embedding"][ways])
    inner = gelu(hidden @ net["second"]["kernel"] + net["second"]["bias"])
    output = (hidden + inner) @ net["output"]["kernel"]
    return np.clip(output * np.asarray(params["gains"], float)[classes][:, None], -1, 1)


def norms(name: int, size: int, crossing: tuple[bool, bool]) -> np.ndarray:
    undo = np.eye(3 * size)
    for border, crosses in zip((size, 2 * size), crossing, strict=True):
        if crosses:
            undo[border - 4 : border + 4, border - 4 : border + 4] = unfilter(name)
    return np.linalg.norm(undo[:, size : 2 * size] @ dct(size).T, axis=0)


def inverse(latents: np.ndarray, modes: np.ndarray, name: int, extent: Shape) -> np.ndarray:
    """The volume from latents (grid z, y, x, 8, 8, 8)."""
    grid = modes.shape
    index = np.indices(grid)
    whole = np.ones(grid, bool)
    for axis in range(3):
        whole &= (index[axis] // 2 + 1) * 16 <= extent[axis]
    large = (modes == 2) & whole
    latents = latents.copy()
    for axis in range(3):
        first = np.argwhere(large & (index[axis] % 2 == 0))
        for place in first:
            other = place.copy()
            other[axis] += 1
            a, b = latents[(*place, 0, 0, 0)], latents[(*other, 0, 0, 0)]
            latents[(*place, 0, 0, 0)], latents[(*other, 0, 0, 0)] = (a + b) / 2**0.5, (a - b) / 2**0.5
    crossed = np.zeros((3, *grid), bool)
    for axis in range(3):
        for place in np.ndindex(*grid):
            after = tuple(p + (a == axis) for a, p in enumerate(place))
            if after[axis] < grid[axis] and (after[axis] + 1) * 8 <= extent[axis]:
                alike = modes[place] != 0 and modes[after] != 0 and large[place] == large[after]
                crossed[(axis, *place)] = alike and not (large[place] and place[axis] % 2 == 0)
    for place in np.ndindex(*grid):
        for axis in range(3):
            start, size = place[axis], 1
            if large[place]:
                start, size = start // 2 * 2, 2
            around = []
            for border in (start - 1, start + size - 1):
                at = tuple(border if a == axis else p for a, p in enumerate(place))
                around.append(border >= 0 and bool(crossed[(axis, *at)]))
            norm = norms(name, 8 * size, (around[0], around[1]))
            norm = norm[place[axis] % 2 :: 2] if large[place] else norm
            latents[place] /= np.expand_dims(norm, [a for a in range(3) if a != axis])
    volume = np.zeros([8 * side for side in grid])
    for place in np.ndindex(*grid):
        if large[place] and any(p % 2 for p in place):
            continue
        block = latents[place]
        if large[place]:
            block = np.zeros((16, 16, 16))
            for half in np.ndindex(2, 2, 2):
                at = tuple(p + h for p, h in zip(place, half, strict=True))
                block[half[0] :: 2, half[1] :: 2, half[2] :: 2] = latents[at]
        matrix = dct(len(block))
        block = np.einsum("abc,ai,bj,ck->ijk", block, matrix, matrix, matrix, optimize=True)
        volume[tuple(slice(8 * p, 8 * p + len(block)) for p in place)] = block
    undo = unfilter(name)
    for axis in (2, 1, 0):
        for place in np.argwhere(crossed[axis]):
            part = [slice(8 * p, 8 * p + 8) for p in place]
            border = 8 * (place[axis] + 1)
            part[axis] = slice(border - 4, border + 4)
            voxels = np.moveaxis(volume[tuple(part)], axis, 0)
            volume[tuple(part)] = np.moveaxis(np.tensordot(undo, voxels, 1), 0, axis)
    return volume


def pre_emphasis() -> tuple[np.ndarray, np.ndarray]:
    """What is done to the four voxels next to a face, and the weights of frequencies across it."""
    mix = np.eye(4)
    mix[1:, 1:] = [[1.179, 0.434, 0.226], [-0.067, 1.092, 0.577], [-0.022, -0.286, 0.987]]
    emphasis = dct(4).T @ mix @ dct(4)
    undo = np.eye(8)
    undo[:4, :4] = np.linalg.inv(emphasis)
    return emphasis, np.sqrt(np.array([4, 2, 1, 1, 1, 1, 1, 1]) @ (undo @ dct(8).T) ** 2)


def unstretched(volume: np.ndarray, extent: Shape) -> np.ndarray:
    """The sides that do not end with a block as they were."""
    for axis, side in enumerate(extent):
        m, start = (side - 1) % 8 + 1, (side - 1) // 8 * 8
        part = np.moveaxis(volume, axis, 0)
        back = dct(m).T @ dct(8)[:m] * math.sqrt(m / 8)
        part[start : start + m] = np.tensordot(back, part[start : start + 8].copy(), 1)
    return volume
