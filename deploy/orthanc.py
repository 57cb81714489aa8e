"""Orthanc, the archive of a stand-alone Sightline: its configuration and how it is started.

Demo, tests and services share this. Orthanc keeps everything in ``data_folder/orthanc`` and takes its ports, AE title and
user from :class:`~radiology.settings.PacsSettings`.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from radiology.settings import Settings

ENVIRONMENT = {"TCP_NODELAY": "1"}
"""Orthanc is to be started with this: without it DCMTK waits about 50 ms for every instance that it receives."""

_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def program() -> str:
    """Return the path of Orthanc's program; ``FileNotFoundError`` says what to install."""
    found = shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if found is None or not _PLUGIN.exists():
        raise FileNotFoundError("Orthanc and its DICOMweb plug-in are missing; run: apt-get install orthanc orthanc-dicomweb")
    return found


def configuration(settings: Settings) -> dict[str, Any]:
    """Return Orthanc's configuration, ready to be written as JSON.

    Orthanc answers on this machine only, and asks for a password where the settings have one. It keeps what it received
    first (no overwriting), so that sending an instance again changes nothing.
    """
    folder = str((settings.data_folder / "orthanc").resolve())
    user = settings.pacs.user
    return {
        "Name": "Sightline archive",
        "StorageDirectory": folder,
        "IndexDirectory": folder,
        "Plugins": [str(_PLUGIN)],
        "HttpPort": urlsplit(settings.pacs.orthanc_url).port or 80,
        "DicomPort": settings.pacs.port,
        "DicomAet": settings.pacs.ae_title,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": bool(user),
        "RegisteredUsers": {user: settings.pacs.password.get_secret_value()} if user else {},
        "DicomAlwaysAllowStore": True,
        "DicomModalities": {
            "sightline": {"AET": settings.listener.ae_title, "Host": settings.listener.host, "Port": settings.listener.port}
        },
        # Label maps and private classes are unknown to the DCMTK in Orthanc, and are stored all the same.
        "UnknownSopClassAccepted": True,
        "OverwriteInstances": False,
        # Compressing costs 45 ms a slice on a connection that does not need it.
        "HttpCompressionEnabled": False,
        "MaximumPduLength": 131072,
        "StableAge": 3,
        "SaveJobs": False,
        # No "Host": with one, addresses in the answers lack the port, and a proxy's Forwarded header is ignored.
        "DicomWeb": {
            "Enable": True,
            "Root": "/dicom-web/",
            "EnableWado": True,
            "WadoRoot": "/wado",
            "StudiesMetadata": "MainDicomTags",
            "SeriesMetadata": "Full",
        },
    }
