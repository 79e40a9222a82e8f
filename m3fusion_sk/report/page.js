"use strict";
// Tables are sorted by the buttons in their heads: descending first for numbers, then the other way.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const valueOf = (row, i) => {
    const cell = row.cells[i];
    const value = i === 0 ? cell.textContent.trim() : cell.dataset.value;
    return i > 0 && value !== "" && !Number.isNaN(Number(value)) ? Number(value) : value;
  };
  heads.forEach((head, i) => {
    head.querySelector("button").addEventListener("click", () => {
      const first = i === 0 ? "ascending" : "descending";
      const second = i === 0 ? "descending" : "ascending";
      const order = head.getAttribute("aria-sort") === first ? second : first;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [valueOf(a, i), valueOf(b, i)];
        if (x === "" || y === "") return (x === "") - (y === ""); // what is unknown comes last
        const both = typeof x === "number" && typeof y === "number";
        return sign * (both ? x - y : String(x).localeCompare(String(y), "en", { numeric: true }));
      });
      body.append(...rows);
    });
  });
}

for (const figure of document.querySelectorAll("figure.maps")) {
  const frame = figure.querySelector(".frame");
  const slider = figure.querySelector(".slider input");
  const readout = figure.querySelector(".readout");
  const buttons = [...figure.querySelectorAll(".legend button")];
  const byColor = new Map(buttons.map((button) => [button.dataset.color, button]));
  const layers = [...figure.querySelectorAll(".layer")].map((element) => {
    const image = element.querySelector("img");
    return { name: element.dataset.name, image, source: image.src, pixels: null };
  });

  if (slider) {
    const cut = (value) => {
      slider.value = value;
      frame.style.setProperty("--cut", `${slider.value}%`);
      slider.setAttribute("aria-valuetext", `${slider.value} % ${layers[0].name}`);
    };
    const drag = (event) => {
      const box = frame.getBoundingClientRect();
      cut(Math.round((100 * (event.clientX - box.left)) / box.width));
    };
    slider.addEventListener("input", () => cut(slider.value));
    frame.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      frame.setPointerCapture(event.pointerId);
      drag(event);
    });
    frame.addEventListener("pointermove", (event) => {
      if (frame.hasPointerCapture(event.pointerId)) drag(event);
    });
  }

  // The pixels of a picture, read once from the picture as it came.
  const pixelsOf = async (layer) => {
    if (!layer.pixels) {
      const picture = new Image();
      picture.src = layer.source;
      await picture.decode();
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(picture, 0, 0);
      layer.pixels = context.getImageData(0, 0, canvas.width, canvas.height);
    }
    return layer.pixels;
  };
  const colorAt = (data, k) => (data[k + 3] === 0 ? "" : `${data[k]},${data[k + 1]},${data[k + 2]}`);

  const show = async (button) => {
    for (const layer of layers) {
      if (!button) {
        layer.image.src = layer.source;
        continue;
      }
      const pixels = await pixelsOf(layer);
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [pixels.width, pixels.height];
      const context = canvas.getContext("2d");
      const alone = context.createImageData(pixels.width, pixels.height);
      for (let k = 0; k < pixels.data.length; k += 4) {
        const color = colorAt(pixels.data, k);
        const shade = color === button.dataset.color ? 20 : color === "" ? 255 : 226;
        alone.data.fill(shade, k, k + 3);
        alone.data[k + 3] = 255;
      }
      context.putImageData(alone, 0, 0);
      layer.image.src = canvas.toDataURL();
    }
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      const pressed = button.getAttribute("aria-pressed") !== "true";
      for (const other of buttons) other.setAttribute("aria-pressed", other === button && pressed);
      show(pressed ? button : null);
    });
  }

  frame.addEventListener("pointermove", async (event) => {
    const found = [];
    for (const layer of layers) {
      const pixels = await pixelsOf(layer);
      const box = layer.image.getBoundingClientRect();
      const col = Math.floor(((event.clientX - box.left) / box.width) * pixels.width);
      const row = Math.floor(((event.clientY - box.top) / box.height) * pixels.height);
      const inside = col >= 0 && row >= 0 && col < pixels.width && row < pixels.height;
      const button = inside && byColor.get(colorAt(pixels.data, 4 * (row * pixels.width + col)));
      found.push(`${layer.name}: ${button ? button.dataset.name : "no data"}`);
    }
    readout.textContent = found.join(" | ");
  });

  figure.querySelector(".numbers").addEventListener("change", (event) => {
    for (const tags of figure.querySelectorAll(".tags")) tags.hidden = !event.target.checked;
  });
}
