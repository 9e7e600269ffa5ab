"""`llm-monitor promote`, `pin`, `unpin`: who serves by an operator's word, and for how long."""

from typing import TYPE_CHECKING, Any

from monitor.cli.acting import (
    For,
    Force,
    Names,
    ProviderName,
    Reason,
    Until,
    act,
    act_on_purpose,
    end_said,
    tell,
    until_said,
)
from monitor.cli.options import AsJson, ConfigFile, DataDir, EnvFile, read_settings
from monitor.cli.purpose import PurposeName, find_purpose

if TYPE_CHECKING:
    from monitor.storage.operator import Acted, By


def promote(
    purpose: PurposeName,
    provider: ProviderName,
    span: For = None,
    until: Until = None,
    reason: Reason = None,
    force: Force = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """Move a purpose onto a provider now; no return by itself until unpin, or until the end."""
    settings = read_settings(config, env_file, data_dir)
    wanted, end = find_purpose(purpose), end_said(span, until)

    async def do(connection: Any, names: Names, by: "By") -> "tuple[Acted, bool]":
        from monitor.storage.operator import promote as promote_
        from monitor.storage.purposes import load_purposes

        acted = await promote_(connection, wanted, names.find(provider), end, by, force=force)
        return acted, (await load_purposes(connection))[wanted].held

    (acted, held), names = act(settings, do, reason)
    text = _moved(acted, names)
    if held:
        text += f" No return by itself {until_said(acted.until, 'before llm-monitor unpin')}."
    return tell(acted, names, text, as_json=as_json)


def pin(
    purpose: PurposeName,
    provider: ProviderName,
    span: For = None,
    until: Until = None,
    reason: Reason = None,
    force: Force = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """Move a purpose onto a provider now and keep it there, whatever happens, until unpin or the end."""
    settings = read_settings(config, env_file, data_dir)
    wanted, end = find_purpose(purpose), end_said(span, until)

    async def do(connection: Any, names: Names, by: "By") -> "Acted":
        from monitor.storage.operator import pin as pin_

        return await pin_(connection, wanted, names.find(provider), end, by, force=force)

    acted, names = act(settings, do, reason)
    text = f"{_moved(acted, names)} Pinned {until_said(acted.until, 'until llm-monitor unpin')}."
    return tell(acted, names, text, as_json=as_json)


def unpin(
    purpose: PurposeName,
    reason: Reason = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """End a pin, and what holds the return after a promotion: the rules decide again."""
    from monitor.storage import operator

    settings = read_settings(config, env_file, data_dir)
    text = "{} serves, and the rules decide again."
    return act_on_purpose(settings, purpose, operator.unpin, text, reason, as_json=as_json)


def _moved(acted: "Acted", names: Names) -> str:
    second = f" The fallback is {names.called(acted.fallback)}." if acted.fallback else " No fallback."
    if acted.left is None:
        return f"{names.called(acted.active)} serves already.{second}"
    return f"{names.called(acted.active)} serves now, in place of {names.called(acted.left)}.{second}"
