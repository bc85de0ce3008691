/*
  data-passkey: a form that a phone answers by a passkey (WebAuthn). Its value is `create` or `get`; `data-options` is
  where the challenge comes from. It is hidden until this file finds that the browser can do it. What the phone answers
  goes into the hidden fields `challenge` and `credential`, and the form is sent.
*/
(() => {
  "use strict";

  if (!window.PublicKeyCredential || !navigator.credentials) return;

  const FORBIDDEN = 403;
  // Older phones know neither parseCreationOptionsFromJSON nor toJSON: WebAuthn's JSON is base64url for bytes.
  const toBytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (sign) => sign.charCodeAt(0));
  const toText = (bytes) => bytes && btoa(String.fromCharCode(...new Uint8Array(bytes)))
    .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const known = (list) => (list || []).map((each) => ({ ...each, id: toBytes(each.id) }));

  const ask = async (kind, options) => {
    const publicKey = { ...options, challenge: toBytes(options.challenge) };
    if (kind === "get") {
      publicKey.allowCredentials = known(options.allowCredentials);
      return navigator.credentials.get({ publicKey });
    }
    publicKey.user = { ...options.user, id: toBytes(options.user.id) };
    publicKey.excludeCredentials = known(options.excludeCredentials);
    return navigator.credentials.create({ publicKey });
  };

  const answerOf = ({ id, rawId, type, response }) => {
    const told = { clientDataJSON: toText(response.clientDataJSON) };
    for (const part of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (response[part]) told[part] = toText(response[part]);
    }
    return { id, rawId: toText(rawId), type, response: told };
  };

  const fill = async (form) => {
    const answer = await fetch(form.dataset.options, { method: "POST" });
    if (answer.status === FORBIDDEN) {
      // Who signed in long ago is asked who they are, by a page: what they typed goes there.
      form.submit();
      await new Promise(() => {});
    }
    if (!answer.ok) throw new Error(String(answer.status));
    const { challenge_id: challenge, options } = await answer.json();
    const credential = await ask(form.dataset.passkey, options);
    form.elements.challenge.value = challenge;
    form.elements.credential.value = JSON.stringify(answerOf(credential));
  };

  const listen = (form) => {
    const told = form.querySelector("[role=status]");
    form.hidden = false;
    form.addEventListener("submit", (event) => {
      if (form.elements.credential.value) return;
      event.preventDefault();
      told.textContent = "";
      // Closed, too late, or no passkey of this phone: the other ways are on the same page.
      fill(form).then(() => form.submit(), () => { told.textContent = form.dataset.textFailed; });
    });
  };

  for (const form of document.querySelectorAll("form[data-passkey]")) listen(form);
})();
