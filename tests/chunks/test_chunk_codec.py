from collections.abc import Callable

import numpy as np
import pytest
from nvc_jax.chunks.spectral_chunk import ChunkCodec, Target

import nvc_jax
from nvc_jax.chunks import payload as payload_module
from nvc_jax.chunks import spectral_chunk, uniform_quantization
from nvc_jax.chunks.payload import parse_payload
from nvc_jax.chunks.special_values import as_bits
from nvc_jax.core.dtypes import DTYPES
from nvc_jax.core.shapes import Shape3

ROOM = (24, 32, 40)
CODEC = nvc_jax.load_codec("nvc-1")


def smooth(shape: Shape3 = ROOM, seed: int = 0) -> np.ndarray:
    """Waves and a little noise, from 0 to 1."""
    z, y, x = np.indices(shape)
    wave = np.sin(z / 6 + seed) * np.cos(y / 9) + np.sin(x / 7 + y / 15)
    noisy = wave + np.random.default_rng(seed).normal(0, 0.01, shape)
    return (noisy - noisy.min()) / max(float(np.ptp(noisy)), 1e-9)


def in_dtype(unit: np.ndarray, dtype: str) -> np.ndarray:
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return (300 * unit - 100).astype(dtype)
    limits = np.iinfo(kind)
    return uniform_quantization.round_to(limits.min + unit * (float(limits.max) - limits.min), kind)


def round_trip(values: np.ndarray, target: Target, fills: tuple[float, ...] = ()) -> payload_module.Payload:
    """Encode and decode; the payload, whose bound and special values must have been kept."""
    codec = ChunkCodec(CODEC, ROOM, values.dtype)
    payload = codec.encode(values, target, fills)
    decoded = codec.decode(payload)
    assert decoded.dtype == values.dtype
    assert decoded.shape == values.shape
    valid = spectral_chunk.valid_mask(values, fills)
    np.testing.assert_array_equal(as_bits(decoded)[~valid], as_bits(values)[~valid])
    errors = np.abs(decoded[valid].astype(np.float64) - values[valid].astype(np.float64))
    frame = parse_payload(payload)
    assert frame.max_error == errors.max(initial=0)
    if target.max_error is not None:
        assert frame.max_error <= target.max_error
    if target.max_error == 0:
        np.testing.assert_array_equal(as_bits(decoded), as_bits(values))
    assert len(payload) <= values.nbytes + 64 + len(frame.specials)
    return frame


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("relative", [1e-1, 1e-2, 1e-3, 1e-5, 0.0])
def test_every_dtype_keeps_its_bound(dtype: str, relative: float) -> None:
    values = in_dtype(smooth(), dtype)
    bound = relative * (float(values.max()) - float(values.min()))
    round_trip(values, Target(bound, 1.4 * bound))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_step_is_kept_to_without_a_bound(dtype: str) -> None:
    values = in_dtype(smooth(), dtype)
    extent = float(values.max()) - float(values.min())
    frame = round_trip(values, Target(None, 0.02 * extent))
    assert frame.max_error < 0.1 * extent


@pytest.mark.parametrize("shape", [(1, 1, 1), (24, 1, 7), (5, 32, 39), (23, 31, 40)])
def test_parts_of_chunks(shape: Shape3) -> None:
    for bound in (0.05, 0.0):
        round_trip(smooth(shape).astype(np.float32), Target(bound, bound))


Change = Callable[[np.ndarray], None]


def _set(where: tuple, value: float) -> Change:
    return lambda values: values.__setitem__(where, value)


SPECIAL = {
    "nan": _set(np.s_[3:9, ::2], np.nan),
    "infinities": _set(np.s_[::5, 3], np.inf),
    "fill": _set(np.s_[:, 7:, 10:30], -1e10),
    "all fill": _set(np.s_[:], -1e10),
    "all nan": _set(np.s_[:], np.nan),
    "huge": lambda values: values.__imul__(1e38 if values.dtype == np.float32 else 1e300),
    "tiny": lambda values: values.__imul__(1e-44 if values.dtype == np.float32 else 1e-320),
    "offset": lambda values: values.__iadd__(1e6),
    "spikes": _set(np.s_[::7, ::5, ::6], 1e6),
    "zeros": lambda values: values.__imul__(-0.0),
    "constant": _set(np.s_[:], 3.75),
}


