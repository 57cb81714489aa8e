"""The queue: ids of jobs and questions on their way to a worker, by the name of the message (Celery).

It may lose or repeat a message; the ledger knows the work, and its sweep has lost ones sent again. Questions wait in a line of
their own, from which a worker takes in turn: nobody waits for an answer behind all studies of the night. The default broker is
folders on disk, for one machine without a server; Redis (or any broker that Celery speaks to) is a setting.
"""

from __future__ import annotations

from celery import Celery
from kombu import Exchange
from kombu import Queue as Line
from kombu.exceptions import OperationalError

from radiology.errors import QueueError
from radiology.jobs import ANSWER_QUESTION, READ_STUDY
from radiology.settings import Settings

_STUDIES, _QUESTIONS = "sightline", "sightline.questions"


def celery_app(settings: Settings) -> Celery:
    """Return the Celery application that senders and the worker share. Makes the folders of the file-system broker."""
    on_disk = settings.queue.broker_url.startswith("filesystem:")
    app = Celery("sightline", broker="filesystem://localhost/" if on_disk else settings.queue.url)
    app.conf.update(
        # Each with its own exchange: lines that share the default one would all be given every message.
        task_queues=[Line(name, Exchange(name), routing_key=name) for name in (_QUESTIONS, _STUDIES)],
        task_default_queue=_STUDIES,
        task_routes={ANSWER_QUESTION: {"queue": _QUESTIONS}},
        task_acks_late=True,
        task_reject_on_worker_lost=False,  # the ledger's lease decides what becomes of a dead worker's job
        task_ignore_result=True,
        task_publish_retry=False,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=5,
    )
    if on_disk:
        folder = settings.data_folder.resolve() / "queue"
        options = {name: folder / name for name in ("messages", "control", "processed")}
        for path in options.values():
            path.mkdir(parents=True, exist_ok=True)
        app.conf.broker_transport_options = {
            "data_folder_in": str(options["messages"]),
            "data_folder_out": str(options["messages"]),
            "control_folder": str(options["control"]),
            "processed_folder": str(options["processed"]),
            "store_processed": False,
            "polling_interval": settings.queue.polling_seconds,
        }
        app.conf.broker_transport = "connector.folders:Transport"
    return app


class Queue:
    """The sender's end."""

    def __init__(self, settings: Settings) -> None:
        """Prepare the sender; nothing is connected yet. Raises :class:`QueueError` where the folders cannot be made."""
        try:
            self._app = celery_app(settings)
        except OSError as error:
            raise QueueError(f"The queue's folder cannot be made: {error}") from error
        self._broker = self._app.connection_for_write().as_uri()

    def send(self, number: int, message: str = READ_STUDY) -> None:
        """Ask a worker to take a job or, with ``ANSWER_QUESTION``, a question.

        Raises :class:`QueueError` where the broker does not take the message.
        """
        try:
            self._app.send_task(message, args=(number,))
        except (OperationalError, OSError) as error:
            raise QueueError(
                f"The queue {self._broker} takes no messages; see that its server runs and its disk has space: {error}"
            ) from error

    def check(self) -> None:
        """Return if the broker can be reached; :class:`QueueError` otherwise."""
        try:
            with self._app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, interval_start=0)
        except (OperationalError, OSError) as error:
            raise QueueError(
                f"The queue {self._broker} cannot be reached; start its server or correct SIGHTLINE_QUEUE__BROKER_URL: {error}"
            ) from error
