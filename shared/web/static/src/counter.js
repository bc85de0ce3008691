/*
  The counter's tablet without network (docs/decisions/0057-live-and-without-network.md).

  choudo-line    today's line as it was last shown: names for calling, encrypted, gone at sign-out, with another person,
                 and at the end of the day
  choudo-steps   what was pressed and not answered yet: nobody's name. Written before it is sent, taken away when the
                 server has answered, and shown to staff until they have dealt with it when the server said no.
*/
(() => {
  "use strict";

  const byId = (id) => document.getElementById(id);
  const panel = byId("line-offline");
  if (!panel || !window.indexedDB || !window.crypto?.subtle) return;
  const region = byId("line-region"); // the live line; not on the page that the worker shows
  const STATES = JSON.parse(panel.dataset.states);
  const ACTIONS = JSON.parse(panel.dataset.actions);
  const LEADS = { "check-in": "checked_in", call: "called", start: "serving", done: "done", "no-show": "no_show" };
  const NEXT = {
    booked: ["check-in", "no-show"],
    checked_in: ["call", "no-show"],
    called: ["start", "call", "no-show"],
    serving: ["done"],
    no_show: ["call"],
    done: [],
  };
  const LOOKS = { checked_in: "arrived", no_show: "absent" };
  const AWAY = [502, 503, 504];
  const REFUSALS = [400, 404, 409, 422]; // the server looked at the step; all else says nothing of it
  const BATCH = 100;
  const SEND_TIMEOUT_MS = 15_000;
  const PROBE_MS = 3_000;
  const AGAIN_MS = 3_000;
  const DAY_MS = 24 * 60 * 60 * 1_000;
  const LINE_DAY = "choudo-line-day";
  const STEP_PATH = /^\/counter\/([0-9a-f-]{36})\/(check-in|call|start|done|no-show)$/;
  const CHECK_IN_PATH = "/counter/check-in";
  const NUMBER = /^[0-9A-Z]{7}$/; // of an appointment; a name or a case that is looked for is never kept

  let owner = panel.dataset.owner;
  let rows = [];
  let asOf = "";
  let offset = 0; // between this tablet's clock and the server's
  let isLost = !region;
  let losses = 0;
  let asking; // the timer of the next try
  let isGone = false; // signed out: nothing of the line is kept any more
  const sending = new Map(); // forms under way → their steps' keys, and when those are written down

  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
  const say = (element, text) => { if (element.textContent !== text) element.textContent = text; };
  const plain = (typed) => typed.normalize("NFKC").replaceAll(/[\s\p{Pd}ー−_・.]/gu, "").toUpperCase();
  const serverNow = () => new Date(Date.now() + offset);
  const inJapan = (date, options) => new Intl.DateTimeFormat("sv-SE", { timeZone: "Asia/Tokyo", ...options }).format(date);
  const dayOf = (date) => inJapan(date, { dateStyle: "short" });
  const clockOf = (date) => inJapan(date, { timeStyle: "short" });

  /* ---- What is kept --------------------------------------------------------------------------------------------- */

  const LINE = "choudo-line";
  const STEPS = "choudo-steps";
  const open = (name) => new Promise((resolve, reject) => {
    const asked = indexedDB.open(name, 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore("kept");
    asked.onsuccess = () => {
      asked.result.onversionchange = () => asked.result.close();
      resolve(asked.result);
    };
    asked.onerror = () => reject(asked.error);
  });
  const within = async (name, mode, work) => {
    const base = await open(name);
    try {
      const change = base.transaction("kept", mode, { durability: "strict" });
      const ended = new Promise((resolve, reject) => {
        change.oncomplete = resolve;
        change.onabort = () => reject(change.error);
      });
      const asked = work(change.objectStore("kept"));
      await ended;
      return asked.result;
    } finally {
      base.close();
    }
  };
  const get = (name, key) => within(name, "readonly", (kept) => kept.get(key));
  const put = (name, key, value) => within(name, "readwrite", (kept) => kept.put(value, key));
  const remove = (name, key) => within(name, "readwrite", (kept) => kept.delete(key));
  const readSteps = async () => {
    const steps = await within(STEPS, "readonly", (kept) => kept.getAll());
    return steps.sort((one, other) => one.at.localeCompare(other.at) || one.order - other.order);
  };

  const forgetLine = () => {
    rows = [];
    localStorage.removeItem(LINE_DAY);
    return within(LINE, "readwrite", (kept) => kept.clear());
  };

  const keepLine = async () => {
    const told = byId("line-copy");
    if (!told || isGone || told.dataset.now === asOf) return;
    asOf = told.dataset.now;
    offset = Date.parse(asOf) - Date.now();
    rows = JSON.parse(told.dataset.line);
    await sealLine();
  };

  // Made here and never seen by any script: what is left of the copy when the key is gone is unreadable.
  const sealKey = async () => {
    const known = await get(LINE, "key");
    if (known) return known;
    const made = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
    await within(LINE, "readwrite", (kept) => kept.add(made, "key")).catch(() => {}); // another tab was faster
    return get(LINE, "key");
  };

  const sealLine = async () => {
    const key = await sealKey();
    const iv = crypto.getRandomValues(new Uint8Array(12));
    const text = new TextEncoder().encode(JSON.stringify({ rows, asOf }));
    const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, text);
    if (isGone) return;
    localStorage.setItem(LINE_DAY, new Date().toDateString()); // for app.js, which knows no more than this tablet's clock
    await put(LINE, "copy", { owner, day: dayOf(serverNow()), offset, iv, sealed });
  };

  const readLine = async () => {
    const copy = await get(LINE, "copy");
    if (!copy) return;
    offset = copy.offset;
    owner ||= copy.owner;
    if (copy.owner !== owner || copy.day !== dayOf(serverNow())) {
      await forgetLine();
      return;
    }
    const key = await get(LINE, "key");
    const text = await crypto.subtle.decrypt({ name: "AES-GCM", iv: copy.iv }, key, copy.sealed);
    ({ rows, asOf } = JSON.parse(new TextDecoder().decode(text)));
  };

  const forgetAtDaysEnd = () => {
    const [hours, minutes] = clockOf(serverNow()).split(":").map(Number);
    setTimeout(async () => {
      await forgetLine();
      await endSteps();
      await draw();
      forgetAtDaysEnd();
    }, DAY_MS - (hours * 60 + minutes) * 60_000);
  };

  // What was not sent on its day never will be: staff are told so, without the number of an appointment.
  const endSteps = () => alone(async () => {
    const today = dayOf(serverNow());
    for (const step of await readSteps()) {
      if (step.refused || dayOf(new Date(step.at)) >= today) continue;
      const { key, action, owner: whose, at, order: place, label } = step;
      const shown = label && !NUMBER.test(plain(label)) ? { label } : {};
      await put(STEPS, key, { key, action, owner: whose, at, order: place, ...shown, refused: { title: panel.dataset.textUnsent } });
    }
  });

  /* ---- What is shown -------------------------------------------------------------------------------------------- */

  let order = 0;
  const makeStep = (action, about) => ({
    key: crypto.randomUUID(), action, owner, at: serverNow().toISOString(), order: (order += 1), ...about,
  });
  const isOthers = (step) => owner !== "" && step.owner !== owner;
  const isPending = (step) => !isOthers(step) && !step.refused;
  const labelOf = (id) => rows.find((row) => row.id === id)?.number || "";

  const drawRow = (row, steps) => {
    const own = steps.filter((step) => step.appointment_id === row.id || (row.booking && step.number === row.booking));
    const last = own.at(-1);
    const state = last ? LEADS[last.action] : row.state;
    const version = row.version + own.length;
    const line = byId("line-offline-row").content.firstElementChild.cloneNode(true);
    line.id = `offline-${row.id}`;
    line.classList.add(`line__row--${LOOKS[state] || state}`);
    const values = { ...row, state: STATES[state] };
    for (const place of line.querySelectorAll("[data-fill]")) {
      if (place.dataset.fill === "kept") place.hidden = !last;
      else say(place, values[place.dataset.fill]);
    }
    const wasCalled = own.some((step) => step.action === "call");
    const mayBeAbsent = wasCalled || row.absent_from === "" ||
      (row.absent_from && Date.parse(row.absent_from) <= serverNow().getTime());
    for (const [place, action] of NEXT[state].filter((each) => each !== "no-show" || mayBeAbsent).entries()) {
      const button = byId("line-offline-button").content.firstElementChild.cloneNode(true);
      say(button, ACTIONS[action === "call" && state !== "checked_in" ? "call-again" : action]);
      button.classList.add(place ? "button--secondary" : "button--primary");
      button.addEventListener("click", async (event) => {
        if (event.detail > 1) return; // the second of two taps
        line.querySelectorAll("button").forEach((each) => { each.disabled = true; });
        await keep(makeStep(action, { appointment_id: row.id, version_seen: version, label: row.number }));
        byId(line.id)?.querySelector("button")?.focus({ preventScroll: true });
      });
      line.querySelector(".line__actions").append(button);
    }
    return line;
  };

  const draw = async () => {
    const steps = await readSteps();
    if (!panel.isConnected) return; // another page stands here by now: the one to sign in again
    const pending = steps.filter(isPending);
    say(byId("line-kept"), pending.length ? fill(byId("line-kept").dataset.textKept, { n: pending.length }) : "");
    drawUnmerged(steps.filter((step) => step.refused || isOthers(step)));
    panel.hidden = !isLost;
    if (region) region.hidden = isLost;
    const told = byId("counter-told"); // of before, with a way back that needs the network
    if (told) told.hidden = isLost;
    if (!isLost) {
      byId("line-offline-list").replaceChildren();
      return;
    }
    const [h, m] = asOf ? clockOf(new Date(asOf)).split(":").map(Number) : [0, 0];
    say(byId("line-offline-told"), rows.length ? fill(panel.dataset.textLost, { h, m }) : panel.dataset.textNone);
    byId("line-offline-number").hidden = !owner; // nobody's step would never be sent
    byId("line-offline-list").replaceChildren(...rows.map((row) => drawRow(row, pending)));
  };

  const drawUnmerged = (steps) => {
    byId("line-unmerged").hidden = !steps.length;
    byId("line-unmerged-list").replaceChildren(...steps.map((step) => {
      const line = byId("line-unmerged-row").content.firstElementChild.cloneNode(true);
      const at = new Date(step.at);
      const what = [dayOf(at) === dayOf(serverNow()) ? "" : dayOf(at), clockOf(at), step.label || step.number, ACTIONS[step.action]];
      const no = step.refused;
      const why = no ? [no.title, STATES[no.state], no.advice] : [panel.dataset.textOther];
      say(line.querySelector("[data-fill=what]"), what.filter(Boolean).join("　"));
      say(line.querySelector("[data-fill=why]"), why.filter(Boolean).join("　"));
      const button = line.querySelector("button");
      if (no) {
        button.addEventListener("click", async () => {
          await remove(STEPS, step.key);
          draw();
        });
      } else button.remove(); // it is still to be sent
      return line;
    }));
  };

  const askAgain = () => {
    clearTimeout(asking);
    asking = setTimeout(async () => {
      if (!isLost && !(await readSteps()).some(isPending)) return;
      document.dispatchEvent(new CustomEvent("choudo:look"));
      askAgain();
    }, AGAIN_MS);
  };

  const lose = () => {
    askAgain();
    isLost = true;
    losses += 1;
    return draw();
  };

  /* ---- What was pressed ----------------------------------------------------------------------------------------- */

  const keep = async (step) => {
    await put(STEPS, step.key, step);
    await draw();
  };

  const stepOf = (form) => {
    const path = form.getAttribute("action");
    const fields = new FormData(form);
    const found = STEP_PATH.exec(path);
    if (found) {
      const [, id, action] = found;
      const version = Number(fields.get("version"));
      return makeStep(action, { appointment_id: id, version_seen: version, label: labelOf(id) });
    }
    const number = plain(String(fields.get("number") || ""));
    return path === CHECK_IN_PATH && NUMBER.test(number) ? makeStep("check-in", { number }) : null;
  };

  // Before every other script: a step is written down before it is sent, under the key with which it is sent.
  window.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.getAttribute("id") === "line-offline-number") {
      event.preventDefault();
      event.stopImmediatePropagation();
      checkInByNumber(form);
      return;
    }
    if (form.getAttribute("action") === "/sign-out") isGone = true;
    if (form.method !== "post" || form.dataset.busy) return;
    const step = stepOf(form);
    if (isLost && region) {
      event.preventDefault();
      event.stopImmediatePropagation();
      if (step) keep(step).then(() => form.reset());
      else say(byId("line-offline-told"), panel.dataset.textNeeds);
      return;
    }
    if (!step) return;
    let field = form.elements.idempotency_key;
    if (!field) {
      field = document.createElement("input");
      field.type = "hidden";
      field.name = "idempotency_key";
      form.append(field);
    }
    field.value = step.key;
    sending.set(form, { key: step.key, written: put(STEPS, step.key, step) });
  }, true);

  const checkInByNumber = async (form) => {
    const number = plain(form.elements.number.value);
    if (!NUMBER.test(number)) {
      say(byId("line-offline-told"), panel.dataset.textNumber);
      return;
    }
    const row = rows.find((each) => each.booking === number);
    const pending = (await readSteps()).filter(isPending);
    if (row && pending.some((step) => step.appointment_id === row.id || step.number === number)) return;
    const about = row && row.state === "booked"
      ? { appointment_id: row.id, version_seen: row.version, label: row.number }
      : { number };
    await keep(makeStep("check-in", about));
    form.reset();
  };

  document.addEventListener("htmx:before:response", (event) => {
    const { ctx } = event.detail;
    const sent = sending.get(ctx.sourceElement);
    if (!sent) return;
    const { status } = ctx.response;
    if (AWAY.includes(status)) {
      event.preventDefault(); // nobody's answer: the step stays, and so does the page
      lose();
    } else if (status >= 400 && !REFUSALS.includes(status)) sent.written.then(draw).then(askAgain);
    else sent.written.then(() => remove(STEPS, sent.key)).then(draw);
  });
  document.addEventListener("htmx:error", (event) => {
    if (sending.has(event.detail.ctx?.sourceElement)) lose();
  });
  document.addEventListener("htmx:finally:request", (event) => sending.delete(event.detail.ctx.sourceElement));

  /* ---- When there is network again ------------------------------------------------------------------------------ */

  const alone = (work) => (navigator.locks ? navigator.locks.request(STEPS, work) : work());
  const post = async (steps) => {
    const told = steps.map(({ key, action, at, appointment_id, version_seen, number }) =>
      (appointment_id ? { key, action, at, appointment_id, version_seen } : { key, action, at, number }));
    const send = () => fetch(panel.dataset.merge, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      credentials: "same-origin",
      body: JSON.stringify({ steps: told }),
      signal: AbortSignal.timeout(SEND_TIMEOUT_MS),
    });
    const answer = await send();
    if (answer.status !== 401) return answer;
    await fetch(panel.dataset.renew, { credentials: "same-origin" }); // by way of routing, with a new token
    return send();
  };
  const refuse = (step, why) => put(STEPS, step.key, { ...step, refused: why });

  /* Sends all that is kept, in order; true if something is left for later. Where a batch is refused as a whole it is sent
     step by step, so that none holds up the others. */
  const merge = () => alone(async () => {
    const stuck = new Set();
    let size = BATCH;
    for (;;) {
      const underWay = [...sending.values()].map((sent) => sent.key);
      const waiting = (await readSteps()).filter((step) => isPending(step) && !underWay.includes(step.key));
      const steps = waiting.filter((step) => !stuck.has(step.appointment_id || step.key)).slice(0, size);
      if (!steps.length) return stuck.size > 0;
      const answer = await post(steps);
      if (answer.ok) {
        for (const told of await answer.json()) {
          const step = steps.find((each) => each.key === told.key);
          if (told.is_merged) {
            const row = rows.find((each) => each.id === told.stands.appointment_id);
            if (row) Object.assign(row, { version: told.stands.version, state: told.stands.state });
            await remove(STEPS, step.key);
          } else await refuse(step, { title: told.title, advice: told.advice, state: told.state });
        }
        await sealLine();
      } else if (AWAY.includes(answer.status) || [401, 403, 429].includes(answer.status)) {
        throw new Error(String(answer.status));
      } else if (steps.length > 1) size = 1;
      else if (answer.status < 500) await refuse(steps[0], { title: panel.dataset.textUnreadable });
      else stuck.add(steps[0].appointment_id || steps[0].key);
    }
  });

  const comeBack = async () => {
    const before = losses;
    await keepLine();
    await endSteps();
    try {
      if (await merge()) askAgain();
      // What was true when this began may not be true any more.
      if (losses === before && navigator.onLine) isLost = false;
    } catch {
      askAgain();
    }
    await draw();
  };

  // The page that the worker shows: when the server answers again, the real one, which sends what is kept.
  const probe = async () => {
    try {
      const answer = await fetch(panel.dataset.probe, { cache: "no-store" });
      if (!AWAY.includes(answer.status)) { location.reload(); return; }
    } catch { /* not yet */ }
    setTimeout(probe, PROBE_MS);
  };

  const start = async () => {
    try {
      await readLine();
    } catch {
      indexedDB.deleteDatabase(LINE); // what cannot be opened is of no use
    }
    if (!region) {
      forgetAtDaysEnd();
      await endSteps();
      await draw();
      setTimeout(probe, PROBE_MS);
      return;
    }
    forgetAtDaysEnd();
    document.addEventListener("choudo:lost", lose);
    document.addEventListener("choudo:live", comeBack);
    document.addEventListener("choudo:signed-out", async () => { isGone = true; await forgetLine(); });
    document.addEventListener("htmx:after:swap", keepLine);
    window.addEventListener("offline", lose);
    await comeBack();
    navigator.serviceWorker?.register("/counter/worker.js", { scope: "/counter" }).catch(() => {});
  };
  start();
})();
