// Text typed into the plan is submitted after a pause, as if Enter had been pressed, and before a reload, so that it is in the link that
// the reload opens. Streamlit itself waits for Enter, or for the box to lose focus.
const PAUSE = 600; // milliseconds without a key
let timer, box = null;

function take() {
  clearTimeout(timer);
  if (box?.isConnected) box.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", code: "Enter", keyCode: 13, which: 13, bubbles: true }));
  if (box?.isConnected) box.dispatchEvent(new KeyboardEvent("keypress", { key: "Enter", code: "Enter", keyCode: 13, which: 13, charCode: 13, bubbles: true }));
  box = null;
}
window.addEventListener("input", (event) => {
  const typed = event.target;
  if (!typed.closest?.(".st-key-plan") || typed.role === "combobox" || !["number", "text"].includes(typed.type)) return;
  clearTimeout(timer);
  box = typed;
  timer = setTimeout(take, PAUSE);
}, true);
window.addEventListener("keydown", (event) => {
  if (event.key === "F5" || ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "r")) take();
}, true);
window.addEventListener("beforeunload", take);

export default function () {}
