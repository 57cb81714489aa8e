"""The worker process: loads the model once, then reads studies and answers questions one after the other as the queue names them."""

from __future__ import annotations

import os
import socket
import sys

import structlog
from pydantic import ValidationError

from ai_engine.answering import Answerer
from ai_engine.engine import Engine, load_assistant
from ai_engine.worker.asking import Consultant
from ai_engine.worker.pulse import give_signs
from ai_engine.worker.reading import Worker
from ai_engine.worker.tasks import register
from connector.delivery import Delivery
from connector.heartbeat import Heartbeat
from connector.ledger import MODEL_IN_USE, Ledger
from connector.pacs import Pacs
from connector.queue import Queue, celery_app
from radiology.errors import SightlineError
from radiology.logs import configure_logs
from radiology.settings import Settings

_log = structlog.get_logger()


def main() -> None:
    """Run until told to stop (SIGTERM ends it after the study at hand). Exits with one sentence where it cannot start."""
    try:
        run(Settings())
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        sys.exit(f"The settings are not valid: {problems}")
    except SightlineError as error:
        sys.exit(str(error))


def run(settings: Settings) -> None:
    """Load the model, then take jobs and questions one at a time in this process."""
    configure_logs(settings.log, "worker")
    ledger = Ledger.open(settings)
    assistant = load_assistant(settings.engine)
    engine = Engine.of(assistant, settings.engine)
    ledger.remember(MODEL_IN_USE, engine.identity.weights_hash)
    app = celery_app(settings)
    name = f"{socket.gethostname()}:{os.getpid()}"
    pacs = Pacs.connect(settings.pacs)
    delivery = Delivery(settings, pacs, ledger.commitments)
    worker = Worker(name, ledger, pacs, engine, settings.watcher, settings.results, delivery)
    register(app, worker, Consultant(name, ledger, pacs, Answerer(assistant, engine.identity)), Queue(settings))
    give_signs(app, Heartbeat(settings.data_folder, "worker"))
    _log.info("ready", worker=name, model=engine.identity.name, weights_hash=engine.identity.weights_hash)
    app.worker_main(["worker", "--pool=solo", "--loglevel=WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"])
