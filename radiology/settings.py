"""Every setting, one section a room. Only entry points build :class:`Settings`; nothing reads it at import.

Each field can be set in the environment as ``SIGHTLINE_<SECTION>__<FIELD>``, for example
``SIGHTLINE_LEDGER__URL=postgresql+psycopg://...``, or be the content of a file in the folder of secrets that has that name in small
letters; the environment wins. docs/settings.md lists them all; a test holds the two together.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, SecretStr, model_validator
from pydantic_settings import BaseSettings, NestedSecretsSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from radiology.errors import SightlineError

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SECRETS = Path("/run/secrets")
"""Where a container finds its secrets."""


class Section(BaseModel):
    """A frozen group of settings; an unknown name is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LogSettings(Section):
    """Logs of every process."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least severe level that is written.")
    json_lines: bool = Field(True, description="One JSON object a line; false prints for a person.")


class TlsSettings(Section):
    """DICOM TLS with certificates on both sides (PS3.15 B.12); off where none of the three files is set."""

    tls_certificate: Path | None = Field(None, description="Our certificate for DICOM TLS, PEM; none is no TLS.")
    tls_key: Path | None = Field(None, description="The private key of that certificate, PEM, not encrypted.")
    tls_authority: Path | None = Field(None, description="Certificates, PEM, of the authorities that the other side's must be signed by.")

    @model_validator(mode="after")
    def _all_or_none(self) -> Self:
        if len({file is None for file in (self.tls_certificate, self.tls_key, self.tls_authority)}) == 2:
            raise ValueError("tls_certificate, tls_key and tls_authority are set together, or none of them")
        return self


class ListenerSettings(TlsSettings):
    """The DICOM listener (C-STORE, C-ECHO)."""

    host: str = Field("127.0.0.1", description="Address it listens on.")
    port: int = Field(11112, description="TCP port it listens on.")
    plain: bool = Field(True, description="Whether it listens without TLS; false leaves the TLS port alone.")
    tls_port: int = Field(2762, description="TCP port for DICOM TLS; used where the certificates are set.")
    ae_title: str = Field("SIGHTLINE", min_length=1, max_length=16, description="Its AE title; callers must name it.")
    callers: dict[str, Annotated[list[IPvAnyNetwork], Field(min_length=1)]] = Field(
        {}, description="AE titles that may call, each with its networks (CIDR); empty admits every caller."
    )
    procedure_steps: bool = Field(
        False, description="Whether it takes what modalities say of their procedure steps (MPPS), and studies wait for their end."
    )
    maximum_associations: int = Field(16, description="Associations open at once; one more is rejected for now.")
    maximum_associations_per_address: int = Field(12, description="Of these, how many one address may have.")
    greeting_seconds: float = Field(10.0, description="A caller has this long to ask for an association, then it is hung up on.")
    idle_seconds: float = Field(60.0, description="An association that is silent for this long, or that long over one PDU, is ended.")
    maximum_pdu_bytes: int = Field(131072, description="Largest PDU it receives.")
    maximum_instance_bytes: int = Field(1 << 31, description="Longest instance it takes; it is held in memory while it comes.")
    maximum_memory_bytes: int = Field(
        4 << 30, ge=1 << 28, description="Memory of its process; what wants more is refused with 0xA700, or its association ends."
    )
    minimum_free_bytes: int = Field(1 << 30, description="With less disk free than this it answers 0xA700, try again later.")

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if not self.ports:
            raise ValueError("plain is false and no certificate is set: nobody could call")
        if len(self.ports) == 2 and self.port == self.tls_port:
            raise ValueError("port and tls_port must differ")
        return self

    @property
    def ports(self) -> dict[int, str]:
        """The TCP ports that it listens on, and the setting of each."""
        tls = {self.tls_port: "SIGHTLINE_LISTENER__TLS_PORT"} if self.tls_certificate else {}
        return ({self.port: "SIGHTLINE_LISTENER__PORT"} if self.plain else {}) | tls


class PacsSettings(TlsSettings):
    """The archive. TLS is for its DICOM port; DICOMweb has it by an https URL."""

    dicomweb_url: str = Field("http://127.0.0.1:8042/dicom-web", description="DICOMweb root of the archive.")
    orthanc_url: str = Field("http://127.0.0.1:8042", description="Orthanc's REST root, for its log of changes.")
    user: str = Field("", description="User for HTTP basic authentication; empty sends none.")
    password: SecretStr = Field(SecretStr(""), description="Password of that user.")
    host: str = Field("127.0.0.1", description="Host of the archive's DICOM port, for forwarding.")
    port: int = Field(4242, description="The archive's DICOM port.")
    ae_title: str = Field("ORTHANC", min_length=1, max_length=16, description="The archive's AE title.")
    timeout_seconds: float = Field(60.0, description="Longest wait for one answer of the archive.")
    calling_ae_title: str = Field("SIGHTLINE", min_length=1, max_length=16, description="Our AE title when results go by C-STORE.")
    store_by: Literal["STOW-RS", "C-STORE"] = Field("STOW-RS", description="How results go to the archive: `STOW-RS` or `C-STORE`.")
    storage_commitment: Literal["off", "ask"] = Field(
        "off", description="Whether the archive is asked to commit to results: `ask`, where it knows our listener, or `off`."
    )
    commitment_seconds: float = Field(30.0, description="Longest wait for its commitment; then its query is believed.")


class WatcherSettings(Section):
    """The watcher: which studies are complete and wanted."""

    read_existing: bool = Field(True, description="Whether the first start also reads what the archive already holds.")
    poll_seconds: float = Field(0.25, description="Pause between two looks at the archive's changes.")
    quiet_seconds: float = Field(5.0, description="A study is complete when nothing came for this long.")
    longest_wait_seconds: float = Field(3600.0, description="A study that is never quiet is read after this long all the same.")
    modalities: list[str] = Field(["CR", "DX", "CT"], description="Modalities that the model reads.")
    body_parts: list[str] = Field(
        ["CHEST", "THORAX", "LUNG", ""],
        description="Body Part Examined values that the model reads; the empty one admits images that do not say.",
    )
    rules: Path | None = Field(None, description="YAML file that says which studies are read and which come first; none reads all.")


class LedgerSettings(Section):
    """The ledger of jobs."""

    url: str = Field("", description="SQLAlchemy URL; empty is an SQLite file in the data folder.")
    password: SecretStr = Field(SecretStr(""), description="Password for that URL; one that the URL has gives way to it.")
    lease_seconds: float = Field(30.0, description="A worker that has not renewed its lease for this long is taken for dead.")
    maximum_attempts: int = Field(5, description="A job that was tried this often is failed.")
    retry_seconds: float = Field(10.0, description="Pause before an unreachable archive is tried again; doubles with each attempt.")
    readings_per_model: int | None = Field(
        None, ge=1, description="How many studies are read with one model at a time, over all workers; none sets no limit."
    )


class QueueSettings(Section):
    """The queue (Celery)."""

    broker_url: str = Field(
        "filesystem://", description="Celery broker; the default needs no server, redis://host:6379/0 is for production."
    )
    password: SecretStr = Field(SecretStr(""), description="Password for that broker; one that the URL has gives way to it.")
    polling_seconds: float = Field(0.1, description="How often the file-system broker is looked at.")
    sweep_seconds: float = Field(5.0, description="How often the watcher re-sends jobs whose message or worker was lost.")

    @property
    def url(self) -> str:
        """The broker's URL with the password."""
        return _with_password(self.broker_url, self.password)


