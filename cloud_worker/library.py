"""The models of a worker, found by the digest that every frame carries."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from cloud_worker.refusals import UnknownBundle, UnknownModel
from headwater.logs import event
from models.bundle import Bundle, find_bundles
from models.engine import Engine
from models.errors import ModelError

log = logging.getLogger(__name__)

RESCAN_S = 5.0


class Spec(Protocol):
    """What is known of one input or output of a part."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def shape_signature(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> str: ...
    @property
    def scale(self) -> float: ...
    @property
    def zero_point(self) -> int: ...


class Runnable(Protocol):
    """A part of a model that can be run."""

    @property
    def inputs(self) -> Sequence[Spec]: ...
    @property
    def outputs(self) -> Sequence[Spec]: ...
    @property
    def rows_at_once(self) -> int: ...
    def run(self, *arrays: np.ndarray) -> Sequence[np.ndarray]: ...


class Runner(Protocol):
    """What runs the parts of one model file."""

    def whole(self) -> Runnable: ...
    def tail(self, split: str) -> Runnable: ...


@dataclass(frozen=True)
class Model:
    """A bundle and what runs it."""

    bundle: Bundle
    runner: Runner
    tails: dict[str, Runnable] = field(default_factory=dict, repr=False)

    def tail(self, split: str) -> Runnable:
        """Return the part behind a split; the last one is at hand. Raises: ModelError."""
        part = self.tails.get(split)
        if part is None:
            part = self.runner.tail(split)
            self.tails.clear()
            self.tails[split] = part
        return part


class Library:
    """Bundles by digest. Engines are made when first asked for; the least recently used is forgotten."""

    def __init__(
        self,
        folders: Iterable[Path],
        open_bundle: Callable[[Bundle], Runner],
        *,
        keep: int = 4,
        find: Callable[[Iterable[Path]], dict[str, Bundle]] = find_bundles,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folders, self._open, self._keep = tuple(folders), open_bundle, keep
        self._find, self._now_s = find, now_s
        self._bundles = find(self._folders)
        self._scanned_s = now_s()
        self._models: OrderedDict[str, Model] = OrderedDict()

    @property
    def digests(self) -> tuple[str, ...]:
        """The digests of all bundles known now."""
        return tuple(self._bundles)

    @property
    def loaded(self) -> tuple[str, ...]:
        """The names of the models that are ready now; the one not used for longest first."""
        return tuple(model.bundle.name for model in tuple(self._models.values()))

    def model(self, digest: str, called: str) -> Model:
        """Return the model of that digest; looks into the folders again when it is not known, at most every 5 s.

        Raises: UnknownModel, or ModelError when the file cannot be opened.
        """
        known = self._models.get(digest)
        if known is not None:
            self._models.move_to_end(digest)
            return known
        if digest not in self._bundles:
            self._look_again()
        bundle = self._bundles.get(digest)
        if bundle is None:
            raise UnknownModel(digest, called)
        try:
            model = self._models[digest] = Model(bundle, self._open(bundle))
        except UnknownModel:
            del self._bundles[digest]
            raise
        while len(self._models) > self._keep:
            self._models.popitem(last=False)
        return model

    def named(self, name: str) -> Model:
        """Return the model of the first bundle of that name. Raises: UnknownBundle, or what `model` does."""
        if self._digest_of(name) is None:
            self._look_again()
        digest = self._digest_of(name)
        if digest is None:
            raise UnknownBundle(name, [bundle.name for bundle in self._bundles.values()])
        return self.model(digest, name)

    def _digest_of(self, name: str) -> str | None:
        return next((digest for digest, bundle in self._bundles.items() if bundle.name == name), None)

    def _look_again(self) -> None:
        if self._now_s() - self._scanned_s < RESCAN_S:
            return
        for folder in self._folders:
            try:
                found = self._find((folder,))
            except ModelError as error:
                log.error(event("bundle folder cannot be read", folder=folder, reason=error))
                continue
            for digest, bundle in found.items():
                if digest not in self._bundles:
                    log.info(event("bundle found", bundle=bundle.name, digest=digest))
                    self._bundles[digest] = bundle  # behind those known: no name changes what it means
        self._scanned_s = self._now_s()


def open_bundle(bundle: Bundle, threads: int) -> Runner:
    """Return what runs the parts of a bundle's model with LiteRT, towards its final outputs.

    Raises: UnknownModel when the file is another one than when the bundle was found, ModelError when it is unusable.
    """
    return Engine(model_of(bundle), threads=threads, outputs=bundle.finals)


def model_of(bundle: Bundle) -> bytes:
    """Return the bundle's model file. Raises: UnknownModel when it is another one than when the bundle was found."""
    try:
        model = bundle.model_path.read_bytes()
    except OSError as error:
        raise UnknownModel(bundle.digest, bundle.name) from error
    if hashlib.sha256(model).hexdigest() != bundle.digest:
        raise UnknownModel(bundle.digest, bundle.name)
    return model
