"""Topics are the ones that docs/asyncapi.yaml names, and no name breaks out of its place in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import SettingsError
from headwater.topics import CONTENT_TYPES, Topics, checked_name
from tests.headwater.test_messages import BAD_NAMES, GOOD_NAMES

TOPICS = Topics("demo")


def test_topics_of_a_fleet() -> None:
    """Each kind of message has its one topic; workers share what all devices send."""
    assert TOPICS.root == "headwater/v1/demo"
    assert TOPICS.of_device("cam1", "settings/applied") == "headwater/v1/demo/cam1/settings/applied"
    assert TOPICS.shared("frame") == "$share/workers/headwater/v1/demo/+/frame"
    assert TOPICS.shared("frame", "0a1b") == "$share/0a1b/headwater/v1/demo/+/frame"
    assert TOPICS.every("status") == "headwater/v1/demo/+/status"
    assert TOPICS.dead == "headwater/v1/demo/dead"


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_cannot_stand_in_a_topic_are_settings_errors(name: str) -> None:
    """Wildcards, separators, newlines and too long names are refused for fleets and whatever is checked."""
    with pytest.raises(SettingsError, match=r"fleet: got .*, expected 1 to 64"):
        Topics(name)
    with pytest.raises(SettingsError, match="device: got"):
        checked_name("device", name)


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_good_names_pass(name: str) -> None:
    """A good name comes back as it is."""
    assert checked_name("device", name) == name
    assert Topics(name).device_in(Topics(name).of_device(name, "frame")) == name


@given(st.text(max_size=30), st.sampled_from([kind for kind in CONTENT_TYPES if kind != "dead"]))
def test_the_device_of_a_topic_is_what_stands_there(device: str, kind: str) -> None:
    """A device's name is found in each of its topics and in no other fleet's."""
    topic = TOPICS.of_device(device, kind)
    if "/" not in device:
        assert TOPICS.device_in(topic) == device
    assert Topics("demo2").device_in(topic) is None


@pytest.mark.parametrize(
    "topic", ["headwater/v1/demo/dead", "headwater/v1/demo/", "headwater/v1/demo", "", "headwater/v1/demo/cam1/"]
)
def test_topics_of_no_device(topic: str) -> None:
    """The fleet's own topics belong to no device."""
    assert TOPICS.device_in(topic) is None
