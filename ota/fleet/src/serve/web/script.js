"use strict";
// Times in the reader's own zone; without this script they stand there in UTC.
for (const element of document.querySelectorAll("time[datetime]")) {
  const at = new Date(element.dateTime);
  element.title = element.textContent;
  element.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}
// A form that is sent is not sent twice.
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", () => {
    for (const button of form.querySelectorAll("button")) setTimeout(() => { button.disabled = true; }, 0);
  });
}
