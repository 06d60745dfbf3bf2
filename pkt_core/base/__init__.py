"""The foundation: files that are whole or absent, the names of results, the store, records, progress.

`files`, `staging` and `sealed` write atomically and notice damage; `fingerprint` names a result by all that could change it; `store`
keeps results under such names (`memo`: look up, else compute and keep); `records` turns frozen dataclasses into JSON and back,
field by field; `progress` is the one signature of a progress report; `hub` checks whether the hub is reachable; `rooms` makes a package
callable.

To store a new result: make it a frozen dataclass with a docstring per field, put all that could change it into a fingerprint
together with a version constant, and call `memo(kind, key, Record, make)`. Raise the constant when the computation changes; a record
that no longer reads is computed again.
"""
