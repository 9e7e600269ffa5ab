"""`llm-monitor generate-key`: a key that seals the stored keys of providers."""

from monitor.cli.options import EnvFile


def generate_key(env_file: EnvFile = None) -> int:
    """Make an encryption key: add it to a file, or print it. One that is there is never overwritten."""
    from monitor.keyring import VARIABLE, add_to_env_file, generate

    if env_file is None:
        print(f"{VARIABLE}={generate()}")
        return 0
    add_to_env_file(env_file)
    print(f"{VARIABLE} was added to {env_file}; keep a copy elsewhere: stored keys are lost without it")
    return 0
