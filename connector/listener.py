"""The DICOM listener: C-ECHO, and C-STORE of any storage class in any transfer syntax.

An instance is answered with 0x0000 only when its bytes, as they came, are safe in the :class:`~connector.spool.Spool`. Pixels
are never decoded here. What is answered otherwise (PS3.4 B.2.3): 0xA700 no room, 0xA900 the data set is not the
instance that the command announced, 0xC000 no readable data set. Nothing of a data set is ever logged but UIDs.
"""

from __future__ import annotations

import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from threading import Event
from types import TracebackType
from typing import Self

import structlog
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, evt
from pynetdicom.sop_class import Verification

from connector import tls
from connector.alarms import Alarms
from connector.delivery import Reports
from connector.door import Caller, Door, Entrance
from connector.file_meta import file_head
from connector.forwarding import Forwarder
from connector.header import HeaderError, read_header
from connector.ledger import Ledger
from connector.mpps import StepService
from connector.service import Service
from connector.spool import Spool, is_uid
from radiology.errors import LedgerError, SightlineError
from radiology.settings import ListenerSettings, Settings

SUCCESS, OUT_OF_RESOURCES, NOT_AS_ANNOUNCED, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xA900, 0xC000

_ANNOUNCE_SECONDS = 0.5
_SPOOL = "spool"
_PLAIN_SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]

_log = structlog.get_logger()


class Listener:
    """The storage SCP, listening from ``__enter__`` to ``__exit__``."""

    def __init__(self, settings: ListenerSettings, spool: Spool, news: Callable[[], None], services: Sequence[Service] = ()) -> None:
        """Prepare the listener; ``news`` is called after every stored instance and at the end of every association.

        ``services`` are what it offers beside storage.

        Raises:
            SightlineError: the certificates cannot be used.
        """
        self._settings = settings
        self._spool = spool
        self._news = news
        self._lately: list[Caller] = []
        self.alarms = Alarms()
        self._door = Door(settings, left=news, alarms=self.alarms)
        self._tls = tls.accepting(settings)
        _config.UNRESTRICTED_STORAGE_SERVICE = True  # private and future storage classes, in the first syntax proposed
        _config.LOG_HANDLER_LEVEL = "none"
        _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
        self._entity = AE(settings.ae_title)
        self._entity.add_supported_context(Verification)
        self._services = services
        for service in services:
            self._entity.add_supported_context(service.sop_class, _PLAIN_SYNTAXES, *service.roles)
        self._entity.maximum_associations = sys.maxsize  # the door counts
        self._entity.maximum_pdu_size = settings.maximum_pdu_bytes
        self._entity.acse_timeout, self._entity.network_timeout = settings.greeting_seconds, settings.idle_seconds

    def __enter__(self) -> Self:
        handlers: list[evt.EventHandlerType] = [(evt.EVT_C_ECHO, lambda event: SUCCESS), (evt.EVT_C_STORE, self._store)]
        handlers += [handler for service in self._services for handler in service.handlers]
        for port, setting in self._settings.ports.items():
            address = (self._settings.host, port)
            try:
                entrance = Entrance(self._entity, address, self._door, handlers, self._tls if port == self._settings.tls_port else None)
            except OSError as error:
                self._entity.shutdown()
                raise SightlineError(
                    f"The listener cannot use {address[0]}:{address[1]} ({error.strerror}): stop the program that does, or set {setting}."
                ) from error
            entrance.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._door.clear(self._entity)
        self._entity.shutdown()

    def sending(self) -> dict[tuple[str, str], set[str]]:
        """Return the studies that each association has sent so far, by (name of the association, calling AE title).

        They are those that are open, and those that began a study since this was asked last: a short one is seen once all the same.
        """
        lately, self._lately = self._lately, []
        senders = {*self._door.inside, *lately}
        return {(f"{each.address}:{each.port}", each.ae_title): set(each.studies) for each in senders if each.studies}

    def _store(self, event: evt.Event) -> int:
        try:
            status, reason = self._receive(event)
        except MemoryError:
            status, reason = OUT_OF_RESOURCES, "SIGHTLINE_LISTENER__MAXIMUM_MEMORY_BYTES are in use."
        except Exception as error:  # noqa: BLE001 - the sender must be answered, whatever happens
            status, reason = CANNOT_UNDERSTAND, f"The data set cannot be read ({type(error).__name__})."
        if status != SUCCESS:
            _log.warning("instance not accepted", status=f"0x{status:04X}", reason=reason, calling_ae=event.assoc.requestor.ae_title)
        return status

    def _receive(self, event: evt.Event) -> tuple[int, str]:
        """Check one instance and keep it; returns the status to answer and a reason."""
        if self._spool.free_bytes < self._settings.minimum_free_bytes:
            return OUT_OF_RESOURCES, "The disk has less room than SIGHTLINE_LISTENER__MINIMUM_FREE_BYTES."
        request = event.request
        try:
            data_set, syntax = request.DataSet.getvalue(), UID(event.context.transfer_syntax)
            header = read_header(data_set, syntax)
        except HeaderError as error:
            return CANNOT_UNDERSTAND, str(error)
        instance_uid, study_uid = header.instance_uid, header.study_uid
        if not (is_uid(instance_uid) and is_uid(study_uid)):
            return CANNOT_UNDERSTAND, "A UID of the data set is none."
        if (header.sop_class_uid, instance_uid) != (request.AffectedSOPClassUID, request.AffectedSOPInstanceUID):
            return NOT_AS_ANNOUNCED, f"The data set is instance {instance_uid}, the command announced another instance or class."
        caller = self._door.caller(event.assoc)
        if study_uid not in caller.studies:
            caller.studies.add(study_uid)
            self._lately.append(caller)
        try:
            head = file_head(request.AffectedSOPClassUID, request.AffectedSOPInstanceUID, syntax)
            path = self._spool.keep(study_uid, instance_uid, head, data_set)
        except OSError as error:
            return OUT_OF_RESOURCES, f"The spool cannot be written: {error.strerror}."
        if self._spool.quarantine.holds(path):
            calling_ae, address = event.assoc.requestor.ae_title, event.assoc.requestor.address
            reason = "Its UID came with another content before; see `sightline quarantine`."
            _log.error(
                "instance quarantined",
                study_uid=study_uid,
                instance_uid=instance_uid,
                calling_ae=calling_ae,
                address=address,
                reason=reason,
            )
            self.alarms.sound(f"Instance quarantined. {reason}", address, who=calling_ae, study_uid=study_uid)
        self._news()
        return SUCCESS, ""


