"""EMQX's access list is that of mosquitto in other words, and lets each part do its work and nothing else."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from headwater.topics import Topics
from tests.kubernetes.cluster import ROOT, of_kind, one

ALL = "all"
ACTIONS = {"write": "publish", "read": "subscribe", "readwrite": "all"}
RULE = re.compile(r'\{(allow), (?:(all)|\{username, "(\w+)"\}), (publish|subscribe|all), \[([^\]]+)\]\}\.')
LAST = "{deny, all}."
TOPICS = Topics("demo")


class Rule(NamedTuple):
    """One line of mosquitto's list, or one topic of a rule of EMQX's."""

    who: str
    action: str
    topic: str


def text() -> str:
    """Return EMQX's list as the cluster gets it, without comments and line ends."""
    data: dict[str, str] = one("operators", "ConfigMap", "broker-rules")["data"]
    return " ".join(re.sub(r"^%%.*$", "", data["acl.conf"], flags=re.MULTILINE).split())


def of_emqx() -> list[Rule]:
    """Return EMQX's rules. Source of the form: docs.emqx.com, EMQX 5.8, "Use ACL File"."""
    found = [(everybody or name, action, topics) for _, everybody, name, action, topics in RULE.findall(text())]
    return [Rule(who, action, topic) for who, action, topics in found for topic in re.findall(r'"([^"]+)"', topics)]


def of_mosquitto() -> list[Rule]:
    """Return the rules of broker/acl, and those that broker/container/start adds for devices that share a user."""
    rules, who = [], ""
    for line in (ROOT / "broker/acl").read_text().splitlines():
        word, _, rest = line.partition(" ")
        if word == "user":
            who = rest
        elif word in ("pattern", "topic"):
            access, _, topic = rest.partition(" ")
            every = word == "pattern"
            rules.append(Rule(ALL if every else who, ACTIONS[access], topic.replace("%u", "${username}")))
            rules += [Rule("edge", ACTIONS[access], topic.replace("%u", "+"))] if every else []
    return rules


def test_both_brokers_have_the_same_rules() -> None:
    """Nothing more, nothing less, nothing twice; and whatever no rule allows is denied, twice over."""
    rules = of_emqx()
    assert len(set(rules)) == len(rules) > 25
    assert set(rules) == set(of_mosquitto())
    assert RULE.sub("", text()).strip() == LAST
    assert text().endswith(LAST)
    (resource,) = of_kind("operators", "EMQX")
    assert re.search(r"authorization \{\s+no_match = deny\s", resource["spec"]["config"]["data"])


def test_the_shared_user_is_that_of_the_compose_project() -> None:
    """The container of mosquitto gives it every pattern, with any device in the user's place."""
    script = (ROOT / "broker/container/start").read_text()
    assert 'echo "user edge"' in script
    assert r"""sed -n 's/^pattern \(.*\)%u/topic \1+/p' /opt/broker/acl""" in script


def may(who: str, action: str, topic: str) -> bool:
    """Tell whether a rule allows it: a topic is matched word by word, as a filter that is subscribed to is, too.

    Source: EMQX 5.8, apps/emqx_auth/src/emqx_authz/emqx_authz_rule.erl, matches/4, and emqx_topic:match/2.
    """
    mine = [rule for rule in of_emqx() if rule.who in (ALL, who) and rule.action in (ALL, action)]
    return any(_matches(topic.split("/"), rule.topic.replace("${username}", who).split("/")) for rule in mine)


def _matches(words: list[str], wanted: list[str]) -> bool:
    if wanted[:1] == ["#"]:
        return True
    if not words or not wanted:
        return words == wanted
    return wanted[0] in ("+", words[0]) and _matches(words[1:], wanted[1:])


def device(name: str, kind: str) -> str:
    """Return a topic of a device."""
    return TOPICS.of_device(name, kind)


@pytest.mark.parametrize(
    ("who", "action", "topic", "allowed"),
    [
        ("camera-1", "publish", device("camera-1", "frame"), True),
        ("camera-1", "subscribe", device("camera-1", "result"), True),
        ("camera-1", "publish", device("camera-2", "frame"), False),
        ("camera-1", "subscribe", device("camera-2", "result"), False),
        ("camera-1", "subscribe", TOPICS.every("frame"), False),
        ("camera-1", "subscribe", "#", False),
        ("edge", "publish", device("camera-9", "status"), True),
        ("edge", "subscribe", device("camera-9", "settings"), True),
        ("edge", "publish", device("camera-9", "settings"), False),
        ("worker", "subscribe", TOPICS.shared("frame", "secret").split("/", 2)[2], True),
        ("worker", "subscribe", TOPICS.shared("journey").split("/", 2)[2], True),
        ("worker", "publish", device("camera-1", "result"), True),
        ("worker", "publish", TOPICS.dead, True),
        ("worker", "publish", device("camera-1", "settings"), False),
        ("visualizer", "subscribe", TOPICS.every("status"), True),
        ("visualizer", "subscribe", TOPICS.every("decision"), True),
        ("visualizer", "subscribe", TOPICS.every("frame"), False),
        ("operator", "publish", device("camera-1", "settings"), True),
        ("operator", "subscribe", TOPICS.every("settings/applied"), True),
        ("homeassistant", "subscribe", "homeassistant/#", True),
        ("homeassistant", "subscribe", "#", False),
    ],
)
def test_each_may_do_its_work_and_no_other(who: str, action: str, topic: str, allowed: bool) -> None:
    """What the parts subscribe to and publish, and what would be another's."""
    assert may(who, action, topic) is allowed
