"""Real requests to providers, and what came back."""
