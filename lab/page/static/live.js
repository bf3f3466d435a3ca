/* The page of a run on the lab's own server. The server renders every part; this puts the parts in
   place as they come (Server-Sent Events), and asks for those of an earlier moment when somebody
   looks back. Nothing here computes anything about the run. */
"use strict";

(() => {
  const settings = JSON.parse(document.getElementById("settings").textContent);
  const base = `/runs/${settings.run}`;
  const scrub = document.getElementById("scrub");
  const play = document.getElementById("play");
  const speed = document.getElementById("speed");
  const stale = document.getElementById("stale");
  const told = document.getElementById("told");
  const slots = new Map([...document.querySelectorAll("[data-slot]")].map((el) => [el.dataset.slot, el]));
  /* A band begins at a rounded moment: this much later the fault is in force for certain. */
  const JUST_AFTER_S = 0.05;
  const icons = { play: "M2 1 L11 6 L2 11 Z", pause: "M2 1 H5 V11 H2 Z M7 1 H10 V11 H7 Z" };

  /* `newest` is what the run has come to; `at` is the moment looked at, null to follow the run. */
  const newest = { n: 0, slots: {}, run: null, bands: [], clock: 0, finished: false };
  let shownRun = null;
  let past = null;
  let at = null;
  let asked = 0;
  let playing = null;
  let heardAt = performance.now();
  let gone = false;
  const lags = [];

  const page = Lab.page({ key, steps: true });

  /* Parts keep the focus and the open details of those they replace. */
  function put(name, html) {
    const element = slots.get(name);
    if (!element || element.innerHTML === html) return;
    const focused = element.contains(document.activeElement) ? document.activeElement.id : "";
    const open = [...element.querySelectorAll("details[open]")].map((d) => d.querySelector("summary").textContent);
    const scrolled = element.firstElementChild?.scrollTop ?? 0;
    element.innerHTML = html;
    for (const details of element.querySelectorAll("details")) {
      if (open.includes(details.querySelector("summary").textContent)) details.open = true;
    }
    if (scrolled) element.firstElementChild.scrollTop = scrolled;
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }

  function splice(run, add) {
    for (const [name, more] of Object.entries(add)) {
      const design = run.designs[name];
      for (const [key, values] of Object.entries(more)) {
        if (key === "from" || key === "watch" || key === "bounds") continue;
        design[key].splice(more.from, Infinity, ...values);
      }
      design.bounds = more.bounds;
      more.watch.columns.forEach((values, i) => design.watch[i].splice(more.watch.from, Infinity, ...values));
    }
  }

  function take(frame) {
    const was = newest.slots.headline;
    Object.assign(newest.slots, frame.slots);
    newest.n = frame.n;
    if (frame.run) newest.run = frame.run;
    if (frame.add) splice(newest.run, frame.add);
    newest.bands = frame.bands;
    newest.clock = frame.clock;
    newest.finished = frame.finished;
    if (at === null) follow(frame.slots);
    if (frame.slots.headline && was !== undefined) say(frame.slots.headline);
    buttons();
  }

  function follow(changed) {
    for (const [name, html] of Object.entries(changed)) put(name, html);
    draw(newest.run, newest.bands, newest.finished ? newest.run.duration : newest.clock, Infinity);
  }

  function draw(run, bands, clock, until) {
    run.faults = bands;
    if (run === shownRun) page.update(until); else page.show(run, until);
    shownRun = run;
    page.clock(clock);
    scrub.value = Math.min(Number(scrub.max), clock);
    scrub.setAttribute("aria-valuetext", `T+${Math.floor(clock)} s`);
  }

  /* Broken claims are announced, at most every five seconds, the newest word last. */
  let saidAt = -Infinity;
  let waiting = 0;
  let word = "";
  function say(html) {
    const holder = document.createElement("div");
    holder.innerHTML = html;
    const strong = holder.querySelector("strong")?.textContent ?? "";
    if (strong === word) return;
    word = strong;
    clearTimeout(waiting);
    const wait = Math.max(0, saidAt + 5000 - performance.now());
    waiting = setTimeout(() => { told.textContent = word; saidAt = performance.now(); }, wait);
  }

  /* A moment of the past, rendered by the server from the messages until then. */
  async function look(moment) {
    const end = newest.finished ? Math.ceil(newest.run.duration) : newest.clock;
    if (moment >= end && playing === null) return present();
    at = Math.max(0, Math.min(moment, end));
    const ticket = ++asked;
    if (!past || !newest.finished) past = newest.finished ? await get(Infinity, true) : { run: newest.run };
    const then = await get(at, false);
    if (!then || ticket !== asked || !past) return undefined;
    for (const [name, html] of Object.entries(then.slots)) put(name, html);
    draw(past.run, then.bands, at, at);
    buttons();
    return undefined;
  }

  async function get(moment, whole) {
    try {
      const answer = await fetch(`${base}/at?t=${Number.isFinite(moment) ? moment : 1e9}${whole ? "&whole=1" : ""}`);
      return answer.ok ? await answer.json() : null;
    } catch {
      gone = newest.finished;
      return null;
    }
  }

  function present() {
    at = null;
    asked += 1;
    stop();
    follow(newest.slots);
    buttons();
  }

  function stop() {
    clearTimeout(playing);
    playing = null;
  }

  function start() {
    const end = newest.finished ? Math.ceil(newest.run.duration) : newest.clock;
    let moment = at === null || at >= end ? 0 : at;
    let next = performance.now();
    const tick = async () => {
      await look(moment);
      if (playing === null) return;
      if (moment >= (newest.finished ? end : newest.clock)) { present(); return; }
      moment += 1;
      next = Math.max(performance.now(), next + 1000 / Number(speed.value));
      playing = setTimeout(tick, next - performance.now());
    };
    playing = setTimeout(tick, 0);
    buttons();
  }

  function toggle() {
    if (playing !== null) { stop(); buttons(); return; }
    if (at === null && !newest.finished) { look(newest.clock - 0.001); return; }
    if (at !== null && !newest.finished) { present(); return; }
    start();
  }

  function buttons() {
    const paused = at !== null && playing === null;
    const [icon, text] = playing !== null ? ["pause", "Pause"]
      : newest.finished ? ["play", "Play"] : paused ? ["play", "Follow"] : ["pause", "Pause"];
    play.querySelector("path").setAttribute("d", icons[icon]);
    play.querySelector("span").textContent = text;
    speed.hidden = !newest.finished;
    const save = document.getElementById("export");
    save.setAttribute("aria-disabled", String(!newest.finished));
    save.title = newest.finished ? "" : "when the run is over";
  }

  function alone(number) {
    const grid = document.querySelector(".designs");
    const card = document.getElementById(`d${number - 1}`);
    if (!card) return false;
    const back = card.classList.contains("chosen");
    document.querySelectorAll(".design").forEach((other) => other.classList.remove("chosen"));
    grid.classList.toggle("alone", !back);
    card.classList.toggle("chosen", !back);
    return true;
  }

  function key(event) {
    const now = at ?? (newest.finished ? Math.ceil(newest.run.duration) : newest.clock);
    const moments = {
      ArrowLeft: Math.floor(now) - 1, ArrowRight: Math.floor(now) + 1, Home: 0, End: Infinity,
      f: page.nextFault(at ?? -1, newest.bands) + JUST_AFTER_S,
    };
    if (event.key in moments) { stop(); look(moments[event.key]); return true; }
    if (/^[1-9]$/.test(event.key)) return alone(Number(event.key));
    const actions = {
      " ": toggle,
      l: () => document.getElementById("log")?.focus(),
      e: () => newest.finished && document.getElementById("export").click(),
    };
    actions[event.key]?.();
    return event.key in actions;
  }

  async function guess(button) {
    const { design, guess: word_ } = button.dataset;
    await fetch(`${base}/guess`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Lab-Token": settings.token },
      body: JSON.stringify({ design, guess: word_ }),
    }).catch(() => {});
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-guess]");
    if (button) guess(button);
    if (event.target.closest("#export[aria-disabled=true]")) event.preventDefault();
  });
  play.addEventListener("click", toggle);
  scrub.addEventListener("input", () => { stop(); look(Number(scrub.value)); });
  page.board.onMove(() => {});

  /* The stream. The browser connects again by itself and says what it had last. */
  const source = new EventSource(`${base}/events`);
  source.addEventListener("frame", (event) => {
    const frame = JSON.parse(event.data);
    heardAt = performance.now();
    take(frame);
    if (frame.sent) {
      requestAnimationFrame(() => setTimeout(() => {
        lags.push(Date.now() - frame.sent * 1000);
        if (lags.length > 500) lags.shift();
      }));
    }
    if (frame.finished) source.close();
  });
  source.addEventListener("beat", () => { heardAt = performance.now(); });
  setInterval(() => {
    const lost = !newest.finished && performance.now() - heardAt > 5000;
    stale.classList.toggle("shown", lost || gone);
    const text = lost ? "No news for 5 s: connecting again. What is shown is the last that was heard."
      : gone ? `The run is over and so is its server. To replay it: lab view ${settings.run}` : "";
    if (stale.textContent !== text) stale.textContent = text;
  }, 1000);

  Lab.debug = { lags, newest, board: page.board };
})();
