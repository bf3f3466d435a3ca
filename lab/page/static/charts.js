/* Draws the charts of report.html from the JSON beside it. Without it the page still has its
   verdict, drawings and tables. Times are run seconds; a value of second s is drawn at s + 0.5. */
"use strict";

(() => {
  const run = JSON.parse(document.getElementById("data").textContent);
  const places = [...document.querySelectorAll(".plot")];
  const seconds = run.designs[Object.keys(run.designs)[0]].ok.map((_, second) => second + 0.5);
  const sync = uPlot.sync("run");
  const bolt = new Path2D("M5 0 L0 8 H4 L2.5 14 L9 5.2 H5 L6.8 0 Z");
  let charts = [];

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);

  function duration(seconds_) {
    const [value, unit] = seconds_ < 0.9995 ? [seconds_ * 1000, "ms"] : [seconds_, "s"];
    return `${three(value)} ${unit}`;
  }

  function three(value) {
    if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en");
    if (Math.abs(value) >= 100) return value.toFixed(0);
    return String(Number(value.toFixed(Math.abs(value) < 10 ? 2 : 1)));
  }

  /* Every design gets the range that the most extreme one needs: what looks equal is equal. */
  function everywhere(column) {
    return Object.values(run.designs).flatMap(column).filter((value) => value !== null);
  }

  function upTo(column) {
    return [0, (Math.max(0, ...everywhere(column)) || 1) * 1.25];
  }

  function latencyRange() {
    const bounds = everywhere((design) => design.bounds.map((bound) => bound.value));
    const known = [...everywhere((d) => d.p50), ...everywhere((d) => d.p99), ...bounds];
    const positive = known.filter((value) => value > 0);
    if (!positive.length) return [0.001, 1];
    const low = 10 ** Math.floor(Math.log10(Math.min(...positive)));
    return [low, Math.max(Math.max(...positive) * 4, low * 10)];
  }

  function decades([low, high]) {
    const steps = high / low > 50 ? [1] : [1, 2, 5];
    const found = [];
    for (let decade = low; decade <= high; decade *= 10) {
      found.push(...steps.map((step) => decade * step).filter((value) => value <= high));
    }
    return found;
  }

  /* A fill with a pattern of its own: failed and unknown differ in greyscale, too. */
  function pattern(u, fill, kind) {
    const size = 6 * devicePixelRatio;
    const tile = new OffscreenCanvas(size, size);
    const ctx = tile.getContext("2d");
    ctx.fillStyle = fill;
    ctx.fillRect(0, 0, size, size);
    ctx.strokeStyle = ctx.fillStyle = colour("card");
    if (kind === "hatch") {
      ctx.lineWidth = size / 5;
      ctx.beginPath();
      for (const shift of [-size, 0, size]) {
        ctx.moveTo(shift, size);
        ctx.lineTo(shift + size, 0);
      }
      ctx.stroke();
    } else {
      ctx.beginPath();
      ctx.arc(size / 2, size / 2, size / 5, 0, 7);
      ctx.fill();
    }
    return u.ctx.createPattern(tile, "repeat");
  }

  function bands(u) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const fault of run.faults) {
      const left = u.valToPos(fault.from, "x", true);
      const width = Math.max(2 * devicePixelRatio, u.valToPos(fault.to, "x", true) - left);
      ctx.fillStyle = colour("band");
      ctx.fillRect(left, bbox.top, width, bbox.height);
      hatch(ctx, left, bbox.top, width, bbox.height);
    }
    ctx.strokeStyle = colour("muted");
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
    for (const phase of run.phases.slice(1)) {
      line(ctx, u.valToPos(phase.from, "x", true), bbox.top, 0, bbox.height);
    }
    ctx.restore();
  }

  function hatch(ctx, left, top, width, height) {
    const step = 9 * devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    ctx.strokeStyle = colour("hatch");
    ctx.lineWidth = devicePixelRatio;
    for (let x = left - height; x < left + width; x += step) line(ctx, x, top + height, height, -height);
    ctx.strokeStyle = colour("edge");
    ctx.lineWidth = 2 * devicePixelRatio;
    line(ctx, left, top, 0, height);
    line(ctx, left + width, top, 0, height);
    ctx.restore();
  }

  function line(ctx, x, y, dx, dy) {
    ctx.beginPath();
    ctx.moveTo(x, y);
    ctx.lineTo(x + dx, y + dy);
    ctx.stroke();
  }

  function labels(u, withPhases) {
    const { ctx, bbox } = u;
    const px = devicePixelRatio;
    ctx.save();
    ctx.font = `${11 * px}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    ctx.textBaseline = "alphabetic";
    if (withPhases) {
      ctx.fillStyle = colour("muted");
      for (const phase of run.phases) {
        const left = u.valToPos(phase.from, "x", true);
        fitted(ctx, phase.name, left + 2 * px, bbox.top - 4 * px, u.valToPos(phase.to, "x", true) - left);
      }
    }
    for (const fault of run.faults) {
      const left = u.valToPos(fault.from, "x", true);
      const row = run.faults.filter((f) => f.from === fault.from).indexOf(fault);
      const bottom = bbox.top + (13 + 13 * (row % 3)) * px;
      const next = Math.min(run.duration, ...run.faults.map((f) => f.from).filter((t) => t > fault.from));
      const room = u.valToPos(next, "x", true) - left - 18 * px;
      const text = ctx.measureText(fault.text).width > room ? fault.kind : fault.text;
      fitted(ctx, text, left + 16 * px, bottom, room, true);
      mark(ctx, left + 5 * px, bottom - 10 * px, px);
    }
    ctx.restore();
  }

  /* Writes as much of a text as fits a width; on a patch of the card's colour where asked for. */
  function fitted(ctx, text, x, y, width, patch = false) {
    let shown = text;
    while (shown && ctx.measureText(shown).width > width) shown = shown.slice(0, -1);
    if (shown.length < Math.min(4, text.length)) return "";
    if (shown !== text) shown = `${shown.slice(0, -1)}…`;
    if (patch) {
      ctx.globalAlpha = 0.85;
      ctx.fillStyle = colour("card");
      const px = devicePixelRatio;
      ctx.fillRect(x - 13 * px, y - 10 * px, ctx.measureText(shown).width + 16 * px, 13 * px);
      ctx.globalAlpha = 1;
      ctx.fillStyle = colour("bad");
    }
    ctx.fillText(shown, x, y);
    return shown;
  }

  function mark(ctx, x, y, px) {
    ctx.save();
    ctx.translate(x, y);
    ctx.scale(px * 0.8, px * 0.8);
    ctx.fillStyle = colour("bad");
    ctx.fill(bolt);
    ctx.restore();
  }

  function bounds(u, design) {
    const { ctx, bbox } = u;
    const px = devicePixelRatio;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("ink");
    ctx.lineWidth = 1.5 * px;
    ctx.font = `600 ${11 * px}px system-ui, sans-serif`;
    ctx.textAlign = "right";
    for (const bound of design.bounds) {
      const y = u.valToPos(bound.value, "y", true);
      const left = u.valToPos(bound.from, "x", true);
      ctx.setLineDash([6 * px, 4 * px]);
      line(ctx, left, y, u.valToPos(bound.to, "x", true) - left, 0);
      ctx.setLineDash([]);
      const room = u.valToPos(bound.to, "x", true) > bbox.left + bbox.width * 0.4;
      ctx.textAlign = room ? "right" : "left";
      ctx.lineJoin = "round";
      ctx.save();
      ctx.strokeStyle = colour("card");
      ctx.lineWidth = 3 * px;
      const x = room ? u.valToPos(bound.to, "x", true) - 3 * px : left + 3 * px;
      ctx.strokeText(bound.text, x, y - 5 * px);
      ctx.restore();
      ctx.fillText(bound.text, x, y - 5 * px);
    }
    ctx.restore();
  }

  const stroke = (name, width, dash) => ({
    stroke: () => colour(name), width, dash, points: { show: false }, spanGaps: false,
  });

  const bars = (name, kind) => ({
    stroke: "transparent", width: 0, points: { show: false },
    paths: uPlot.paths.bars({ size: [1, Infinity], align: 0 }),
    fill: (u) => (kind ? pattern(u, colour(name), kind) : colour(name)),
  });

  /* What each kind of chart shows: aligned data, series, range of y, and how a value is written. */
  const kinds = {
    latency(design) {
      const range = latencyRange();
      return {
        data: [design.p50, design.p95, design.p99],
        series: [stroke("p50", 1.5), stroke("p95", 1.5, [5, 4]), stroke("p99", 2.5)],
        scale: { distr: 3, range }, splits: () => decades(range), write: duration,
      };
    },
    outcomes(design) {
      const stack = (...columns) => seconds.map((_, i) => columns.reduce((sum, c) => sum + c[i], 0));
      const { ok, fail, info } = design;
      return {
        data: [stack(ok, fail, info), stack(ok, fail), ok],
        series: [bars("info", "dots"), bars("fail", "hatch"), bars("ok")],
        scale: { range: upTo((d) => d.ok.map((_, i) => d.ok[i] + d.fail[i] + d.info[i])) },
        write: three, shown: [ok, fail, info],
      };
    },
    in_flight: (design) => ({
      data: [design.in_flight], series: [stroke("flight", 2)],
      scale: { range: upTo((d) => d.in_flight) }, write: three,
    }),
    watch(design, number) {
      return {
        data: [design.watch[number]], series: [stroke("flight", 2)],
        scale: { range: upTo((d) => d.watch[number]) }, write: three,
      };
    },
  };

  function axes(kind, chart) {
    const font = "11px system-ui, sans-serif";
    const common = { stroke: () => colour("muted"), grid: { stroke: () => colour("grid"), width: 1 }, font };
    return [
      { ...common, size: 19, gap: 4, ticks: { show: false }, values: (_, all) => all.map((v) => `${v} s`) },
      {
        ...common, size: 58, gap: 4, ticks: { show: false },
        values: (_, all) => all.map((v) => (v === null ? "" : chart.write(v))),
        ...(chart.splits ? { splits: chart.splits } : { space: 34 }),
      },
    ];
  }

  function draw(place) {
    const { kind, design: name, watch } = place.dataset;
    const design = run.designs[name];
    const chart = kinds[kind](design, Number(watch));
    const figure = place.closest("figure");
    const unit = figure.querySelector("small");
    const outputs = [...figure.querySelectorAll("output")];
    const words = unit.dataset.words ?? (unit.dataset.words = unit.textContent);
    const readout = (u) => {
      const at = u.cursor.idx;
      unit.textContent = at == null ? words : `T+${at} s`;
      outputs.forEach((output, i) => {
        const value = at == null ? null : (chart.shown ?? chart.data)[i][at];
        output.textContent = value == null ? "" : chart.write(value);
      });
    };
    return new uPlot({
      width: place.clientWidth, height: place.clientHeight, padding: [kind === "latency" ? 16 : 6, 16, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: sync.key }, y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { x: { time: false, range: [0, run.duration] }, y: chart.scale },
      axes: axes(kind, chart), series: [{}, ...chart.series],
      hooks: {
        drawClear: [bands],
        draw: [(u) => { if (kind === "latency") bounds(u, design); labels(u, kind === "latency"); }],
        setCursor: [readout],
      },
    }, [seconds, ...chart.data], place);
  }

  function drawAll() {
    charts.forEach((chart) => chart.destroy());
    charts = places.map(draw);
  }

  function moveTo(second) {
    const at = Math.min(seconds.length - 1, Math.max(0, second));
    charts.forEach((u) => u.setCursor({ left: u.valToPos(seconds[at], "x"), top: 10 }));
  }

  /* Arrow keys move the crosshair of all charts; Home and End jump, F goes to the next fault. */
  function keys(event) {
    const at = charts[0]?.cursor.idx ?? -1;
    const next = run.faults.map((f) => Math.floor(f.from)).find((second) => second > at);
    const targets = {
      ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: seconds.length - 1,
      f: next ?? Math.floor(run.faults[0]?.from ?? 0),
    };
    if (!(event.key in targets) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    moveTo(targets[event.key]);
  }

  function theme() {
    const button = document.getElementById("theme");
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const root = document.documentElement;
    const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
    const show = () => { button.textContent = isDark() ? "Light theme" : "Dark theme"; drawAll(); };
    button.hidden = false;
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      show();
    });
    dark.addEventListener("change", show);
    let chosen;
    addEventListener("beforeprint", () => { chosen = root.dataset.theme; root.dataset.theme = "light"; show(); });
    addEventListener("afterprint", () => {
      if (chosen) root.dataset.theme = chosen; else delete root.dataset.theme;
      show();
    });
    show();
  }

  theme();
  places.forEach((place) => place.addEventListener("keydown", keys));
  new ResizeObserver(() => {
    charts.forEach((chart, i) => {
      const { clientWidth: width, clientHeight: height } = places[i];
      if (width && (width !== chart.width || height !== chart.height)) chart.setSize({ width, height });
    });
  }).observe(document.querySelector(".designs"));
})();
