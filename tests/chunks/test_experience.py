import pytest

from nvc_jax.chunks.experience import NO_EXPERIENCE, USUAL_SHARES, Experience, SeenChunk

ONE = SeenChunk(
    is_apart=False, estimate=1000.0, stream_bits=500.0, transform=600.0, likely=700.0, lattice=770.0
)
OTHER = ONE._replace(transform=700.0, lattice=714.0)


def test_without_experience_the_usual_shares_are_expected() -> None:
    assert NO_EXPERIENCE.shares(is_apart=False) == USUAL_SHARES
    assert Experience([ONE]).shares(is_apart=True) == USUAL_SHARES


def test_the_least_that_was_seen_is_expected() -> None:
    shares = Experience([ONE, OTHER]).shares(is_apart=False)
    assert shares.transform == pytest.approx(0.9 * 0.6)
    assert shares.completion == pytest.approx(1.2)
    assert shares.lattice == pytest.approx(1.02)


def test_what_learns_expects_what_is_usual() -> None:
    assert Experience([ONE], learns=True).shares(is_apart=False) == USUAL_SHARES
