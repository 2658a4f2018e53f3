"""Naming a character in a sentence, for errors that must not show the whole of what was typed."""

from __future__ import annotations

_NAMES = {
    " ": "a space",
    "\t": "a tab",
    "\n": "a line break",
    "\r": "a carriage return",
    "\0": "a NUL",
    '"': "a double quote",
    "'": "an apostrophe",
    "`": "a backquote",
    "\\": "a backslash",
    ";": "a semicolon",
    ",": "a comma",
    ":": "a colon",
    ".": "a dot",
    "(": "a bracket",
    ")": "a bracket",
    "[": "a bracket",
    "]": "a bracket",
    "{": "a brace",
    "}": "a brace",
    "<": "an angle bracket",
    ">": "an angle bracket",
    "@": "an at sign",
    "#": "a number sign",
    "%": "a percent sign",
    "&": "an ampersand",
    "$": "a dollar sign",
    "/": "a slash",
    "?": "a question mark",
    "=": "an equals sign",
    "^": "a caret",
    "|": "a vertical bar",
    "_": "an underscore",
    "-": "a hyphen",
}


def name_of(character: str) -> str:
    """The kind of a character, with its article: ``a semicolon``, ``a letter outside ASCII``."""
    if character in _NAMES:
        return _NAMES[character]
    if ord(character) < 32 or 127 <= ord(character) < 160:
        return "a control character"
    if ord(character) > 127:
        return "a letter outside ASCII" if character.isalpha() else "a character outside ASCII"
    return f"the character {character}"


def shown(text: str, limit: int = 60) -> str:
    """Text in quotation marks on one line, shortened, with what cannot be seen made visible."""
    visible = repr(text if len(text) <= limit else text[: limit - 1] + "…")
    return f'"{visible[1:-1]}"'
