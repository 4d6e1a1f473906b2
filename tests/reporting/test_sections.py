import dataclasses

import nvc_jax
from nvc_jax.peers.codecs import find_peers
from nvc_jax.reporting.against import encode_by_peers, measure_copy
from nvc_jax.reporting.guarantees import state_guarantees
from nvc_jax.reporting.sections import Contents, make_sections, make_tiles

FLAT = 7
"""Planes of an excerpt that is too flat for a rendering, which takes long."""


def make_contents(stored, *, is_exact: bool = False) -> Contents:
    whole = stored.excerpt
    arrays = {name: getattr(whole, name)[:FLAT] for name in ("original", "decoded", "valid")}
    excerpt = dataclasses.replace(whole, **arrays)
    if is_exact:
        excerpt = dataclasses.replace(excerpt, decoded=excerpt.original)
    own = measure_copy("nvc-1", "0", excerpt, excerpt.decoded, excerpt.stored_bytes)
    facts = nvc_jax.info(stored.container)
    if is_exact:
        facts |= {"target": {"lossless": True}, "bound": 0.0}
    guarantees = state_guarantees(facts, excerpt, own.figures["max_error"])
    others = [] if is_exact else encode_by_peers(excerpt, find_peers(["sz3"], "against"), guarantees.bound)
    return Contents("v.npy", "v.zarr", facts, excerpt, guarantees, [own, *others])


def test_figures_of_all_codecs_are_shown(stored) -> None:
    contents = make_contents(stored)
    measured = contents.copies[0].figures
    assert make_tiles(contents)["PSNR, of the part shown"] == f"{measured['psnr_db']:.1f} dB"
    text = "".join(make_sections(contents))
    for form, name in ((".2f", "psnr_db"), (".4g", "max_error"), (".5f", "ssim")):
        assert f"<td>{measured[name]:{form}}</td>" in text
    assert "The colours span the bound: ±2." in text
    assert "got the same voxels as floats, in one piece, and the same bound." in text
    assert text.count("<svg") == 2 * 3 + 3 + 1 + 3


def test_an_exact_copy_has_no_maps_of_errors(stored) -> None:
    contents = make_contents(stored, is_exact=True)
    assert make_tiles(contents)["PSNR, of the part shown"] == "exact copy"
    text = "".join(make_sections(contents))
    assert "All errors are 0" in text
    assert "NOT KEPT" not in text
