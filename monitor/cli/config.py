"""`llm-monitor config`: the settings in force, and where each came from."""

from monitor.cli.console import show_json, show_table
from monitor.cli.options import AsJson, ConfigFile, DataDir, EnvFile, read_settings


def config(
    config: ConfigFile = None, env_file: EnvFile = None, data_dir: DataDir = None, as_json: AsJson = False
) -> int:
    """Show the settings in force, secrets masked, and where each came from."""
    effective = read_settings(config, env_file, data_dir).effective()
    if as_json:
        show_json([one._asdict() for one in effective])
        return 0
    show_table(
        "settings", ("NAME", "VALUE", "FROM"), [(one.name, one.shown or "-", one.origin) for one in effective]
    )
    return 0
