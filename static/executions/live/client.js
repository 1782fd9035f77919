// The connection to a live feed: a WebSocket that comes back by itself and continues where it was, and a long-poll of the
// same events where sockets do not get through. Frames and close codes: docs/asyncapi.yaml.

const HOPELESS = new Set([4400, 4401, 4404]); // the server would answer the same again
const TOO_MANY = 4429;
const SILENCE_MS = 45_000; // the server beats its heart every 20 s
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 15_000;
const FAILURES_BEFORE_POLLING = 3;
const SOCKET_AGAIN_MS = 30_000; // while polling
const PAGE_LIMIT = 1000;
const WAIT_S = 25;
const MOST_WAVES = 500; // that REST tells in one answer

export class LiveFeed {
  #socket = null;
  #failures = 0;
  #timers = new Map();
  #polling = null;
  #stopped = true;
  #head = 0;

  /**
   * @param {object} options
   * @param {string} options.path of the socket, e.g. `/ws/executions/`
   * @param {string} [options.rest] address of the execution in REST; without it there is no polling
   * @param {number} [options.seq] number of the last event that the page has; left out for a feed without numbers
   * @param {(frame: object) => void} options.onFrame gets hello, events, executions, resync and final, never an event twice
   * @param {(state: "live"|"catching-up"|"polling"|"offline", detail: string) => void} options.onState
   */
  constructor({ path, rest = null, seq = null, onFrame, onState }) {
    this.path = path;
    this.rest = rest;
    this.seq = seq;
    this.onFrame = onFrame;
    this.onState = onState;
    // A page in the back-forward cache must not hold a socket; one that comes back continues.
    addEventListener("pagehide", () => this.stop());
    addEventListener("pageshow", (event) => event.persisted && this.start());
    addEventListener("online", () => !this.#stopped && this.#reconnect(0));
    addEventListener("offline", () => !this.#stopped && this.#show("offline", "the network is gone"));
  }

  start() {
    if (!this.#stopped) return;
    this.#stopped = false;
    this.#failures = 0;
    this.#show("catching-up");
    this.#connect();
  }

  stop() {
    this.#stopped = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#polling?.abort();
    this.#polling = null;
    this.#drop();
  }

  #show(state, detail = "") {
    this.onState(state, detail);
  }

  #after(name, delay, work) {
    clearTimeout(this.#timers.get(name));
    this.#timers.set(name, setTimeout(work, delay));
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#timers.get("silence"));
    socket?.close();
  }

  #connect() {
    if (this.#stopped) return;
    this.#drop();
    const address = new URL(this.path, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    if (this.seq !== null) {
      address.searchParams.set("after", this.seq);
      address.searchParams.set("resync", "1");
    }
    const socket = new WebSocket(address);
    this.#socket = socket;
    socket.addEventListener("message", (message) => socket === this.#socket && this.#hear(JSON.parse(message.data)));
    socket.addEventListener("close", (event) => socket === this.#socket && this.#closed(event.code, event.reason));
    this.#watch();
  }

  // A connection can die without a word: a laptop that slept, a proxy that forgot.
  #watch() {
    this.#after("silence", SILENCE_MS, () => {
      this.#drop();
      this.#closed(0, "silence");
    });
  }

  #reconnect(delay) {
    this.#after("connect", delay, () => this.#connect());
  }

  #closed(code, reason) {
    this.#socket = null;
    clearTimeout(this.#timers.get("silence"));
    if (this.#stopped) return;
    if (HOPELESS.has(code)) {
      this.stop();
      this.#show("offline", reason || { 4401: "signed out", 4404: "not to be seen" }[code] || "refused");
      return;
    }
    this.#failures += 1;
    if (this.#polling) {
      this.#reconnect(SOCKET_AGAIN_MS);
    } else if (this.rest && this.#failures >= FAILURES_BEFORE_POLLING) {
      this.#poll();
      this.#reconnect(SOCKET_AGAIN_MS);
    } else {
      this.#show(this.#failures < FAILURES_BEFORE_POLLING ? "catching-up" : "offline", "reconnecting");
      // Spread out, so that a server that comes back is not met by all pages at once.
      const longest = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#failures);
      this.#reconnect((code === TOO_MANY ? LONGEST_DELAY_MS : 0) + longest * (0.5 + Math.random() / 2));
    }
  }

  #hear(frame) {
    this.#watch();
    switch (frame.type) {
      case "hello":
        this.#failures = 0;
        this.#polling?.abort();
        this.#polling = null;
        this.#head = frame.seq ?? 0;
        this.onFrame(frame);
        this.#show(this.seq === null || this.seq >= this.#head ? "live" : "catching-up");
        break;
      case "resync":
        this.seq = frame.seq;
        this.onFrame(frame);
        this.#show("live");
        break;
      case "events":
        this.#take(frame);
        break;
      case "executions":
      case "final":
        this.onFrame(frame);
        break;
      case "denied":
      case "bye":
      case "heartbeat":
      case "error":
        break; // the code comes with the close; the rest only proves that the server lives
    }
  }

  #take(frame) {
    const events = frame.events.filter((event) => event.seq > this.seq);
    if (events.length && events[0].seq !== this.seq + 1) {
      this.#connect(); // something is missing: ask again from where we are
      return;
    }
    this.seq = Math.max(this.seq, frame.seq);
    this.#head = Math.max(this.#head, frame.head);
    this.#socket?.send(JSON.stringify({ type: "ack", seq: this.seq }));
    this.onFrame({ ...frame, events });
    if (!this.#polling) this.#show(this.seq >= this.#head ? "live" : "catching-up");
  }

  async #poll() {
    const polling = new AbortController();
    this.#polling = polling;
    let failures = 0;
    while (this.#polling === polling) {
      try {
        const page = await this.#get(`events/?after=${this.seq}&limit=${PAGE_LIMIT}&wait=${failures ? 0 : WAIT_S}`, polling);
        const execution = page.events.length || failures ? await this.#get("", polling) : null;
        // Waves that begin anew lose what had ended in them; how much, no event says.
        const again = page.events.some((event) => event.type.endsWith(".reopened") || event.type === "control.rollback");
        const waves = again ? (await this.#get(`waves/?limit=${MOST_WAVES}`, polling)).results : [];
        if (this.#polling !== polling) return;
        failures = 0;
        this.#show("polling");
        const head = page.last_seq;
        this.#take({ type: "events", seq: page.after, head, events: page.events, state: stateAfter(page.events, execution, waves) });
        if (!page.events.length) await pause(1000, polling.signal); // an ended execution is answered at once
      } catch (error) {
        if (polling.signal.aborted) return;
        if (error instanceof Refused) {
          this.stop();
          this.#show("offline", error.message);
          return;
        }
        failures += 1;
        this.#show("offline", "the server does not answer");
        await pause(Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** failures), polling.signal);
      }
    }
  }

  async #get(path, polling) {
    const answer = await fetch(this.rest + path, { headers: { Accept: "application/json" }, signal: polling.signal });
    if ([401, 403, 404].includes(answer.status)) throw new Refused(answer.status === 404 ? "not to be seen" : "signed out");
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    return answer.json();
  }
}

