// What makes pages live: they work without it, and then stand still.
(function () {
  "use strict";
  const $ = (id) => document.getElementById(id);

  // ---- theme
  const dark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  $("theme").addEventListener("click", () => {
    const next = dark() ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try { localStorage.setItem("godwit-theme", next); } catch (e) { /* holds for this page only */ }
    charts.forEach((c) => c.draw());
  });

  // ---- ages count on
  const age = (s) => {
    s = Math.max(0, Math.floor(s));
    if (s < 60) return s + " s";
    if (s < 3600) return Math.floor(s / 60) + " min " + (s % 60) + " s";
    if (s < 86400) return Math.floor(s / 3600) + " h " + Math.floor((s % 3600) / 60) + " min";
    return Math.floor(s / 86400) + " d " + Math.floor((s % 86400) / 3600) + " h";
  };
  const tick = () => document.querySelectorAll("time[data-age]").forEach((t) => {
    const text = age((Date.now() - Date.parse(t.dateTime)) / 1000);
    if (t.textContent !== text) t.textContent = text;
  });
  tick();
  setInterval(tick, 1000);

  // ---- what somebody did
  const said = $("said");
  const say = (text, bad) => {
    const p = document.createElement("p");
    p.className = "said" + (bad ? " bad" : "");
    p.textContent = text;
    said.replaceChildren(p);
  };

  // ---- morph: makes one element like another and keeps what is alike, so that focus, open details and transitions stay
  const key = (n) => n.nodeType === 1 && (n.dataset.key || n.id) || null;
  const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && key(a) === key(b);
  const morph = (old, now) => {
    if (old.nodeType !== 1) {
      if (old.nodeValue !== now.nodeValue) old.nodeValue = now.nodeValue;
      return;
    }
    if (old.matches("time[data-age]") && now.matches("time[data-age]")) {
      if (old.dateTime !== now.dateTime) { old.dateTime = now.dateTime; old.title = now.title; }
      return;
    }
    for (const a of [...old.attributes]) if (!now.hasAttribute(a.name) && a.name !== "open") old.removeAttribute(a.name);
    for (const a of now.attributes) if (old.getAttribute(a.name) !== a.value) old.setAttribute(a.name, a.value);
    const keyed = new Map();
    for (const c of old.childNodes) if (key(c)) keyed.set(key(c), c);
    let at = old.firstChild;
    for (const c of [...now.childNodes]) {
      const same = key(c) ? keyed.get(key(c)) : at && alike(at, c) ? at : null;
      if (same && alike(same, c)) {
        if (same !== at) old.insertBefore(same, at); else at = at.nextSibling;
        morph(same, c);
      } else {
        old.insertBefore(document.importNode(c, true), at);
      }
    }
    while (at) { const next = at.nextSibling; at.remove(); at = next; }
  };

  // ---- live: the server sends the page's content again when it has changed
  const beat = $("beat");
  const pulse = (state, text) => {
    if (!beat || beat.dataset.state === state) return;
    beat.dataset.state = state;
    $("beat-text").textContent = text;
  };
  let source = null;
  const live = () => {
    source = new EventSource(location.href);
    source.onopen = () => pulse("live", "live");
    source.onerror = () => pulse("lost", "connection lost, trying again");
    source.addEventListener("over", () => { source.close(); location.reload(); });
    source.onmessage = (e) => {
      pulse("live", "live");
      const now = new DOMParser().parseFromString(e.data, "text/html");
      let fresh = false;
      now.querySelectorAll("[data-live]").forEach((n) => {
        const old = $(n.id);
        if (old) morph(old, n); else fresh = true;
      });
      tick();
      if (fresh) { source.close(); location.reload(); }
    };
  };
  if (document.body.hasAttribute("data-live-page")) {
    live();
    addEventListener("pagehide", () => source.close());
    addEventListener("pageshow", (e) => { if (e.persisted) live(); });
  }

  // ---- forms: questions first, and answers without leaving the page
  const ask = (text) => new Promise((done) => {
    const d = $("confirm");
    $("confirm-text").textContent = text;
    d.returnValue = "";
    const yes = () => d.close("yes"), no = () => d.close("");
    $("confirm-yes").addEventListener("click", yes);
    $("confirm-no").addEventListener("click", no);
    d.addEventListener("close", () => {
      $("confirm-yes").removeEventListener("click", yes);
      $("confirm-no").removeEventListener("click", no);
      done(d.returnValue === "yes");
    }, { once: true });
    d.showModal();
    $("confirm-no").focus();
  });
  document.addEventListener("submit", async (e) => {
    const form = e.target;
    if (form.method !== "post" || !form.hasAttribute("data-async")) return;
    e.preventDefault();
    if (form.dataset.confirm && !(await ask(form.dataset.confirm))) return;
    const buttons = form.querySelectorAll("button");
    buttons.forEach((b) => { b.disabled = true; });
    if (form.dataset.busy) say(form.dataset.busy);
    try {
      const answer = await fetch(form.action, { method: "POST", headers: { Accept: "application/json" }, body: new URLSearchParams(new FormData(form)) });
      const type = answer.headers.get("Content-Type") || "";
      if (!type.includes("json")) { say(await answer.text(), true); return; }
      const out = await answer.json();
      if (out.next && !out.bad) { location.assign(out.next); return; }
      say(out.text, out.bad);
    } catch (err) {
      say("The broker does not answer; whether it was done is not known. Reload the page to see.", true);
    } finally {
      buttons.forEach((b) => { b.disabled = false; });
    }
  });

  // ---- small things
  document.addEventListener("click", async (e) => {
    const b = e.target.closest("[data-copy]");
    if (!b) return;
    try {
      await navigator.clipboard.writeText($(b.dataset.copy).textContent);
      b.textContent = "Copied";
    } catch (err) { // no clipboard off HTTPS: mark it, so that the keys copy it
      getSelection().selectAllChildren($(b.dataset.copy));
      b.textContent = "Marked";
    }
    setTimeout(() => { b.textContent = "Copy"; }, 1500);
  });
  const slash = (e) => e.key === "/" && $("filter") && !/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
  addEventListener("keydown", (e) => { if (slash(e)) e.preventDefault(); }); // Firefox searches by it
  addEventListener("keyup", (e) => { if (slash(e)) $("filter").focus(); }); // not before, or the slash is typed into it
  if ($("all-ids")) $("all-ids").addEventListener("change", (e) => {
    document.querySelectorAll('input[name="id"]').forEach((x) => { x.checked = e.target.checked; });
  });

  // ---- charts
  const charts = [...document.querySelectorAll("figure[data-chart]")].map((figure) => {
    const box = figure.querySelector(".plot"), names = figure.dataset.series.split(",");
    let plot = null, data = null;
    const resolve = (name) => { // light-dark() is resolved by an element
      const probe = document.createElement("span");
      probe.className = "ink-" + name;
      figure.append(probe);
      const c = getComputedStyle(probe).color;
      probe.remove();
      return c;
    };
    const draw = () => {
      if (!data) return;
      if (plot) plot.destroy();
      plot = null;
      box.replaceChildren();
      if (!names.some((n) => data[n].some((x) => x !== null))) {
        const p = document.createElement("p");
        p.className = "dim small";
        p.textContent = "Nothing is known yet: a point comes every " + data.every / 1000 + " seconds, of the fullest and busiest destinations.";
        box.append(p);
        return;
      }
      const ink = resolve("dim"), line = resolve("line");
      const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
      plot = new uPlot({
        width: box.clientWidth, height: 150, cursor: { drag: { x: false, y: false } }, legend: { show: false },
        scales: { y: { range: (u, lo, hi) => [0, Math.max(hi || 0, 1) * 1.1] } },
        axes: [{ ...axis, space: 70, values: (u, ts) => ts.map((t) => new Date(t * 1000).toTimeString().slice(0, 5)) },
          { ...axis, size: 56, space: 30, values: (u, vs) => vs.map((v) => v >= 1e6 ? v / 1e6 + "M" : v >= 1e4 ? v / 1e3 + "k" : String(v)) }],
        series: [{}, ...names.map((n) => ({ stroke: resolve(n), width: 1.5, spanGaps: false, points: { show: data.at.length < 3 } }))],
      }, [data.at.map((t) => t / 1000), ...names.map((n) => data[n])], box);
      const last = names.map((n) => { const v = data[n].findLast((x) => x !== null); return n + " " + (v === undefined ? "not known" : Math.round(v * 10) / 10); });
      box.setAttribute("aria-label", figure.dataset.title + " over the last hour; now " + last.join(", "));
    };
    const load = async () => {
      try {
        const answer = await fetch(figure.dataset.chart);
        if (!answer.ok || !(answer.headers.get("Content-Type") || "").includes("json")) return;
        data = await answer.json();
        draw();
      } catch (err) { /* the next time */ }
    };
    load();
    setInterval(load, 10000);
    addEventListener("resize", () => { if (plot) plot.setSize({ width: box.clientWidth, height: 150 }); });
    return { draw };
  });
})();
