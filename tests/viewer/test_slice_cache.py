from nvc_jax.viewer.slice_cache import ByteCache


def test_values_are_made_once_and_the_oldest_are_dropped() -> None:
    cache, made = ByteCache(10), []

    def get(key: int) -> bytes:
        return cache.get_or_make(key, lambda: made.append(key) or bytes([key]) * 4)

    assert get(1) == get(1) == b"\1\1\1\1"
    get(2)
    get(1)  # used again, so that 2 is the oldest
    get(3)
    assert made == [1, 2, 3]
    assert cache.n_bytes == 8
    get(1)
    assert made == [1, 2, 3]
    get(2)
    assert made == [1, 2, 3, 2]


def test_a_value_larger_than_all_is_not_kept() -> None:
    cache = ByteCache(3)
    assert cache.get_or_make("a", lambda: b"1234") == b"1234"
    assert cache.n_bytes == 0
