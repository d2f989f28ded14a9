// What scrolls sideways can be reached with the keyboard.
function markScrollingRegions() {
  for (const region of document.querySelectorAll("pre > code, .md-typeset__scrollwrap")) {
    if (region.scrollWidth > region.clientWidth) {
      region.tabIndex = 0;
    } else {
      region.removeAttribute("tabindex");
    }
  }
}

window.addEventListener("load", markScrollingRegions);
window.addEventListener("resize", markScrollingRegions);
