// How numbers, states and events read: the same as the server writes them (executions/dashboard/words.py, event_words.py
// and visible_text.py), so that a line that comes live looks like one that came with the page. A test compares both.

const NOTHING = "\u2013";
const SUSPECT =
  // eslint-disable-next-line no-control-regex
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff\u{e0000}-\u{e0fff}]/gu;

/** Text in which characters that hide, reorder or control are shown by their number. */
export function visible(text) {
  return text.replace(SUSPECT, (one) => `⟦U+${one.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟧`);
}

export function word(status) {
  return { dead_lettered: "dead-lettered", transport_error: "transport error" }[status] ?? status;
}

export function thousands(number) {
  return number === null || number === undefined ? NOTHING : number.toLocaleString("en-US");
}

/** At most one decimal place, and never rounded up to 100. */
export function percent(number) {
  if (number > 99.9 && number < 100) return "99.9";
  return number.toFixed(1).replace(/\.0$/, "");
}

/** Dollars: cents when it is much, up to four places when it is little. */
export function usd(amount) {
  if (amount === 0) return "$0.00";
  if (amount >= 10) return `$${amount.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
  return amount >= 0.0001 ? `$${amount.toFixed(4)}` : "< $0.0001";
}

const CONTROL_WORDS = { approve: "approved", fork: "forked", judge: "judged again", review: "code supplied", rollback: "rolled back" };

/** How it went: `all` (whatever has ended has succeeded), `some`, `none` (all has ended, nothing has succeeded). */
export function outcome({ atoms_total, atoms_succeeded, atoms_unsuccessful }) {
  if (!atoms_unsuccessful) return "all";
  return atoms_succeeded === 0 && atoms_unsuccessful === atoms_total ? "none" : "some";
}

/** What an event is about, when it names no atom. */
export function subject(event) {
  if (event.wave !== undefined) return `wave ${event.wave}`;
  return event.type.startsWith("control.") ? "control" : "execution";
}

/** What happened, without where. */
export function sentence({ type, data }) {
  switch (type) {
    case "execution.created":
      return (
        `created by ${data.who ?? "command"}: ${data.atoms} atoms in ${data.waves} waves` +
        (data.forked_from ? `, forked at wave ${data.at_wave}` : "")
      );
    case "execution.building":
      return `being stored: ${data.stored} of ${data.atoms} atoms`;
    case "execution.built":
      return `stored: ${data.atoms} atoms`;
    case "execution.building":
      return `${data.stored} of ${data.atoms} atoms are stored`;
    case "execution.built":
      return `all ${data.atoms} atoms are stored`;
    case "execution.started":
    case "atom.started":
      return "started";
    case "execution.pausing":
    case "execution.paused":
      return data.reason ? `${type.slice(10)}: ${data.reason}` : type.slice(10);
    case "execution.resumed":
      return "resumed";
    case "execution.reopened":
      return "runs again" + (data.run_number ? `, run ${data.run_number}` : "");
    case "execution.ended":
      return `${data.status}: ${data.succeeded} of ${data.atoms} atoms succeeded`;
    case "wave.started":
      return `started: ${data.atoms} atoms`;
    case "wave.ended":
      if (data.succeeded === undefined) return data.status ?? "ended";
      return `${data.status}: ${data.succeeded} succeeded` + (data.unsuccessful ? `, ${data.unsuccessful} did not` : "");
    case "wave.reopened":
      return data.status === "running" ? "opened again" : "waits for its turn again";
    case "gate.started":
      return `${gate(data)} is being judged`;
    case "gate.ended":
      return judged(data);
    case "gate.lost":
      return `the owner of the ${gate(data)} is gone: taken back`;
    case "gate.reopened":
      return `${gate(data)} waits again, was ${data.was}`;
    case "atom.reopened":
      return "opened again" + (data.was ? `, was ${word(data.was)}` : "");
    case "atom.ended":
      return ending(data);
    case "attempt.started":
      if (data.kind === "cache") return "answer taken from the cache";
      if (data.kind === "person") return "code supplied by a person";
      return `${data.strategy ?? "started"}` + (isNothing(data.temperature) ? "" : `, temperature ${data.temperature}`);
    case "attempt.ended":
      return `${data.status}` + (data.blocking ? `: ${data.blocking} ${data.blocking === 1 ? "error" : "errors"}` : "");
    case "attempt.overran":
      return `took longer than ${data.limit_s} s`;
    case "atom.resumed":
      return "goes on";
    case "atom.released":
      return "given back, to be gone on with";
    case "approval.requested":
      return "waits for approval";
    case "lease.lost":
      return "its owner is gone: taken back";
    case "lease.late_write":
      return `a former owner came late with its ${data.what}: refused`;
    case "call.answered":
      return `answered in ${data.output_tokens} tokens`;
    case "call.failed":
      return [data.outcome, data.status_code, data.error_type].filter(Boolean).join(" ");
  }
  if (type.startsWith("control.")) {
    const what = data.what ?? type.slice(8);
    return `${CONTROL_WORDS[what] ?? what}${extent(data)} by ${data.who}` + (data.why ? `: ${data.why}` : "");
  }
  return Object.entries(data)
    .filter(([, value]) => !isEmpty(value))
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");
}

// What a retry, a rollback or a fork is about.
function extent(data) {
  if (data.what === "fork") return ` as ${(data.fork ?? "").slice(-8)}`;
  if (data.what !== "retry" && data.what !== "rollback") return "";
  const again = data.generated || 0;
  const atoms = `${again} ${again === 1 ? "atom" : "atoms"} again` + (data.revived ? `, ${data.revived} no longer blocked` : "");
  return (data.what === "rollback" ? ` to the end of wave ${data.to_wave}` : "") + ` (${atoms})`;
}

// Of a wave's gate the log says which wave; the masterplan's has none.
function gate(data) {
  return data.level === "masterplan" ? "gate of the masterplan" : "gate";
}

function judged(data) {
  const tests = data.tests_total === undefined ? "" : `: ${data.tests_passed} of ${data.tests_total} tests`;
  const found = data.findings_total || 0;
  return `${gate(data)} ${data.status ?? "ended"}${tests}` + (found ? `, ${found} ${found === 1 ? "finding" : "findings"}` : "");
}

function ending(data) {
  const attempts = data.attempts ? ` after ${data.attempts} ${data.attempts === 1 ? "attempt" : "attempts"}` : "";
  const reason = data.reason && data.reason !== data.status ? ` (${data.reason})` : "";
  return word(data.status ?? "ended") + attempts + (data.assurance ? `, ${data.assurance}` : reason);
}

function isNothing(value) {
  return value === null || value === undefined;
}

function isEmpty(value) {
  return isNothing(value) || value === "" || (typeof value === "object" && Object.keys(value).length === 0);
}
