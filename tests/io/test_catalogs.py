import pytest

from nvc_jax.io.catalogs import find_entry


def test_entries_are_found_or_similar_names_told() -> None:
    entries = {"nucleon": {"bytes": 1}, "fuel": {"bytes": 2}}
    assert find_entry("fuel", entries, "volumes") == {"bytes": 2}
    with pytest.raises(ValueError, match=r"`name` \(='nucleonn'\) is no data set of v.*: did you mean nuc"):
        find_entry("nucleonn", entries, "volumes")
    with pytest.raises(ValueError, match="`nvc fetch --list` lists them"):
        find_entry("0", {}, "volumes")
