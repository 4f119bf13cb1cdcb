"use strict";
// Plays the runs of a scenario. A slider goes from event to event, and each fault can be removed.
// Only runs that were made beforehand are shown; reports/page/play.py writes them into the page.
// Texts of the data become text nodes, never HTML.
{
  const make = (tag, properties = {}, ...children) => {
    const { data, ...others } = properties;
    const element = Object.assign(document.createElement(tag), others);
    Object.assign(element.dataset, data);
    element.append(...children);
    return element;
  };
  const seconds = (time, digits = 3) =>
    time > 0 && time < 0.001 ? `${Number((1000 * time).toPrecision(digits))} ms` : `${Number(time.toPrecision(digits))} s`;
  const plural = (count, word) => `${count} ${count === 1 ? word : word === "query" ? "queries" : `${word}s`}`;
  const number = (server) => Number(server.slice(1));
  const last = (pairs, time) => pairs.findLast(([at]) => at <= time);

  // The requests of a run as objects. `row` is the row of a request in the lane of its server.
  const requestsOf = (run, data) => {
    const free = {};
    return run.requests.map(([sent, ended, overdue, source, ...words]) => {
      const [server, kind, what, ending, answer] = words.map((place) => data.texts[place]);
      const [line, code] = data.sources[source];
      const rows = (free[server] ??= []);
      let row = rows.findIndex((time) => time <= sent);
      if (row < 0) row = rows.length;
      rows[row] = ended ?? Infinity;
      return { sent, ended, overdue, server, kind, what, ending, answer, line, code, row };
    });
  };

  // When something happens in a run.
  const timesOf = (run, requests) => {
    const times = new Set([0, run.end]);
    for (const one of requests) for (const time of [one.sent, one.ended, one.overdue]) if (time !== null) times.add(time);
    for (const [time] of [...run.written, ...run.phases]) times.add(time);
    return [...times].filter((time) => time <= run.end).sort((a, b) => a - b);
  };

  // A time axis from 0 to 1 on which long waits are shortened and short ones stay visible.
  const axisOf = (times) => {
    const gaps = times.slice(1).map((time, i) => time - times[i]);
    const middle = [...gaps].sort((a, b) => a - b)[gaps.length >> 1] ?? 1;
    const widths = gaps.map((gap) => Math.min(Math.max(gap, middle / 6), 4 * middle));
    const places = [0];
    for (const width of widths) places.push(places.at(-1) + width);
    const whole = places.at(-1) * 1.06 || 1;
    const at = (time) => {
      const i = times.findLastIndex((other) => other <= time);
      if (i === times.length - 1) return time > times[i] ? 1 : places[i] / whole;
      return (places[i] + (widths[i] * (time - times[i])) / gaps[i]) / whole;
    };
    return { at, exact: widths.every((width, i) => Math.abs(width - gaps[i]) < 1e-12) };
  };

  const percent = (part) => `${100 * part}%`;
  const across = (element, from, to) => {
    element.style.left = percent(from);
    element.style.width = percent(Math.max(0, to - from));
    return element;
  };

  const lasting = (from, time) => (time > from ? `under way for ${seconds(time - from)}` : "sent just now");

  // What a request is doing at a time.
  const stateOf = (one, time) => {
    if (one.sent > time) return "not sent yet";
    if (one.ended !== null && one.ended <= time) return `${one.answer}, after ${seconds(one.ended - one.sent)}`;
    const late = one.overdue !== null && one.overdue <= time ? ", overdue" : "";
    return `${lasting(one.sent, time)}${late}`;
  };

  // What a server is doing at a time: its faults, and its requests.
  const serverAt = (faults, requests, time) => {
    const words = faults.filter(([begin, end]) => begin <= time && (end === null || time < end)).map((spell) => spell[2]);
    const sent = requests.filter((one) => one.sent <= time);
    const open = sent.filter((one) => one.ended === null || one.ended > time);
    if (open.length) {
      const kinds = ["query", "read", "hedge", "connect"].map((kind) => [open.filter((one) => one.kind === kind).length, kind]);
      const names = { connect: "connection", hedge: "hedged read" };
      const counted = kinds.filter(([count]) => count).map(([count, kind]) => plural(count, names[kind] ?? kind));
      const late = open.some((one) => one.overdue !== null && one.overdue <= time) ? ", overdue" : "";
      words.push(`${counted.join(" and ")} ${lasting(open[0].sent, time)}${late}`);
    } else if (sent.length) {
      words.push(`idle, last answer: ${sent.reduce((a, b) => (b.ended >= a.ended ? b : a)).answer}`);
    } else {
      words.push("not asked yet");
    }
    return words.join("; ");
  };

  const LANES = 40;

  // The lanes of a run, one for each server that is asked or has a fault; `show` shows a time.
  const lanesOf = (requests, spells, times) => {
    const axis = axisOf(times);
    const names = [...new Set([...requests.map((one) => one.server), ...spells.map(([server]) => server)])];
    names.sort((a, b) => number(a) - number(b));
    const element = make("div", { className: "lanes" });
    const updates = [];
    const needles = [];
    const needle = () => {
      needles.push(make("i", { className: "now" }));
      return needles.at(-1);
    };
    for (const name of names.slice(0, LANES)) {
      const own = requests.filter((one) => one.server === name);
      const faults = spells.filter(([server]) => server === name).map((spell) => spell.slice(1));
      const track = make("div", { className: "track", ariaHidden: "true" });
      track.style.minHeight = `${0.3 + 0.95 * Math.max(1, ...own.map((one) => one.row + 1))}rem`;
      for (const [begin, end] of faults) {
        track.append(across(make("i", { className: "spell" }), axis.at(begin), end === null ? 1 : axis.at(end)));
      }
      for (const one of own) {
        const done = make("i");
        const bar = make("span", { className: `bar ${one.kind} ${one.ending}`, title: `${one.what}\n${one.answer}\n${one.line}` }, done);
        const [from, to] = [axis.at(one.sent), one.ended === null ? 1 : axis.at(one.ended)];
        bar.style.top = `${0.2 + 0.95 * one.row}rem`;
        track.append(across(bar, from, to));
        updates.push((time) => {
          const until = time >= times.at(-1) ? 1 : axis.at(time);
          done.style.width = percent(one.sent > time ? 0 : Math.min(1, (until - from) / (to - from || 1)));
        });
      }
      track.append(needle());
      const state = make("span", { className: "state" });
      updates.push((time) => { state.textContent = serverAt(faults, own, time); });
      element.append(make("div", { className: "lane", data: { server: name } }, make("p", {}, make("b", {}, name), " ", state), track));
    }
    const ticks = make("div", { className: "track ticks" });
    let right = -1;
    times.forEach((time, i) => {
      const place = axis.at(time);
      if (place - right < 0.11) return;
      right = place;
      const tick = make("span", { className: i && place > 0.9 ? "last" : "" }, seconds(time));
      tick.style.left = percent(place);
      ticks.append(tick);
    });
    const more = names.length > LANES ? `${names.length - LANES} more servers are not drawn. ` : "";
    const scale = axis.exact ? "" : "Long waits are drawn shorter.";
    element.append(make("div", { className: "lane" }, make("p", { className: "state" }, `${more}${scale}`), ticks));
    const show = (time) => {
      updates.forEach((update) => update(time));
      needles.forEach((one) => { one.style.left = percent(axis.at(time)); });
    };
    const nearest = (x) => {
      const box = ticks.getBoundingClientRect();
      const place = (x - box.left) / box.width;
      const far = times.map((time) => Math.abs(axis.at(time) - place));
      return far.indexOf(Math.min(...far));
    };
    return { element, show, nearest };
  };

  // The table of requests of a run; `show` shows what each is doing at a time.
  const tableOf = (requests) => {
    const head = ["server", "request", "sent", "at this moment", "sent by"].map((name) => make("th", { scope: "col" }, name));
    const body = make("tbody");
    const updates = [];
    for (const one of requests) {
      const state = make("td", { data: { label: "at this moment" } });
      const code = one.line ? [one.line, " ", make("code", {}, one.code)] : ["not known"];
      const row = make(
        "tr", {},
        make("td", { data: { label: "server" } }, one.server),
        make("td", { data: { label: "request" } }, one.what),
        make("td", { data: { label: "sent" } }, seconds(one.sent)),
        state,
        make("td", { data: { label: "sent by" } }, make("span", {}, ...code)),
      );
      updates.push((time) => {
        state.textContent = stateOf(one, time);
        row.className = one.sent > time ? "later" : "";
      });
      body.append(row);
    }
    const table = make("table", { className: "cards requests" }, make("thead", {}, make("tr", {}, ...head)), body);
    return { element: table, show: (time) => updates.forEach((update) => update(time)) };
  };

  const KEY = [["query", "query"], ["read", "read"], ["hedge", "hedged read"], ["connect", "connection"],
    ["corrupt", "failed, or corrupt"], ["query open", "never answered"], ["query cancelled", "cancelled"]];

  const keyOf = (requests) => {
    const met = new Set(requests.flatMap((one) => [one.kind, one.ending === "failed" ? "corrupt" : one.ending]));
    const items = KEY.filter(([name]) => met.has(name.split(" ").at(-1)));
    return make("ul", { className: "key" }, ...items.map(([name, words]) => {
      const bar = make("span", { className: `bar ${name}`, ariaHidden: "true" }, make("i"));
      return make("li", {}, bar, words);
    }));
  };

  // What is known of a run at a time, as names and values.
  const momentOf = (data, run, requests, time) => {
    const phase = last(run.phases, time);
    const [, bytes, segments] = last(run.written, time) ?? [0, 0, 0];
    const open = requests.filter((one) => one.sent <= time && (one.ended === null || one.ended > time));
    const found = [];
    if (phase) found.push(["phase", data.texts[phase[1]]]);
    found.push(["shares known", `${last(run.known, time)?.[1] ?? 0} (${data.needed} needed)`]);
    if (data.segments !== null) found.push(["segments decoded", `${segments} of ${data.segments}`]);
    found.push(["bytes written", `${bytes.toLocaleString("en")}${data.asked === null ? "" : ` of ${data.asked.toLocaleString("en")}`}`]);
    found.push(["requests under way", String(open.length)]);
    if (time >= run.end && run.outcome !== "ok") found.push(["then", run.verdict]);
    return found;
  };

  const player = (section) => {
    const data = JSON.parse(section.querySelector('script[type="application/json"]').textContent);
    const removed = new Set();
    let strategy = 0;
    let shown = null; // the run on the stage
    let timer = null;

    const headline = make("p", { className: "headline played" });
    headline.setAttribute("aria-live", "polite");
    const slider = make("input", { type: "range", min: 0, step: 1, ariaLabel: "Moment of the download" });
    const clock = make("output", { className: "clock" });
    const moment = make("dl", { className: "moment" });
    const stage = make("div", { className: "stage" });
    const again = make("details", {}, make("summary", {}, "Run this combination yourself"),
      make("p", {}, "Save the configuration below as a file, add these lines at its end, and run it with firstk run:"));
    const entries = make("pre", { tabIndex: 0 });
    again.append(entries);

    const show = (step) => {
      slider.value = step;
      const time = shown.times[Number(slider.value)];
      const found = momentOf(data, shown.run, shown.requests, time);
      clock.textContent = seconds(time, 5);
      slider.setAttribute("aria-valuetext", [seconds(time), ...found.map((pair) => pair.join(" "))].join(", "));
      moment.replaceChildren(...found.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
      shown.lanes.show(time);
      shown.table.show(time);
    };
    const pause = () => {
      clearInterval(timer);
      timer = null;
      playing.textContent = "Play";
    };
    const move = (step) => {
      pause();
      show(step);
    };
    const button = (words, label, act) => {
      const one = make("button", { type: "button", ariaLabel: label }, words);
      one.addEventListener("click", act);
      return one;
    };
    const playing = button("Play", "", () => {
      if (timer !== null) return pause();
      if (slider.value === slider.max) show(0);
      playing.textContent = "Pause";
      timer = setInterval(() => {
        show(Number(slider.value) + 1);
        if (slider.value === slider.max) pause();
      }, 400);
    });
    playing.removeAttribute("aria-label"); // its text says what it does
    slider.addEventListener("input", () => move(slider.value));

    // What a run is without some faults, in words.
    const without = (gone, words) => {
      const combination = data.combinations[gone];
      return combination ? ` without ${words}: ${data.runs[combination.runs[strategy]].verdict}` : "";
    };

    // Put the run of a strategy and a combination of faults on the stage, if it was made.
    const perform = () => {
      pause();
      const combination = data.combinations[[...removed].sort((a, b) => a - b).join(",")];
      alone.forEach((note, i) => { note.textContent = without(i, "it"); });
      none.textContent = without([...boxes.keys()].join(","), "any");
      headline.textContent = combination ? combination.headline : `This combination was not run. ${section.dataset.note}`;
      again.hidden = !combination?.entries;
      entries.textContent = combination?.entries ?? "";
      const run = combination && data.runs[combination.runs[strategy]];
      const visible = Boolean(run?.requests);
      for (const one of [controls, moment, stage]) one.hidden = !visible;
      if (run && !visible) headline.textContent += " The course of this run is not in the page: it has too many requests.";
      if (!visible) return;
      const requests = requestsOf(run, data);
      const spells = data.faults.flatMap((fault, i) => (removed.has(i) ? [] : fault.spells));
      const times = timesOf(run, requests);
      const lanes = lanesOf(requests, spells, times);
      lanes.element.addEventListener("pointerdown", (event) => move(lanes.nearest(event.clientX)));
      lanes.element.addEventListener("pointermove", (event) => event.buttons && move(lanes.nearest(event.clientX)));
      const table = tableOf(requests);
      const more = run.leftOut ? ` (the first ${requests.length} of ${requests.length + run.leftOut})` : "";
      const list = make("div", { className: "list", tabIndex: 0, role: "group", ariaLabel: "Requests; it scrolls" }, table.element);
      const summary = make("summary", {}, `Its ${plural(requests.length, "request")}${more}, and the lines that sent them`);
      const open = stage.querySelector("details")?.open ?? false;
      stage.replaceChildren(keyOf(requests), lanes.element, make("details", { open }, summary, list));
      shown = { run, requests, times, lanes, table };
      slider.max = times.length - 1;
      show(times.length - 1);
    };

    const alone = data.faults.map(() => make("small")); // the result without this fault alone
    const none = make("small"); // the result without any
    const boxes = data.faults.map((fault, i) => {
      const box = make("input", { type: "checkbox", checked: true });
      const label = make("label", {}, box, " ", make("span", {}, fault.words), alone[i]);
      box.addEventListener("change", () => {
        if (box.checked) removed.delete(i);
        else removed.add(i);
        label.className = box.checked ? "" : "gone";
        perform();
      });
      return [box, label];
    });
    const set = (checked) => () => {
      for (const [box] of boxes) if (box.checked !== checked) box.click();
    };
    const faults = make("fieldset", {}, make("legend", {}, "Faults: untick to remove"), ...boxes.map(([, label]) => label));
    if (boxes.length > 1) faults.append(button("Remove all", "Remove all faults", set(false)), " ", button("Put back", "Put all faults back", set(true)), none);
    const select = make("select");
    for (const name of data.strategies) select.add(new Option(name));
    select.addEventListener("change", () => {
      strategy = select.selectedIndex;
      perform();
    });
    const choice = make("p", {}, make("label", {}, "Downloader ", select));
    const controls = make("div", { className: "controls" },
      button("\u25c2", "Previous event", () => move(Number(slider.value) - 1)), playing,
      button("\u25b8", "Next event", () => move(Number(slider.value) + 1)), slider, clock);

    section.querySelector("h3").after(headline, ...(boxes.length ? [faults] : []), choice, controls, moment, stage, again);
    section.querySelector(".static").remove();
    perform();
  };

  document.querySelectorAll("section.play").forEach(player);
}
