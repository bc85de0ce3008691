/*
  Who is called: the public call display, and the phone of somebody who waits. Pages work without this file. No texts:
  what is said to people comes from data attributes.

  data-board-events, data-board-get  the display: what says that something changed, and what it shows then
  data-place-events                  a page that shows somebody's place in the line: it asks again when that changed
  data-called                        on such a page: the call (a place and a moment) of whoever is called now
  data-fresh                         says that the page is old, once nothing was heard for a while
*/
(() => {
  "use strict";

  const SECOND = 1000;
  const TICK_MS = SECOND;
  // The server says that it is there every 15 seconds.
  const SILENT_MAX_MS = 40 * SECOND;
  const AGAIN_FIRST_MS = 2 * SECOND;
  const AGAIN_MAX_MS = 30 * SECOND;
  const GET_TIMEOUT_MS = 8 * SECOND;

  /* ---- A stream that comes back by itself, whatever happens to the network -------------------------------------- */

  class Stream {
    constructor(url, hear) {
      this.url = url;
      this.hear = hear;
      this.againMs = AGAIN_FIRST_MS;
      this.openAt = 0;
      this.heardAt = 0;
      this.open();
    }

    get isLive() { return Boolean(this.source) && Date.now() - this.heardAt < SILENT_MAX_MS && this.heard; }

    open() {
      this.close();
      this.heardAt = Date.now();
      this.heard = false;
      if (!window.EventSource) return;
      this.source = new EventSource(this.url);
      for (const name of ["line", "still"]) {
        this.source.addEventListener(name, () => {
          this.heardAt = Date.now();
          this.heard = true;
          this.againMs = AGAIN_FIRST_MS;
          this.hear(name);
        });
      }
      this.source.addEventListener("error", () => { this.heard = false; });
    }

    close() {
      this.source?.close();
      this.source = null;
    }

    // A connection may die without a word, and a browser gives up after an answer it did not like.
    check() {
      const now = Date.now();
      const isGone = this.source?.readyState === 2 || now - this.heardAt > SILENT_MAX_MS;
      if (!isGone || now < this.openAt) return;
      this.againMs = Math.min(this.againMs * 2, AGAIN_MAX_MS);
      this.openAt = now + this.againMs;
      this.open();
    }
  }

  /* ---- What is heard -------------------------------------------------------------------------------------------- */

  const SPEAK_MAX_MS = 20 * SECOND;
  const NOTES = [[880, 0], [659, 0.45]];
  const NOTE_S = 0.9;
  const LOUD = 0.35;
  const wait = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

  class Sound {
    get isOn() { return this.context?.state === "running"; }

    // A browser lets a page be heard only once somebody has touched it.
    async allow() {
      const Context = window.AudioContext || window.webkitAudioContext;
      if (!Context) return false;
      this.context ||= new Context();
      await Promise.race([this.context.resume().catch(() => {}), wait(SECOND)]);
      return this.isOn;
    }

    async mute() { await this.context?.suspend().catch(() => {}); }

    async chime() {
      if (!this.isOn) return;
      const start = this.context.currentTime;
      for (const [pitch, after] of NOTES) {
        const note = this.context.createOscillator();
        const volume = this.context.createGain();
        note.frequency.value = pitch;
        volume.gain.setValueAtTime(LOUD, start + after);
        volume.gain.exponentialRampToValueAtTime(0.001, start + after + NOTE_S);
        note.connect(volume).connect(this.context.destination);
        note.start(start + after);
        note.stop(start + after + NOTE_S);
      }
      await wait((NOTES.at(-1)[1] + NOTE_S) * SECOND);
    }

    // Without a voice for a language the chime and the screen have to do: another language's voice is not understood.
    speak(text, language) {
      const voices = window.speechSynthesis?.getVoices() || [];
      const fits = voices.filter((voice) => voice.lang.toLowerCase().startsWith(language));
      const voice = fits.find((each) => each.localService) || fits[0];
      if (!voice || !this.isOn) return Promise.resolve();
      return new Promise((resolve) => {
        const said = new SpeechSynthesisUtterance(text);
        said.voice = voice;
        said.lang = voice.lang;
        said.rate = 0.9;
        const end = () => { clearTimeout(late); resolve(); };
        const late = setTimeout(() => { window.speechSynthesis.cancel(); end(); }, SPEAK_MAX_MS);
        said.onend = end;
        said.onerror = end;
        window.speechSynthesis.speak(said);
      });
    }
  }

  /* ---- The display ---------------------------------------------------------------------------------------------- */

  const ASK_LIVE_MS = 20 * SECOND;
  const ASK_MS = 3 * SECOND;
  const TURN_MS = 8 * SECOND;
  const OLD_MS = 15 * SECOND;
  const SAID_MAX = 500;
  const SOUND_KEY = "choudo-board-sound";

  class Board {
    constructor(element) {
      this.element = element;
      this.old = document.getElementById("board-old");
      this.button = document.getElementById("board-sound");
      this.sound = new Sound();
      this.freshAt = Date.now();
      this.askAt = Date.now() + ASK_MS;
      this.turnAt = Date.now() + TURN_MS;
      this.turn = 0;
      this.waiting = [];
      // Who was called before this screen was there hears nothing new.
      this.said = new Set(this.calls().map((call) => call.id));
      this.time = this.list()?.dataset.time || "";
      this.stream = new Stream(element.dataset.boardEvents, () => this.ask());
      this.startSound();
      setInterval(() => this.tick(), TICK_MS);
    }

    list() { return document.getElementById("board-calls"); }

    calls() {
      return [...document.querySelectorAll("#board-calls > [data-call]")].map((element) => ({
        id: element.dataset.call,
        turn: Number(element.dataset.turn),
        ja: element.dataset.ja,
        en: element.dataset.en,
      }));
    }

    // One clock drives everything: nothing is left behind, however long the screen stands there.
    tick() {
      const now = Date.now();
      this.stream.check();
      const turns = Number(this.list()?.dataset.turns || 1);
      if (turns > 1 && now >= this.turnAt) {
        this.turn = (this.turn + 1) % turns;
        this.turnAt = now + TURN_MS;
        this.ask();
      } else if (now >= this.askAt) {
        this.ask();
      }
      const isOld = now - this.freshAt > OLD_MS;
      this.old.hidden = !isOld;
      const text = isOld ? this.old.dataset.text.replace("{time}", this.time) : "";
      if (this.old.textContent !== text) this.old.textContent = text;
    }

    async ask() {
      if (this.asking) { this.wanted = true; return; }
      this.asking = true;
      this.wanted = false;
      this.askAt = Date.now() + (this.stream.isLive ? ASK_LIVE_MS : ASK_MS);
      const given = new AbortController();
      const timeout = setTimeout(() => given.abort(), GET_TIMEOUT_MS);
      try {
        const url = new URL(this.element.dataset.boardGet, location.href);
        if (this.turn) url.searchParams.set("turn", this.turn);
        const answer = await fetch(url, {
          headers: { "HX-Request": "true", Accept: "text/html" }, credentials: "same-origin", signal: given.signal,
        });
        if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
        await this.show(await answer.text());
      } catch {
        this.askAt = Date.now() + ASK_MS; // what is shown stays, and says so when it is old
      } finally {
        clearTimeout(timeout);
        this.asking = false;
      }
      if (this.wanted) this.ask();
    }

    async show(text) {
      if (window.htmx) await window.htmx.swap({ text, target: this.element, sourceElement: this.element, swap: "innerMorph" });
      else this.element.innerHTML = text;
      this.freshAt = Date.now();
      this.time = this.list()?.dataset.time || "";
      for (const call of this.calls()) {
        if (this.said.has(call.id)) continue;
        this.said.add(call.id);
        this.waiting.push(call);
      }
      for (const id of [...this.said].slice(0, Math.max(0, this.said.size - SAID_MAX))) this.said.delete(id);
      this.sayNext();
    }

    async sayNext() {
      if (this.saying) return;
      this.saying = true;
      try {
        while (this.waiting.length) {
          const call = this.waiting.shift();
          if (!this.calls().some((each) => each.id === call.id)) continue; // is at the counter already
          if (call.turn !== this.turn) { // who is called stands on the screen
            this.turn = call.turn;
            this.turnAt = Date.now() + TURN_MS;
            this.ask();
          }
          await this.sound.chime();
          await this.sound.speak(call.ja, "ja");
          await this.sound.speak(call.en, "en");
        }
      } finally {
        this.saying = false;
      }
    }

    async startSound() {
      this.button.hidden = false;
      this.button.addEventListener("click", async () => {
        if (this.sound.isOn) await this.sound.mute();
        else await this.sound.allow();
        localStorage.setItem(SOUND_KEY, this.sound.isOn ? "on" : "off");
        this.showSound();
        if (this.sound.isOn) this.sound.chime();
      });
      const isWanted = () => localStorage.getItem(SOUND_KEY) === "on";
      document.addEventListener("pointerdown", async (event) => {
        if (!isWanted() || this.sound.isOn || this.button.contains(event.target)) return;
        await this.sound.allow();
        this.showSound();
      });
      if (isWanted()) await this.sound.allow();
      this.showSound();
    }

    showSound() {
      const { textOn, textOff } = this.button.dataset;
      this.button.textContent = this.sound.isOn ? textOn : textOff;
      this.button.dataset.sound = this.sound.isOn ? "on" : "off";
    }
  }

  /* ---- One's own place ------------------------------------------------------------------------------------------ */

  const SETTLE_MS = 400;
  const FRESH_MS = 90 * SECOND;
  const TREMBLE = [400, 200, 400, 200, 800];

  const startPlace = (element) => {
    const sound = new Sound();
    const isCalled = () => document.querySelector("[data-called]")?.dataset.called || "";
    let called = isCalled();
    let timer;
    const stream = new Stream(element.dataset.placeEvents, (name) => {
      if (name !== "line") return;
      clearTimeout(timer);
      timer = setTimeout(() => element.dispatchEvent(new CustomEvent("place", { bubbles: false })), SETTLE_MS);
    });
    setInterval(() => stream.check(), TICK_MS);
    const showSound = () => {
      const button = document.querySelector("[data-place-sound]");
      if (button && sound.isOn) button.textContent = button.dataset.textOn;
    };
    document.addEventListener("htmx:after:swap", () => {
      const now = isCalled();
      if (now && now !== called) {
        navigator.vibrate?.(TREMBLE);
        sound.chime();
      }
      called = now;
      showSound();
    });
    document.addEventListener("click", async (event) => {
      const button = event.target.closest?.("[data-place-sound]");
      if (!button) return;
      await sound.allow();
      sound.chime();
      navigator.vibrate?.(TREMBLE[0]);
      showSound();
    });
    window.addEventListener("pagehide", () => stream.close());
    window.addEventListener("pageshow", (event) => { if (event.persisted) stream.open(); });
  };

  const startFresh = () => {
    let freshAt = Date.now();
    document.addEventListener("htmx:after:request", (event) => {
      if (event.detail.ctx?.response?.raw?.ok) freshAt = Date.now();
    });
    setInterval(() => {
      for (const old of document.querySelectorAll("[data-fresh]")) old.hidden = Date.now() - freshAt < FRESH_MS;
    }, TICK_MS);
  };

  const start = () => {
    document.querySelectorAll("[data-board-get]").forEach((element) => new Board(element));
    document.querySelectorAll("[data-place-events]").forEach(startPlace);
    if (!document.querySelector("[data-board-get]")) startFresh();
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
