// The cube's voxels, axes z (down from the head), y (backwards), x (to the patient's left), are the tiles of a
// picture. A place in it is [z, y, x]; each plane shows two of its axes and is moved along the third.
const PLANES = [
  { along: 0, down: 1, across: 2 },
  { along: 1, down: 0, across: 2 },
  { along: 2, down: 0, across: 1 },
];
const SCALE = 6;
let crosses = true;
const viewers = [];

function voxelsOf(picture) {
  const canvas = document.createElement("canvas");
  canvas.width = picture.width;
  canvas.height = picture.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  return (z, y, x) => pixels[4 * ((Math.floor(z / TILES) * CUBE + y) * canvas.width + (z % TILES) * CUBE + x)];
}

function start(article) {
  const canvases = [...article.querySelectorAll("canvas")];
  const sliders = [...article.querySelectorAll("input")];
  const middle = () => [CUBE / 2, CUBE / 2, CUBE / 2];
  const viewer = { article, place: middle(), voxel: null, draw, reset };

  function draw() {
    if (!viewer.voxel) return;
    PLANES.forEach((plane, number) => {
      const slice = document.createElement("canvas");
      slice.width = slice.height = CUBE;
      const image = slice.getContext("2d").createImageData(CUBE, CUBE);
      const at = [...viewer.place];
      for (let down = 0; down < CUBE; down++) {
        for (let across = 0; across < CUBE; across++) {
          at[plane.down] = down;
          at[plane.across] = across;
          const grey = viewer.voxel(at[0], at[1], at[2]);
          image.data.set([grey, grey, grey, 255], 4 * (down * CUBE + across));
        }
      }
      slice.getContext("2d").putImageData(image, 0, 0);
      const canvas = canvases[number];
      canvas.width = canvas.height = CUBE * SCALE;
      const context = canvas.getContext("2d");
      context.imageSmoothingEnabled = true;
      context.drawImage(slice, 0, 0, CUBE * SCALE, CUBE * SCALE);
      if (crosses) {
        drawCross(context, (viewer.place[plane.across] + 0.5) * SCALE, (viewer.place[plane.down] + 0.5) * SCALE);
      }
      sliders[number].value = viewer.place[plane.along];
    });
  }

  function reset() {
    viewer.place = middle();
    draw();
  }

  function move(axis, value) {
    viewer.place[axis] = Math.max(0, Math.min(CUBE - 1, value));
    draw();
  }

  PLANES.forEach((plane, number) => {
    sliders[number].addEventListener("input", () => move(plane.along, Number(sliders[number].value)));
    canvases[number].addEventListener("wheel", (event) => {
      event.preventDefault();
      move(plane.along, viewer.place[plane.along] + Math.sign(event.deltaY));
    }, { passive: false });
    canvases[number].addEventListener("click", (event) => {
      const box = canvases[number].getBoundingClientRect();
      viewer.place[plane.across] = Math.floor(((event.clientX - box.left) / box.width) * CUBE);
      move(plane.down, Math.floor(((event.clientY - box.top) / box.height) * CUBE));
    });
  });
  const picture = new Image();
  picture.onload = () => {
    viewer.voxel = voxelsOf(picture);
    draw();
  };
  picture.src = article.dataset.cube;
  viewers.push(viewer);
}

function drawCross(context, x, y) {
  const size = CUBE * SCALE, gap = 8 * SCALE;
  context.strokeStyle = "rgba(255, 176, 0, 0.8)";
  context.lineWidth = 1.5;
  context.beginPath();
  for (const [fromX, fromY, toX, toY] of [
    [0, y, x - gap, y], [x + gap, y, size, y], [x, 0, x, y - gap], [x, y + gap, x, size],
  ]) {
    context.moveTo(fromX, fromY);
    context.lineTo(toX, toY);
  }
  context.stroke();
}

function go(step) {
  const top = viewers.findIndex((each) => each.article.getBoundingClientRect().bottom > 80);
  const focused = viewers.findIndex((each) => each.article.contains(document.activeElement));
  const from = focused >= 0 ? focused : step > 0 ? top - 1 : top;
  const next = viewers[Math.max(0, Math.min(viewers.length - 1, from + step))];
  next.article.focus({ preventScroll: true });
  next.article.scrollIntoView();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "n") go(1);
  if (event.key === "p") go(-1);
  if (event.key === "r") viewers.forEach((each) => each.reset());
  if (event.key === "c") {
    crosses = !crosses;
    viewers.forEach((each) => each.draw());
  }
});
document.querySelectorAll(".viewer").forEach(start);
