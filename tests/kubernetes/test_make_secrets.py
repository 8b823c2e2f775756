"""kubernetes/make-secrets writes what the overlays' Secrets are made of, once."""

from __future__ import annotations

import csv
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.kubernetes.cluster import ROOT, make_secrets
from tests.servers import need

NAMES = ("edge", "worker", "visualizer", "store")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The scripts, and nothing written yet."""
    need("openssl")
    for name in ("kubernetes/make-secrets", "compose/make-secrets", "compose/make-certificates"):
        copy = tmp_path / name
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, copy)
    (tmp_path / "kubernetes/secrets/tls").mkdir(parents=True)
    return tmp_path


def test_passwords_are_those_of_compose_without_the_line_s_end(folder: Path) -> None:
    """Redis and EMQX take a Secret's value as it is; the files are their owner's alone, and no certificate is made."""
    make_secrets(folder=folder)
    secrets = folder / "kubernetes/secrets"
    for name in NAMES:
        written = (secrets / f"{name}_password").read_text()
        assert written == (folder / f"compose/secrets/{name}_password").read_text().rstrip("\n")
        assert len(written) == 32
        assert stat.S_IMODE((secrets / f"{name}_password").stat().st_mode) == 0o600
    assert list((secrets / "tls").iterdir()) == []


def test_certificates_name_the_services_and_what_was_given(folder: Path) -> None:
    """The authority has signed them; EMQX's users are three with their passwords; names again change nothing."""
    make_secrets("broker.example", "203.0.113.10", folder=folder)
    tls = folder / "kubernetes/secrets/tls"
    before = {path.name: path.read_bytes() for path in tls.iterdir()}
    for name, more in (("broker", ["DNS:broker.example", "IP Address:203.0.113.10"]), ("store", [])):
        file = str(tls / f"{name}_certificate")
        shown = subprocess.run(
            ["openssl", "x509", "-in", file, "-noout", "-ext", "subjectAltName"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert all(one in shown for one in [f"DNS:{name}", *more])
        subprocess.run(["openssl", "verify", "-CAfile", str(tls / "ca"), file], check=True, capture_output=True)
    with (tls / "broker_users.csv").open() as file:
        users = list(csv.DictReader(file))
    assert [(user["user_id"], user["is_superuser"]) for user in users] == [(name, "false") for name in NAMES[:3]]
    for user in users:
        assert user["password"] == (folder / f"kubernetes/secrets/{user['user_id']}_password").read_text()
    make_secrets("broker.example", folder=folder)
    assert {path.name: path.read_bytes() for path in tls.iterdir()} == before


@pytest.mark.parametrize("more", ["other.example", "203.0.113.11", "2001:db8::1"])
def test_a_certificate_without_a_name_that_is_asked_for_is_an_error(folder: Path, more: str) -> None:
    """One line says how to make it anew and nothing is changed; then there is one for all names, with the same key."""
    names = ["broker.example", "203.0.113.10", more]
    make_secrets(*names[:2], folder=folder)
    tls, made = folder / "kubernetes/secrets/tls", folder / "compose/secrets/broker_certificate"
    before = {path.name: path.read_bytes() for path in tls.iterdir()}
    done = subprocess.run([folder / "kubernetes/make-secrets", *names], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"make-certificates: {made} is not for {more}; make it anew: " + (
        f"compose/make-certificates --renew {' '.join(names)}\n"
    )
    assert {path.name: path.read_bytes() for path in tls.iterdir()} == before
    make_secrets("--renew", more, folder=folder)
    make_secrets(*names, folder=folder)
    changed = {path.name for path in tls.iterdir() if path.read_bytes() != before[path.name]}
    assert changed == {"broker_certificate", "store_certificate"}


def test_the_authority_s_key_may_be_elsewhere(folder: Path) -> None:
    """What is there is taken without it."""
    make_secrets("broker.example", folder=folder)
    (folder / "compose/secrets/ca_key").rename(folder / "elsewhere")
    tls = folder / "kubernetes/secrets/tls"
    before = {path.name: path.read_bytes() for path in tls.iterdir()}
    make_secrets("broker.example", folder=folder)
    assert {path.name: path.read_bytes() for path in tls.iterdir()} == before


def test_devices_with_a_password_of_their_own_are_users_of_the_broker(folder: Path) -> None:
    """Those that compose/make-secrets was told of, in the same words; what explains that file is no user."""
    subprocess.run([folder / "compose/make-secrets", "camera-1", "quay.2"], check=True, capture_output=True, timeout=60)
    make_secrets("broker.example", folder=folder)
    with (folder / "kubernetes/secrets/tls/broker_users.csv").open() as file:
        users = {user["user_id"]: user["password"] for user in csv.DictReader(file)}
    lines = (folder / "compose/secrets/device_passwords").read_text().splitlines()
    wanted = dict(line.split(":") for line in lines if not line.startswith("#"))
    assert set(wanted) == {"camera-1", "quay.2"}
    assert users == wanted | {name: users[name] for name in NAMES[:3]}
