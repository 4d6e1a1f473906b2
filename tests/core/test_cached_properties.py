import threading

from nvc_jax.core.cached_properties import cached_property

SECONDS = 60
"""Time to wait for another thread, far more than it takes."""


class Counted:
    """Counts how often its properties are computed."""

    def __init__(self) -> None:
        self.n_computed = 0

    @cached_property
    def number(self) -> int:
        """Number that is computed."""
        self.n_computed += 1
        return self.n_computed


def test_values_are_computed_once_for_each_object() -> None:
    one, other = Counted(), Counted()
    assert [one.number, one.number, other.number] == [1, 1, 1]
    assert (one.n_computed, other.n_computed) == (1, 1)


def test_the_class_has_the_property_with_its_docstring() -> None:
    assert isinstance(Counted.number, cached_property)
    assert Counted.number.__doc__ == "Number that is computed."


def test_threads_compute_values_of_two_objects_at_the_same_time() -> None:
    """Each of two threads waits within the property for the other one."""
    barrier = threading.Barrier(2)

    class Meeting:
        @cached_property
        def arrival(self) -> int:
            return barrier.wait(SECONDS)

    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(Meeting().arrival)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [0, 1]
