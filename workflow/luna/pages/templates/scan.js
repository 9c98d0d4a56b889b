const viewers = [];

function start(article) {
  const viewer = new Viewer(article);
  viewers.push({ article, viewer });
  const size = Number(article.dataset.size);
  loadBlock(article.dataset.cube, [size, size, size], Number(article.dataset.tiles)).then((block) => {
    const paint = (z, y, x) => Array(3).fill(block.at(z, y, x));
    viewer.show({ shape: block.shape, mm: [1, 1, 1], paint });
  });
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
  if (event.key === "r") viewers.forEach((each) => each.viewer.reset());
  if (event.key === "c") {
    Viewer.crosses = !Viewer.crosses;
    viewers.forEach((each) => each.viewer.draw());
  }
});
document.querySelectorAll(".viewer").forEach(start);
