"""Bodies of block autoencoders: section 15 of ``FORMAT.md``.

A chunk may need the latents of the chunks around it, so these functions decode a whole volume.
"""

import itertools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from reference_common import Shape, require, round_to, take_varints
from reference_decoder import LATENTS, decode_packed, keep_rules, parse_payload, put_special_values
from reference_streams import decode_geometric_stream, open_stream

PREDICTORS: tuple[Shape, ...] = ((), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2))
"""Axes of the grid along which differences were taken."""


class Container(NamedTuple):
    """Metadata of a container that holds latents, and its model.

    Attributes:
        shape: (z, y, x) of the volume.
        dtype: of the volume.
        chunk: (z, y, x), the padded shape of chunks.
        minimum: of the volume's range.
        maximum: of the volume's range.
        step: of the quantiser; None where latents are float32.
        configuration: of the codec `nvc`.
        config: of the model.
        params: of the model, nested dicts of arrays.
    """

    shape: Shape
    dtype: np.dtype
    chunk: Shape
    minimum: float
    maximum: float
    step: float | None
    configuration: dict[str, Any]
    config: Mapping[str, Any]
    params: Mapping[Any, Any]


def decode_volume(payloads: Mapping[Shape, bytes], container: Container, *, blend: bool) -> np.ndarray:
    """Decode a volume from the payloads of all its chunks, by chunk index."""
    config = container.config
    b, m = config["block_size"], config["margin"]
    grid = tuple(-(-side // b) for side in container.shape)
    latents = np.zeros((*grid, config["latent_dim"]))
    parsed = {index: parse_payload(payload, container.chunk) for index, payload in payloads.items()}
    for index, parts in parsed.items():
        require(parts.kind == LATENTS, "a payload of a block autoencoder holds no latents")
        chunk_latents = decode_latents(parts.body, parts.valid_shape, container)
        corner = [i * side // b for i, side in zip(index, container.chunk, strict=True)]
        latents[region(corner, chunk_latents.shape[:3])] = chunk_latents

    networks = {"dense": decode_dense, "convolutional": decode_convolutional}
    blocks = networks[config["architecture"]](
        config, container.params, latents.reshape(-1, latents.shape[-1])
    )
    v = assemble(blocks.reshape(*grid, *blocks.shape[1:]), b, m, blend=blend)
    low, high = container.minimum, container.maximum
    unrounded = np.clip(low * (1 - v) + high * v, low, high)

    values = np.zeros(container.shape, container.dtype)
    for index, parts in parsed.items():
        corner = [i * side for i, side in zip(index, container.chunk, strict=True)]
        chunk = region(corner, parts.valid_shape)
        rounded = round_to(unrounded[chunk], values.dtype)
        kept = keep_rules(rounded, container.configuration)
        values[chunk] = put_special_values(kept, parts.special_values, container.chunk)
    return values


def region(corner: list[int], shape: Shape) -> tuple[slice, ...]:
    """Return the slices of a box."""
    return tuple(slice(a, a + side) for a, side in zip(corner, shape, strict=True))


# 15.1 Latents


def decode_latents(body: bytes, valid_shape: Shape, container: Container) -> np.ndarray:
    """Decode the latents of the blocks that lie in the volume: (z, y, x, latents)."""
    b, n_latents = container.config["block_size"], container.config["latent_dim"]
    grid = tuple(-(-side // b) for side in valid_shape)
    if container.step is None:
        return decode_packed(body, np.dtype(np.float32), (*grid, n_latents))

    (n_lanes,), start = take_varints(body, 1)
    require(len(body) >= start + n_latents, "a stream of latents is cut short")
    choices = np.frombuffer(body, np.uint8, n_latents, start).tolist()
    padded = tuple(side // b for side in container.chunk)
    stream = open_stream(body[start + n_latents :], n_lanes, math.prod(padded), n_latents)
    differences = decode_geometric_stream(stream, [choice // 8 for choice in choices], math.prod(padded))
    integers = [
        undo_prediction(differences[:, dimension].reshape(padded), choice % 8)
        for dimension, choice in enumerate(choices)
    ]
    latents = np.stack(integers, axis=-1) * float(np.float32(container.step))
    return latents[tuple(slice(0, side) for side in grid)]


def undo_prediction(differences: np.ndarray, predictor: int) -> np.ndarray:
    """Turn the differences of one latent dimension (z, y, x) into integers."""
    axes = PREDICTORS[predictor]
    if not axes:
        return differences
    others = [axis for axis in range(3) if axis not in axes]
    index = np.indices(differences.shape)
    for n in reversed(range(len(others))):
        at_start = (index[[*axes, *others[:n]]] == 0).all(axis=0)
        differences = np.where(at_start, np.cumsum(differences, axis=others[n]), differences)
    for axis in axes:
        differences = np.cumsum(differences, axis=axis)
    return differences


# 15.2 Networks


def decode_dense(config: Mapping[str, Any], params: Mapping[Any, Any], latents: np.ndarray) -> np.ndarray:
    """Decode latents (n, latents) to blocks (n, side, side, side)."""
    side = config["block_size"] + 2 * config["margin"]
    hidden = latents
    for number in range(len(config["hidden_sizes"])):
        hidden = leaky_relu(affine(params["decoder"][number], hidden))
    return sigmoid(affine(params["output"], hidden)).reshape(-1, side, side, side)


def decode_convolutional(
    config: Mapping[str, Any], params: Mapping[Any, Any], latents: np.ndarray
) -> np.ndarray:
    """Decode latents (n, latents) to blocks (n, side, side, side)."""
    channels = config["channels"]
    side = (config["block_size"] + 2 * config["margin"]) // 2 ** len(channels)
    hidden = affine(params["expand"], latents).reshape(-1, side, side, side, channels[-1])
    for number in range(len(channels)):
        hidden = transposed_convolution(params["decoder"][number], leaky_relu(hidden))
    return sigmoid(hidden[..., 0])


def affine(layer: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    return x @ layer["kernel"].astype(float) + layer["bias"]


def leaky_relu(x: np.ndarray) -> np.ndarray:
    return np.where(x < 0, 0.01 * x, x)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def transposed_convolution(layer: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Double the sides of (n, z, y, x, channels)."""
    kernel = layer["kernel"].astype(float)
    n, *sides, _ = x.shape
    result = np.zeros((n, *[2 * side + 1 for side in sides], kernel.shape[-1]))
    for z, y, x_tap in itertools.product(range(3), repeat=3):
        taps = x @ kernel[z, y, x_tap]
        into = [slice(2 - tap, 2 - tap + 2 * side, 2) for tap, side in zip((z, y, x_tap), sides, strict=True)]
        result[(slice(None), *into)] += taps
    return result[:, :-1, :-1, :-1] + layer["bias"]


# 15.3 Margins


def assemble(blocks: np.ndarray, block_size: int, margin: int, *, blend: bool) -> np.ndarray:
    """Put blocks (grid z, y, x, side, side, side) together, margins blended or cropped."""
    grid, side = blocks.shape[:3], blocks.shape[3]
    distance = np.minimum(np.arange(side), np.arange(side)[::-1])
    window = np.minimum(1, (distance + 0.5) / max(2 * margin, 1))
    if not blend or margin == 0:
        window = np.zeros(side)
        window[margin : margin + block_size] = 1
    weights = np.einsum("i,j,k->ijk", window, window, window)
    total, weight = np.zeros((2, *[n * block_size + 2 * margin for n in grid]))
    for index in np.ndindex(*grid):
        box = region([i * block_size for i in index], (side,) * 3)
        total[box] += weights * blocks[index]
        weight[box] += weights
    core = tuple(slice(margin, margin + n * block_size) for n in grid)
    return total[core] / weight[core]
