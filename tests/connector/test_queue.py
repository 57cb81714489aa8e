"""Job ids go to whoever listens for their name; a broker that is away is named, and no password with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker

from connector.queue import Queue, celery_app
from radiology.errors import QueueError
from radiology.jobs import ANSWER_QUESTION, READ_STUDY
from radiology.settings import QueueSettings, Settings
from tests.orthanc import free_port
from tests.servers import redis_server


@pytest.fixture(params=["folders", "redis"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    if request.param == "folders":
        yield Settings(data_folder=tmp_path)
    else:
        with redis_server(tmp_path) as url:
            yield Settings(data_folder=tmp_path, queue=QueueSettings(broker_url=url))


def noting(app: Celery, message: str) -> tuple[list[int], Event]:
    """A task that notes the numbers it is given, and says when 0 came."""
    given: list[int] = []
    last = Event()

    def note(number: int) -> None:
        given.append(number)
        if number == 0:
            last.set()

    app.task(note, name=message, shared=False)
    return given, last


@contextmanager
def listening(app: Celery) -> Iterator[tuple[list[int], Event]]:
    """A worker in a thread that notes the job ids it is given."""
    given, last = noting(app, READ_STUDY)
    with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=60):
        yield given, last


def test_job_ids_arrive_once_and_in_order_even_if_sent_before_the_worker_starts(settings: Settings) -> None:
    queue = Queue(settings)
    queue.check()
    queue.send(7)
    with listening(celery_app(settings)) as (given, last):
        queue.send(8)
        queue.send(0)
        assert last.wait(60)
    assert given == [7, 8, 0]


def test_questions_go_to_who_answers_questions_and_studies_to_who_reads(settings: Settings) -> None:
    queue, app = Queue(settings), celery_app(settings)
    asked, answered = noting(app, ANSWER_QUESTION)
    for number in (1, 2, 3):
        queue.send(number)
    queue.send(4, ANSWER_QUESTION)
    with listening(app) as (given, last):
        queue.send(0, ANSWER_QUESTION)
        queue.send(0)
        assert last.wait(60)
        assert answered.wait(60)
    assert (given, asked) == ([1, 2, 3, 0], [4, 0])


def test_messages_appear_whole_however_often_a_worker_looks(tmp_path: Path) -> None:
    settings = Settings(data_folder=tmp_path, queue=QueueSettings(polling_seconds=0.001))
    queue = Queue(settings)
    with listening(celery_app(settings)) as (given, last):
        for job_id in (*range(1, 200), 0):
            queue.send(job_id)
        assert last.wait(60)
    assert given == [*range(1, 200), 0]


def test_a_broker_that_is_away_is_named_without_its_password() -> None:
    queue = Queue(Settings(queue=QueueSettings(broker_url=f"redis://:top-secret@127.0.0.1:{free_port()}/0")))
    for attempt in (queue.check, lambda: queue.send(7)):
        with pytest.raises(QueueError, match=r"redis://.*127\.0\.0\.1") as raised:
            attempt()
        assert "top-secret" not in str(raised.value)


def test_a_folder_that_cannot_be_made_is_a_queue_error(tmp_path: Path) -> None:
    (tmp_path / "queue").write_text("in the way")
    with pytest.raises(QueueError, match="folder"):
        Queue(Settings(data_folder=tmp_path))
