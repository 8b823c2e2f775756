"""What a process tells of itself is served within bounds, and read by `headwater health`."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from headwater import sight_server
from headwater.errors import SettingsError
from headwater.health import SILENT, UNWELL, WELL, ask, place, told
from headwater.probes import free_port
from headwater.prometheus import CONTENT_TYPE
from headwater.sight import Sight, parse_address, served
from headwater.sight_server import MOST_CONNECTIONS, SightServer
from headwater.verdict import Verdict
from tests.servers import eventually, heard

GOOD = Verdict("worker", "w1", (), 1.25, 9.0, {"received": 3, "answered": 2})
BAD = Verdict("worker", "w1", ("the store is away", "frames wait"), None, 9.0, waits_for_others=True)
HUNG = Verdict("worker", "w1", ("one frame is in hand",), None, 9.0)


class Process:
    """Something that tells of itself."""

    def __init__(self) -> None:
        self.verdict = GOOD

    def sight(self) -> Sight:
        return Sight(lambda: b"a 1.0\n", lambda: self.verdict)


@contextmanager
def serving(process: Process) -> Iterator[int]:
    """Serve on a free port; return it."""
    with SightServer("127.0.0.1", 0, process.sight()) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def asked(port: int, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of an answer."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    link.request(method, path)
    answer = link.getresponse()
    found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    link.close()
    return found


def test_metrics_health_and_alive_are_all_there_is() -> None:
    """They answer, with their types; other paths are 404, other methods 405."""
    process = Process()
    with serving(process) as port:
        status, headers, body = asked(port, "/metrics")
        assert (status, headers["content-type"], body) == (200, CONTENT_TYPE, b"a 1.0\n")
        status, headers, body = asked(port, "/health?verbose=1")
        assert (status, headers["content-type"], json.loads(body)["status"]) == (200, "application/json", "well")
        process.verdict = BAD
        assert (asked(port, "/health")[0], asked(port, "/alive")[0]) == (503, 200)
        process.verdict = HUNG
        assert (asked(port, "/health")[0], asked(port, "/alive")[0]) == (503, 503)
        assert [asked(port, path)[0] for path in ("/", "/metrics/", "/health/x")] == [404] * 3
        for method in ("POST", "HEAD", "DELETE", "NONSENSE"):
            status, headers, _ = asked(port, "/metrics", method)
            assert (status, headers["allow"], headers["server"]) == (405, "GET", "headwater")


def test_what_is_no_http_harms_nobody() -> None:
    """Nonsense, a line without end and a client that goes away leave the server answering."""
    with serving(Process()) as port:
        for sent in (b"\x16\x03\x01\x00\xff\r\n\r\n", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", b""):
            with socket.create_connection(("127.0.0.1", port)) as link:
                link.sendall(sent)
        assert asked(port, "/health")[0] == 200


def test_connections_are_bounded_in_number_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends nothing, or a byte now and then, is cut off; until then one too many is closed unanswered."""
    monkeypatch.setattr(sight_server, "LONGEST_S", 1.0)
    with serving(Process()) as port:
        began_s = time.monotonic()
        slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(MOST_CONNECTIONS)]
        for link in slow:
            with suppress(OSError):  # cut off already, on a machine that was busy elsewhere
                link.sendall(b"GET /health HTTP/1.1\r\nA: ")
        with socket.create_connection(("127.0.0.1", port), timeout=10) as late:
            assert late.recv(1) == b""
        for link in slow:
            heard(link)
            link.close()
        assert time.monotonic() - began_s >= 1.0
        assert eventually(lambda: ask(f"127.0.0.1:{port}")[0] == WELL)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),
        ("host.example:65535", ("host.example", 65535)),
        ("[::1]:9464", ("::1", 9464)),
    ],
)
def test_addresses_are_read(text: str, address: tuple[str, int]) -> None:
    """A bare port is this machine's alone."""
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "0", "65536", "x", ":9464", "::1:9464", "http://h:1", "h:1/metrics", "-1"])
def test_other_addresses_are_refused(text: str) -> None:
    """In one line that says what is expected."""
    with pytest.raises(SettingsError, match=r"expected \[HOST:\]PORT"):
        parse_address(text)


