"""The values that a configuration makes a server run with, and how a value is read.

Source: the reading functions of Flexisip's ConfigValue classes; agrees with the recordings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from labtool.flexisip.conffile import ConfFile, Item
from labtool.flexisip.settings import schema

TRUE = ("true", "1")
FALSE = ("false", "0")

MILLISECONDS = {
    "ms": 1,
    "s": 1000,
    "min": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    # A mean month and year of the Gregorian calendar, as std::chrono has them.
    "m": 2_629_746_000,
    "y": 31_556_952_000,
}
DURATION = re.compile(r"([0-9]+)(|ms|s|min|h|d|m|y)")
_NUMBER = re.compile(r"[ \t\n\v\f\r]*([+-]?)0*([0-9]+)")
# More digits overflow whatever reads them, by ten or by a thousand.
_MOST_DIGITS = 40
_LIST = re.compile(r"[ \n,]+")


@dataclass(frozen=True)
class Conf:
    """A configuration that the release starts on.

    values: of every setting that the release knows, by (section, key) as declared, defaults
    included. items: where in the file a value was set, by the same pair.
    """

    release: str
    values: Mapping[tuple[str, str], str]
    items: Mapping[tuple[str, str], Item] = field(repr=False, default_factory=dict)
    file: ConfFile = field(repr=False, default_factory=ConfFile)

    def text(self, section: str, key: str) -> str:
        """The value as it stands; "" for a setting that the release does not know."""
        return self.values.get((section, key), "")

    def flag(self, section: str, key: str) -> bool:
        return self.text(section, key) in TRUE

    def words(self, section: str, key: str) -> tuple[str, ...]:
        """A list's members: separated by spaces and commas, not by tabs."""
        return words(self.text(section, key))

    def number(self, section: str, key: str) -> int:
        """The number that the value starts with, as atoi() and stoi() read it; 0 if none does."""
        return number(self.text(section, key)) or 0

    def seconds(self, section: str, key: str) -> float:
        """A duration in seconds, whatever unit it is written in; its own unit where none is."""
        known = schema(self.release).find(section, key)
        return milliseconds(self.text(section, key), known.kind if known else "s") / 1000

    def ports(self, section: str, key: str) -> tuple[int, int]:
        """A range ``LOW-HIGH``, or a single number as both."""
        low, dash, high = self.text(section, key).partition("-")
        return number(low) or 0, (number(high) or 0) if dash else (number(low) or 0)

    def media_ports(self) -> tuple[int, int]:
        """The ports of the media relay (RTP and RTCP), by whichever keys the release has."""
        relay = "module::MediaRelay"
        low, high = (
            self.number(relay, "sdp-port-range-min"),
            self.number(relay, "sdp-port-range-max"),
        )
        if (relay, "sdp-port-range") not in self.values:
            return low, high
        old_name_is_used = {"sdp-port-range-min", "sdp-port-range-max"} & {
            key for section, key in self.items if section == relay
        }
        if old_name_is_used and (relay, "sdp-port-range") not in self.items:
            return low, high
        return self.ports(relay, "sdp-port-range")


def words(value: str) -> tuple[str, ...]:
    return tuple(word for word in _LIST.split(value) if word)


def number(value: str) -> int | None:
    match = _NUMBER.match(value)
    return int(match.group(1) + match.group(2)[:_MOST_DIGITS]) if match else None


def milliseconds(value: str, unit: str = "s") -> int:
    """``5min`` as milliseconds; ``unit`` counts where none is written. 0 if it is none."""
    match = DURATION.fullmatch(value)
    if match is None:
        return (number(value) or 0) * MILLISECONDS[unit if unit in MILLISECONDS else "s"]
    return (number(match.group(1)) or 0) * MILLISECONDS[match.group(2) or unit]
