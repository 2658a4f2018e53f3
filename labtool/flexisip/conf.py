"""flexisip.conf as a release takes it: the values it runs with, or why it refuses to start."""

from __future__ import annotations

from collections.abc import Callable, Collection

from labtool.flexisip.findings import Refusal
from labtool.flexisip.releases import LATEST, version
from labtool.flexisip.settings import PACKAGED
from labtool.flexisip.startup import REWORDED, Judgement
from labtool.flexisip.values import Conf

__all__ = ["Conf", "as_logged", "read", "values"]


def read(
    content: str | bytes,
    release: str = LATEST,
    *,
    path: str = "/etc/flexisip/flexisip.conf",
    exists: Callable[[str], bool | None] = lambda _path: None,
    overridden: Collection[str] = (),
    features: Collection[str] = PACKAGED,
) -> Conf | Refusal:
    """The values that ``release`` runs with, or the refusal that it answers the file with.

    ``exists`` says whether a file that the configuration names is there: None (it cannot be known
    here) counts as there. ``overridden`` are settings (``section/key``) that the command line
    replaces, whose values in the file are therefore not judged. Raises ValueError on a bad release.
    """
    judged = Judgement(content, release, path, exists, overridden, features)
    for problems in judged.stages():
        if problems:
            last = problems[-1]
            text = "\n".join(problem.text for problem in problems)
            return Refusal(text, last.returncode, problems[0].line)
    return judged.conf


def values(content: str | bytes, release: str = LATEST) -> Conf:
    """The values of a file, whether or not the release would start on it."""
    return Judgement(content, release, "", lambda _path: None, (), PACKAGED).conf


def as_logged(refusal: Refusal, release: str = LATEST) -> str:
    """A refusal as the server writes it to its standard error, logger's prefix included."""
    if version(release) < REWORDED:
        return refusal.text
    *before, last = refusal.text.split("\n")
    why = "Exit failure" if refusal.returncode == 255 else "Error, caught an unexpected exception"
    lines = [f"flexisip-error- FileConfigReader::containsUnreadItems - {text}" for text in before]
    return "\n".join([*lines, f"flexisip-error- Flexisip::main - {why}: {last}"])
