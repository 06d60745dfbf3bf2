"""The dashboard's entry point: page settings, navigation, the sidebar. Start it with `streamlit run dashboard/app.py`.

`streamlit run` takes `app`, the server, from here, and its script is this same file; so every start goes through `hosts.DOOR`.
"""

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.starlette import App

from dashboard import hosts

ICON = (  # inline, because Streamlit fetches named icons for the tab from the network
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><circle cx="10" cy="16" r="8" fill="#2f7fc1"/>'
    '<path d="M19 16h9m-4-4 4 4-4 4" stroke="#d9730d" stroke-width="3" fill="none"/></svg>'
)


def draw() -> None:
    """One page with its navigation, sidebar and tour, for one visitor."""
    from dashboard import pulse, sidebar, tour  # not on top: they need a running server

    st.set_page_config(page_title="pkt: knowledge between models", page_icon=ICON, layout="wide")
    page = st.navigation(
        {
            "See": [
                st.Page(
                    "views/pair/page.py",
                    url_path="pair",
                    title="Pair",
                    icon=":material/handshake:",
                    default=True,
                    help="Two models side by side",
                ),
                st.Page(
                    "views/alignment/page.py",
                    url_path="alignment",
                    title="Alignment",
                    icon=":material/grid_on:",
                    help="Where do the layers agree?",
                ),
                st.Page(
                    "views/latent_map/page.py",
                    url_path="latent_map",
                    title="Latent map",
                    icon=":material/scatter_plot:",
                    help="Both latent spaces in one picture",
                ),
                st.Page(
                    "views/maps/page.py",
                    url_path="maps",
                    title="Alignment maps",
                    icon=":material/swap_horiz:",
                    help="Mapping states from teacher to student",
                ),
                st.Page(
                    "views/inspector/page.py",
                    url_path="inspector",
                    title="Inspector",
                    icon=":material/search:",
                    help="What does a state encode?",
                ),
            ],
            "Do": [
                st.Page(
                    "views/transfer/page.py",
                    url_path="transfer",
                    title="Transfer",
                    icon=":material/moving:",
                    help="Run a transfer",
                ),
                st.Page(
                    "views/families/page.py",
                    url_path="families",
                    title="Families",
                    icon=":material/leaderboard:",
                    help="Compare methods",
                ),
                st.Page(
                    "views/factors/page.py",
                    url_path="factors",
                    title="Factors",
                    icon=":material/insights:",
                    help="What predicts transfer gain?",
                ),
                st.Page(
                    "views/behaviour/page.py",
                    url_path="behaviour",
                    title="Behaviour",
                    icon=":material/quiz:",
                    help="What changed, and at what cost?",
                ),
                st.Page(
                    "views/tokens/page.py",
                    url_path="tokens",
                    title="Tokens",
                    icon=":material/format_ink_highlighter:",
                    help="Where did predictions change?",
                ),
                st.Page(
                    "views/benchmarks/page.py",
                    url_path="benchmarks",
                    title="Benchmarks",
                    icon=":material/scoreboard:",
                    help="Standard benchmarks",
                ),
                st.Page(
                    "views/runs/page.py",
                    url_path="runs",
                    title="Runs",
                    icon=":material/history:",
                    help="Runs: open, compare, download",
                ),
            ],
        }
    )
    here = page.url_path or "pair"
    tour.move(here)  # before anything is drawn
    pulse.begin()
    sidebar.draw(here)
    tour.draw(here)
    page.run()
    pulse.end(here)


if get_script_run_ctx(suppress_warning=True) is None:
    app = App(__file__, middleware=hosts.DOOR)
else:
    draw()
