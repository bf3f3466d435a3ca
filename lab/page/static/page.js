/* What every page of a run does: theme, timeline, crosshair by keyboard, help. Needs charts.js.
   `Lab.page(hooks)` gives the board; a live page hooks into keys and into the timeline. */
"use strict";

Lab.page = (hooks = {}) => {
  const root = document.documentElement;
  const board = Lab.board([...document.querySelectorAll(".plot")]);
  const scrub = document.getElementById("scrub");
  const help = document.getElementById("help");
  let run = null;

  function theme() {
    const button = document.getElementById("theme");
    const system = matchMedia("(prefers-color-scheme: dark)");
    const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
    const show = () => {
      button.textContent = isDark() ? "Light theme" : "Dark theme";
      board.redraw();
    };
    const choose = (name) => {
      root.dataset.theme = name;
      try { localStorage.setItem("lab-theme", name); } catch { /* a page from a file may not */ }
      show();
    };
    try {
      const kept = localStorage.getItem("lab-theme");
      if (kept === "dark" || kept === "light") root.dataset.theme = kept;
    } catch { /* a page from a file may not */ }
    button.hidden = false;
    button.addEventListener("click", () => choose(isDark() ? "light" : "dark"));
    system.addEventListener("change", show);
    let chosen;
    addEventListener("beforeprint", () => { chosen = root.dataset.theme; root.dataset.theme = "light"; show(); });
    addEventListener("afterprint", () => {
      if (chosen) root.dataset.theme = chosen; else delete root.dataset.theme;
      show();
    });
    show();
  }

  /* Phases as long as they last, the faults' windows on them; the stylesheet only knows classes. */
  function timeline() {
    const track = document.querySelector(".track");
    if (!track) return;
    const share = (s) => `${(100 * s) / run.duration}%`;
    track.querySelectorAll(".phases li").forEach((item, i) => {
      const phase = run.phases[i];
      item.style.left = share(phase.from);
      item.style.width = share(phase.to - phase.from);
    });
    track.querySelectorAll(".fault").forEach((old) => old.remove());
    for (const planned of run.planned ?? []) {
      if (!run.faults.some((fault) => fault.name === planned.name)) mark(track, planned, "fault planned");
    }
    for (const fault of run.faults) mark(track, fault, "fault");
    function mark(on, fault, name) {
      const band = document.createElement("span");
      band.className = name;
      band.style.left = share(fault.from);
      band.style.width = share(Math.max(fault.to - fault.from, run.duration / 200));
      on.insertBefore(band, on.querySelector("input"));
    }
    scrub.max = Math.ceil(run.duration);
    scrub.disabled = false;
  }

  function clock(at) {
    const done = document.querySelector(".done");
    if (done && run) done.style.width = `${Math.min(100, (100 * at) / run.duration)}%`;
  }

  /* When the next of these faults begins after a moment; behind the last, the first. */
  function nextFault(after, faults) {
    const starts = faults.map((fault) => fault.from).sort((a, b) => a - b);
    return starts.find((from) => from > after) ?? starts[0] ?? 0;
  }

  function step(event) {
    const at = board.at;
    const targets = {
      ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: board.length - 1, f: Math.floor(nextFault(at + 1 - 1e-6, run.faults)),
    };
    if (!(event.key in targets)) return false;
    board.moveTo(targets[event.key]);
    return true;
  }

  const common = {
    t: () => document.getElementById("theme").click(),
    "?": () => (help.open ? help.close() : help.showModal()),
  };

  function keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !run) return;
    if (event.target.closest("input:not([type=range]), select, textarea, dialog")) return;
    if (event.target.closest("button, a, summary") && [" ", "Enter"].includes(event.key)) return;
    if (event.target.closest(".scroll") && event.key.startsWith("Arrow")) return;
    const did = hooks.key?.(event) ?? false;
    if (did || event.key in common || (!hooks.steps && step(event))) {
      if (!did) common[event.key]?.();
      event.preventDefault();
    }
  }

  document.addEventListener("keydown", keys);
  document.getElementById("ask")?.addEventListener("click", () => help.showModal());
  document.getElementById("shut")?.addEventListener("click", () => help.close());
  if (scrub && !hooks.steps) scrub.addEventListener("input", () => board.moveTo(Number(scrub.value)));
  board.onMove((at) => { if (scrub && !hooks.steps) scrub.value = at; });
  theme();

  return {
    board,
    nextFault,
    clock,
    /* Show this data; `moment` cuts it off. */
    show(data, moment) {
      run = data;
      timeline();
      board.show(data, moment);
    },
    update(moment) {
      timeline();
      board.update(moment);
    },
  };
};
