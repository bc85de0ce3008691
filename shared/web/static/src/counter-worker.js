/*
  The worker of `/counter`: without network it shows the empty page, whose script fills in the line that the tablet kept.
  It keeps no page and no answer: nothing of anybody lies in its cache. FILES stands above, put there by the server.
*/
"use strict";

const NAME = "choudo-counter-";
const CACHE = NAME + FILES.join("|");
const [EMPTY_PAGE] = FILES;
const AWAY = [502, 503, 504];

self.addEventListener("install", (event) => {
  const keep = async () => {
    const cache = await caches.open(CACHE);
    // Without cookies: as nobody.
    await cache.addAll(FILES.map((path) => new Request(path, { credentials: "omit", cache: "reload" })));
    await self.skipWaiting();
  };
  event.waitUntil(keep());
});

self.addEventListener("activate", (event) => {
  const takeOver = async () => {
    const old = (await caches.keys()).filter((name) => name.startsWith(NAME) && name !== CACHE);
    await Promise.all(old.map((name) => caches.delete(name)));
    await self.clients.claim();
  };
  event.waitUntil(takeOver());
});

const fetchOrShowEmpty = async (request) => {
  try {
    const answer = await fetch(request);
    if (!AWAY.includes(answer.status)) return answer;
  } catch { /* no network */ }
  return (await caches.match(EMPTY_PAGE)) || Response.error();
};

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  if (request.mode === "navigate") event.respondWith(fetchOrShowEmpty(request));
  else if (FILES.includes(url.pathname)) event.respondWith(caches.match(request).then((kept) => kept || fetch(request)));
});
