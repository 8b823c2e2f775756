"""What runs the tails: LiteRT, or TensorFlow on a GPU. TensorFlow is imported only where it is asked for."""

from __future__ import annotations

import importlib.metadata
import logging
import os
from collections.abc import Callable

from cloud_worker.library import Runner, model_of, open_bundle
from cloud_worker.settings import WorkerSettings
from headwater.errors import MissingPart
from headwater.logs import event
from models.bundle import Bundle

log = logging.getLogger(__name__)

OpenBundle = Callable[[Bundle], Runner]


def opener(settings: WorkerSettings) -> OpenBundle:
    """Return what makes a bundle ready to run. Raises: MissingPart without the engine that is asked for."""
    if settings.engine == "tensorflow":
        return _tensorflow(settings.batch_size)
    return lambda bundle: open_bundle(bundle, settings.threads)


def _tensorflow(rows_at_once: int) -> OpenBundle:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")  # its warnings are welcome, its greetings are not
    try:
        from models.tensorflow_engine.engine import TensorFlowEngine, prepare
    except ModuleNotFoundError as error:
        if error.name != "tensorflow":
            raise
        remedy = "pip install 'headwater[tensorflow]', or leave --engine out"
        raise MissingPart("TensorFlow", "--engine tensorflow", remedy) from error
    gpu, version = prepare(), importlib.metadata.version("tensorflow")
    log.info(
        event("TensorFlow runs the tails", version=version, gpu=gpu or "none found, LiteRT is the better engine here")
    )
    return lambda bundle: TensorFlowEngine(model_of(bundle), rows_at_once=rows_at_once, outputs=bundle.finals)
