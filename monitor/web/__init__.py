"""What others ask the daemon over HTTP."""
