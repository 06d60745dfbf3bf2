// The app's only clock. It ticks while the app is at rest: not while a page is being drawn, and not just after a press or key, which
// may lead to another page. A page that went white is reloaded once, with its link, and not again soon after.
const STILL = 2000; // milliseconds after a press
const AGAIN = 60000; // milliseconds in which a page is loaded again once
let pressed = -STILL, timer;

for (const kind of ["pointerdown", "click", "keydown", "popstate"])
  window.addEventListener(kind, () => { pressed = performance.now(); }, true);

function reload() {
  const root = document.getElementById("root"), last = Number(sessionStorage.getItem("pkt-reloaded") ?? 0);
  if (!root || root.childElementCount || Date.now() - last < AGAIN) return;
  sessionStorage.setItem("pkt-reloaded", String(Date.now()));
  window.location.reload();
}
const root = document.getElementById("root");
if (root) {
  new MutationObserver(reload).observe(root, { childList: true });
  root.dataset.watched = "";
}

export default function ({ data, setTriggerValue }) {
  clearInterval(timer);
  let count = 0;
  const mine = timer = setInterval(() => {
    const drawing = document.querySelector("[data-testid=stApp]")?.dataset.testScriptState;
    if (performance.now() - pressed < STILL || (drawing && drawing !== "notRunning")) return;
    setTriggerValue("tick", ++count);
  }, 1000 * data.seconds);
  return () => clearInterval(mine);
}
