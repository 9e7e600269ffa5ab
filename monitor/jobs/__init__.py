"""What the daemon does by itself; one file, one job."""
