"""Pages in Streamlit's own test harness: the engine that stands in for the real one, what a page says, a finished run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import recorded_results
import recorded_runs
import recorded_studies
from streamlit.testing.v1 import AppTest

from dashboard.engine.client import Engine, Task
from dashboard.engine.worker import answer, as_json
from pkt_core.base.progress import silent
from pkt_core.errors import PktError
from pkt_core.runs import folder as run_folder

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "pair",
    "alignment",
    "latent_map",
    "maps",
    "inspector",
    "transfer",
    "families",
    "factors",
    "behaviour",
    "tokens",
    "benchmarks",
    "runs",
)
READ = {
    "plan_needs",
    "pair_room",
    "run_controls",
    "control_plan",
    "family_members",
    "family_table",
    "sweep_members",
    "task_tests",
}
"""What reads configurations and runs only, so that tests ask the real function."""


class Answers:
    """Stands in for the engine: answers at once, or stays at work, or fails."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.status, self.error, self.fault = "done", None, False

    def find(self, function: str, arguments: dict[str, Any]) -> Any:
        """The record or the JSON form of an answer."""
        if function == "similarity":
            return recorded_results.grid_by(arguments["measure"])
        if function == "latent_map":
            return recorded_studies.latent(arguments["method"])
        if function == "chain_map":
            kind = arguments["kind"].replace("student", "teacher")
            return recorded_studies.chain(method=arguments["method"], kind=kind, shuffled=arguments["shuffled"])
        if function in ("turnover", "picked_tokens", "picked_cell", "picked_continuations"):
            return getattr(recorded_studies, function)()
        layers = arguments.get("teacher_layer"), arguments.get("student_layer")
        return {
            "closer_look": lambda: recorded_studies.closer_look(*layers),
            "compare": recorded_results.comparison,
            "alignment_maps": lambda: recorded_studies.maps(*layers),
            "stitching": lambda: recorded_studies.stitching(arguments["kind"]),
            "similarity_change": recorded_results.change,
            "token_change": recorded_studies.token_change,
            "writing": recorded_studies.writing,
            "user_task": recorded_studies.user_task,
            "inspect_token": recorded_studies.inspection,
            "basis_options": recorded_studies.basis_options,
            "factors": recorded_studies.factors,
            "warm_projection": dict,
        }[function]()

    def ask(self, _engine: Engine, function: str, arguments: dict[str, Any], **_: bool) -> Task:
        self.asked.append((function, arguments))
        if function in READ and self.status != "working":
            try:
                return Task(function, arguments, status="done", result=answer(function, arguments, silent))
            except PktError as error:
                return Task(function, arguments, status="failed", error=str(error))
        found = None if function in READ else self.find(function, arguments)
        working = self.status == "working" or (self.status == "umap works" and arguments.get("method") == "umap")
        status = "working" if working else "failed" if self.status == "failed" else "done"
        result = as_json(found) if status == "done" else None
        return Task(function, arguments, status=status, result=result, error=self.error, fault=self.fault)


def page(name: str, **link: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=60)
    app.query_params.update(link)
    app.run()
    if name != "pair":
        app.switch_page(f"views/{name}/page.py").run()
    return app


def words(app: AppTest) -> str:
    """What the page says; spaces that do not break are spaces."""
    kinds = (app.markdown, app.caption, app.error, app.info, app.warning)
    return " ".join(str(one.value) for kind in kinds for one in kind).replace("\u00a0", " ")


def plain(app: AppTest) -> str:
    """The same without the signs that keep it from being markup."""
    return words(app).replace("\\", "")


def finished_run(run_id: str = "one", **plan: Any) -> run_folder.Run:
    made = run_folder.create_run({"method": "semalign-v1", "steps": 20, "seed": 0, **plan}, run_id=run_id)
    made.write_status("running", message="Training")
    for i in range(1, 21):
        made.append_event(recorded_runs.event(i))
    made.write_results(replace(recorded_runs.hostile(), right={}))
    made.write_status("done", message="Done.")
    return made
