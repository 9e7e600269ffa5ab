"""What Grafana and Prometheus are given to show and to watch the daemon."""