def test_a_process_is_in_sight_where_it_was_told_to_be() -> None:
    """Nowhere without an address; a port that is taken is one line; the port is free again afterwards."""
    with served(None, Process().sight()):
        pass
    port = free_port()
    for _ in range(2):
        with served(f"127.0.0.1:{port}", Process().sight()):
            assert asked(port, "/health")[0] == 200
            with (
                pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1:{port}"),
                served(str(port), Process().sight()),
            ):
                pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_health_is_one_line_and_a_status() -> None:
    """Well is 0 with the counts, unwell 1 with the reasons, nobody there 2; /alive is 1 only where a restart helps."""
    process = Process()
    with serving(process) as port:
        assert ask(str(port)) == (WELL, "well: worker w1, last finished 1.2 s ago, received 3, answered 2")
        assert told(str(port)) == (WELL, asked(port, "/metrics")[2].decode().rstrip("\n"))
        process.verdict = BAD
        assert ask(f"http://localhost:{port}/health") == (UNWELL, "unwell: worker w1: the store is away; frames wait")
        assert ask(f"127.0.0.1:{port}/alive") == (
            WELL,
            "alive: worker w1, unwell for what a restart would not mend: the store is away; frames wait",
        )
        process.verdict = HUNG
        assert ask(f"http://127.0.0.1:{port}/alive") == (UNWELL, "unwell: worker w1: one frame is in hand")
        assert ask(f"127.0.0.1:{port}/metrics")[0] == ask(f"127.0.0.1:{port}/nothing")[0] == SILENT
    status, line = ask(str(port))
    assert (status, line.startswith(f"no answer from {port}: ")) == (SILENT, True)
    assert ask("what is this")[0] == told("what is this")[0] == told(str(port))[0] == SILENT


def test_a_process_that_hangs_is_not_waited_for() -> None:
    """Somebody who takes the connection and says nothing is silent after the patience."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert ask(f"127.0.0.1:{silent.getsockname()[1]}", patience_s=0.2)[0] == SILENT


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("9464", ("127.0.0.1", 9464, "/health")),
        ("0.0.0.0:9464", ("127.0.0.1", 9464, "/health")),
        ("[::]:9464", ("::1", 9464, "/health")),
        ("http://worker.example:8080/", ("worker.example", 8080, "/health")),
        ("http://h/health", ("h", 80, "/health")),
        ("h:1/other/health", ("h", 1, "/other/health")),
        ("127.0.0.1:9464/alive", ("127.0.0.1", 9464, "/alive")),
    ],
)
def test_where_to_ask(url: str, found: tuple[str, int, str]) -> None:
    """Whole and short addresses; what listens on every address is asked on this machine."""
    assert place(url) == found


def test_the_module_runs_alone_with_the_standard_library() -> None:
    """`python -m headwater.health` loads nothing that is not Python's own, and takes the address from the variable."""
    code = (
        "import runpy, sys\n"
        "try: runpy.run_module('headwater.health', run_name='__main__')\n"
        "except SystemExit as end: status = end.code\n"
        "own = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(status, sorted(name for name in own if not name.startswith('_')))\n"
    )
    process = Process()
    with serving(process) as port:
        variables = {"HEADWATER_METRICS": f"0.0.0.0:{port}", "PYTHONPATH": ":".join(sys.path)}
        ran = subprocess.run(
            [sys.executable, "-S", "-c", code], env=variables, capture_output=True, text=True, check=True, timeout=60
        )
    assert ran.stdout.splitlines() == [
        "well: worker w1, last finished 1.2 s ago, received 3, answered 2",
        "0 ['headwater']",
    ]


def test_who_tells_nobody_loads_nothing_for_it() -> None:
    """Device and worker without --metrics carry neither prometheus_client nor a server."""
    code = (
        "import sys, edge.commands, edge.device, cloud_worker.commands, cloud_worker.process\n"
        "print(sorted({'prometheus_client', 'headwater.sight_server', 'http.server'} & set(sys.modules)))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    assert ran.stdout == "[]\n"
