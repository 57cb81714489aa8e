"""With DICOM TLS, who has no certificate of our authority neither sends nor gets anything; who has one does as without TLS."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pydicom.uid import generate_uid
from pynetdicom import AE, build_context

from connector import tls
from connector.association import store
from connector.listener import Listener
from connector.sender import send_folder
from connector.spool import Spool
from radiology.errors import PacsUnreachable, SightlineError
from radiology.settings import ListenerSettings, PacsSettings, TlsSettings
from tests.connector.certificates import Authority
from tests.connector.modality import associate
from tests.connector.samples import our_result, radiograph
from tests.orthanc import Orthanc, free_port


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "hospital")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> TlsSettings:
    """Somebody who trusts our authority, with a certificate of another."""
    return Authority(tmp_path_factory.mktemp("elsewhere"), "elsewhere").certify("stranger", trusts=authority)


@pytest.fixture(scope="module")
def settings(authority: Authority) -> ListenerSettings:
    ours = authority.certify("listener").model_dump()
    return ListenerSettings(plain=False, tls_port=free_port(), minimum_free_bytes=1, greeting_seconds=3, **ours)


@pytest.fixture(scope="module")
def _spool(tmp_path_factory: pytest.TempPathFactory) -> Spool:
    return Spool(tmp_path_factory.mktemp("tls") / "spool")


@pytest.fixture
def listener(settings: ListenerSettings, _spool: Spool) -> Iterator[Spool]:
    """The listener's spool, empty, while it listens."""
    for path in _spool.waiting():
        _spool.forwarded(path)
    with Listener(settings, _spool, lambda: None):
        yield _spool


def call(settings: ListenerSettings, context: ssl.SSLContext) -> Any:
    image = radiograph(generate_uid())
    contexts = [build_context(image.SOPClassUID, image.file_meta.TransferSyntaxUID)]
    tls_args = (context, settings.host)
    return AE("CT1").associate(settings.host, settings.tls_port, contexts, settings.ae_title, tls_args=tls_args)


def calling(settings: TlsSettings) -> ssl.SSLContext:
    context = tls.calling(settings)
    assert context is not None
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_modality_with_our_certificate_stores(
    listener: Spool, settings: ListenerSettings, authority: Authority, version: ssl.TLSVersion
) -> None:
    context = calling(authority.certify("modality"))
    context.minimum_version = context.maximum_version = version
    association = call(settings, context)
    assert association.send_c_store(radiograph(generate_uid())).Status == 0x0000
    association.release()
    assert len(listener.waiting()) == 1


def test_dcmtk_stores(listener: Spool, settings: ListenerSettings, authority: Authority, tmp_path: Path) -> None:
    program = shutil.which("storescu")
    assert program, "storescu is missing; run scripts/setup --test, or apt-get install dcmtk"
    radiograph(generate_uid()).save_as(tmp_path / "image.dcm", enforce_file_format=True)
    theirs = authority.certify("dcmtk")
    files = str(theirs.tls_key), str(theirs.tls_certificate), "+cf", str(theirs.tls_authority)
    sent = subprocess.run(
        [program, "+tls", *files, "-aec", settings.ae_title, settings.host, str(settings.tls_port), str(tmp_path / "image.dcm")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert sent.returncode == 0, sent.stderr
    assert len(listener.waiting()) == 1


def test_our_own_command_stores(listener: Spool, settings: ListenerSettings, tmp_path: Path) -> None:
    radiograph(generate_uid()).save_as(tmp_path / "image.dcm", enforce_file_format=True)
    assert [outcome for _, outcome in send_folder(tmp_path, settings)] == [None]
    assert len(listener.waiting()) == 1


def test_without_a_certificate_nobody_comes_in(listener: Spool, settings: ListenerSettings, authority: Authority) -> None:
    bare = ssl.create_default_context(cafile=authority.file)
    assert not call(settings, bare).is_established


def test_a_certificate_of_another_authority_does_not_help(listener: Spool, settings: ListenerSettings, stranger: TlsSettings) -> None:
    assert not call(settings, calling(stranger)).is_established


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_tls_1_1_is_refused(listener: Spool, settings: ListenerSettings, authority: Authority) -> None:
    old = calling(authority.certify("old"))
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection((settings.host, settings.tls_port), timeout=20) as connection,
        pytest.raises(ssl.SSLError, match="VERSION"),
    ):
        old.wrap_socket(connection, server_hostname=settings.host)


def test_the_plain_port_is_shut(listener: Spool, settings: ListenerSettings) -> None:
    with socket.socket() as probe:
        assert probe.connect_ex((settings.host, settings.port)) != 0
    assert not associate(settings.model_copy(update={"port": settings.tls_port})).is_established


def test_who_never_ends_the_handshake_keeps_nobody_waiting(listener: Spool, settings: ListenerSettings, authority: Authority) -> None:
    with socket.create_connection((settings.host, settings.tls_port), timeout=20) as silent:
        association = call(settings, calling(authority.certify("prompt")))
        assert association.is_established
        association.release()
        assert silent.recv(1) == b"", "it is hung up on after greeting_seconds"


def test_results_go_to_an_archive_that_wants_tls(authority: Authority, stranger: TlsSettings, tmp_path: Path) -> None:
    theirs = authority.certify("archive")
    options = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(theirs.tls_certificate),
        "DicomTlsPrivateKey": str(theirs.tls_key),
        "DicomTlsTrustedCertificates": str(theirs.tls_authority),
    }
    with Orthanc(tmp_path, **options) as orthanc:

        def archive(ours: TlsSettings) -> PacsSettings:
            return orthanc.settings.pacs.model_copy(update=ours.model_dump())

        assert store([our_result(generate_uid())], archive(authority.certify("worker"))) == {}
        for others in (TlsSettings(), stranger):
            with pytest.raises(PacsUnreachable):
                store([our_result(generate_uid())], archive(others))


def test_an_archive_that_is_somebody_else_gets_nothing(authority: Authority, stranger: TlsSettings, tmp_path: Path) -> None:
    posing = ListenerSettings(plain=False, tls_port=free_port(), minimum_free_bytes=1, **stranger.model_dump())
    ours = authority.certify("worker")
    with Listener(posing, Spool(tmp_path / "spool"), lambda: None), pytest.raises(PacsUnreachable, match="certificate"):
        store([our_result(generate_uid())], PacsSettings(port=posing.tls_port, ae_title=posing.ae_title, **ours.model_dump()))


def test_files_that_do_not_belong_together_are_named(authority: Authority, tmp_path: Path) -> None:
    one, other = authority.certify("one"), authority.certify("other")
    with pytest.raises(SightlineError, match=r"other\.key.*belong together"):
        tls.accepting(one.model_copy(update={"tls_key": other.tls_key}))
    with pytest.raises(SightlineError, match=r"missing\.pem"):
        tls.accepting(one.model_copy(update={"tls_authority": tmp_path / "missing.pem"}))


@pytest.mark.parametrize("half", [{"tls_certificate": "x.pem"}, {"plain": False}])
def test_settings_that_would_leave_a_door_open_or_none_are_errors(half: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ListenerSettings(**half)
