/*
  data-receipt: a link to a file of a person's entries, saved with the proofs that each service gives of its own. Without
  this file the link gives the same without proofs, and the address of each.
*/
(() => {
  "use strict";

  const KEPT_MS = 60 * 1000;
  const PROOFS_AT_ONCE = 100; // as many as a service gives at once (shared/web/ledger_proofs.py)

  const proofsOf = async (service, ids) => {
    const found = new Map();
    for (let start = 0; start < ids.length; start += PROOFS_AT_ONCE) {
      const answer = await fetch(`/${service}/api/ledger/proofs`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ entry_ids: ids.slice(start, start + PROOFS_AT_ONCE) }),
      });
      if (!answer.ok) break; // a service that is stopped: its entries go without
      for (const proof of (await answer.json()).proofs) found.set(proof.entry_id, proof);
    }
    return found;
  };

  const saveReceipt = async (link) => {
    const told = document.getElementById(link.dataset.receipt);
    told.textContent = told.dataset.textWorking;
    const answer = await fetch(link.href);
    if (!answer.ok) throw new Error(String(answer.status));
    const receipt = await answer.json();
    for (const service of new Set(receipt.entries.map((entry) => entry.service))) {
      const own = receipt.entries.filter((entry) => entry.service === service);
      const proofs = await proofsOf(service, own.map((entry) => entry.entry_id));
      for (const entry of own) entry.proof = proofs.get(entry.entry_id) || null;
    }
    const address = URL.createObjectURL(new Blob([JSON.stringify(receipt, null, 2)], { type: "application/json" }));
    const saved = document.createElement("a");
    saved.href = address;
    saved.download = link.download;
    saved.click();
    setTimeout(() => URL.revokeObjectURL(address), KEPT_MS);
    const proved = receipt.entries.filter((entry) => entry.proof).length;
    const counts = { proved, missing: receipt.entries.length - proved };
    told.textContent = told.dataset.textDone.replace(/\{(\w+)\}/g, (_, name) => String(counts[name]));
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-receipt]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    saveReceipt(link).catch(() => {
      const told = document.getElementById(link.dataset.receipt);
      told.textContent = told.dataset.textFailed;
      location.href = link.href;
    });
  });
})();
