"""The one act of the site: who may set a device, what is sent, and what the page and the log say of it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from headwater.messages import VERSION, SettingsApplied, SettingsChange, encode_json
from headwater.session import Address, Received
from tests.visualizer.door.asking import FakeSetter, Site, field, with_users
from visualizer.door.device_page import field_of, known_splits, wish
from visualizer.setter import DeviceSetter, changed

APPLIED = SettingsApplied(
    VERSION, "camera-1", "block_5_add", "native+zstd", "all", {"exit1": {"litter": 0.25}, "exit2": {"litter": 0.5}}
)
PATH = "/devices/camera-1"
THRESHOLD = field_of("exit1", "litter")


@pytest.fixture
def setter() -> FakeSetter:
    """What notes operators' wishes."""
    return FakeSetter(APPLIED)


@pytest.fixture
def site(tmp_path: Path, setter: FakeSetter) -> Site:
    """A site at which operators may set devices."""
    return with_users(tmp_path / "users", setter=setter)


def test_an_operator_sets_a_device_and_sees_its_answer(
    site: Site, setter: FakeSetter, caplog: pytest.LogCaptureFixture
) -> None:
    """What holds is shown first; only what was changed is sent; the log has who, what and from where."""
    caplog.set_level(logging.INFO)
    cookie = site.sign_in("sam").cookie
    page = site.ask(PATH, cookie=cookie)
    assert page.status == 200
    for word in ("camera-1", "online", "block_5_add", "native+zstd", 'value="0.25"', "exit2, litter", 'value="auto"'):
        assert word in page.text
    filled = {"token": field(page.text, "token"), "split": "auto", THRESHOLD: "0.3", field_of("exit2", "litter"): "0.5"}
    done = site.ask(PATH, filled, cookie=cookie)
    assert done.status == 200
    assert "The device has taken it." in done.text
    assert setter.asked == [("camera-1", "auto", {"exit1": {"litter": 0.3}})]
    assert (
        "operator sets device device=camera-1 user=sam split=auto thresholds=exit1/litter=0.3 address=127.0.0.1"
        in caplog.text.replace("'", "")
    )
    assert "device answered device=camera-1 user=sam split=auto" in caplog.text


def test_a_viewer_can_neither_see_the_form_nor_send_it(
    site: Site, setter: FakeSetter, caplog: pytest.LogCaptureFixture
) -> None:
    """Also with a token of their own pages; nothing is sent, and the log names who tried."""
    cookie = site.sign_in("camille").cookie
    token = field(site.ask("/sign-out", cookie=cookie).text, "token")
    for form in (None, {"token": token, "split": "auto"}):
        answer = site.ask(PATH, form, cookie=cookie)
        assert answer.status == 403
        assert "Only an operator may set devices." in answer.text
    assert setter.asked == []
    assert "act refused user=camille role=viewer device=camera-1" in caplog.text


def test_nobody_and_another_site_set_nothing(site: Site, setter: FakeSetter) -> None:
    """Without a cookie, from another origin, without the token."""
    cookie = site.sign_in("sam").cookie
    token = field(site.ask(PATH, cookie=cookie).text, "token")
    form = {"token": token, "split": "auto"}
    assert site.ask(PATH, form, accept="*/*").status == 401
    assert site.ask(PATH, form, cookie=cookie, origin="http://evil.example").status == 403
    assert site.ask(PATH, {"split": "auto"}, cookie=cookie).status == 403
    assert site.ask(f"{PATH}?split=auto&token={token}", cookie=cookie).status == 200  # looking changes nothing
    assert setter.asked == []


def test_a_device_that_refuses_says_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """On the page and in the log."""
    site = with_users(tmp_path / "users", setter=FakeSetter(APPLIED, refuses="split: got 'blok' <b>"))
    cookie = site.sign_in("sam").cookie
    token = field(site.ask(PATH, cookie=cookie).text, "token")
    answer = site.ask(PATH, {"token": token, "split": "blok"}, cookie=cookie)
    assert answer.status == 400
    assert "The device refused: split: got &#x27;blok&#x27; &lt;b&gt;" in answer.text
    assert "device refused device=camera-1 user=sam" in caplog.text


