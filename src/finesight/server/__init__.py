"""The HTTP server and its page: search a collection in the browser, or from a program."""
