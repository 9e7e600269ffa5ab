"""How the embedded PostgreSQL is set up: small, local, and as careful with data as any."""

from pathlib import Path

NAME = "monitor"  # of the role and of the database

INITDB_OPTIONS = (
    "--username", NAME,
    "--auth", "trust",  # only the socket's folder lets anybody in
    "--encoding", "UTF8",
    "--locale", "C",
    "--data-checksums",
    "--wal-segsize", "4",  # MB; four times smaller than usual, as is what we write
    "--no-instructions",
)  # fmt: skip

_SETTINGS = {
    "listen_addresses": "",
    "cluster_name": "llm-monitor",
    "max_connections": "100",
    "shared_buffers": "16MB",
    "maintenance_work_mem": "32MB",
    "max_wal_size": "128MB",
    "min_wal_size": "32MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_worker_processes": "2",
    "max_logical_replication_workers": "0",
    "max_parallel_workers_per_gather": "0",
    "autovacuum_max_workers": "1",
    "huge_pages": "off",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
}
_SETTINGS_SINCE_18 = {
    "io_method": "sync",  # without three workers that only wait
    "autovacuum_worker_slots": "1",
}


def server_options(cluster: Path, sockets: Path, major: int, group: str | None) -> list[str]:
    """The arguments of `postgres`, given anew at each start so that an old folder follows a new release."""
    settings = (
        _SETTINGS | (_SETTINGS_SINCE_18 if major >= 18 else {}) | {"unix_socket_directories": str(sockets)}
    )
    if group is None:
        settings["unix_socket_permissions"] = "0700"
    else:
        settings |= {"unix_socket_group": group, "unix_socket_permissions": "0770"}
    options = ["-D", str(cluster)]
    for name, value in settings.items():
        options += ["-c", f"{name}={value}"]
    return options
