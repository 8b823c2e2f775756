"""A link between namespaces loses what it is told to, and is taken away whatever comes in between."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from evaluation import shaped_link
from evaluation.shaped_link import DEVICE, WORKER, ShapedLink
from tests.evaluation.test_regret_bench import namespaces, need_root
from tests.servers import eventually, need

PACKETS, AT_ONCE = 1_000, 200


@pytest.fixture
def ends() -> Iterator[tuple[ShapedLink, socket.socket, socket.socket]]:
    """A link, and a socket on each side that asks for no answer."""
    need_root()
    need("iptables")
    with ShapedLink() as link:
        with link.inside_device():
            device = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            device.bind((DEVICE, 0))
        with link.inside_worker():
            worker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            worker.bind((WORKER, 0))
        with device, worker:
            worker.settimeout(0.1)
            assert eventually(lambda: has_passed(device, worker)), "the link never came up"
            yield link, device, worker


def has_passed(sender: socket.socket, receiver: socket.socket) -> bool:
    """Return whether a packet comes to the other side; all that did are taken."""
    sender.sendto(b"x", receiver.getsockname())
    count = 0
    try:
        while receiver.recv(1):
            count += 1
    except TimeoutError:
        return count > 0


def arrived(sender: socket.socket, receiver: socket.socket) -> int:
    """Return how many of some packets come to the other side."""
    count = 0
    receiver.settimeout(1.0)
    for _ in range(PACKETS // AT_ONCE):
        for _ in range(AT_ONCE):
            sender.sendto(b"x", receiver.getsockname())
        try:
            while receiver.recv(1):
                count += 1
        except TimeoutError:
            continue
    return count


def test_a_link_loses_a_share_of_its_packets_either_way(
    ends: tuple[ShapedLink, socket.socket, socket.socket],
) -> None:
    """All pass, a fifth is lost in both directions, all pass again; 6 sigma of such a draw are 76 packets."""
    link, device, worker = ends
    assert arrived(device, worker) == PACKETS
    link.lose(0.2)
    assert all(abs(arrived(*pair) - 0.8 * PACKETS) < 80 for pair in ((device, worker), (worker, device)))
    link.lose(0)
    assert arrived(device, worker) == arrived(worker, device) == PACKETS


@pytest.mark.parametrize("at", [1, 2])
def test_a_removal_that_is_interrupted_is_completed(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Ctrl-C before the first or the second namespace is gone: both are, and the interrupt goes on."""
    need_root()
    link, call, calls = ShapedLink(), shaped_link._call, []

    def interrupted(*command: str) -> None:
        calls.append(command)
        if len(calls) == at:
            raise KeyboardInterrupt
        call(*command)

    monkeypatch.setattr(shaped_link, "_call", interrupted)
    with pytest.raises(KeyboardInterrupt):
        link.remove()
    assert not any(f"-{os.getpid()}-" in name for name in namespaces())
