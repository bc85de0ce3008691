/*
  Sounds an alarm once on this device: two short notes for whatever appears in [data-alarms] with a data-alarm that was
  not heard here yet. A browser that wants a touch first sounds it at the first touch. Without this file the line is
  there all the same.
*/
(() => {
  "use strict";

  const place = document.querySelector("[data-alarms]");
  if (!place) return;
  const HEARD = "choudo-alarms";
  const HEARD_MAX = 50;
  const NOTES = [880, 660];
  const NOTE_S = 0.25;
  const VOLUME = 0.2;

  const heard = () => {
    try {
      return JSON.parse(sessionStorage.getItem(HEARD) || "[]");
    } catch {
      return [];
    }
  };
  const remember = (ids) => {
    try {
      sessionStorage.setItem(HEARD, JSON.stringify(ids.slice(-HEARD_MAX)));
    } catch {
      // Without a place to keep it, it may sound again after a reload.
    }
  };

  let audio = null;
  const sound = () => {
    audio = audio || new AudioContext();
    audio.resume();
    NOTES.forEach((pitch, index) => {
      const note = audio.createOscillator();
      const gain = audio.createGain();
      note.frequency.value = pitch;
      gain.gain.value = VOLUME;
      note.connect(gain).connect(audio.destination);
      note.start(audio.currentTime + index * NOTE_S);
      note.stop(audio.currentTime + (index + 1) * NOTE_S);
    });
  };

  const look = () => {
    const known = heard();
    const fresh = [...place.querySelectorAll("[data-alarm]")].map((each) => each.dataset.alarm);
    const unheard = fresh.filter((id) => !known.includes(id));
    if (!unheard.length) return;
    remember([...known, ...unheard]);
    sound();
  };

  new MutationObserver(look).observe(place, { childList: true, subtree: true });
  document.addEventListener("pointerdown", () => audio && audio.resume(), { passive: true });
  look();
})();
