// Shows what a bar says at once, beside the pointer; without script the browser shows the same title after a while.
const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
tip.setAttribute("aria-hidden", "true");
document.body.append(tip);
for (const title of document.querySelectorAll(".hit > title")) {
  title.parentNode.dataset.tip = title.textContent;
  title.remove();
}
document.addEventListener("pointermove", (event) => {
  const text = event.target instanceof Element ? event.target.closest("[data-tip]")?.dataset.tip : undefined;
  tip.hidden = text === undefined;
  if (tip.hidden) return;
  tip.textContent = text;
  const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
  const above = event.clientY - tip.offsetHeight - 10;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${above > 8 ? above : event.clientY + 18}px`;
});
document.addEventListener("pointerleave", () => { tip.hidden = true; });
