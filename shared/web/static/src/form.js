/*
  An application's form (data-form): shows what depends on an answer only when it applies, and keeps what was written.
  Without this file everything is on the page with a sentence about when, and a button keeps it: the server decides both
  in the same way, whatever is shown here.

  data-when, data-one-of, data-lowest, data-highest   the field that decides, and what it has to hold
  data-at                                             where it is said which part of the form is on the screen
  choudo:save                                         what is right so far is sent (the element's own hx-post)
*/
(() => {
  "use strict";

  const SECOND = 1000;
  const PAUSE_MS = 5 * SECOND;
  // Each time that something was kept is a line in the person's record.
  const BETWEEN_MS = 30 * SECOND;
  const ERAS = { R: 2018, H: 1988, S: 1925, T: 1911, M: 1867, 令和: 2018, 平成: 1988, 昭和: 1925, 大正: 1911, 明治: 1867 };
  const YEAR = /^(令和|平成|昭和|大正|明治|西暦|[RHSTM])?\s*(\d{1,4}|元)年?$/i;
  const WESTERN_MIN = 1000;

  const form = document.querySelector("form[data-form]");
  if (!form) return;
  const typing = form.elements.namedItem("typing");

  const typed = (name) => {
    const field = form.elements.namedItem(name);
    return (field && field.value ? String(field.value) : "").normalize("NFKC").trim();
  };
  const day = (name) => {
    const found = YEAR.exec(typed(`${name}_year`));
    if (!found) return "";
    const count = found[2] === "元" ? 1 : Number(found[2]);
    const era = (found[1] || typed(`${name}_era`) || "").toUpperCase();
    const year = (!found[1] && count >= WESTERN_MIN) || !(era in ERAS) ? count : count + ERAS[era];
    const [month, date] = ["month", "day"].map((part) => typed(`${name}_${part}`).replace(/[月日]$/, ""));
    if (!month || !date) return "";
    return [String(year).padStart(4, "0"), month.padStart(2, "0"), date.padStart(2, "0")].join("-");
  };
  const between = (value, lowest, highest, read) =>
    value !== "" && (lowest === undefined || read(value) >= read(lowest)) &&
    (highest === undefined || read(value) <= read(highest));
  const holds = ({ when, oneOf, lowest, highest }) => {
    if (oneOf) return oneOf.split(" ").includes(typed(when));
    if (form.elements.namedItem(`${when}_year`)) return between(day(when), lowest, highest, String);
    const number = typed(when);
    return /^\d+$/.test(number) && between(number, lowest, highest, Number);
  };

  /* What does not apply answers nothing: whatever depends on it goes with it. They stand in the order of the page. */
  const show = (isSaid) => {
    let [more, less] = [false, false];
    for (const part of form.querySelectorAll("[data-when]")) {
      const decides = form.elements.namedItem(part.dataset.when) || form.elements.namedItem(`${part.dataset.when}_year`);
      const element = decides instanceof RadioNodeList ? decides[0] : decides;
      const applies = !element?.closest("[data-when][hidden]") && holds(part.dataset);
      more ||= applies && part.hidden;
      less ||= !applies && !part.hidden;
      part.hidden = !applies;
    }
    const told = form.querySelector("[data-more-told]");
    if (isSaid && (more || less)) told.textContent = more ? told.dataset.moreTold : "";
  };

  let timer;
  let savedAt = 0;
  let isChanged = false;
  const save = (isLeaving) => {
    clearTimeout(timer);
    if (!isChanged) return;
    isChanged = false;
    savedAt = Date.now();
    const element = document.getElementById("saved");
    const focused = document.activeElement;
    // Half a word is nobody's name yet.
    typing.value = form.contains(focused) && focused.matches("input, textarea, select") ? focused.name : "";
    if (isLeaving) navigator.sendBeacon(element.getAttribute("hx-post"), new URLSearchParams(new FormData(form)));
    else element.dispatchEvent(new CustomEvent("choudo:save"));
  };

  /* Which part of the form is on the screen, for a helper beside them: its name is said when it has become another. */
  const HERE_MS = SECOND;
  const PART = "[id^='g-']:not([id$='-title'])";
  let hereTimer;
  let saidItem = "";
  const sayHere = () => {
    const parts = [...form.querySelectorAll(PART)].filter((part) => part.offsetParent);
    const isSeen = ({ top, bottom }) => bottom > 0 && top < innerHeight;
    const focused = document.activeElement?.closest(PART);
    const part = focused && isSeen(focused.getBoundingClientRect())
      ? focused : parts.filter((each) => each.getBoundingClientRect().top < innerHeight / 2).pop();
    const item = part?.id.slice("g-".length);
    if (!item || item === saidItem || document.hidden) return;
    saidItem = item;
    navigator.sendBeacon(form.dataset.at, new URLSearchParams({ item }));
  };
  const sayHereSoon = () => { clearTimeout(hereTimer); hereTimer = setTimeout(sayHere, HERE_MS); };
  if (form.dataset.at) {
    form.addEventListener("focusin", sayHereSoon);
    document.addEventListener("scroll", sayHereSoon, { passive: true });
  }

  form.addEventListener("input", () => show(true));
  form.addEventListener("change", () => {
    show(true);
    // A form without a place that says so is kept by its buttons only.
    if (!typing) return;
    isChanged = true;
    clearTimeout(timer);
    timer = setTimeout(save, Math.max(PAUSE_MS, savedAt + BETWEEN_MS - Date.now()));
  });
  form.addEventListener("submit", () => { isChanged = false; clearTimeout(timer); });
  document.addEventListener("visibilitychange", () => { if (document.hidden) save(true); });
  document.addEventListener("htmx:after:swap", () => show(false));
  window.addEventListener("pageshow", () => show(false));
  show(false);
})();