@pytest.mark.parametrize("name", SPECIAL)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("relative", [1e-2, 1e-4, 0.0, None])
def test_odd_values(name: str, dtype: str, relative: float | None) -> None:
    values = smooth().astype(dtype)
    SPECIAL[name](values)
    fill = float(np.array(-1e10, dtype))
    valid = spectral_chunk.valid_mask(values, (fill,))
    low, high = spectral_chunk.valid_range(values, valid)
    if relative is None:
        round_trip(values, Target(None, 0.01 * (high - low)), (fill,))
    else:
        bound = relative * (high - low)
        round_trip(values, Target(bound, bound), (fill,))


def test_nan_payloads_and_signed_zeros_come_back_without_loss() -> None:
    values = smooth().astype(np.float32)
    bits = values.view(np.uint32)
    bits[0, 0, :5] = [0x7FC00001, 0xFFC12345, 0x7F800001, 0x80000000, 0x00000001]
    round_trip(values, Target(0.0, 0.0))


def test_special_values_do_not_spoil_the_rate() -> None:
    plain = smooth().astype(np.float32)
    holed = plain.copy()
    holed[:, :, 20:] = -1e10
    target = Target(1e-3, 1e-3)
    bytes_of = [len(round_trip(values, target, (-1e10,)).body) for values in (plain, holed)]
    assert bytes_of[1] < bytes_of[0]


def test_each_kind_has_its_place() -> None:
    rng = np.random.default_rng(0)
    kinds = {
        "waves": round_trip(smooth().astype(np.float32), Target(0.01, 0.014)),
        "fine": round_trip(smooth().astype(np.float64), Target(1e-9, 1e-9)),
        "exact": round_trip(in_dtype(smooth(), "uint16"), Target(0.0, 0.0)),
        "noise": round_trip(rng.integers(0, 2**32, ROOM, dtype=np.uint32), Target(0.0, 0.0)),
        "constant": round_trip(np.full(ROOM, 7, np.int8), Target(None, 0.1)),
    }
    expected = [
        payload_module.SPECTRAL,
        payload_module.LATTICE,
        payload_module.DIFFERENCES,
        payload_module.PACKED,
        payload_module.CONSTANT,
    ]
    assert [frame.kind for frame in kinds.values()] == expected
    assert len(kinds["constant"].body) == 1


def test_what_the_original_is_not_is_refused() -> None:
    values = smooth().astype(np.float32)
    payload = ChunkCodec(CODEC, ROOM, values.dtype).encode(values, Target(0.01, 0.01))
    with pytest.raises(ValueError, match="holds float32; the volume is float64"):
        ChunkCodec(CODEC, ROOM, np.dtype("float64")).decode(payload)
    with pytest.raises(ValueError, match="a chunk has"):
        ChunkCodec(CODEC, (16, 32, 40), values.dtype).decode(payload)
    latents = parse_payload(payload)._replace(kind=payload_module.LATENTS).to_bytes()
    with pytest.raises(ValueError, match="block autoencoder"):
        ChunkCodec(CODEC, ROOM, values.dtype).decode(latents)


ADVERSARIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "zeros": np.zeros_like,
    "negated": np.negative,
    "noise": lambda decoded: np.random.default_rng(0).normal(0, 1e3, decoded.shape).astype(np.float32),
    "nan": lambda decoded: np.full_like(decoded, np.nan),
    "infinite": lambda decoded: np.full_like(decoded, np.inf),
    "some nan": lambda decoded: np.where(np.arange(decoded.shape[2]) % 7 == 0, np.nan, decoded),
}


@pytest.mark.parametrize("adversary", ADVERSARIES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("relative", [0.2, 1e-2, 1e-4])
def test_bounds_hold_whatever_the_network_says(
    adversary: str, dtype: str, relative: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = spectral_chunk.spectral.decode
    monkeypatch.setattr(
        spectral_chunk.spectral, "decode", lambda *given: ADVERSARIES[adversary](np.asarray(decode(*given)))
    )
    values = in_dtype(smooth(), dtype)
    bound = relative * (float(values.max()) - float(values.min()))
    round_trip(values, Target(bound, bound))


@pytest.mark.parametrize(("dtype", "scale"), [("float64", 1e-52), ("float32", 1e-43), ("float32", 1e-30)])
def test_chunks_flat_against_the_volume_are_near(dtype: str, scale: float) -> None:
    """The step, relative to such a chunk's range, is beyond float32."""
    values = (np.random.default_rng(0).uniform(1, 2, (16, 16, 24)) * scale).astype(dtype)
    codec = spectral_chunk.ChunkCodec(CODEC, values.shape, values.dtype)
    payload = codec.encode(values, spectral_chunk.Target(None, 0.01))
    decoded = codec.decode(payload)
    assert np.isfinite(decoded).all()
    assert np.abs(decoded.astype(float) - values.astype(float)).max() <= 0.01
    assert payload_module.parse_payload(payload).max_error <= 0.01