class ApiSettings(Section):
    """The HTTP API and the viewer, one origin."""

    host: str = Field("127.0.0.1", description="Address it listens on.")
    port: int = Field(8080, description="TCP port it listens on.")
    hosts: list[str] = Field(["localhost", "127.0.0.1"], description="Host names that a browser may use to reach it, beside `host`.")
    proxies: list[str] = Field(
        ["127.0.0.1", "::1"],
        description="Addresses or networks of proxies whose X-Forwarded-For and -Proto are believed; `*` is every one.",
    )
    viewer_folder: Path | None = Field(None, description="Folder of the prebuilt OHIF; none serves no viewer.")
    extension_folder: Path | None = Field(None, description="Folder with the built OHIF extension.")


class AccessSettings(Section):
    """Who may use the HTTP API and the viewer."""

    issuer: str = Field("", description="OpenID Connect issuer, for Keycloak `https://HOST/realms/NAME`; empty asks nobody who they are.")
    client_id: str = Field("sightline", description="Our name at the issuer; the audience of the tokens that programs bring.")
    client_secret: SecretStr = Field(SecretStr(""), description="Our secret at the issuer; empty for a public client.")
    roles_claim: str = Field("realm_access.roles", description="Claim with somebody's roles; a dot goes one object deeper.")
    studies_claim: str = Field("", description="Claim with the institutions whose studies somebody may see; empty shows everybody all.")
    organization: str = Field("", max_length=64, description="The hospital or practice of the accounts; empty lets each reader type it.")
    session_secret: SecretStr = Field(SecretStr(""), description="Signs the cookies; empty makes one, and a restart signs everybody out.")
    session_hours: float = Field(8.0, description="How long somebody stays signed in.")
    open_to_network: bool = Field(
        False, description="Whether the API may listen beyond its own machine although no issuer is set: something before it asks."
    )


Encoders = Literal["torch", "openvino"]


class EngineSettings(Section):
    """The model and its worker."""

    weights: Path | None = Field(None, description="Folder of the weights; none takes the weights that come with Sightline.")
    device: str = Field("cpu", description="torch device.")
    threads: int = Field(2, description="CPU threads of the model.")
    encoders: Encoders = Field("torch", description="What runs the picture encoders on a CPU: `torch`, or `openvino` if installed.")
    maximum_new_tokens: int = Field(512, description="Longest answer of the model.")
    maximum_key_slices: int = Field(12, description="Slices of a volume that the model reads.")


