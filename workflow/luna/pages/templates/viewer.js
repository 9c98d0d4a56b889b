// Slices through a block of voxels, with axes z (down from the head), y (backwards) and x (to the patient's
// left). A place in it is [z, y, x]; each plane shows two of its axes and is moved along the third.
const PLANES = [
  { along: 0, down: 1, across: 2 },
  { along: 1, down: 0, across: 2 },
  { along: 2, down: 0, across: 1 },
];
const PIXELS = 384; // of the longest side of a picture
const DRAG = 6; // pixels of a finger's way for one slice

// The grey values of a block whose slices are the tiles of a picture, `across` in a row.
function blockOf(picture, shape, across) {
  const [depth, rows, columns] = shape;
  const canvas = document.createElement("canvas");
  canvas.width = picture.width;
  canvas.height = picture.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  const values = new Uint8Array(depth * rows * columns);
  for (let z = 0; z < depth; z++) {
    const top = Math.floor(z / across) * rows, left = (z % across) * columns;
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        values[(z * rows + y) * columns + x] = pixels[4 * ((top + y) * canvas.width + left + x)];
      }
    }
  }
  return { shape, values, at: (z, y, x) => values[(z * rows + y) * columns + x] };
}

function loadBlock(source, shape, across) {
  return new Promise((resolve, reject) => {
    const picture = new Image();
    picture.onload = () => resolve(blockOf(picture, shape, across));
    picture.onerror = reject;
    picture.src = source;
  });
}

// Three canvases with a slider each. What is shown has a shape, mm of a voxel along each axis, and
// `paint(z, y, x)`, which gives red, green and blue.
class Viewer {
  static crosses = true;

  constructor(element) {
    this.canvases = [...element.querySelectorAll("canvas")];
    this.sliders = [...element.querySelectorAll(".planes input")];
    this.shown = null;
    PLANES.forEach((plane, number) => this.listen(plane, this.canvases[number], this.sliders[number]));
  }

  listen(plane, canvas, slider) {
    const along = (step) => this.shown && this.move(plane.along, this.place[plane.along] + step);
    slider.addEventListener("input", () => this.shown && this.move(plane.along, Number(slider.value)));
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      along(Math.sign(event.deltaY));
    }, { passive: false });
    // A finger that moves sideways goes through the slices; one that taps, like a click, sets the cross.
    let from = null, moved = false;
    canvas.addEventListener("pointerdown", (event) => {
      from = event.clientX;
      moved = false;
    });
    canvas.addEventListener("pointermove", (event) => {
      if (from === null || event.buttons === 0) return;
      const steps = Math.trunc((event.clientX - from) / DRAG);
      if (steps) {
        moved = true;
        from += steps * DRAG;
        along(steps);
      }
    });
    canvas.addEventListener("click", (event) => {
      if (moved || !this.shown) return;
      const box = canvas.getBoundingClientRect();
      const share = [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
      this.place[plane.down] = this.within(plane.down, Math.floor(share[0] * this.shown.shape[plane.down]));
      this.move(plane.across, Math.floor(share[1] * this.shown.shape[plane.across]));
    });
  }

  within(axis, value) {
    return Math.max(0, Math.min(this.shown.shape[axis] - 1, value));
  }

  move(axis, value) {
    this.place[axis] = this.within(axis, value);
    this.draw();
  }

  show(shown) {
    const isSame = this.shown && this.shown.shape.join() === shown.shape.join();
    this.shown = shown;
    PLANES.forEach((plane, number) => {
      this.sliders[number].max = shown.shape[plane.along] - 1;
    });
    if (isSame) this.draw();
    else this.reset();
  }

  reset() {
    if (!this.shown) return;
    this.place = this.shown.shape.map((size) => Math.floor(size / 2));
    this.draw();
  }

  draw() {
    if (!this.shown) return;
    PLANES.forEach((plane, number) => {
      this.drawPlane(plane, this.canvases[number]);
      this.sliders[number].value = this.place[plane.along];
    });
  }

  drawPlane(plane, canvas) {
    const { shape, mm, paint } = this.shown;
    const rows = shape[plane.down], columns = shape[plane.across];
    const slice = document.createElement("canvas");
    slice.width = columns;
    slice.height = rows;
    const image = slice.getContext("2d").createImageData(columns, rows);
    const at = [...this.place];
    for (let down = 0; down < rows; down++) {
      for (let across = 0; across < columns; across++) {
        at[plane.down] = down;
        at[plane.across] = across;
        const [red, green, blue] = paint(at[0], at[1], at[2]);
        image.data.set([red, green, blue, 255], 4 * (down * columns + across));
      }
    }
    slice.getContext("2d").putImageData(image, 0, 0);
    const scale = PIXELS / Math.max(...shape.map((size, axis) => size * mm[axis]));
    const step = [scale * mm[plane.down], scale * mm[plane.across]];
    canvas.width = Math.round(columns * step[1]);
    canvas.height = Math.round(rows * step[0]);
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = true;
    context.drawImage(slice, 0, 0, canvas.width, canvas.height);
    if (Viewer.crosses) {
      drawCross(context, (this.place[plane.across] + 0.5) * step[1], (this.place[plane.down] + 0.5) * step[0]);
    }
  }
}

function drawCross(context, x, y) {
  const gap = PIXELS / 8, { width, height } = context.canvas;
  context.strokeStyle = "rgba(255, 176, 0, 0.8)";
  context.lineWidth = 1.5;
  context.beginPath();
  for (const [fromX, fromY, toX, toY] of [
    [0, y, x - gap, y], [x + gap, y, width, y], [x, 0, x, y - gap], [x, y + gap, x, height],
  ]) {
    context.moveTo(fromX, fromY);
    context.lineTo(toX, toY);
  }
  context.stroke();
}
