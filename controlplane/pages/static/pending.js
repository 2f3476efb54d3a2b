// The spawn-pending page: follow the progress stream, then go to the server.
"use strict";

(() => {
  const hub = window.edgehub;
  const page = document.getElementById("pending");
  if (!page) {
    return;
  }
  const get = (id) => document.getElementById(id);
  const bar = get("progress-bar");
  const log = get("progress-log");
  const offline = get("pending-offline");
  const progressURL = hub.webURL(page.dataset.progressUrl);
  if (!progressURL) {
    return;
  }
  progressURL.searchParams.set("_xsrf", window.jhdata.xsrf_token);

  let source = null;
  let position = 0; // events of this connection so far; the hub replays them all to each
  let failures = 0;
  let done = false;

  // record puts the event into the log, unless it is a line that an earlier connection, or the page itself, has put
  // there. A different line in that place means another start: what is below it belongs to the old one.
  function record(message) {
    const line = log.children[position++];
    if (line && line.textContent === message) {
      return;
    }
    while (log.children.length >= position) {
      log.lastElementChild.remove();
    }
    const item = document.createElement("li");
    item.textContent = message;
    log.append(item);
  }

  function finish(id) {
    done = true;
    source.close();
    for (const part of ["pending-running", "pending-ready", "pending-failed"]) {
      hub.show(get(part), part === id);
    }
    hub.show(offline, false);
  }

  function ready(event) {
    const url = hub.webURL(page.dataset.nextUrl, true) || (event.url && hub.webURL(event.url));
    finish("pending-ready");
    bar.value = 100; // it stays in sight until the server's page comes
    get("pending-title").textContent = page.dataset.subject + " is ready";
    if (url) {
      get("pending-link").href = url.href;
      location.replace(url.href); // Back must not lead here
    }
  }

  function failed(event) {
    finish("pending-failed");
    hub.show(bar, false);
    get("pending-title").textContent = page.dataset.subject + " did not start";
    get("pending-reason").textContent = event.message || "The start failed, and the hub does not say why.";
    document.title = "Not started · edgehub";
  }

  function onMessage(message) {
    let event;
    try {
      event = JSON.parse(message.data);
    } catch {
      return; // not one of ours
    }
    const text = String(event.message || "");
    if (text) {
      record(text);
    }
    if (event.ready) {
      ready(event);
    } else if (event.failed) {
      failed(event);
    } else {
      // During a replay the bar stands still: it never goes back.
      bar.value = Math.max(bar.value, Math.min(100, Number(event.progress) || 0));
      if (text && position >= log.children.length) {
        const shown = get("progress-message");
        if (shown.textContent !== text) {
          shown.textContent = text; // only changes are read aloud
        }
      }
    }
  }

  // EventSource reconnects by itself after a broken stream, but gives up after an error status, which a replica that is
  // going away sends too. Then we try again, more and more slowly, and at last ask the hub for the page itself.
  function onError() {
    if (done || source.readyState !== EventSource.CLOSED) {
      return;
    }
    failures++;
    if (failures > 6) {
      location.reload();
      return;
    }
    if (failures > 1) {
      offline.textContent = "The hub does not answer. Your server goes on starting; this page keeps trying.";
      hub.show(offline, true);
    }
    setTimeout(connect, Math.min(15000, 500 * 2 ** failures) * (0.5 + Math.random() / 2));
  }

  function connect() {
    source = new EventSource(progressURL.href);
    source.onopen = () => {
      position = 0;
      failures = 0;
      hub.show(offline, false);
    };
    source.onmessage = onMessage;
    source.onerror = onError;
  }

  // A stream left open by a page that is gone would count against the browser's limit of connections.
  window.addEventListener("pagehide", () => source.close());
  window.addEventListener("pageshow", (event) => event.persisted && location.reload());
  connect();
})();
