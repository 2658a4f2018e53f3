"""The default configuration in print."""

from __future__ import annotations

from labtool.flexisip.settings import schema


def printed(release: str, *, commented: bool) -> str:
    """Every setting of a release with its default; `commented` switches the lines off.

    Commented is what the package ships, not commented is what `--dump-default all` prints. The
    prose that Flexisip prints with each setting is Flexisip's, and is not here.
    """
    mark = "#" if commented else ""
    lines = [f"## The default configuration of labtool's stand-in for Flexisip {release}."]
    for section, keys in schema(release).sections.items():
        settings = [setting for setting in keys.values() if setting.kind != "counter"]
        if settings:
            lines += ["", f"[{section}]"]
            lines += [f"{mark}{setting.key}={setting.default}" for setting in settings]
    return "\n".join(lines) + "\n"
