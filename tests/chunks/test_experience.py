import pytest

from nvc_jax.chunks.experience import NO_EXPERIENCE, USUAL_SHARES, Comparison, Experience, SeenChunk

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


def test_a_lattice_suits_chunks_like_pilots_for_which_it_was_clearly_cheaper() -> None:
    compared = [Comparison(False, 2.0, 0.9), Comparison(False, 3.0, 0.96), Comparison(True, 8.0, 0.8)]
    experience = Experience(compared=compared)
    assert experience.costs_for_lattice(is_apart=False) == (1.0, 6.0)
    assert experience.costs_for_lattice(is_apart=True) == (4.0, 16.0)


@pytest.mark.parametrize(
    "experience",
    [
        NO_EXPERIENCE,
        Experience(compared=[Comparison(True, 2.0, 0.5)]),
        Experience(compared=[Comparison(False, 2.0, 0.9)]),  # one alone is not enough
        Experience(compared=[Comparison(False, 2.0, 0.5), Comparison(False, 2.0, 0.98)]),
        Experience(compared=[Comparison(False, 2.0, 0.5), Comparison(False, 0.0, float("inf"))]),
        Experience(compared=[Comparison(False, 2.0, 0.5)], learns=True),
    ],
)
def test_a_lattice_is_not_expected_to_suit_where_that_is_not_clear(experience: Experience) -> None:
    assert experience.costs_for_lattice(is_apart=False) is None


def test_the_transform_suits_chunks_like_pilots_for_which_it_was_clearly_cheaper() -> None:
    compared = [Comparison(False, 0.2, 1.4), Comparison(False, 0.3, 1.5), Comparison(True, 0.8, 1.7)]
    experience = Experience(compared=compared)
    assert experience.costs_for_transform(is_apart=False) == (0.1, 0.6)
    assert experience.costs_for_transform(is_apart=True) == (0.4, 1.6)


@pytest.mark.parametrize(
    "experience",
    [
        NO_EXPERIENCE,
        Experience(compared=[Comparison(True, 0.2, 3.0)]),
        Experience(compared=[Comparison(False, 0.2, 1.4)]),  # one alone is not enough
        Experience(compared=[Comparison(False, 0.2, 3.0), Comparison(False, 0.2, 1.1)]),
        Experience(compared=[Comparison(False, 0.2, 3.0), Comparison(False, 0.2, 0.0)]),
        Experience(compared=[Comparison(False, 0.2, 3.0)], learns=True),
    ],
)
def test_the_transform_is_not_expected_to_suit_where_that_is_not_clear(experience: Experience) -> None:
    assert experience.costs_for_transform(is_apart=False) is None
