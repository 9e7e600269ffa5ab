"""The status page: what a person's browser gets, rendered here, complete without scripts."""
