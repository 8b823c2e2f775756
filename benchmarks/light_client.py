"""A client of MQTT 5 that costs next to nothing, so that the worker is measured: as light as the peers' clients.

One frame is encoded once; its sequence number and packet id are written into the packet. Answers are counted, and the
last is kept.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

FIRST_SEQUENCE: Final = 1 << 16
"""From here on to 2^32 MessagePack writes a whole number as 0xce and four bytes."""
UNACKNOWLEDGED: Final = 10
"""How many of our messages the broker may still have to acknowledge; no common broker's Receive Maximum is smaller."""
SILENCE_S: Final = 30.0
_CONNACK, _PUBLISH, _PUBACK, _SUBACK = 2, 3, 4, 9
# Source: MQTT 5.0, sections 2.1 (fixed header), 3.1 (CONNECT), 3.3 (PUBLISH), 3.8 (SUBSCRIBE).


class LightClient:
    """Publishes one frame again and again under new numbers and counts the answers."""

    def __init__(self, broker: str, topic: str, answers: str, message: bytes) -> None:
        """Connect and subscribe; the message is that of frame FIRST_SEQUENCE."""
        at = urlsplit(broker)
        self._socket = socket.create_connection((str(at.hostname), at.port or 1883), timeout=SILENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        self.published = self.answered = self.acknowledged = 0
        self.last_answer = b""
        """The whole packet."""
        self._ask(0x10, _text(b"MQTT") + b"\x05\x02\x00\x00\x00" + _text(b"light"), _CONNACK)
        self._ask(0x82, b"\x00\x01\x00" + _text(answers.encode()) + b"\x00", _SUBACK)
        body = _text(topic.encode())
        head = b"\x32" + _length(len(body) + 3 + len(message)) + body
        self._packet = bytearray(head + b"\x00\x00\x00" + message)
        self._id_at, number = len(head), b"\xce" + FIRST_SEQUENCE.to_bytes(4, "big")
        if message.count(number) != 1:
            raise ValueError("the frame's number does not stand exactly once in its message; take another first number")
        self._number_at = self._packet.index(number, len(head)) + 1

    def run(self, window: int, seconds: float) -> None:
        """Keep so many frames under way for so long. Raises: TimeoutError when nothing comes back."""
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            while self.published - self.answered < window and self.published - self.acknowledged < UNACKNOWLEDGED:
                self._publish()
            self._read()

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _publish(self) -> None:
        packet_id = self.published % 0xFFFF + 1
        self._packet[self._id_at : self._id_at + 2] = packet_id.to_bytes(2, "big")
        number = FIRST_SEQUENCE + self.published
        self._packet[self._number_at : self._number_at + 4] = number.to_bytes(4, "big")
        self._socket.sendall(self._packet)
        self.published += 1

    def _read(self) -> None:
        for kind, packet in self._packets():
            self.acknowledged += kind == _PUBACK
            if kind == _PUBLISH:
                self.answered += 1
                self.last_answer = packet

    def _ask(self, head: int, body: bytes, answer: int) -> None:
        self._socket.sendall(bytes([head]) + _length(len(body)) + body)
        while answer not in [kind for kind, _ in self._packets()]:
            pass

    def _packets(self) -> Iterator[tuple[int, bytes]]:
        """Yield the packets that are there, each with its kind, after waiting for the first bytes."""
        found = self._socket.recv(1 << 18)
        if not found:
            raise ConnectionError("the broker hung up")
        self._received += found
        at = 0
        while (end := _end(self._received, at)) is not None:
            yield self._received[at] >> 4, bytes(self._received[at:end])
            at = end
        del self._received[:at]


def _end(received: bytearray, at: int) -> int | None:
    """Return where the packet that begins at a place ends; None if it is not all there."""
    length = shift = 0
    for place in range(at + 1, min(at + 5, len(received))):
        length |= (received[place] & 0x7F) << shift
        shift += 7
        if received[place] < 0x80:
            return place + 1 + length if place + 1 + length <= len(received) else None
    return None


def _length(value: int) -> bytes:
    digits = bytearray()
    while True:
        value, digit = value >> 7, value & 0x7F
        digits.append(digit | (0x80 if value else 0))
        if not value:
            return bytes(digits)


def _text(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value
