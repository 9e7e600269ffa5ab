"""The pure core: what a probe's result means and what follows from it."""
