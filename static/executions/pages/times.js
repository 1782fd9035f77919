/* Shows times as the reader's clock has them: <time datetime="…" data-format="clock|full|ago">. */

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat("sv-SE", { year: "numeric", month: "2-digit", day: "2-digit" });
const ago = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const STEPS = [
  [60, "second", 1],
  [3600, "minute", 60],
  [86400, "hour", 3600],
  [7 * 86400, "day", 86400],
];

function relative(moment, now) {
  const seconds = Math.round((moment - now) / 1000);
  if (Math.abs(seconds) < 5) return "just now";
  for (const [below, unit, size] of STEPS) {
    if (Math.abs(seconds) < below) return ago.format(Math.trunc(seconds / size), unit);
  }
  return day.format(moment);
}

function show(element, now) {
  const moment = new Date(element.dateTime);
  if (Number.isNaN(moment.valueOf())) return;
  const full = `${day.format(moment)} ${clock.format(moment)}`;
  const format = element.dataset.format;
  element.textContent = format === "ago" ? relative(moment, now) : format === "clock" ? clock.format(moment) : full;
  element.title = `${full} here, ${element.dateTime} UTC`;
}

/** Rewrite every time below `root`. */
export function localise(root = document) {
  const now = new Date();
  for (const element of root.querySelectorAll("time[data-format]")) show(element, now);
}

function seconds(span) {
  if (span < 10) return `${Math.max(span, 0).toFixed(1)} s`;
  const whole = Math.floor(span);
  if (whole < 60) return `${whole} s`;
  const two = (number) => String(number).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

/** Move on what counts up: `data-ran` seconds, and the time since `data-since`, where there is one. */
function tick() {
  for (const element of document.querySelectorAll("[data-elapsed]")) {
    const { ran, since } = element.dataset;
    const running = since ? Math.max(0, Date.now() - Date.parse(since)) / 1000 : 0;
    if (since || Number(ran)) element.textContent = seconds(Number(ran) + running);
  }
}

localise();
tick();
setInterval(tick, 1000);
setInterval(() => localise(), 30_000);
document.addEventListener("htmx:load", (event) => localise(event.target));
