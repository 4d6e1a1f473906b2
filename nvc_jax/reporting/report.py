"""The report on a container: one HTML page that needs nothing else."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nvc_jax import __version__
from nvc_jax.core.jax_settings import in_own_settings
from nvc_jax.core.optional_imports import import_extra
from nvc_jax.evaluation.containers import info
from nvc_jax.io.atomic import naming, replacing
from nvc_jax.io.locations import Location
from nvc_jax.io.paths import output_path
from nvc_jax.io.raw import RawFile
from nvc_jax.io.replaceable import check_replaceable
from nvc_jax.io.selection import Selection
from nvc_jax.peers.codecs import find_peers
from nvc_jax.reporting.against import encode_by_peers, measure_copy
from nvc_jax.reporting.excerpt import take_excerpt
from nvc_jax.reporting.guarantees import state_guarantees
from nvc_jax.reporting.page import fill_page
from nvc_jax.reporting.sections import Contents, make_sections, make_tiles


@in_own_settings
def report(
    original: Any,
    container: Location,
    page: str | Path,
    *,
    against: Sequence[str] = (),
    at: str | Mapping[str | int, int] | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write a page that shows what a container keeps of its original (extra ``plot``).

    The page shows three orthogonal slices with a slider between original and decoded, maps of the errors,
    histograms of errors and values, power spectra, renderings, figures, and what the container promises. It
    is one file without any link. Of large volumes it shows and measures whole chunks of about 200³ voxels in
    the middle, and says so.

    Args:
        original: the volume that was compressed; any source that ``open_volume`` reads.
        container: a directory, a ``.zip`` file, a URL or a TensorStore spec.
        page: path of the HTML file.
        against: names of other codecs, among ``"sperr"``, ``"sz3"`` and ``"zfp"`` (extra ``compare``). They
            get the same part of the volume, in one piece, as floats, with the same bound; or as many bits,
            where the container is lossless or has no absolute bound.
        at: place along axes of time or channels, such as ``"t=3,c=0"`` or ``{"t": 3}``; the middle of those
            that are not named.
        overwrite: whether to replace a file that lies at ``page``.

    Returns:
        A dictionary that JSON can hold: ``page``; ``voxels``, the number of those measured; ``kept``, whether
        they keep the bound, None without one; and ``figures`` of each codec: ``bits_per_voxel``, ``ratio``,
        ``mse``, ``psnr_db``, ``max_error``, ``ssim``.

    Raises:
        FileExistsError: something lies at ``page`` that is not replaced.
        FileNotFoundError: there is no such original, container, or directory for the page.
        FormatError: the container is damaged, or the location holds none.
        ModuleNotFoundError: matplotlib or imagecodecs is missing; the message has the command that installs
            it.
        ValueError: the original has another shape or dtype, a codec is unknown, or ``at`` names no place.
    """
    import_extra("matplotlib", "plot")
    path = output_path(page)
    check_replaceable(path, overwrite)
    peers = find_peers(against, "against")
    excerpt = take_excerpt(original, container, at)
    facts = info(container)
    own = measure_copy(
        facts["model"],
        __version__,
        excerpt,
        excerpt.decoded,
        excerpt.stored_bytes,
    )
    guarantees = state_guarantees(facts, excerpt, own.figures["max_error"])
    copies = [own, *encode_by_peers(excerpt, peers, guarantees.bound)]
    contents = Contents(_name_of(original), _name_of(container), facts, excerpt, guarantees, copies)
    text = fill_page(contents.title, contents.subtitle, make_tiles(contents), make_sections(contents))
    with replacing(path, overwrite=overwrite) as partial, naming(path):
        partial.write_text(text, encoding="utf-8")
    return {
        "page": str(page),
        "voxels": excerpt.original.size,
        "kept": guarantees.is_kept,
        "figures": {copy.name: copy.figures for copy in copies},
    }


def _name_of(source: Any) -> str:
    """Name a source for people."""
    if isinstance(source, Selection):
        return f"{_name_of(source.source)}[{source.parts}]"
    if isinstance(source, RawFile):
        source = source.path
    if isinstance(source, str | Path):
        return Path(source).name or str(source)
    return str(source) if isinstance(source, dict) else "a volume in memory"
