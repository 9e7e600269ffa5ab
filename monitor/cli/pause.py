"""`llm-monitor pause` and `resume`: whether anything moves by itself."""

from typing import TYPE_CHECKING, Any

from monitor.cli.acting import REFUSED, Names, Reason, act, tell
from monitor.cli.options import AsJson, ConfigFile, DataDir, EnvFile, read_settings
from monitor.cli.purpose import PurposeName, find_purpose

if TYPE_CHECKING:
    from monitor.storage.operator import Acted, By


def pause(
    purpose: PurposeName,
    reason: Reason = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """Let nothing move by itself until resume; probes go on."""
    settings = read_settings(config, env_file, data_dir)
    wanted = find_purpose(purpose)

    async def do(connection: Any, _names: Names, by: "By") -> "Acted":
        from monitor.storage.operator import pause as pause_

        return await pause_(connection, wanted, by)

    done = act(settings, do, reason)
    if done is None:
        return REFUSED
    acted, names = done
    text = f"paused: {names.called(acted.active)} serves, and nothing moves before llm-monitor resume."
    return tell(acted, names, text, as_json=as_json)


def resume(
    purpose: PurposeName,
    reason: Reason = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """End a pause: the rules decide again."""
    settings = read_settings(config, env_file, data_dir)
    wanted = find_purpose(purpose)

    async def do(connection: Any, _names: Names, by: "By") -> "Acted":
        from monitor.storage.operator import resume as resume_

        return await resume_(connection, wanted, by)

    done = act(settings, do, reason)
    if done is None:
        return REFUSED
    acted, names = done
    text = f"resumed: {names.called(acted.active)} serves, and the rules decide again."
    return tell(acted, names, text, as_json=as_json)
