"""What runs the tails: LiteRT, or TensorFlow on a GPU. TensorFlow is imported only where it is asked for."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from cloud_worker.library import Runnable, Runner, model_of, open_bundle
from cloud_worker.settings import WorkerSettings
from headwater.errors import MissingPart
from headwater.logs import event
from models.bundle import Bundle
from models.engine import Engine
from models.errors import NotInTensorFlow

log = logging.getLogger(__name__)

OpenBundle = Callable[[Bundle], Runner]


class EitherEngine:
    """Parts that TensorFlow runs; from the first on that it cannot run, LiteRT runs those of this model."""

    def __init__(self, name: str, tensorflow: Runner, litert: Callable[[], Runner]) -> None:
        self._name, self._runner, self._litert = name, tensorflow, litert

    def whole(self) -> Runnable:
        """Return the whole model as one part. Raises: ModelError."""
        return self._part(lambda runner: runner.whole())

    def tail(self, split: str) -> Runnable:
        """Return the part behind a split. Raises: ModelError."""
        return self._part(lambda runner: runner.tail(split))

    def _part(self, part_of: Callable[[Runner], Runnable]) -> Runnable:
        try:
            return part_of(self._runner)
        except NotInTensorFlow as error:
            log.warning(event("LiteRT runs this model", bundle=self._name, reason=error))
            self._runner = self._litert()
            return part_of(self._runner)


def opener(settings: WorkerSettings) -> OpenBundle:
    """Return what makes a bundle ready to run. Raises: MissingPart without the engine that is asked for."""
    if settings.engine == "tensorflow":
        return _tensorflow(settings.batch_size, settings.threads)
    return lambda bundle: open_bundle(bundle, settings.threads)


def _tensorflow(rows_at_once: int, threads: int) -> OpenBundle:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")  # its warnings are welcome, its greetings are not
    try:
        from models.tensorflow_engine.engine import VERSION, TensorFlowEngine, prepare
    except ModuleNotFoundError as error:
        if error.name != "tensorflow":
            raise
        remedy = "install the extra tensorflow (docs/install.md), or leave --engine out"
        raise MissingPart("TensorFlow", "--engine tensorflow", remedy) from error
    gpu = prepare() or "none found, LiteRT is the better engine here"
    log.info(event("TensorFlow runs the tails", version=VERSION, gpu=gpu))

    def opened(bundle: Bundle) -> Runner:
        model, finals = model_of(bundle), bundle.finals
        engine = TensorFlowEngine(model, rows_at_once=rows_at_once, outputs=finals)
        return EitherEngine(bundle.name, engine, lambda: Engine(model, threads=threads, outputs=finals))

    return opened
