/*
  data-signature: a field to sign on with a finger, a pen or a mouse; its value is the most signs that the drawing may
  have. What is drawn becomes the path of the picture and the value of the hidden field. Without this file nobody signs
  on the screen, and all else works.
*/
(() => {
  "use strict";

  const STEP = 4; // of the picture's own units: finer is not seen

  const listen = (field) => {
    const picture = field.querySelector("svg");
    const path = picture.querySelector("path");
    const input = field.querySelector("input");
    const lengthMax = Number(field.dataset.signature);
    const { width, height } = picture.viewBox.baseVal;
    let last = null;
    let drawn = "";

    const show = () => {
      path.setAttribute("d", drawn);
      input.value = drawn;
    };
    const pointOf = (event) => {
      const box = picture.getBoundingClientRect();
      const within = (part, most) => Math.min(Math.max(Math.round(part * most), 0), most);
      return [
        within((event.clientX - box.left) / box.width, width),
        within((event.clientY - box.top) / box.height, height),
      ];
    };

    picture.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      picture.setPointerCapture(event.pointerId);
      last = pointOf(event);
      const [x, y] = last;
      // A dot is a short line. A stroke that has no room any more is not begun.
      const begun = `${drawn}M${x} ${y}L${x} ${y}`;
      if (begun.length > lengthMax) last = null;
      else drawn = begun;
      show();
    });
    picture.addEventListener("pointermove", (event) => {
      if (!last) return;
      const [x, y] = pointOf(event);
      if (Math.hypot(x - last[0], y - last[1]) < STEP) return;
      const longer = `${drawn}L${x} ${y}`;
      if (longer.length > lengthMax) return;
      drawn = longer;
      last = [x, y];
      show();
    });
    for (const end of ["pointerup", "pointercancel"]) picture.addEventListener(end, () => { last = null; });
    field.querySelector("[data-signature-clear]").addEventListener("click", () => {
      drawn = "";
      show();
    });
  };

  for (const field of document.querySelectorAll("[data-signature]")) listen(field);
})();
