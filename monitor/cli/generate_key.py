"""`llm-monitor generate-key`: a key that seals the stored keys of providers."""

from monitor.cli.console import show_json
from monitor.cli.options import AsJson, EnvFile


def generate_key(env_file: EnvFile = None, as_json: AsJson = False) -> int:
    """Make an encryption key: add it to a file, or print it. One that is there is never overwritten."""
    from monitor.keyring import VARIABLE, add_to_env_file, generate

    if env_file is None:
        key = generate()
        if as_json:
            show_json({"variable": VARIABLE, "key": key, "env_file": None})
        else:
            print(f"{VARIABLE}={key}")
        return 0
    add_to_env_file(env_file)
    if as_json:
        show_json({"variable": VARIABLE, "key": None, "env_file": str(env_file)})
        return 0
    print(f"{VARIABLE} was added to {env_file}; keep a copy elsewhere: stored keys are lost without it")
    return 0
