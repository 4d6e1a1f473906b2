"""Objects as keys of caches by their identity, where they have no hash, as trees of arrays have none."""

from typing import Generic, TypeVar

T = TypeVar("T")


class ById(Generic[T]):
    """An object that equals itself alone. A cache that holds it as a key keeps the object alive.

    Attributes:
        value: the object.
    """

    def __init__(self, value: T) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ById) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)
