"""The workers of one service of a compose project at a Docker engine: who there is, asking, making, stopping them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, Final, Self, TypeVar

import docker
from docker.errors import DockerException, NotFound

from cloud_worker.autoscale.ask import COMMAND, answers
from cloud_worker.autoscale.asking import WITHIN_S, Asking
from cloud_worker.autoscale.report import Done
from cloud_worker.autoscale.template import ONE_OFF, PROJECT, SERVICE, Container, Plan, fixed, plan, stop_within_s
from cloud_worker.autoscale.waiting import Told
from headwater.errors import EngineError

T = TypeVar("T")

AT_ONCE: Final = 8
"""So many containers are stopped at the same time."""
RUNS: Final = {"running", "restarting", "paused"}
ENDED: Final = {"created", "exited", "dead"}
FAULTS: Final = (DockerException, OSError)


class Engine:
    """The engine that DOCKER_HOST names, else Docker's context, else the local one; no other service is touched."""

    def __init__(self, project: str, service: str, api: Any = None, answer_within_s: float = WITHIN_S) -> None:
        """Connect. Raises: EngineError."""
        self.project, self.service = project, service
        self._api = api or _connected()
        self._asking = Asking(self._answers, answer_within_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.close()

    def workers(self) -> list[Container]:
        """Return those that run, by their numbers. Raises: EngineError, also where there is none."""
        with _faults("asking for the containers"):
            found = [one for one in self._containers() if one.state in RUNS]
            if not found:
                raise EngineError(self._absent())
        return found

    def check(self) -> None:
        """Pass where another worker could be made. Raises: EngineError."""
        with _faults("asking for a container"):
            why = fixed(self._template())
        if why:
            raise EngineError(f"service {self.service} of project {self.project} cannot be scaled: {why}")

    def cores(self) -> int | None:
        """Return how many cores the engine's machine has; None where it does not say. Raises: EngineError."""
        with _faults("asking for the machine's cores"):
            return self._api.info().get("NCPU") or None

    def ask(self, workers: Sequence[Container]) -> dict[str, tuple[Told, ...]]:
        """Return what the processes of each worker tell, by its container's id; of one that does not answer nothing."""
        return self._asking.answers([one.id for one in workers])

    def add(self, count: int) -> Done:
        """Make so many more; one that fails ends it, and those before it stay."""
        names: list[str] = []
        try:
            with _faults("making a container"):
                for one in self._plans(count):
                    names.append(self._made(one))
        except EngineError as error:
            return Done(tuple(names), str(error))
        return Done(tuple(names))

    def remove(self, count: int) -> Done:
        """Stop so many, the highest numbers first, each with its time to finish; one that fails keeps none else."""
        try:
            leaving = self.workers()[1:][-count:][::-1]
        except EngineError as error:
            return Done(error=str(error))
        faults = _each(self._ended, leaving)
        stopped = tuple(one.name for one, fault in zip(leaving, faults, strict=True) if fault is None)
        return Done(stopped, next((fault for fault in faults if fault is not None), None))

    def _plans(self, count: int) -> list[Plan]:
        """Return how so many more are made, with what we made and has ended out of their way."""
        known = self._containers()
        for ended in [one for one in known if one.is_ours and one.state in ENDED]:
            self._api.remove_container(ended.id)
        template, number = self._template(), max(one.number for one in known) + 1
        image = self._image(template)
        return [plan(template, number + n, image) for n in range(count)]

    def _containers(self) -> list[Container]:
        """Return all of the service, those that have ended, too; `compose run` has made none of them."""
        labels = [f"{PROJECT}={self.project}", f"{SERVICE}={self.service}", f"{ONE_OFF}=False"]
        found = self._api.containers(all=True, filters={"label": labels})
        return sorted(map(Container.listed, found), key=lambda one: one.number)

    def _template(self) -> Mapping[str, Any]:
        """Return what the engine knows of a container to make others like: one of Compose's, if any is left."""
        running = [one for one in self._containers() if one.state in RUNS]
        if not running:
            raise EngineError(self._absent())
        found: Mapping[str, Any] = self._api.inspect_container(min(running, key=lambda one: one.is_ours).id)
        return found

    def _image(self, template: Mapping[str, Any]) -> str:
        """Return the image's name, or its id where the name has gone on to another image since."""
        name: str = template["Config"]["Image"]
        with suppress(NotFound):
            if self._api.inspect_image(name)["Id"] == template["Image"]:
                return name
        return str(template["Image"])

    def _made(self, wanted: Plan) -> str:
        container = self._api.create_container_from_config(wanted.config, wanted.name)["Id"]
        try:
            for network, known in wanted.networks.items():
                self._api.connect_container_to_network(
                    container, network, aliases=known.get("Aliases"), driver_opt=known.get("DriverOpts")
                )
            self._api.start(container)
        except FAULTS:
            self._api.remove_container(container, force=True)
            raise
        return wanted.name

    def _ended(self, leaving: Container) -> str | None:
        """Stop and remove one; return what kept it from that."""
        try:
            with _faults("stopping a container"), suppress(NotFound):  # somebody else was faster
                within_s = stop_within_s(self._api.inspect_container(leaving.id))
                self._api.stop(leaving.id, timeout=within_s)
                self._api.remove_container(leaving.id)
        except EngineError as error:
            return str(error)
        return None

    def _answers(self, worker: str) -> tuple[Told, ...]:
        try:
            asked = self._api.exec_create(worker, list(COMMAND), stderr=False)
            return answers(self._api.exec_start(asked["Id"]).decode(errors="replace"))
        except FAULTS:
            return ()

    def _absent(self) -> str:
        """Return what there is instead, for who looks for a service that does not run."""
        found = [one["Labels"] for one in self._api.containers(all=True, filters={"label": [PROJECT, SERVICE]})]
        services = sorted({labels[SERVICE] for labels in found if labels[PROJECT] == self.project})
        if services:
            return (
                f"no container of a service {self.service!r} runs in the compose project {self.project}, it has"
                f" {', '.join(services)}; give --service, or start it"
            )
        projects = ", ".join(sorted({labels[PROJECT] for labels in found})) or "none"
        return f"no compose project {self.project!r} here, there are: {projects}; give --project, or start it"


def _each(do: Callable[[Container], T], containers: Sequence[Container]) -> list[T]:
    """Do something with some containers at the same time; return what came of each. Raises: the first error."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(do, containers))


def _connected() -> Any:
    try:
        return docker.from_env().api
    except FAULTS as error:
        reason, where = _reason(error), os.environ.get("DOCKER_HOST")
        at = f" at {where}" if where else ""
        if "ermission denied" in reason:
            raise EngineError(
                f"no permission to use the Docker engine{at}; run this as root, or as a member of the group of its"
                " socket (docker), which is as much as root on this machine"
            ) from None
        raise EngineError(f"no Docker engine answers{at}: {reason}; start it, or give its DOCKER_HOST") from None


@contextmanager
def _faults(doing: str) -> Iterator[None]:
    """Turn what the engine, or the way to it, says into an error of ours."""
    try:
        yield
    except FAULTS as error:
        raise EngineError(f"{doing}: {_reason(error)}") from None


def _reason(error: BaseException) -> str:
    """Return the engine's own words, or the system's where the engine could not be reached."""
    said = getattr(error, "explanation", None)
    inner = error
    while inner.__cause__ or inner.__context__:
        inner = inner.__cause__ or inner.__context__ or inner
    return str(said or (isinstance(inner, OSError) and inner.strerror) or error)
