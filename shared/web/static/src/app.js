/*
  Progressive enhancement only: every page works without this file. No eval, no inline styles or handlers, no texts:
  what is said to people comes from data attributes, which went through the catalogue.

  data-live-src, data-live-get   a piece of page that follows server-sent events       (macro live_region)
  data-while-held, data-when-over  what a page shows until that time is over, and then instead
  data-until                     time left of a hold                                   (macro countdown)
  data-release, data-shown       where a held time is given back when this page, made at that moment, is left
  data-back-href, data-back-after  where a page that nobody touches for so many seconds goes by itself
  data-print                     a button that prints                                  (macro print_button)
  data-text-size                 larger text, kept in a cookie that the server reads   (base.html)
  data-at-once                   a form that goes on by itself: its button was pressed on the page before
  data-reset                     a form that is emptied once its answer was swapped in
  form                           guarded against a second tap, unless data-no-guard
*/
(() => {
  "use strict";

  const root = document.documentElement;
  root.classList.add("js");
  const SECOND = 1000;
  const say = (element, text) => {
    if (element && element.textContent !== text) element.textContent = text;
  };
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));

  /* ---- Text size ------------------------------------------------------------------------------------------------ */

  const TEXT_SIZES = ["normal", "large", "xlarge"];
  const YEAR_S = 365 * 24 * 60 * 60;
  const setTextSize = (size) => {
    if (!TEXT_SIZES.includes(size)) return;
    root.dataset.text = size;
    for (const button of document.querySelectorAll("[data-text-size]")) {
      button.setAttribute("aria-pressed", String(button.dataset.textSize === size));
    }
  };

  /* ---- Live regions --------------------------------------------------------------------------------------------- */

  const RECONNECT_FIRST_MS = 2 * SECOND;
  const RECONNECT_MAX_MS = 30 * SECOND;
  const POLL_MS = 10 * SECOND;
  const AGAIN_MS = 60 * SECOND;
  const GET_TIMEOUT_MS = 10 * SECOND;
  const SETTLE_MS = 250;
  const SIGN_IN = "/sign-in";

  class LiveRegion {
    constructor(element) {
      this.element = element;
      this.status = document.getElementById(element.dataset.liveStatus || "");
      this.retryMs = RECONNECT_FIRST_MS;
      this.pressed = false;
      this.wanted = false;
      this.loading = false;
      this.steps = 0;
      this.pending = new Map();
      document.addEventListener("htmx:before:request", (event) => this.beginStep(event.detail.ctx));
      document.addEventListener("htmx:after:swap", (event) => this.showStep(event.detail.ctx));
      document.addEventListener("htmx:finally:request", (event) => this.endStep(event.detail.ctx));
      this.guardSecondTap();
      element.addEventListener("pointerdown", () => { this.pressed = true; });
      for (const name of ["pointerup", "pointercancel"]) {
        // The list must not move under a finger: what arrived meanwhile is shown a moment after it is lifted.
        window.addEventListener(name, () => {
          if (!this.pressed) return;
          setTimeout(() => { this.pressed = false; if (this.wanted) this.refresh(); }, SETTLE_MS);
        });
      }
      this.open();
    }

    open() {
      this.stopped = false;
      clearInterval(this.again); // what the clock alone changes: who is late may be noted as absent
      this.again = setInterval(() => { if (!document.hidden) this.refresh(); }, AGAIN_MS);
      if (!window.EventSource) { this.poll(); return; }
      this.show("connecting");
      this.source = new EventSource(this.element.dataset.liveSrc);
      this.source.addEventListener("open", () => {
        this.retryMs = RECONNECT_FIRST_MS;
        clearInterval(this.poller);
        this.show("on");
        // What happened while nobody listened the server says by itself: it knows by the last event's id what is here.
        if (this.missed) this.refresh();
      });
      this.source.addEventListener(this.element.dataset.liveEvent || "line", () => this.refresh());
      this.source.addEventListener("error", () => {
        this.show("off");
        this.poll();
        // The browser tries again by itself after a lost connection, but never after an answer it disliked.
        if (this.source.readyState === EventSource.CLOSED && !this.stopped) {
          clearTimeout(this.retry);
          this.retry = setTimeout(() => this.open(), this.retryMs);
          this.retryMs = Math.min(this.retryMs * 2, RECONNECT_MAX_MS);
        }
      });
    }

    close() {
      this.stopped = true;
      clearTimeout(this.retry);
      clearTimeout(this.timer);
      clearInterval(this.poller);
      clearInterval(this.again);
      if (this.source) this.source.close();
    }

    /* A step that was taken here: its answer is swapped in by htmx. The place on the page stays, and so does the focus:
       it goes with the row to what can be done next, or to the message when the row is put away. */

    beginStep(ctx) {
      if (ctx.target !== this.element) return;
      const form = ctx.sourceElement;
      const focused = document.activeElement;
      this.steps += 1; // a look at the list that began before would show what was true before
      this.pending.set(ctx, {
        form,
        menu: form.closest("details.line__more"),
        rowId: form.closest("[data-row]")?.dataset.row || form.closest("li[id]")?.id || "",
        focused: form.contains(focused),
        byKeyboard: form.contains(focused) && focused.matches(":focus-visible"),
      });
    }

    endStep(ctx) {
      if (!this.pending.delete(ctx)) return;
      if (this.wanted) this.soon();
    }

    showStep(ctx) {
      const step = this.pending.get(ctx);
      if (!step) return;
      const done = ctx.response.status < 400;
      if (step.menu?.contains(document.activeElement)) document.activeElement.blur();
      step.menu?.removeAttribute("open");
      if (step.form.hasAttribute("data-reset")) {
        if (done) step.form.reset();
        if (step.focused || !done) step.form.querySelector("input:not([type=hidden])")?.focus({ preventScroll: true });
        return;
      }
      if (!step.focused) return;
      const row = step.rowId ? document.getElementById(step.rowId) : null;
      const now = document.activeElement;
      if (now !== document.body && row?.contains(now) && now.checkVisibility()) return;
      const next = [...(row?.querySelectorAll("button, summary") || [])].find((element) => element.checkVisibility());
      const target = next || document.getElementById("counter-told") || this.element;
      target.focus({ preventScroll: true, focusVisible: step.byKeyboard });
      // Who works by keyboard must see where they are; who taps keeps the list where it was.
      if (step.byKeyboard) target.scrollIntoView({ block: "nearest" });
    }

    guardSecondTap() {
      // Under a finger that taps twice, or a key held down, the button already means the next step.
      this.element.addEventListener("click", (event) => {
        if (event.detail > 1 && event.target.closest("form")) event.preventDefault();
      }, true);
      this.element.addEventListener("keydown", (event) => {
        if (event.repeat && event.key === "Enter" && event.target.closest("form")) event.preventDefault();
      }, true);
    }

    poll() {
      clearInterval(this.poller);
      this.poller = setInterval(() => this.refresh(), POLL_MS);
    }

    soon() { // what came while a look was under way is one more look
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.refresh(), SETTLE_MS);
    }

    async refresh() {
      this.wanted = true;
      if (this.loading || this.pressed || this.stopped || this.pending.size) return;
      this.loading = true;
      this.wanted = false;
      const steps = this.steps;
      const given = new AbortController();
      const timeout = setTimeout(() => given.abort(), GET_TIMEOUT_MS);
      try {
        const answer = await fetch(this.element.dataset.liveGet, {
          headers: { "HX-Request": "true", "HX-Request-Type": "partial", Accept: "text/html" },
          credentials: "same-origin",
          signal: given.signal,
        });
        if (answer.status === 403 || (answer.redirected && new URL(answer.url).pathname === SIGN_IN)) {
          document.dispatchEvent(new CustomEvent("choudo:signed-out"));
        }
        // A redirect is a sign-in page, an error an error page: neither belongs inside the list.
        if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
        const text = await answer.text();
        if (this.pressed || this.stopped || steps !== this.steps) this.wanted = true;
        else await this.swap(text);
        this.missed = false;
      } catch (problem) {
        this.missed = true;
        this.show("off");
        // A server that is not there (502 … 504: says the proxy) is no network, too.
        const isAway = !/^[1-4]/.test(problem.message) && problem.message !== "500";
        if (isAway && !this.stopped) document.dispatchEvent(new CustomEvent("choudo:lost", { detail: { element: this.element } }));
      } finally {
        clearTimeout(timeout);
        this.loading = false;
        if (this.wanted && !this.pressed && !this.stopped && !this.pending.size) this.soon();
      }
    }

    async swap(text) {
      const focused = this.element.contains(document.activeElement) ? document.activeElement : null;
      const row = focused && focused.closest("[id]");
      if (window.htmx) {
        // A morph keeps the nodes that stay: focus, an open menu and half-typed words survive.
        await window.htmx.swap({ text, target: this.element, sourceElement: this.element, swap: "innerMorph" });
      } else {
        this.element.innerHTML = text;
      }
      this.show(this.source && this.source.readyState === EventSource.OPEN ? "on" : "off");
      if (focused && !focused.isConnected) {
        const same = (focused.id && document.getElementById(focused.id)) ||
          (row && document.getElementById(row.id)?.querySelector("button, a, summary"));
        (same || this.element).focus({ preventScroll: true });
      }
      document.dispatchEvent(new CustomEvent("choudo:live", { detail: { element: this.element } }));
    }

    show(state) {
      if (!this.status) return;
      this.status.dataset.state = state;
      say(this.status, this.status.dataset[`text${state[0].toUpperCase()}${state.slice(1)}`] || "");
    }
  }

  /* ---- Time left of a hold -------------------------------------------------------------------------------------- */

  const SOON_MS = 60 * SECOND;
  const startCountdown = (element) => {
    const until = Date.parse(element.dataset.until);
    if (Number.isNaN(until)) return;
    // An old phone's clock may be wrong: count from the server's idea of now.
    const served = Date.parse(element.dataset.now || "");
    const offset = Number.isNaN(served) ? 0 : served - Date.now();
    const left = element.querySelector("[data-countdown-left]");
    const voice = element.querySelector("[data-countdown-voice]");
    const tick = () => {
      const ms = Math.max(0, until - (Date.now() + offset));
      const seconds = Math.ceil(ms / SECOND);
      const state = ms === 0 ? "over" : ms <= SOON_MS ? "soon" : "held";
      const values = { m: Math.floor(seconds / 60), s: String(seconds % 60).padStart(2, "0") };
      say(left, ms === 0 ? element.dataset.textOver : fill(element.dataset.textLeft, values));
      if (element.dataset.state !== state) {
        element.dataset.state = state;
        if (state === "soon") say(voice, element.dataset.textSoon);
        if (state === "over") {
          // The place is anybody's again: what said otherwise, and the button that could no longer book, are gone.
          say(voice, element.dataset.textOver);
          for (const gone of document.querySelectorAll("[data-while-held]")) gone.hidden = true;
          for (const instead of document.querySelectorAll("[data-when-over]")) instead.hidden = false;
        }
      }
      if (ms > 0) setTimeout(tick, SECOND - (Date.now() % SECOND));
    };
    if (left) left.hidden = false;
    tick();
  };

  /* ---- A second tap --------------------------------------------------------------------------------------------- */

  const GUARD_MAX_MS = 15 * SECOND;
  const guards = new Map();
  const release = (form) => {
    const held = guards.get(form);
    clearTimeout(held?.timer);
    delete form.dataset.busy;
    // A morph may have moved the button into another form meanwhile.
    for (const button of held?.buttons || []) button.removeAttribute("aria-disabled");
    guards.delete(form);
    say(document.getElementById("busy"), "");
  };
  const hold = (form) => {
    const buttons = [];
    for (const button of form.querySelectorAll("button:not([type=button]), input[type=submit]")) {
      if (button.hasAttribute("aria-disabled")) continue;
      button.setAttribute("aria-disabled", "true"); // not disabled: the focus stays, and the button's value is sent
      buttons.push(button);
    }
    say(document.getElementById("busy"), document.body.dataset.textBusy || "");
    const timer = setTimeout(() => release(form), GUARD_MAX_MS); // a download, or a network that swallowed it
    guards.set(form, { timer, buttons });
  };
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.hasAttribute("data-no-guard")) return;
    if (form.dataset.busy) {
      event.preventDefault();
      event.stopImmediatePropagation(); // before htmx, which would queue it
      return;
    }
    form.dataset.busy = "true";
    setTimeout(() => {
      const isHtmx = form.matches("[hx-get],[hx-post],[hx-put],[hx-patch],[hx-delete]");
      if (event.defaultPrevented && !isHtmx) release(form);
      else if (form.dataset.busy) hold(form);
    });
  }, true);
  document.addEventListener("htmx:finally:request", (event) => {
    const source = event.detail.ctx.sourceElement.closest("form");
    for (const form of guards.keys()) if (form === source || !form.isConnected) release(form);
  });

  /* ---- An answer that is no piece of this page ------------------------------------------------------------------- */

  const IS_PAGE = /^\s*<!doctype/i;
  const showWhole = (page, url) => {
    history.replaceState(null, "", url);
    document.open();
    document.write(page);
    document.close();
  };
  document.addEventListener("htmx:after:request", (event) => {
    const { ctx } = event.detail;
    const source = ctx.sourceElement;
    const isPage = IS_PAGE.test(ctx.text);
    if (ctx.select ? isPage && ctx.response.raw.ok && !ctx.response.raw.redirected : !isPage) return;
    event.preventDefault();
    // A sign-in page with what was typed, or an error page. A form is not sent twice for it: it is shown as it came.
    if (source.tagName === "FORM") showWhole(ctx.text, ctx.response.raw.url);
    else if (ctx.response.raw.redirected) window.location.reload();
    else if (source.tagName === "A") window.location.assign(source.href);
  });
  document.addEventListener("htmx:error", (event) => {
    const target = event.detail.ctx?.target;
    regions.find((region) => region.element === target)?.show("off");
  });

  /* ---- Leaving while a time is held ------------------------------------------------------------------------------ */

  // Whoever goes away altogether gives the time back at once. Reading the page again is none of our knowledge here: the
  // server has shown a newer page then, and knows better. What is not told lapses.
  let goesOn = false;
  window.navigation?.addEventListener("navigate", (event) => {
    if (!event.hashChange) goesOn = new URL(event.destination.url).origin === location.origin;
  });
  window.addEventListener("pagehide", (event) => {
    const held = document.querySelector("[data-release]");
    if (!held || goesOn || event.persisted) return;
    navigator.sendBeacon(held.dataset.release, new URLSearchParams({ shown: held.dataset.shown }));
  });

  /* ---- A machine in a lobby -------------------------------------------------------------------------------------- */

  // Whoever was here has gone: the next person finds the start, and nothing of them. Each touch begins the time anew.
  const startGoingBack = (element) => {
    let timer;
    const again = () => {
      clearTimeout(timer);
      timer = setTimeout(() => location.replace(element.dataset.backHref), Number(element.dataset.backAfter) * SECOND);
    };
    for (const name of ["pointerdown", "keydown", "scroll"]) window.addEventListener(name, again, { passive: true });
    // Whoever says so goes at once, and the way back of the next person does not lead to their slip.
    for (const link of element.querySelectorAll("a")) {
      if (link.href !== new URL(element.dataset.backHref, location).href) continue;
      link.addEventListener("click", (event) => { event.preventDefault(); location.replace(link.href); });
    }
    again();
  };

  /* ---- What a tablet keeps of the line (counter.js) -------------------------------------------------------------- */

  // Gone when somebody signs out, when nobody is signed in, and on the next day: whatever page is opened then.
  const LINE_DAY = "choudo-line-day";
  const forgetLine = () => {
    if (!localStorage.getItem(LINE_DAY)) return;
    indexedDB.deleteDatabase("choudo-line");
    localStorage.removeItem(LINE_DAY);
  };
  document.addEventListener("submit", (event) => {
    if (event.target.getAttribute("action") === "/sign-out") forgetLine();
  });
  const forgetOldLine = () => {
    const isOver = localStorage.getItem(LINE_DAY) !== new Date().toDateString();
    if (isOver || document.querySelector(`form[action^="${SIGN_IN}"]`)) forgetLine();
  };

  /* ---- Wiring --------------------------------------------------------------------------------------------------- */

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-print],[data-text-size]");
    if (!button) return;
    if (button.hasAttribute("data-print")) { window.print(); return; }
    setTextSize(button.dataset.textSize);
    document.cookie = `text_size=${root.dataset.text};path=/;max-age=${YEAR_S};SameSite=Lax`;
  });

  // A form that came back with an error: going back to it later shows the page as it is then, and asks for nothing to be
  // sent again.
  const forgetSending = () => {
    // Not `form.action`: a field of that name would come in its place.
    const pathOf = (form) => new URL(form.getAttribute("action") ?? "", location.href).pathname;
    const isOwn = (form) => form.method === "post" && pathOf(form) === location.pathname;
    if ([...document.forms].some(isOwn)) history.replaceState(history.state, "", location.href);
  };

  const regions = [];
  const start = () => {
    forgetSending();
    try { forgetOldLine(); } catch { /* a browser that keeps nothing */ }
    setTextSize((document.cookie.match(/(?:^|; )text_size=(\w+)/) || [])[1] || root.dataset.text || "normal");
    for (const element of document.querySelectorAll("[data-live-src]")) regions.push(new LiveRegion(element));
    document.querySelectorAll("[data-until]").forEach(startCountdown);
    document.querySelectorAll("[data-back-href]").forEach(startGoingBack);
    document.querySelector("form[data-at-once]")?.requestSubmit();
    // Someone who cannot see the top of the page must learn that something is missing.
    document.querySelector("[data-error-summary]")?.focus();
  };
  window.addEventListener("pagehide", () => regions.forEach((region) => region.close()));
  window.addEventListener("pageshow", (event) => {
    document.querySelectorAll("form[data-busy]").forEach(release);
    if (event.persisted) regions.forEach((region) => region.open());
  });
  document.addEventListener("choudo:look", () => regions.forEach((region) => region.refresh()));
  window.addEventListener("online", () => regions.forEach((region) => region.refresh()));
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) regions.forEach((region) => region.refresh());
  });
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
