"""The clock of a capture that is set while it runs: where it goes back, and by how much."""

from __future__ import annotations

from collections.abc import Iterable

#: Nanoseconds: less than this is two interfaces, or two queues, that are not quite in order.
STEP_NS = 5_000_000_000
#: A clock is set a few times; more is a file whose frames are not in order of time.
_MOST = 3


def steps(times: Iterable[tuple[int, int]]) -> tuple[dict[int, int], list[int]] | None:
    """From frames and their times: what to add to the time of a frame and of all after it, in
    nanoseconds, so that time goes on from the frame before; and frames whose own time is wrong, as
    those around them tell. None where the frames are simply not in order.
    """
    back: dict[int, int] = {}
    wrong: list[int] = []
    top = before = last = -1
    stood = -1  # where time was before the last step
    previous = count = down = 0
    for frame, time in times:
        count += 1
        down += time < previous
        previous = time
        if stood >= 0 and time >= stood:
            back.pop(last)
            wrong.append(last)
            top = stood
        stood = -1
        if time > top:
            before, top = top, time
        elif top - time > STEP_NS:
            if 0 <= before <= time:
                wrong.append(last)
            else:
                back[frame] = top - time
                stood = top
            before, top = -1, time
        last = frame
        if len(back) + len(wrong) > _MOST:
            return None
    return None if down > max(count // 4, _MOST) else (back, wrong)