class ResultSettings(Section):
    """Which DICOM objects a reading becomes, beside its findings and masks."""

    comprehensive_3d: bool = Field(True, description="Findings as Comprehensive 3D SR; false is Comprehensive SR, for old archives.")
    draft: bool = Field(True, description="Whether a readable draft report (TID 2000) is written too.")
    measurements: bool = Field(True, description="Whether measurements of the masks are written too.")
    label_maps: bool = Field(False, description="Masks as label maps where none overlap and the archive takes them; else one bit a pixel.")


class RetentionSettings(Section):
    """How long is kept what piles up on this side; what is not set is kept for good. Archive and audit trail are never touched."""

    steps_days: float | None = Field(None, ge=0, description="Days for the steps of done and refused jobs, and the model's to its report.")
    questions_days: float | None = Field(None, ge=0, description="Days for questions from the seat and their answers.")
    fingerprints_days: float | None = Field(
        None, ge=0, description="Days in which an instance that comes again with another content is noticed by the listener."
    )
    refused_days: float | None = Field(
        None, ge=0, description="Days for files that the archive refused, and has by now with the same bytes; others stay."
    )
    quarantine_days: float | None = Field(
        None, ge=0, description="Days for files in quarantine that the archive has by now with the same bytes; others stay."
    )


class Settings(BaseSettings):
    """All settings. Unknown names in the environment's ``SIGHTLINE_`` space are errors."""

    model_config = SettingsConfigDict(env_prefix="SIGHTLINE_", env_nested_delimiter="__", extra="forbid", frozen=True)

    data_folder: Path = Field(Path("var"), description="Where the ledger, spool, queue and caches live.")
    secrets_folder: Path = Field(_SECRETS, description="Folder of secrets: a file named as a variable, in small letters, holds its value.")
    log: LogSettings = LogSettings()
    listener: ListenerSettings = ListenerSettings()
    pacs: PacsSettings = PacsSettings()
    watcher: WatcherSettings = WatcherSettings()
    ledger: LedgerSettings = LedgerSettings()
    queue: QueueSettings = QueueSettings()
    api: ApiSettings = ApiSettings()
    access: AccessSettings = AccessSettings()
    engine: EngineSettings = EngineSettings()
    results: ResultSettings = ResultSettings()
    retention: RetentionSettings = RetentionSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return where settings come from, the strongest first: the caller, the environment, the folder of secrets."""
        named = os.environ.get("SIGHTLINE_SECRETS_FOLDER")
        try:
            secrets = NestedSecretsSettingsSource(
                file_secret_settings, secrets_dir=named or _SECRETS, secrets_dir_missing="error" if named else "ok"
            )
        except (OSError, SettingsError) as error:
            raise SightlineError(f"A secret cannot be read; correct SIGHTLINE_SECRETS_FOLDER or the file's mode: {error}.") from error
        return init_settings, env_settings, secrets

    @model_validator(mode="after")
    def _refuse_unknown_variables(self) -> Self:
        # pydantic-settings looks only for the names it knows: a misspelt section would be passed over in silence.
        known = tuple(f"SIGHTLINE_{name}".upper() for name in type(self).model_fields)
        for variable in map(str.upper, os.environ):
            if variable.startswith("SIGHTLINE_") and variable.split("__")[0] not in known:
                raise ValueError(f"{variable} is not a setting; docs/settings.md lists them all.")
        return self

    @model_validator(mode="after")
    def _has_its_password(self) -> Self:
        if self.pacs.user and not self.pacs.password.get_secret_value():
            raise ValueError(
                f"SIGHTLINE_PACS__USER is set and its password is not; set SIGHTLINE_PACS__PASSWORD, "
                f"or write it into {self.secrets_folder / 'sightline_pacs__password'}"
            )
        return self

    @model_validator(mode="after")
    def _closed_by_default(self) -> Self:
        if not self.access.issuer and not self.access.open_to_network and self.api.host not in _LOOPBACK:
            raise ValueError(
                f"SIGHTLINE_API__HOST is {self.api.host}, and whoever reaches it could read and judge; set SIGHTLINE_ACCESS__ISSUER, "
                "or SIGHTLINE_ACCESS__OPEN_TO_NETWORK=true where something before it asks who people are"
            )
        return self

    @model_validator(mode="after")
    def _archive_may_report(self) -> Self:
        callers = self.listener.callers
        if self.pacs.storage_commitment == "ask" and callers and self.pacs.ae_title not in callers:
            raise ValueError(
                f"SIGHTLINE_PACS__STORAGE_COMMITMENT is ask, and the archive's report would be turned away; "
                f"add {self.pacs.ae_title} to SIGHTLINE_LISTENER__CALLERS"
            )
        return self

    @property
    def ledger_url(self) -> str:
        """The ledger's SQLAlchemy URL with the default filled in."""
        given = _with_password(self.ledger.url, self.ledger.password)
        return given or f"sqlite:///{(self.data_folder / 'ledger.sqlite').resolve()}"


def _with_password(url: str, password: SecretStr) -> str:
    if not (secret := password.get_secret_value()):
        return url
    parts = urlsplit(url)
    user, _, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:{quote(secret, safe='')}@{place}"))
