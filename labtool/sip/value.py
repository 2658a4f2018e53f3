"""The base of this room's values: immutable, compared by content.

It stands in for frozen dataclasses, whose module alone takes longer to import (10 to 20 ms) than
a one-shot probe may spend on the whole protocol layer.
"""

from __future__ import annotations

from functools import lru_cache, wraps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    V = TypeVar("V", bound="Value")
    T = TypeVar("T")

LONGEST = 256  # characters of a text worth remembering, so that no peer can fill memory with them

assign = object.__setattr__  # for the `__init__` of values only


class Value:
    """A value of the fields in `__slots__`, which are also its `__init__`'s parameters."""

    __slots__: tuple[str, ...] = ()
    __hidden__: tuple[str, ...] = ()  # fields that `repr` must not show

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable; use replace({name}=...)")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    def __hash__(self) -> int:
        return hash((type(self).__name__, str(self)))

    def __repr__(self) -> str:
        shown = (
            f"{name}={'***' if name in self.__hidden__ else repr(getattr(self, name))}"
            for name in self.__slots__
        )
        return f"{type(self).__name__}({', '.join(shown)})"

    def replace(self: V, **changes: Any) -> V:
        """The same value with some fields changed."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        fields.update(changes)
        return type(self)(**fields)


def remembering(size: int) -> Callable[[Callable[[str], T]], Callable[[str], T]]:
    """A parser that knows the last `size` texts that it had: a server reads a From or a Via several
    times, and a user's To and Contact again with each refresh. For immutable values only."""

    def remember(parse: Callable[[str], T]) -> Callable[[str], T]:
        known = lru_cache(size)(parse)

        @wraps(parse)
        def recall(text: str) -> T:
            return known(text) if len(text) <= LONGEST else parse(text)

        return recall

    return remember
