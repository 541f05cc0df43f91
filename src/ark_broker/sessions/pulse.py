"""How busy a session was over its life, in a few numbers: what a sparkline is drawn from."""

from __future__ import annotations

from typing import Final

import msgspec

#: Slices at most. Where a life outgrows them, each becomes twice as long.
MAX_SLICES: Final = 24
#: The shortest slice is 2**27 nanoseconds, about an eighth of a second.
_FINEST: Final = 27


class Pulse(msgspec.Struct, array_like=True, gc=False):
    """Events by slice of time. A slice is 2**`shift` nanoseconds, and begins at a multiple of that.

    So two slices make exactly one of the next length, and which length it is depends on nothing but the earliest and
    the latest time: the order of events changes nothing.
    """

    shift: int = _FINEST
    #: Which slice since the epoch the first count is of.
    first: int = 0
    counts: list[int] = msgspec.field(default_factory=list)

    def add(self, time: int) -> None:
        """Count one event, at `time` in nanoseconds."""
        counts = self.counts
        at = (time >> self.shift) - self.first
        if 0 <= at < len(counts):
            counts[at] += 1
        elif not counts:
            self.first = time >> self.shift
            counts.append(1)
        else:
            self._reach(time)

    def _reach(self, time: int) -> None:
        """Count an event outside the slices that there are."""
        at = time >> self.shift
        first, last = min(self.first, at), max(self.first + len(self.counts) - 1, at)
        while last - first >= MAX_SLICES:
            self._double()
            at, first, last = at >> 1, first >> 1, last >> 1
        counts = [0] * (last - first + 1)
        for index, count in enumerate(self.counts, self.first - first):
            counts[index] = count
        counts[at - first] += 1
        self.first, self.counts = first, counts

    def _double(self) -> None:
        first = self.first >> 1
        counts = [0] * (((self.first + len(self.counts) - 1) >> 1) - first + 1)
        for index, count in enumerate(self.counts, self.first):
            counts[(index >> 1) - first] += count
        self.shift, self.first, self.counts = self.shift + 1, first, counts
