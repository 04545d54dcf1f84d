
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const form = document.getElementById("filters");
  const cards = document.getElementById("cards");
  const large = document.getElementById("large");
  const BATCH = 48;
  let chosen = [], drawn = 0, open = -1;

  const make = (name, attributes = {}, ...children) => {
    const svg = ["svg", "rect", "title"].includes(name);
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };

  const filters = () => {
    const values = new FormData(form);
    return {
      class: Number(values.get("class")), score: Number(values.get("score")),
      kinds: new Set(values.getAll("kind")), file: values.get("file").trim().toLowerCase(),
    };
  };

  // The boxes of one run in an image that the filters let through; a right detection of a
  // difficult object counts as right.
  const boxesOf = (image, run, f) => {
    const ofClass = k => !f.class || k === f.class;
    const found = image.found[run].filter(([k, score, kind]) =>
      ofClass(k) && score >= f.score && f.kinds.has(kind === "ignored" ? "right" : kind));
    const missed = f.kinds.has("missed") ? image.missed[run].filter(i => ofClass(image.truth[i][0])) : [];
    return { found, missed };
  };

  const passes = (image, f) => (!f.file || image.name.toLowerCase().includes(f.file)) &&
    data.runs.some((_, run) => {
      const { found, missed } = boxesOf(image, run, f);
      return found.length + missed.length > 0;
    });

  const rect = ([x1, y1, x2, y2], className, text) => {
    const place = { x: x1, y: y1, width: Math.max(x2 - x1, 0), height: Math.max(y2 - y1, 0) };
    return [make("rect", { ...place, class: "casing" }),
            make("rect", { ...place, class: className }, make("title", {}, text))];
  };

  const picture = (image, run, f) => {
    const { found, missed } = boxesOf(image, run, f);
    const svg = make("svg", { viewBox: `0 0 ${image.width} ${image.height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    image.truth.forEach(([k, difficult, ...box], i) => {
      if (f.class && k !== f.class) return;
      const state = missed.includes(i) ? "missed " : difficult ? "difficult " : "";
      svg.append(...rect(box, state + "truth", `${data.classes[k]}${difficult ? ", difficult" : ""}`));
    });
    for (const [k, score, kind, ...box] of [...found].reverse()) {
      const state = kind === "right" || kind === "ignored" ? kind : "wrong";
      svg.append(...rect(box, `found ${state}`, `${data.classes[k]} ${score.toFixed(2)}: ${kind}`));
    }
    const img = make("img", { src: image.src, alt: "", width: image.width, height: image.height });
    const framed = make("span", { class: "picture" }, img, svg);
    framed.style.setProperty("--ratio", image.width / image.height);
    return framed;
  };

  const summary = (image, f) => data.runs.map((_, run) => {
    const { found, missed } = boxesOf(image, run, f);
    const right = found.filter(d => d[2] === "right").length;
    const wrong = found.filter(d => d[2] !== "right" && d[2] !== "ignored").length;
    return `${right} right, ${wrong} wrong, ${missed.length} missed`;
  }).join(" | ");

  const card = (place, f) => {
    const image = data.images[chosen[place]];
    const button = make("button", { type: "button", class: "card", "aria-label": `${image.name}: ${summary(image, f)}` },
      make("span", { class: "pictures" }, ...data.runs.map((_, run) => picture(image, run, f))),
      make("span", { class: "name" }, make("span", {}, image.name), make("span", {}, summary(image, f))));
    button.addEventListener("click", () => enlarge(place));
    return button;
  };

  const more = () => {
    const f = filters();
    const end = Math.min(drawn + BATCH, chosen.length);
    for (; drawn < end; drawn++) cards.append(card(drawn, f));
    if (drawn < chosen.length) watcher.observe(cards.lastElementChild);
  };
  const watcher = new IntersectionObserver(entries => {
    if (!entries.some(entry => entry.isIntersecting)) return;
    watcher.disconnect();
    more();
  }, { rootMargin: "600px" });

  const update = () => {
    const f = filters();
    form.querySelector("output").textContent = f.score.toFixed(2);
    chosen = data.images.map((_, i) => i).filter(i => passes(data.images[i], f));
    document.getElementById("count").textContent = `${chosen.length} of ${data.images.length} images`;
    watcher.disconnect();
    cards.replaceChildren();
    drawn = 0;
    more();
  };

  const enlarge = place => {
    if (place < 0 || place >= chosen.length) return;
    open = place;
    const f = filters(), image = data.images[chosen[place]];
    const close = make("button", { type: "button" }, "close");
    close.addEventListener("click", () => large.close());
    const step = (text, by) => {
      const button = make("button", { type: "button" }, text);
      button.disabled = place + by < 0 || place + by >= chosen.length;
      button.addEventListener("click", () => enlarge(open + by));
      return button;
    };
    const lists = data.runs.map((run, i) => {
      const { found, missed } = boxesOf(image, i, f);
      const lines = found.map(([k, score, kind]) => `${data.classes[k]} ${score.toFixed(2)}: ${kind}`);
      lines.push(...missed.map(j => `${data.classes[image.truth[j][0]]}: missed`));
      const list = make("ul", {}, ...lines.map(line => make("li", {}, line)));
      return data.runs.length > 1 ? make("div", {}, make("strong", {}, run), list) : list;
    });
    large.replaceChildren(
      make("div", { class: "top" }, make("strong", {}, image.name),
        make("span", {}, step("previous", -1), " ", step("next", 1), " ", close)),
      make("span", { class: "pictures" }, ...data.runs.map((_, run) => picture(image, run, f))),
      ...lists);
    if (!large.open) large.showModal();
    close.focus();
  };

  large.addEventListener("keydown", event => {
    if (event.key === "ArrowRight") enlarge(open + 1);
    else if (event.key === "ArrowLeft") enlarge(open - 1);
    else return;
    event.preventDefault();
  });
  large.addEventListener("close", () => {
    const button = cards.children[open];
    if (button) button.focus();
  });
  form.addEventListener("input", update);
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(update));
  update();
})();