class Refused extends Error {}

function pause(delay, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, delay);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

// REST answers carry events and totals; what the socket sends besides them follows from the events.
function stateAfter(events, execution, knownWaves) {
  const waves = new Map();
  const atoms = new Map();
  for (const { type, wave, atom, data } of events) {
    if (type === "wave.started") {
      waves.set(wave, { number: wave, status: "running" });
      for (const row of atoms.values()) if (row[1] === wave && row[2] === "pending") row[2] = "ready";
    }
    else if (type === "wave.ended") waves.set(wave, { ...endedWave(data), number: wave, status: data.status });
    else if (type === "wave.reopened") waves.set(wave, { number: wave, status: data.status });
    else if (type === "atom.reopened") atoms.set(atom, [atom, wave, "pending", 0, ""]);
    else if (["atom.started", "atom.resumed", "attempt.started"].includes(type)) atoms.set(atom, [atom, wave, "generating"]);
    else if (type === "call.answered") atoms.set(atom, [atom, wave, "validating"]);
    else if (type === "call.failed" || type === "lease.lost" || type === "atom.released") atoms.set(atom, [atom, wave, "ready"]);
    else if (type === "atom.ended") atoms.set(atom, [atom, wave, data.status, data.attempts, data.assurance]);
  }
  for (const wave of knownWaves) waves.set(wave.number, wave);
  const ended = execution && { atoms_ended: execution.atoms_succeeded + execution.atoms_unsuccessful };
  return { execution: execution && { ...execution, ...ended }, waves: [...waves.values()], atoms: [...atoms.values()] };
}

function endedWave({ succeeded, unsuccessful }) {
  return succeeded === undefined ? {} : { atoms_succeeded: succeeded, atoms_unsuccessful: unsuccessful };
}
