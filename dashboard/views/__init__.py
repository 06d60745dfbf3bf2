"""One file per page: choose, call, show."""
