"""What wants root or Debian packages."""
