"""Comparison of nvc with codecs of other libraries, on a few chunks of a volume."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nvc_jax.comparison.peer_trial import PeerTrial, try_bound, try_lossless, try_psnr
from nvc_jax.comparison.subject import Subject, take_subject
from nvc_jax.comparison.trial import REPEATS, try_target
from nvc_jax.compression.preparation import ValueOptions
from nvc_jax.core.choices import DEFAULT_MODEL
from nvc_jax.core.chunk_interfaces import QualityTarget
from nvc_jax.core.jax_settings import in_own_settings
from nvc_jax.models.codec import Codec
from nvc_jax.peers.codecs import LOSSLESS_PEERS, LOSSY_PEERS, LossyPeer, find_peers

DEFAULT_TARGETS: tuple[Mapping[str, Any], ...] = (
    {"relative_error": 1e-2},
    {"relative_error": 1e-3},
    {"relative_error": 1e-4},
    {"lossless": True},
)
"""Targets of a comparison where none is named."""
_TARGETS = ("max_error", "relative_error", "psnr", "lossless")
"""Targets that other codecs have, too."""
_MOST_VOXELS = 1 << 23
"""Voxels that are tried, 8.4 million, unless a few chunks have more: the search for a PSNR encodes each many
times."""


@dataclasses.dataclass(frozen=True)
class ComparedCodec:
    """One codec at one target.

    Attributes:
        target: one entry, as ``compress`` states it.
        codec: its name.
        version: of its library.
        bits_per_voxel: of the chunks that were tried.
        ratio: their bytes in the volume's own dtype over the encoded ones.
        psnr_db: relative to the range of the volume.
        max_error: in the volume's units.
        encode_mb_per_second: megabytes of the volume in its own dtype, files not included.
        decode_mb_per_second: as above.
        compile_seconds: that nvc took once before, not in its speed; 0 of other codecs.
        share: of the volume's voxels that were tried.
    """

    target: QualityTarget
    codec: str
    version: str
    bits_per_voxel: float
    ratio: float
    psnr_db: float
    max_error: float
    encode_mb_per_second: float
    decode_mb_per_second: float
    compile_seconds: float
    share: float


@in_own_settings
def compare(
    source: Any,
    targets: Sequence[Mapping[str, Any]] | None = None,
    *,
    model: str | Path | Codec = DEFAULT_MODEL,
    against: Sequence[str] = tuple(LOSSY_PEERS),
    missing_values: Sequence[float] = (),
    chunks: Sequence[int] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[ComparedCodec]:
    """Compare nvc with other codecs on a volume (extra ``compare``).

    Of large volumes chunks of about 8.4 million voxels are tried. All codecs get the same chunks, as many at
    a time. The others get them as floats, with the mean in the place of missing values, which they do not
    know and whose places they do not store.

    Args:
        source: a volume as ``compress`` takes it.
        targets: each a mapping of ``max_error``, ``relative_error``, ``psnr`` or ``lossless``, such as
            ``{"psnr": 45}``. None for relative errors of 1e-2, 1e-3 and 1e-4, and lossless.
        model: name of a shipped model, path of a checkpoint, or a codec.
        against: names of lossy codecs. Lossless targets are tried by Zstandard and Blosc2.
        missing_values: as of ``compress``.
        chunks: voxels of a chunk along each axis, as of ``compress``.
        on_progress: called with the number of trials that are done, and of all.

    Returns:
        For each target nvc first, then the others.

    Raises:
        FileNotFoundError: there is no such source or model.
        ModuleNotFoundError: the codecs are not installed; the message has the command that installs them.
        TypeError: the dtype is not supported, or a target is no number.
        ValueError: a target or a codec is unknown, or a target cannot be kept; else as of ``compress``.
    """
    peers = find_peers(against, "against")
    chosen = _check_targets(DEFAULT_TARGETS if targets is None else targets)
    values = ValueOptions(missing_values=missing_values)
    subject = take_subject(source, model, values, (chunks, None), _MOST_VOXELS)
    aims = [subject.with_target(**target) for target in chosen]
    if targets is None:  # bool is lossless whatever the target is
        aims = [aim for number, aim in enumerate(aims) if not _has_target(aims[:number], aim)]
    n_trials = sum(1 + len(LOSSLESS_PEERS if _is_lossless(aim) else peers) for aim in aims)
    compared: list[ComparedCodec] = []
    for aim in aims:
        for row in _compare_at(aim, peers):
            compared.append(row)
            if on_progress is not None:
                on_progress(len(compared), n_trials)
    return compared


def _check_targets(targets: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    for target in targets:
        if len(target) != 1 or next(iter(target)) not in _TARGETS:
            raise ValueError(
                f"`targets`: {dict(target)} must be one of {', '.join(_TARGETS)}, such as {{'psnr': 45}}: "
                "other codecs have no other targets"
            )
    return targets


def _has_target(subjects: Sequence[Subject], other: Subject) -> bool:
    """Tell whether one of several subjects has the target of another."""
    return any(subject.prepared.target == other.prepared.target for subject in subjects)


def _compare_at(subject: Subject, peers: Sequence[LossyPeer]) -> Iterator[ComparedCodec]:
    """Try all codecs at the subject's target."""
    from nvc_jax import __version__

    target = subject.prepared.target
    own = try_target(subject, REPEATS)
    trial = PeerTrial(own.payload_bytes, own.quality, own.encode_seconds, own.decode_seconds)
    yield _describe(subject, subject.prepared.model_name, __version__, trial, own.compile_seconds)
    if _is_lossless(subject):
        for lossless in LOSSLESS_PEERS.values():
            yield _describe(subject, lossless.name, lossless.version, try_lossless(subject, lossless))
        return
    for peer in peers:
        bound = own.metadata.max_error
        tried = try_psnr(subject, peer, target["psnr"]) if bound is None else try_bound(subject, peer, bound)
        yield _describe(subject, peer.name, peer.version, tried)


def _is_lossless(subject: Subject) -> bool:
    """Tell whether every bit must come back: also under a bound of 0, or of a volume of one value."""
    ((name, value),) = subject.prepared.target.items()
    width = 1.0 if name == "max_error" else subject.value_range.width
    return name == "lossless" or (name != "psnr" and value * width == 0)


def _describe(
    subject: Subject, name: str, version: str, trial: PeerTrial, compile_seconds: float = 0.0
) -> ComparedCodec:
    """Describe one codec at one target."""
    n_bytes = subject.n_sampled * subject.itemsize
    return ComparedCodec(
        target=subject.prepared.target,
        codec=name,
        version=version,
        bits_per_voxel=8 * trial.n_bytes / subject.n_sampled,
        ratio=n_bytes / trial.n_bytes,
        psnr_db=trial.quality.psnr_db,
        max_error=trial.quality.max_error,
        encode_mb_per_second=1e-6 * n_bytes / trial.encode_seconds,
        decode_mb_per_second=1e-6 * n_bytes / trial.decode_seconds,
        compile_seconds=compile_seconds,
        share=subject.n_sampled / subject.n_voxels,
    )
