// A closer look at the page as it stands: each function returns sentences about what is wrong, none when all is well.
(() => {
  const TARGETS = "a[href], button, summary, select, textarea, input:not([type=hidden])";
  const BUTTONS = "button, .button, .slot, a.day, .option, .input, .choice-link";
  const CHOSEN = ":is([aria-current]:not([aria-current=false]), [aria-pressed=true])";

  const isClipped = (element) => element !== null &&
    (getComputedStyle(element).clipPath === "inset(50%)" || isClipped(element.parentElement));
  const isShown = (element) => element.checkVisibility({ visibilityProperty: true }) && !isClipped(element);
  const all = (selector) => [...document.querySelectorAll(selector)].filter(isShown);
  const name = (element) => {
    const words = (element.textContent || element.value || "").trim().replace(/\s+/g, " ").slice(0, 24);
    return `${element.tagName.toLowerCase()}${[...element.classList].map((one) => `.${one}`).join("")}#${element.id} “${words}”`;
  };
  const widthOf = (style, side) => (style[`border${side}Style`] === "none" ? 0 : parseFloat(style[`border${side}Width`]));

  /* What a finger must meet. A link among the words of a sentence is as high as its line (WCAG 2.5.8, inline). */
  const isInSentence = (element) => element.matches("a") && getComputedStyle(element).display === "inline" &&
    [...element.parentElement.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
  const small = (least) => all(TARGETS).filter((element) => !isInSentence(element)).flatMap((element) => {
    const { width, height } = (element.closest("label") || element).getBoundingClientRect();
    const isLess = Math.min(width, height) < least - 0.5;
    return isLess ? [`${name(element)} is ${Math.round(width)} × ${Math.round(height)} px, less than ${least}`] : [];
  });

  /* Words that a box hides, or that run out of it. */
  const spilled = () => all("body *").flatMap((element) => {
    const style = getComputedStyle(element);
    if (element.closest("svg") || element.matches(TARGETS.replace("a[href], button, summary, ", ""))) return [];
    if (style.display === "inline") return [];
    const hides = style.overflowX !== "visible" || style.overflowY !== "visible";
    const isBox = hides || widthOf(style, "Left") + widthOf(style, "Right") > 0;
    const isWide = element.scrollWidth > element.clientWidth + 1;
    const isHigh = hides && style.overflowY !== "auto" && element.scrollHeight > element.clientHeight + 1;
    return isBox && (isWide || isHigh) ? [`${name(element)} is cut off or spills`] : [];
  });

  /* For forced colours: a button has an edge, and what is chosen differs by more than the colour of its words. */
  const edgeless = () => all(BUTTONS).flatMap((element) => {
    const style = getComputedStyle(element);
    const paper = getComputedStyle(document.body).backgroundColor;
    const has = ["Top", "Right", "Bottom", "Left"].every((side) =>
      widthOf(style, side) >= 1 && style[`border${side}Color`] !== paper) || style.backgroundColor !== paper;
    return has ? [] : [`${name(element)} has no edge`];
  });
  const unmarked = () => all(CHOSEN).flatMap((element) => {
    const group = element.closest("ul, ol, nav, [role=group]");
    const other = [...(group?.querySelectorAll(element.tagName) || [])].find((one) => isShown(one) && !one.matches(CHOSEN));
    if (!other) return [];
    const looks = [element, other].map((one) => {
      const style = getComputedStyle(one);
      return [style.backgroundColor, style.fontWeight, style.textDecorationLine, widthOf(style, "Bottom"), widthOf(style, "Top")].join();
    });
    return looks[0] === looks[1] ? [`${name(element)} is chosen and looks like ${name(other)}`] : [];
  });

  /* After a key was pressed: whatever has the focus shows it. */
  const unseenFocus = () => {
    const before = document.activeElement;
    const found = all(TARGETS).filter((element) => !element.disabled && element.type !== "hidden").flatMap((element) => {
      element.focus({ preventScroll: true });
      if (document.activeElement !== element) return [];
      const style = getComputedStyle(element.closest(".option") || element);
      return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 ? [] : [`${name(element)} does not show its focus`];
    });
    if (before === document.body) document.activeElement.blur();
    else before.focus({ preventScroll: true });
    return found;
  };

  window.eyes = { small, spilled, edgeless, unmarked, unseenFocus };
})();