@pytest.mark.parametrize("number", ["much", "-1", "nan", "inf", "1e9", "0x10"])
def test_a_threshold_that_is_no_number_is_not_sent(number: str, site: Site, setter: FakeSetter) -> None:
    """The page says which, and what was expected."""
    cookie = site.sign_in("sam").cookie
    token = field(site.ask(PATH, cookie=cookie).text, "token")
    answer = site.ask(PATH, {"token": token, THRESHOLD: number}, cookie=cookie)
    assert answer.status == 400
    assert "exit1, litter: got" in answer.text
    assert setter.asked == []


def test_a_form_that_changes_nothing_sends_nothing(site: Site, setter: FakeSetter) -> None:
    """Nor does one for a device that nobody has heard of: topics are not made by typing addresses."""
    cookie = site.sign_in("sam").cookie
    token = field(site.ask(PATH, cookie=cookie).text, "token")
    same = {"token": token, "split": "block_5_add", THRESHOLD: "0.25"}
    assert "Nothing was changed" in site.ask(PATH, same, cookie=cookie).text
    assert site.ask("/devices/camera-9", {"token": token, "split": "auto"}, cookie=cookie).status == 404
    assert site.ask("/devices/..", cookie=cookie).status == 404
    assert setter.asked == []


def test_without_the_brokers_operator_there_is_no_such_page(tmp_path: Path) -> None:
    """Not for operators either, and the cards do not lead there."""
    site = with_users(tmp_path / "users")
    cookie = site.sign_in("sam").cookie
    assert site.ask(PATH, cookie=cookie).status == 404


def test_fields_that_the_device_has_not_are_left_aside() -> None:
    """Only exits and tasks that it spoke of; an empty field, or an empty split, is no wish."""
    assert not wish({"split": " ", field_of("exit9", "litter"): "1", THRESHOLD: ""}, APPLIED)
    assert wish({"split": "image"}, None).split == "image"
    assert wish({THRESHOLD: "0.5"}, None).thresholds == {}
    assert known_splits(["auto", "b"], ["", "b", "c"]) == ("auto", "image", "device", "b", "c")


def test_what_was_wanted_before_stays_in_what_is_sent() -> None:
    """The broker keeps one message a device, and a device that starts again gets nothing else; a codec goes with its
    split."""
    before = SettingsChange(VERSION, "image", "jpeg:80", "positive", {"exit1": {"a": 1.0, "b": 2.0}})
    assert changed(before, "auto", {}) == SettingsChange(VERSION, "auto", None, "positive", before.thresholds)
    assert changed(before, None, {"exit1": {"b": 3.0}, "exit2": {"a": 4.0}}) == SettingsChange(
        VERSION, "image", "jpeg:80", "positive", {"exit1": {"a": 1.0, "b": 3.0}, "exit2": {"a": 4.0}}
    )
    assert changed(before, "image", {}) == before
    assert changed(None, None, {"exit1": {"a": 1.0}}) == SettingsChange(VERSION, thresholds={"exit1": {"a": 1.0}})


def test_what_devices_are_sent_and_say_is_kept_and_nothing_else() -> None:
    """Settings of anybody, answers under the device's own name; nonsense is left aside."""
    setter = DeviceSetter(Address.parse("mqtt://127.0.0.1:1"), "demo")

    def take(kind: str, payload: bytes, device: str = "camera-1") -> None:
        setter.take(Received(f"headwater/v1/demo/{device}/{kind}", payload, 0, 0, 0))

    take("settings", encode_json(SettingsChange(VERSION, "image")))
    take("settings/applied", encode_json(APPLIED))
    take("settings/applied", encode_json(APPLIED), "camera-2")
    take("settings/applied", b"nonsense")
    assert setter.wanted("camera-1") == SettingsChange(VERSION, "image")
    assert setter.applied("camera-1") == APPLIED
    assert setter.applied("camera-2") is None
    take("settings", b"")
    assert setter.wanted("camera-1") is None
