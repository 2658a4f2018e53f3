"""Conversations: all that was said with one Call-ID, in transactions and on hops."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from labtool.trace.calls import Leg, legs
from labtool.trace.message import Message
from labtool.trace.messages import Columns, Kept
from labtool.trace.participants import Places
from labtool.trace.transactions import Transaction, transactions

#: Messages of conversations that are remembered, where not all are: those of several portions of
#: an analysis, so that what one function found is still there for the next.
_RECENT = 50_000


class Conversation(NamedTuple):
    """What it holds, in order of time. `legs` is empty where it is no call."""

    messages: list[Message]
    transactions: list[Transaction]
    legs: list[Leg]


class Conversations:
    """By their number, in order of the first message.

    Those of kept messages are kept too. Of messages in columns one is made when it is asked for:
    the same objects for as long as it is one of the recent ones.
    """

    def __init__(self, messages: Kept | Columns, places: Places) -> None:
        self._messages = messages
        self._places = places
        self._call_ids = messages.call_ids()
        self._numbers: dict[str, int] = {}
        self._made: dict[int, tuple[Conversation, int]] = {}
        self._left = None if isinstance(messages, Kept) else _RECENT

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self._call_ids)))

    def __getitem__(self, index: int) -> Conversation:
        found = self._made.get(index)
        if found is None:
            messages = self._messages.conversation(index)
            own, copies = transactions(messages)
            self._messages.note(index, messages, copies)
            size = len(messages)
            if copies:
                dropped = set(map(id, copies))
                messages = [m for m in messages if id(m) not in dropped]
            made = Conversation(messages, own, legs(own, self._places))
            found = self._made[index] = (made, size)
            self._forget(size)
        return found[0]

    def call_id(self, index: int) -> str:
        """The Call-ID of a conversation."""
        return self._call_ids[index]

    def number(self, call_id: str) -> int | None:
        """That of the conversation with this Call-ID."""
        if not self._numbers:
            self._numbers = {one: number for number, one in enumerate(self._call_ids)}
        return self._numbers.get(call_id)

    def _forget(self, more: int) -> None:
        if self._left is None:
            return
        self._left -= more
        while self._left < 0 and len(self._made) > 1:
            self._left += self._made.pop(next(iter(self._made)))[1]
