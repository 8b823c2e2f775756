"""A link of a set bandwidth between two network namespaces of our own. For root, on Linux with `ip` and `tc`."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from headwater.errors import MissingPart, SettingsError

DEVICE, WORKER, BITS = "198.18.0.1", "198.18.0.2", 30
"""Addresses for benchmarks, which no network uses. Source: RFC 2544, appendix C.2.2."""
PACKET_BYTES: Final = 1_540
"""What an idle token bucket lets pass at once: one packet, the least that works, …"""
BURST_S: Final = 2e-4
"""… and on a fast link as many as this holds: the kernel's timers are not finer, and the rate would not be reached."""
_QUEUE: Final = "32mb"
_CLONE_NEWNET: Final = 0x40000000  # Source: sched.h
_FILL: Final = bytes(PACKET_BYTES - 42)  # with the headers of UDP, IPv4 and Ethernet it is one full packet
_DISCARD_PORT: Final = 9  # Source: RFC 863


class ShapedLink:
    """Two namespaces joined by a pair of interfaces; what the device sends is held to a rate."""

    def __init__(self) -> None:
        """Raises: MissingPart, SettingsError."""
        for program in ("ip", "tc"):
            if shutil.which(program) is None:
                raise MissingPart(program, "a link of a set bandwidth", "install iproute2")
        pid = os.getpid()
        self._device, self._worker = f"headwater-{pid}-device", f"headwater-{pid}-worker"
        self._ends = f"hd{pid}", f"hw{pid}"
        with contextlib.ExitStack() as half_made:  # also when Ctrl-C comes between
            half_made.callback(self.remove)
            self._make()
            half_made.pop_all()

    def _make(self) -> None:
        here, there = self._ends
        _call("ip", "netns", "add", self._device)
        _call("ip", "netns", "add", self._worker)
        _call("ip", "link", "add", here, "netns", self._device, "type", "veth", "peer", there, "netns", self._worker)
        for name, end, address in ((self._device, here, DEVICE), (self._worker, there, WORKER)):
            _call("ip", "-n", name, "addr", "add", f"{address}/{BITS}", "dev", end)
            _call("ip", "-n", name, "link", "set", "lo", "up")
            _call("ip", "-n", name, "link", "set", end, "up")

    def shape(self, bits_per_s: float) -> None:
        """Let the device send so much; headers of packets count, as on a real line."""
        burst = str(burst_packets(bits_per_s) * PACKET_BYTES)
        rate = ["rate", f"{round(bits_per_s)}bit", "burst", burst, "limit", _QUEUE]
        _call("tc", "-n", self._device, "qdisc", "replace", "dev", self._ends[0], "root", "tbf", *rate)

    def lose(self, share: float) -> None:
        """Let this share of the packets vanish, both ways, until it is 0 again. Raises: MissingPart, SettingsError."""
        if shutil.which("iptables") is None:
            raise MissingPart("iptables", "a link that loses packets", "install it")
        chance = ["-m", "statistic", "--mode", "random", "--probability", str(share), "-j", "DROP"]
        for end, side in zip(self._ends, (self.at_device, self.at_worker), strict=True):
            _call(*side(["iptables", "-F", "INPUT"]))
            if share:
                _call(*side(["iptables", "-A", "INPUT", "-i", end, *chance]))

    def take_down(self) -> None:
        """Let every packet vanish, as where a cable is pulled: nobody is told."""
        _call("ip", "-n", self._device, "link", "set", self._ends[0], "down")

    def bring_up(self) -> None:
        """Let packets pass again."""
        _call("ip", "-n", self._device, "link", "set", self._ends[0], "up")

    def at_worker(self, command: Sequence[str]) -> list[str]:
        """Return a command that runs on the worker's side."""
        return ["ip", "netns", "exec", self._worker, *command]

    def at_device(self, command: Sequence[str]) -> list[str]:
        """Return a command that runs on the device's side."""
        return ["ip", "netns", "exec", self._device, *command]

    @contextmanager
    def inside_device(self) -> Iterator[None]:
        """Hold this thread on the device's side: sockets made meanwhile stay there."""
        with _inside(self._device):
            yield

    @contextmanager
    def inside_worker(self) -> Iterator[None]:
        """Hold this thread on the worker's side: sockets made meanwhile stay there."""
        with _inside(self._worker):
            yield

    def remove(self) -> None:
        """Take both namespaces away, and with them the link; also when Ctrl-C comes meanwhile."""
        try:
            self._remove()
        except KeyboardInterrupt:
            self._remove()
            raise

    def _remove(self) -> None:
        for name in (self._device, self._worker):
            with contextlib.suppress(SettingsError):
                _call("ip", "netns", "del", name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def burst_packets(bits_per_s: float) -> int:
    """Return how many packets an idle link lets pass at once."""
    return max(1, round(bits_per_s * BURST_S / 8 / PACKET_BYTES))


def drain(filler: socket.socket, bits_per_s: float) -> None:
    """Take an idle link's head start away: a bucket of tokens lets the first packets pass at no time.

    Once it is full again, as many packets that nobody reads, from a UDP socket on the device's side, empty it, and
    what follows at once takes its full time.
    """
    packets = burst_packets(bits_per_s)
    time.sleep(1.2 * packets * PACKET_BYTES * 8 / bits_per_s)
    for _ in range(packets):
        filler.sendto(_FILL, (WORKER, _DISCARD_PORT))


@contextmanager
def _inside(namespace: str) -> Iterator[None]:
    """Hold this thread in a namespace: sockets made meanwhile stay there. Source: setns(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open("rb") as home, Path(f"/run/netns/{namespace}").open("rb") as wanted:
        if libc.setns(wanted.fileno(), _CLONE_NEWNET):
            raise SettingsError(f"namespace {namespace}: {os.strerror(ctypes.get_errno())}; run as root")
        try:
            yield
        finally:
            libc.setns(home.fileno(), _CLONE_NEWNET)


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = " ".join((done.stderr or done.stdout).split())
        raise SettingsError(
            f"a link of our own: `{' '.join(command)}` said {reason!r}; run as root on a Linux with network "
            "namespaces, the tbf queue, and iptables' `statistic` where packets are to be lost"
        )
