"""`llm-monitor pause` and `resume`: whether anything moves by itself."""

from monitor.cli.acting import Reason, act_on_purpose
from monitor.cli.options import AsJson, ConfigFile, DataDir, EnvFile, read_settings
from monitor.cli.purpose import PurposeName


def pause(
    purpose: PurposeName,
    reason: Reason = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """Let nothing move by itself until resume; probes go on."""
    from monitor.storage import operator

    settings = read_settings(config, env_file, data_dir)
    text = "paused: {} serves, and nothing moves before llm-monitor resume."
    return act_on_purpose(settings, purpose, operator.pause, text, reason, as_json=as_json)


def resume(
    purpose: PurposeName,
    reason: Reason = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """End a pause: the rules decide again."""
    from monitor.storage import operator

    settings = read_settings(config, env_file, data_dir)
    text = "resumed: {} serves, and the rules decide again."
    return act_on_purpose(settings, purpose, operator.resume, text, reason, as_json=as_json)
