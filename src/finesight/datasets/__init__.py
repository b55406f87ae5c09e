"""Published formats, one a file, read into the same records."""
