"""Properties that an object computes once.

Up to Python 3.11, ``functools.cached_property`` holds one lock for all objects of a class while it computes:
threads that code several chunks then wait for each other.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class cached_property(Generic[T]):
    """Property whose value an object keeps once it is computed; a decorator, named as that of ``functools``.

    Threads that ask one object for the value at the same time may compute it twice; they get the same one.

    Args:
        function: computes the value of an object, which has a ``__dict__``.
    """

    def __init__(self, function: Callable[[Any], T]) -> None:
        self._function, self.__doc__ = function, function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> "cached_property[T]": ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> "cached_property[T] | T":
        if instance is None:
            return self
        # Later on, the object's own attribute comes before this one.
        value: T = instance.__dict__.setdefault(self._name, self._function(instance))
        return value
