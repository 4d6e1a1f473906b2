import functools

from nvc_jax.core.identity import ById


def test_caches_tell_equal_objects_apart() -> None:
    calls = []

    @functools.lru_cache
    def count(tree: ById[dict[str, int]]) -> int:
        calls.append(tree.value)
        return len(tree.value)

    one, other = {"a": 1}, {"a": 1}
    assert count(ById(one)) == count(ById(other)) == count(ById(one)) == 1
    assert len(calls) == 2
    assert calls[0] is one
    assert calls[1] is other
    assert ById(one) != one
