"""Where finished frames are kept: Redis or Valkey streams, each frame once."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final, Protocol

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from headwater.errors import SettingsError, StoreError
from headwater.logs import without_password
from headwater.messages import Record, StoredJourney, encode_json

FRAMES_PER_BITMAP: Final = 65536
"""One bitmap of 8 KiB tells which of so many frames in a row were seen."""
BITMAPS: Final = 64
"""So many of each device are kept, 0.5 MiB; the oldest is forgotten for a new one. Whoever invents sequence numbers or
boots can so make a store forget its own frames, and no other device's."""
SEEN_FOR_S: Final = 365 * 24 * 3600
ANSWER_S: Final = 5.0
CONNECT_S: Final = 2.0

# KEYS: the stream, then of each record its bitmap and the list of its device's bitmaps. ARGV: the stream's length, the
# bitmaps' life in seconds, how many a device may have, then place in the bitmap and JSON of each record. A script is
# one step: no other client sees or makes half of it. The mark is set after the entry is added, so that an error between
# the two can never make a frame count as seen and be lost. EXPIRE tells whether there is such a bitmap.
SEEN_AND_ADD: Final = """
local new = {}
for i = 1, (#KEYS - 1) / 2 do
  local bitmap, known, place, record = KEYS[2 * i], KEYS[2 * i + 1], ARGV[2 * i + 2], ARGV[2 * i + 3]
  new[i] = 1 - redis.call('GETBIT', bitmap, place)
  if new[i] == 1 then
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'record', record)
    local is_known = redis.call('EXPIRE', bitmap, ARGV[2])
    redis.call('SETBIT', bitmap, place, 1)
    if is_known == 0 then
      redis.call('EXPIRE', bitmap, ARGV[2])
      redis.call('LREM', known, 0, bitmap)
      if redis.call('RPUSH', known, bitmap) > tonumber(ARGV[3]) then
        redis.call('DEL', redis.call('LPOP', known))
      end
    end
    redis.call('EXPIRE', known, ARGV[2])
  end
end
return new
"""


class Store(Protocol):
    """Keeps what was finished."""

    def add(self, records: Sequence[Record]) -> list[bool]:
        """Keep each record that was not kept before, and return for each whether it was new. Raises: StoreError."""

    def add_journeys(self, journeys: Sequence[StoredJourney]) -> None:
        """Keep journeys. Raises: StoreError."""


class RedisStore:
    """The store in a Redis or Valkey server."""

    def __init__(self, url: str, fleet: str, *, history: int = 100_000, seen_for_s: int = SEEN_FOR_S) -> None:
        self._url, self._prefix = without_password(url), f"headwater:{fleet}"
        self._history, self._seen_for_s = history, seen_for_s
        try:
            self._client = redis.Redis.from_url(
                url, socket_connect_timeout=CONNECT_S, socket_timeout=ANSWER_S, retry=Retry(NoBackoff(), 0)
            )
        except ValueError:  # its text may quote the password
            raise SettingsError(f"store: got {self._url!r}, expected redis://HOST[:PORT][/DB]; correct it") from None
        self._seen_and_add = self._client.register_script(SEEN_AND_ADD)

    def ping(self) -> None:
        """Return when the server has answered. Raises: StoreError."""
        try:
            self._client.ping()
        except redis.RedisError as error:
            raise self._away(error) from error

    def add(self, records: Sequence[Record]) -> list[bool]:
        """Keep each record that was not kept before, and return for each whether it was new. Raises: StoreError."""
        keys = [f"{self._prefix}:results"]
        arguments: list[int | bytes] = [self._history, self._seen_for_s, BITMAPS]
        for record in records:
            keys.append(self.bitmap(record.device, record.boot, record.sequence))
            keys.append(f"{self._prefix}:seen:{record.device}")
            arguments += [record.sequence % FRAMES_PER_BITMAP, encode_json(record)]
        try:
            return [bool(new) for new in self._seen_and_add(keys, arguments)]
        except redis.OutOfMemoryError as error:
            raise self._full() from error
        except redis.RedisError as error:
            raise self._away(error) from error

    def add_journeys(self, journeys: Sequence[StoredJourney]) -> None:
        """Keep journeys, in one round trip. Raises: StoreError."""
        pipeline = self._client.pipeline(transaction=False)
        for journey in journeys:
            entry = {"journey": encode_json(journey)}
            pipeline.xadd(f"{self._prefix}:journeys", entry, maxlen=self._history, approximate=True)  # type: ignore[arg-type]
        try:
            pipeline.execute()
        except redis.RedisError as error:
            raise self._away(error) from error

    def bitmap(self, device: str, boot: str, sequence: int) -> str:
        """Return the key of the bitmap that tells whether a frame was seen."""
        return f"{self._prefix}:seen:{device}:{boot}:{sequence // FRAMES_PER_BITMAP}"

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _full(self) -> StoreError:
        """Return the error of a store without memory, after taking out what is over `history`: that still works."""
        for name in ("results", "journeys"):
            with contextlib.suppress(redis.RedisError):
                self._client.xtrim(f"{self._prefix}:{name}", maxlen=self._history, approximate=False)
        return StoreError(
            f"store {self._url} is full (its maxmemory); lower --history (now {self._history}) or give it more memory"
        )

    def _away(self, error: redis.RedisError) -> StoreError:
        reason = str(error) or type(error).__name__
        return StoreError(f"no store at {self._url}: {reason}; start one with: headwater store run")
