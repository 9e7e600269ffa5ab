"""What the operator has to mend, told from what we have to mend."""

import sys

import typer

_THEIRS = (
    ("monitor.tenure", "StartError"),
    ("monitor.keyring.ring", "KeyringError"),
    ("monitor.settings.names", "SettingsError"),
    ("monitor.storage.acting", "ActError"),
    ("monitor.storage.address", "AddressError"),
    ("monitor.storage.application_tables", "SchemaError"),
    ("monitor.storage.backup_file", "BackupError"),
    ("monitor.storage.embedded_folder", "EmbeddedError"),
    ("monitor.storage.sealing", "SealingRefused"),
    ("monitor.storage.visit", "VisitRefused"),
    ("monitor.web.certificate", "CertificateError"),
    ("monitor.web.listen", "ListenError"),
)


class Refused(Exception):
    """What was asked can't be done as things are; one line that names the thing and the mend."""


def explain(error: Exception) -> str | None:
    """The one line for an operator; None when the fault is the program's own."""
    if isinstance(error, typer.TyperException):
        return _one_line(error.format_message())
    if isinstance(error, (Refused, *_known())):
        return _one_line(str(error))
    return None


def _known() -> tuple[type[Exception], ...]:
    # By name: an error of a module that nobody imported can't have been raised, and imports cost time.
    modules = [(sys.modules.get(module), name) for module, name in _THEIRS]
    return tuple(getattr(module, name) for module, name in modules if module is not None)


def _one_line(text: str) -> str:
    return " ".join(text.split())
