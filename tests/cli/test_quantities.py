import pytest

from nvc_jax.cli.quantities import format_bytes, format_rate, format_shape


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (41_234, "41.2 kB"), (2_000_000, "2 MB"), (5e15, "5000 TB")],
)
def test_bytes_have_three_digits(n_bytes: float, text: str) -> None:
    assert format_bytes(n_bytes) == text


def test_rates_and_shapes_are_short() -> None:
    assert format_rate(3_000_000, 2) == "1.5 MB/s in 2 s"
    assert format_shape((128, 64, 8)) == "128×64×8"
