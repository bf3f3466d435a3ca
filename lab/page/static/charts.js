/* The charts of the live page and of report.html: one board of uPlot charts over one set of data.
   Times are run seconds; a value of second s is drawn at s + 0.5. `until` cuts everything off that
   lies after a moment, so that a replay shows only what was known then. */
"use strict";

const Lab = {};

Lab.board = (places) => {
  const sync = places.length ? uPlot.sync("run") : null;
  const bolt = new Path2D("M5 0 L0 8 H4 L2.5 14 L9 5.2 H5 L6.8 0 Z");
  let run = null;
  let seconds = [];
  let until = Infinity;
  let charts = [];
  let range = [0.001, 1];
  let listener = () => {};

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

  /* As long as the run, with gaps where nothing is known (yet, or at the moment shown). */
  function whole(values) {
    return seconds.map((middle, i) => (middle < until && values && values[i] != null ? values[i] : null));
  }

  /* What is known at the moment shown: a replay has the scales that were seen then. */
  function seen(values) {
    return (values ?? []).filter((_, i) => i + 0.5 < until);
  }

  /* Every design gets the range that the most extreme one needs: what looks equal is equal. */
  function most(column) {
    let top = 0;
    for (const design of Object.values(run.designs)) {
      for (const value of column(design)) if (value > top) top = value;
    }
    return top;
  }

  function limits(design, chart) {
    return design.bounds.filter((bound) => bound.chart === chart);
  }

  function upTo(column, chart) {
    const limit = most((design) => limits(design, chart).map((bound) => bound.value));
    return [0, (Math.max(most((design) => seen(column(design))), limit) || 1) * 1.25];
  }

  /* As many as are planned in a second, and what chance may add to that. What a queue sets free all
     at once goes beyond, cut off with its number, so that the seconds around it keep their height. */
  function planned() {
    const designs = Object.values(run.designs);
    if (!designs.length || !designs.every((design) => design.rate)) return null;
    return most((design) => [design.rate + 4 * Math.sqrt(design.rate)]);
  }

  const sums = (design) => design.ok.map((_, i) => design.ok[i] + design.fail[i] + design.info[i]);

  function outcomesRange() {
    const top = planned();
    return top === null ? upTo(sums, "outcomes") : [0, top];
  }

  function latencyRange() {
    let [low, high] = [Infinity, 0];
    const see = (value) => {
      if (value > 0) [low, high] = [Math.min(low, value), Math.max(high, value)];
    };
    let known = 0;
    for (const design of Object.values(run.designs)) {
      seen(design.p50).forEach(see);
      seen(design.p99).forEach(see);
      known += seen(design.p50).length;
      limits(design, "latency").forEach((bound) => see(bound.value));
    }
    if (!known) return [0.001, Math.max(1, high * 4)];
    low = 10 ** Math.floor(Math.log10(low));
    return [low, Math.max(high * 4, low * 10)];
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

  /* A fault may be in one design only; in a comparison, where names begin with their side's letter,
     in one side only. */
  function faultsOf(name) {
    const design = run.compared ? name.slice(2) : name;
    return run.faults.filter((fault) =>
      (!fault.side || name.startsWith(`${fault.side} `)) && (!fault.design || fault.design === design));
  }

  function bands(u, faults) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const fault of run.planned ?? []) {
      if (faults.some((other) => other.name === fault.name)) continue;
      ctx.strokeStyle = colour("edge");
      ctx.lineWidth = devicePixelRatio;
      ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
      const left = u.valToPos(fault.from, "x", true);
      ctx.strokeRect(left, bbox.top, u.valToPos(fault.to, "x", true) - left, bbox.height);
    }
    ctx.setLineDash([]);
    for (const fault of faults) {
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

  function labels(u, withPhases, faults) {
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
    for (const fault of faults) {
      const left = u.valToPos(fault.from, "x", true);
      const row = faults.filter((f) => f.from === fault.from).indexOf(fault);
      const bottom = bbox.top + (13 + 13 * (row % 3)) * px;
      const next = Math.min(run.duration, ...faults.map((f) => f.from).filter((t) => t > fault.from));
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

  function bounds(u, design, name, write) {
    const { ctx, bbox } = u;
    const px = devicePixelRatio;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("ink");
    ctx.lineWidth = 1.5 * px;
    ctx.font = `600 ${11 * px}px system-ui, sans-serif`;
    for (const bound of limits(design, name)) {
      const y = u.valToPos(bound.value, "y", true);
      const left = u.valToPos(bound.from, "x", true);
      ctx.setLineDash([6 * px, 4 * px]);
      line(ctx, left, y, u.valToPos(bound.to, "x", true) - left, 0);
      ctx.setLineDash([]);
      const right = u.valToPos(bound.to, "x", true);
      const room = right > bbox.left + bbox.width * 0.4;
      ctx.textAlign = room ? "right" : "left";
      const x = room ? right - 3 * px : left + 3 * px;
      const width = ctx.measureText(bound.text).width;
      ctx.save();
      ctx.globalAlpha = 0.88;
      ctx.fillStyle = colour("card");
      ctx.fillRect((room ? x - width : x) - 3 * px, y - 16 * px, width + 6 * px, 14 * px);
      ctx.restore();
      ctx.fillText(bound.text, x, y - 5 * px);
    }
    ctx.restore();
  }

  /* Bars that are higher than the chart: their number at the top, with an arrow. */
  function cutOff(u) {
    const { ctx, bbox } = u;
    const px = devicePixelRatio;
    ctx.save();
    ctx.font = `600 ${11 * px}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    u.data[1].forEach((value, i) => {
      if (value === null || value <= u.scales.y.max) return;
      const x = u.valToPos(seconds[i], "x", true);
      const text = three(value);
      const left = Math.min(x + 5 * px, bbox.left + bbox.width - ctx.measureText(text).width - 3 * px);
      const y = bbox.top + bbox.height * 0.3;
      ctx.fillStyle = colour("card");
      ctx.fillRect(left - 2 * px, y - 10 * px, ctx.measureText(text).width + 4 * px, 13 * px);
      ctx.fillStyle = colour("ink");
      ctx.fillText(text, left, y);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x - 4 * px, bbox.top + 7 * px);
      ctx.lineTo(x + 4 * px, bbox.top + 7 * px);
      ctx.fill();
    });
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

  const stacked = (...columns) =>
    columns[0].map((value, i) => (value === null ? null : columns.reduce((sum, c) => sum + c[i], 0)));

  const single = (column, chart) => ({
    data: (design) => [whole(column(design))],
    series: [stroke("flight", 2)], scale: { range: () => upTo(column, chart) }, write: three, name: chart,
  });

  /* What each kind of chart shows: aligned data, series, range of y, and how a value is written. */
  const kinds = {
    latency: () => ({
      data: (design) => [whole(design.p50), whole(design.p95), whole(design.p99)],
      series: [stroke("p50", 1.5), stroke("p95", 1.5, [5, 4]), stroke("p99", 2.5)],
      scale: { distr: 3, range: () => range }, splits: () => decades(range), write: duration, name: "latency",
    }),
    outcomes: () => ({
      data: (design) => {
        const [ok, fail, info] = [whole(design.ok), whole(design.fail), whole(design.info)];
        return [stacked(ok, fail, info), stacked(ok, fail), ok];
      },
      series: [bars("info", "dots"), bars("fail", "hatch"), bars("ok")],
      scale: { range: outcomesRange }, above: true,
      write: three, name: "outcomes", shown: ([all, good, ok], at) =>
        (ok[at] === null ? [null, null, null] : [ok[at], good[at] - ok[at], all[at] - good[at]]),
    }),
    in_flight: () => single((design) => design.in_flight, "in_flight"),
    watch: (number) => single((design) => design.watch[number], `watch${number}`),
  };

  function axes(chart) {
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

  /* Figures say the values under the crosshair; while the run goes on, without one, the latest. */
  function readout(place, chart, u) {
    const { unit, outputs, words } = place.lab;
    const at = u.cursor.idx ?? (run.finished && until === Infinity ? null : last(u.data[1]));
    unit.textContent = u.cursor.idx == null ? words : `${words} · T+${at} s`;
    const values = at === null || at < 0 ? [] : chart.shown
      ? chart.shown(u.data.slice(1), at) : u.data.slice(1).map((column) => column[at]);
    outputs.forEach((output, i) => {
      output.textContent = values[i] == null ? "" : chart.write(values[i]);
    });
  }

  function last(column) {
    for (let i = column.length - 1; i >= 0; i -= 1) if (column[i] !== null) return i;
    return -1;
  }

  function draw(place) {
    const { kind, design: name, watch } = place.dataset;
    const chart = kinds[kind](Number(watch));
    const figure = place.closest("figure");
    const unit = figure.querySelector("small");
    place.lab ??= { unit, outputs: [...figure.querySelectorAll("output")], words: unit.textContent };
    const u = new uPlot({
      width: place.clientWidth, height: place.clientHeight, padding: [kind === "latency" ? 16 : 6, 16, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: sync.key }, y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { x: { time: false, range: () => [0, run.duration] }, y: chart.scale },
      axes: axes(chart), series: [{}, ...chart.series],
      hooks: {
        drawClear: [(u_) => bands(u_, faultsOf(name))],
        draw: [(u_) => {
          bounds(u_, run.designs[name], chart.name);
          if (chart.above) cutOff(u_);
          labels(u_, kind === "latency", faultsOf(name));
        }],
        setCursor: [(u_) => readout(place, chart, u_)],
      },
    }, [seconds, ...chart.data(run.designs[name])], place);
    u.lab = {
      refresh() {
        u.setData([seconds, ...chart.data(run.designs[name])]);
        readout(place, chart, u);
      },
    };
    readout(place, chart, u);
    return u;
  }

  function prepare() {
    const length = Math.ceil(run.duration);
    if (seconds.length !== length) seconds = Array.from({ length }, (_, i) => i + 0.5);
    range = latencyRange();
  }

  if (places.length) new ResizeObserver(() => {
    charts.forEach((chart, i) => {
      const { clientWidth: width, clientHeight: height } = places[i];
      if (width && (width !== chart.width || height !== chart.height)) chart.setSize({ width, height });
    });
  }).observe(document.querySelector(".designs"));

  const board = {
    /* Draw everything anew: other data of another shape, or another theme. */
    show(data, moment = Infinity) {
      run = data;
      until = moment;
      prepare();
      charts.forEach((chart) => chart.destroy());
      charts = places.map(draw);
    },
    /* Draw what was added to the data, or another moment of it. */
    update(moment = Infinity) {
      until = moment;
      prepare();
      charts.forEach((chart) => chart.lab.refresh());
    },
    redraw() {
      if (run) board.show(run, until);
    },
    get at() {
      return charts[0]?.cursor.idx ?? -1;
    },
    /* Up to where each chart's axis goes. */
    get tops() {
      return charts.map((u) => u.scales.y.max);
    },
    get length() {
      return seconds.length;
    },
    moveTo(second) {
      const at = Math.min(seconds.length - 1, Math.max(0, second));
      charts.forEach((u) => u.setCursor({ left: u.valToPos(seconds[at], "x"), top: 10 }));
      listener(at);
    },
    clear() {
      charts.forEach((u) => u.setCursor({ left: -10, top: -10 }));
    },
    onMove(heard) {
      listener = heard;
    },
  };
  return board;
};
