"""A store that is two lists."""

from __future__ import annotations

from headwater.errors import StoreError
from headwater.messages import Record, StoredJourney, encode_json
from visualizer.reader import Entry, entry_order


class ListedStore:
    """Answers as a Redis does; with `away` it is not there."""

    def __init__(self) -> None:
        self.streams: dict[str, list[Entry]] = {"results": [], "journeys": []}
        self.next_id, self.away = 1000, False

    def add_at(self, at_ms: int, record: Record) -> None:
        """Append a record that is stored at that time."""
        self.next_id = at_ms - 1
        self.add(record)

    def add(self, message: Record | StoredJourney) -> str:
        """Append a record or a journey."""
        return self.add_raw("results" if isinstance(message, Record) else "journeys", encode_json(message))

    def add_raw(self, kind: str, content: bytes) -> str:
        """Append anything."""
        self.next_id += 1
        self.streams[kind].append((f"{self.next_id}-0", content))
        return f"{self.next_id}-0"

    def newest(self, kind: str, count: int) -> list[Entry]:
        """Return the newest entries, oldest first."""
        self._refuse_when_away()
        return self.streams[kind][-count:]

    def wait(self, after: dict[str, str], timeout_s: float) -> dict[str, list[Entry]]:
        """Return what is newer, at once."""
        self._refuse_when_away()
        newer = {k: [e for e in self.streams[k] if entry_order(e[0]) > entry_order(last)] for k, last in after.items()}
        return {kind: page for kind, page in newer.items() if page}

    def between(self, kind: str, start: str, end: str, count: int) -> list[Entry]:
        """Return entries of a span."""
        self._refuse_when_away()
        first = (0, 0) if start == "-" else entry_order(start)
        last = (2**63, 0) if end == "+" else entry_order(end) if "-" in end else (int(end), 2**63)
        return [e for e in self.streams[kind] if first <= entry_order(e[0]) <= last][:count]

    def _refuse_when_away(self) -> None:
        if self.away:
            raise StoreError("store: away")
