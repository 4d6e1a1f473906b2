from fuzz import containers, payloads


def test_damaged_payloads_are_refused_or_decode() -> None:
    outcome = payloads.fuzz_payloads(800, seed=1)
    assert sum(outcome.values()) == 800
    assert outcome["refused"] > 200


def test_damaged_objects_are_refused() -> None:
    outcome = payloads.fuzz_containers(300, seed=1)
    assert sum(outcome.values()) == 300
    assert outcome["refused"] > 280


def test_changed_containers_are_refused_or_read() -> None:
    outcome = containers.fuzz_containers(100, seed=1)
    assert all(sum(numbers.values()) == 10 for numbers in outcome.values())
    assert all(numbers["refused"] for numbers in outcome.values())
