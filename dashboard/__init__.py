"""The app: what a browser shows. It computes nothing heavy itself and loads no model in its own process.

`app` is the entry point, `views/<page>` the pages, `engine` the process that computes; `state` and `params` hold what is chosen, and all of
it is in the link; `selection` turns it into requests, `loaders` asks for results, `widgets` and `run_widgets` draw what pages share,
`pulse` redraws what changes; `jobs` and `run_actions` start and stop runs; `access`, `hosts` and `limits` guard what a visitor may do.

A page asks the engine by a function's name and gets its record; figures and sentences come from `pkt_core/studies`.

To add a choice that belongs in the link: a `Param` in `params.py`, a widget that is bound to it. To add a page: see `views`.
"""
