"""Keys of caches for objects that have no hash, such as trees of arrays: their identity."""

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
