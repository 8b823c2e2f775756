"""The one act that the site knows: an operator who is signed in sets a device, and the log says who."""

from __future__ import annotations

import asyncio
import logging
from functools import cache
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headwater.errors import BrokerError, WireError
from headwater.logs import event
from headwater.messages import SettingsApplied
from models.bundle import find_bundles
from models.errors import ModelError
from visualizer.devices import Devices, Heard
from visualizer.door import pages
from visualizer.door.device_page import Shown, Wish, device_page, known_splits, wish
from visualizer.door.forms import answer, read_form, visitor_of
from visualizer.door.proxies import Proxies
from visualizer.door.sign_in import NOT_OURS
from visualizer.door.visitor import Tokens, Visitor
from visualizer.setter import Setter

log = logging.getLogger(__name__)

PATH: Final = "/devices/{device}"
DEVICES: Final = ("/devices", "Back to the devices")
NO_OPERATOR: Final = "Only an operator may set devices. You are signed in as a viewer."
NO_DEVICE: Final = "The site has heard of no device of that name."
NO_ANSWER: Final = "The device has not answered yet. It gets this as soon as it is there; load this page again then."
NOTHING: Final = "Nothing was changed: all is as it was."


class SetDevice:
    """The page of one device, for operators."""

    def __init__(self, setter: Setter, devices: Devices, proxies: Proxies, tokens: Tokens) -> None:
        self._setter, self._devices, self._proxies, self._tokens = setter, devices, proxies, tokens

    def routes(self) -> list[Route]:
        """Return its address, for looking and for sending its form."""
        return [Route(PATH, self.look, methods=["GET"]), Route(PATH, self.act, methods=["POST"])]

    async def look(self, request: Request) -> Response:
        """Answer with what holds, and the form."""
        device, visitor = request.path_params["device"], visitor_of(request)
        if refused := self._refused(device, visitor):
            return refused
        applied = self._setter.applied(device)
        before = f"The last settings were refused: {applied.refused}" if applied and applied.refused else ""
        return self._page(device, visitor, wrong=before)

    async def act(self, request: Request) -> Response:
        """Set the device, and answer with what became of it."""
        device, visitor = request.path_params["device"], visitor_of(request)
        if refused := self._refused(device, visitor):
            return refused
        form = await read_form(request)
        if form is None or not self._tokens.fits(visitor, form.get("token", "")):
            return self._page(device, visitor, 403, wrong=NOT_OURS)
        try:
            wanted = wish(form, self._setter.applied(device))
            if not wanted:
                return self._page(device, visitor, waits=NOTHING)
            log.info(
                event(
                    "operator sets device",
                    **_facts(device, visitor, wanted),
                    address=self._proxies.client(request.scope),
                )
            )
            got = await asyncio.to_thread(self._setter.set, device, wanted.split, wanted.thresholds)
        except (ValueError, BrokerError, WireError) as error:
            log.warning(event("device not set", device=device, user=visitor.name, reason=error))
            return self._page(device, visitor, 400, wrong=str(error))
        return self._told(device, visitor, got)

    def _told(self, device: str, visitor: Visitor, got: SettingsApplied | None) -> Response:
        """Answer with the device's word, which the log gets as well."""
        if got is None:
            log.info(event("device silent", device=device, user=visitor.name))
            return self._page(device, visitor, waits=NO_ANSWER)
        if got.refused is not None:
            log.warning(event("device refused", device=device, user=visitor.name, reason=got.refused))
            return self._page(device, visitor, 400, wrong=f"The device refused: {got.refused}")
        log.info(event("device answered", device=device, user=visitor.name, split=got.split))
        return self._page(device, visitor, well="The device has taken it.")

    def _refused(self, device: str, visitor: Visitor) -> Response | None:
        """Return why there is no such page for this visitor."""
        if visitor.role != "operator":
            log.warning(event("act refused", user=visitor.name, role=visitor.role, device=device))
            return answer(pages.refusal("For operators", NO_OPERATOR, DEVICES), 403)
        if self._setter.applied(device) is None and self._heard(device) is None:
            return answer(pages.refusal("No such device", NO_DEVICE, DEVICES), 404)
        return None

    def _heard(self, device: str) -> Heard | None:
        return next((one for one in self._devices.heard() if one.status.device == device), None)

    def _page(self, device: str, visitor: Visitor, status: int = 200, **told: str) -> Response:
        heard, applied = self._heard(device), self._setter.applied(device)
        shown = Shown(
            device,
            heard.status.online if heard else None,
            applied,
            self._setter.wanted(device),
            known_splits([applied.split] if applied else [], _splits_of(heard)),
        )
        return answer(device_page(shown, self._tokens.of(visitor), **told), status)


def _facts(device: str, visitor: Visitor, wanted: Wish) -> dict[str, str]:
    """Return what the log says of an act."""
    thresholds = " ".join(
        f"{name}/{task}={v}" for name, tasks in wanted.thresholds.items() for task, v in tasks.items()
    )
    facts = {"device": device, "user": visitor.name, "split": wanted.split or "", "thresholds": thresholds}
    return {name: text for name, text in facts.items() if text}


def _splits_of(heard: Heard | None) -> list[str]:
    """Return the splits that a device has spoken of, and the cut points of its model where that is one of ours."""
    if heard is None:
        return []
    decided = [one.split for one in heard.decision.considered] if heard.decision else []
    return [heard.status.split, *decided, *_shipped().get(heard.status.digest, ())]


@cache
def _shipped() -> dict[str, tuple[str, ...]]:
    """Return the cut points of the models that come with Headwater, by digest."""
    try:
        return {digest: bundle.cut_points for digest, bundle in find_bundles(()).items()}
    except ModelError:
        return {}