class _Announcer:
    """Tells the ledger which studies are still on their way: sent by an open association, or waiting in the spool."""

    def __init__(self, ledger: Ledger, own_ae_title: str) -> None:
        self._ledger = ledger
        self._own_ae_title = own_ae_title
        self._announced: Mapping[tuple[str, str], set[str]] = {}
        self._unnoted: set[tuple[str, str]] = set()
        self._signs_due = 0.0
        ledger.sources.forget_associations()

    def announce(self, sending: Mapping[tuple[str, str], set[str]], spooled: set[str]) -> None:
        """Bring the ledger up to date, now and then give a sign of life for each study, and note for good who sends it."""
        self._unnoted |= {
            (study_uid, key[1]) for key, studies in sending.items() for study_uid in studies - self._announced.get(key, set())
        }
        for study_uid, ae_title in list(self._unnoted):
            self._ledger.sources.sent_by(study_uid, ae_title)
            self._unnoted.discard((study_uid, ae_title))
        now = {**sending, **({(_SPOOL, self._own_ae_title): spooled} if spooled else {})}
        known = dict(self._announced)
        for key, studies in self._announced.items():
            if studies - now.get(key, set()):
                self._ledger.sources.association_closed(key[0])
                del known[key]
        if time.monotonic() >= self._signs_due:
            known, self._signs_due = {}, time.monotonic() + _ANNOUNCE_SECONDS
        for key, studies in now.items():
            for study_uid in studies - known.get(key, set()):
                self._ledger.sources.association_open(key[0], study_uid, key[1])
        self._announced = now


def _services(settings: Settings, ledger: Ledger) -> list[Service]:
    """What is offered beside storage, as far as it is wanted."""
    services: list[Service] = [Reports(ledger.commitments)] if settings.pacs.storage_commitment == "ask" else []
    return [*services, StepService(ledger.steps)] if settings.listener.procedure_steps else services


def _limit_memory(size: int) -> None:
    """Let this process have so many bytes of its own; what wants more fails alone: its association ends, or it is answered 0xA700."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (size if hard == resource.RLIM_INFINITY else min(size, hard), hard))


def run(settings: Settings) -> None:
    """Listen, forward and announce until SIGINT or SIGTERM; what is in the spool then is forwarded at the next start."""
    stop, news = Event(), Event()

    def end(*_: object) -> None:
        stop.set()
        news.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    _limit_memory(settings.listener.maximum_memory_bytes)
    spool = Spool(settings.data_folder / "spool")
    spool.readmit()
    ledger = Ledger.open(settings)
    announcer = _Announcer(ledger, settings.listener.ae_title)
    with Forwarder(settings, spool) as forwarder:

        def tell() -> None:
            news.set()
            forwarder.wake()

        with Listener(settings.listener, spool, tell, _services(settings, ledger)) as listener:
            _log.info("listening", host=settings.listener.host, ports=list(settings.listener.ports), ae_title=settings.listener.ae_title)
            while not stop.is_set():
                if not forwarder.alive:
                    raise SightlineError("Forwarding has stopped by an error; the listener is to be started again.")
                news.wait(_ANNOUNCE_SECONDS)
                news.clear()
                try:
                    listener.alarms.write(ledger.audit, datetime.now(UTC))
                    announcer.announce(listener.sending(), spool.waiting_studies())
                except LedgerError as error:
                    _log.warning("open associations and alarms not noted", reason=str(error))
                stop.wait(_ANNOUNCE_SECONDS / 5)
