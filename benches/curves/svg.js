// A plot with logarithmic axes, drawn by hand: no library, some kilobytes, readable on light and dark pages.

const width = 720, height = 380;
const box = { left: 76, right: width - 44, top: 66, bottom: height - 52 };
const colours = [["#b3400b", "#ff9d6c"], ["#0b62a8", "#7cc0ff"], ["#1b7a4b", "#6fd8a5"]];
const marks = [
  (x, y) => `<circle cx="${x}" cy="${y}" r="4.5"/>`,
  (x, y) => `<rect x="${x - 4}" y="${y - 4}" width="8" height="8"/>`,
  (x, y) => `<path d="M${x} ${y - 5.5}l5.2 9.5h-10.4z"/>`,
];

const style = `
svg{font:13px system-ui,sans-serif}.back{fill:#fff}text{fill:#24292f}.grid{stroke:#d0d7de}.title{font-size:15px;font-weight:600}
${colours.map(([light], at) => `.s${at}{stroke:${light};fill:${light}}`).join("")}
.line{fill:none;stroke-width:2}.spread{stroke-width:1.5}
@media(prefers-color-scheme:dark){.back{fill:#0d1117}text{fill:#e6edf3}.grid{stroke:#30363d}
${colours.map(([, dark], at) => `.s${at}{stroke:${dark};fill:${dark}}`).join("")}.line{fill:none}}`;

const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const round = (n) => Math.round(n * 10) / 10;

/** Powers of ten from one that is not above to one that is not below. */
const decades = (values) => {
  const from = Math.floor(Math.log10(Math.min(...values)) + 1e-9), to = Math.max(from + 1, Math.ceil(Math.log10(Math.max(...values)) - 1e-9));
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
};

/** `series`: `{ name, points: [{ x, median, least, greatest }] }`; `showY` has the unit. */
export function svg({ title, x, y, series, showX, showY }) {
  const points = series.flatMap((one) => one.points);
  const [xs, ys] = [decades(points.map((point) => point.x)), decades(points.flatMap((point) => [point.least, point.greatest]))];
  const scale = (all, from, to) => (value) => round(from + ((Math.log10(value) - all[0]) / (all.at(-1) - all[0])) * (to - from));
  const [atX, atY] = [scale(xs, box.left, box.right), scale(ys, box.bottom, box.top)];
  const out = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(title)}">`,
    `<style>${style.replaceAll("\n", "")}</style>`,
    `<rect class="back" width="${width}" height="${height}" rx="6"/>`,
    `<text class="title" x="${box.left}" y="24">${escape(title)}</text>`,
  ];
  for (const power of xs) {
    const at = atX(10 ** power);
    out.push(`<line class="grid" x1="${at}" x2="${at}" y1="${box.top}" y2="${box.bottom}"/><text x="${at}" y="${box.bottom + 18}" text-anchor="middle">${showX(10 ** power)}</text>`);
  }
  for (const power of ys) {
    const at = atY(10 ** power);
    out.push(`<line class="grid" x1="${box.left}" x2="${box.right}" y1="${at}" y2="${at}"/><text x="${box.left - 8}" y="${at + 4}" text-anchor="end">${showY(10 ** power)}</text>`);
  }
  const middle = (box.top + box.bottom) / 2;
  out.push(`<text x="${(box.left + box.right) / 2}" y="${height - 12}" text-anchor="middle">${escape(x)} (log)</text>`);
  out.push(`<text transform="translate(16 ${middle}) rotate(-90)" text-anchor="middle">${escape(y)} (log)</text>`);
  let legend = box.left + 6;
  series.forEach((one, at) => {
    const places = one.points.map((point) => [atX(point.x), atY(point.median)]);
    out.push(`<g class="s${at}"><path class="line" d="M${places.map((place) => place.join(" ")).join("L")}"/>`);
    for (const point of one.points) out.push(`<line class="spread" x1="${atX(point.x)}" x2="${atX(point.x)}" y1="${atY(point.least)}" y2="${atY(point.greatest)}"/>`);
    out.push(...places.map(([px, py]) => marks[at](px, py)), marks[at](legend, 44), "</g>", `<text x="${legend + 11}" y="48">${escape(one.name)}</text>`);
    legend += 34 + one.name.length * 6.7;
  });
  return `${out.join("\n")}\n</svg>\n`;
}
