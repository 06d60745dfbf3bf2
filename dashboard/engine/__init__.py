"""Computations in a process of their own: the client in the server, the worker that computes."""
