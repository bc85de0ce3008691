/*
  The counter's tablet, beyond app.js: finding somebody in the line that the page already holds, a scanner that types, and
  the camera. Nothing that is typed leaves the page for this.

  form[data-find]   the field that finds in the element of that selector; data-found says how many
  form[data-scan]   its button for the camera: that script is loaded when it is asked for
*/
(() => {
  "use strict";

  /* As `domain/finding.py` does. */
  const LEFT_OUT = /[\s\-ー－―‐‑–—−_・.,、。/]/g;
  const plain = (text) => text.normalize("NFKC").replace(LEFT_OUT, "").toUpperCase()
    .replace(/[\u3041-\u3096]/g, (sign) => String.fromCharCode(sign.charCodeAt(0) + 0x60));
  const SHOWN = ".line__number, .line__reference, .line__title";
  const HIDDEN_WORDS = ".visually-hidden";
  const NUMBER_LENGTHS = [7, 11];
  const isWholeNumber = (signs) => /^[0-9A-Z]+$/.test(signs) && NUMBER_LENGTHS.includes(signs.length);

  const textsOf = (row) => [...row.querySelectorAll(SHOWN)].flatMap((element) => {
    const copy = element.cloneNode(true);
    for (const words of copy.querySelectorAll(HIDDEN_WORDS)) words.remove();
    const whole = plain(copy.textContent);
    const ticket = copy.textContent.trim().match(/^(.+)-0*(\d+)$/);
    return ticket ? [whole, plain(ticket[1] + ticket[2])] : [whole];
  });

  const startFinding = (form) => {
    const field = form.querySelector("input[name=number]");
    const region = document.querySelector(form.dataset.find);
    const says = form.querySelector("[data-found]");
    const rows = () => [...region.querySelectorAll(".line__row")];
    const find = () => {
      const wanted = plain(field.value).replace(/サマ$/, "");
      const found = wanted ? rows().filter((row) => textsOf(row).some((text) => text.includes(wanted))) : [];
      // A whole number that stands in no row is for the server to know: the line stays in sight meanwhile, and afterwards.
      const isAll = !wanted || (!found.length && isWholeNumber(wanted));
      for (const row of rows()) row.hidden = !isAll && !found.includes(row);
      const over = region.querySelector("#line-over");
      if (over && found.some((row) => over.contains(row))) over.open = true;
      const text = !wanted ? "" : found.length ? form.dataset.textFound.replace("{count}", String(found.length))
        : form.dataset.textNone;
      if (says.textContent !== text) says.textContent = text;
      return found;
    };
    field.addEventListener("input", find);
    form.addEventListener("reset", () => setTimeout(find));
    document.addEventListener("choudo:live", find);
    document.addEventListener("htmx:after:swap", find);
    form.addEventListener("submit", (event) => {
      const signs = plain(field.value);
      // A number is checked in, or leads to its case: the server knows. Whoever is found here is gone to.
      if (isWholeNumber(signs)) return;
      const found = find();
      if (!found.length) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      delete form.dataset.busy; // app.js guards a form that is on its way: this one stays
      found[0].scrollIntoView({ block: "center" });
      const next = found[0].querySelector(".line__primary button") || found[0].querySelector("button, summary");
      next?.focus({ preventScroll: true, focusVisible: true });
    }, true);
    // A hand scanner types as a keyboard does, wherever the focus is; the space bar and Enter stay the button's.
    document.addEventListener("keydown", (event) => {
      const isSign = event.key.length === 1 && event.key !== " ";
      if (!isSign || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
      if (event.target.closest?.("input, select, textarea, [contenteditable]")) return;
      field.value = "";
      field.focus({ preventScroll: true });
    });
    find();
  };

  const startScanning = (element) => {
    const button = element.querySelector("[data-scan-button]");
    const words = button.querySelector("span");
    const ask = words.textContent;
    const now = element.querySelector("#scan-now");
    const says = element.querySelector("[data-scan-says]");
    let stop = null;
    const show = (isOpen, text) => {
      now.hidden = !isOpen;
      button.setAttribute("aria-expanded", String(isOpen));
      words.textContent = isOpen ? element.dataset.textStop : ask;
      says.textContent = text;
    };
    const scan = async () => {
      stop = new AbortController();
      const { signal } = stop;
      show(true, element.dataset.textLooking);
      try {
        const { readCode } = await import(element.dataset.scan);
        const text = await readCode(now.querySelector("video"), element.dataset.decoder, signal);
        if (text === null) {
          show(false, signal.aborted ? "" : element.dataset.textOver);
          return;
        }
        show(false, "");
        element.querySelector("input[name=number]").value = text;
        element.requestSubmit();
      } catch (problem) {
        show(false, element.dataset.textNoCamera);
      } finally {
        stop = null;
      }
    };
    button.addEventListener("click", () => { if (stop) stop.abort(); else scan(); });
    // Nobody is filmed by a tablet that lies there.
    document.addEventListener("visibilitychange", () => { if (document.hidden) stop?.abort(); });
    window.addEventListener("pagehide", () => stop?.abort());
  };

  document.querySelectorAll("form[data-find]").forEach(startFinding);
  document.querySelectorAll("[data-scan]").forEach(startScanning);
})();
