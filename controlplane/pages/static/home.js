// The home page: stop the server without leaving the page, and follow its state.
"use strict";

(() => {
  const hub = window.edgehub;
  const card = document.getElementById("server");
  if (!card) {
    return;
  }
  const { owner, serverName } = card.dataset;
  const stopForm = document.getElementById("stop-form");
  const failure = document.getElementById("server-failure");
  const words = {
    stopped: ["Stopped", "It is not running. Starting it takes a few seconds."],
    starting: ["Starting", "It is starting; this usually takes a few seconds."],
    running: ["Running", "It is ready for you."],
    stopping: ["Stopping", "It is shutting down."],
  };
  let timer = 0;

  function setStatus(status) {
    const held = card.contains(document.activeElement) ? document.activeElement : null;
    card.dataset.status = status;
    const [label, hint] = words[status];
    document.getElementById("server-label").textContent = label;
    document.getElementById("server-hint").textContent = hint;
    for (const control of card.querySelectorAll("[data-show]")) {
      hub.show(control, control.dataset.show.split(" ").includes(status));
    }
    // A control that goes away must not take the keyboard's place in the page with it.
    if (held === card || (held && held.offsetParent === null)) {
      const controls = [...card.querySelectorAll(".button")];
      (controls.find((control) => control.offsetParent !== null) || card).focus();
    }
  }

  // follow asks again while something is under way and somebody looks.
  function follow() {
    clearTimeout(timer);
    if (["starting", "stopping"].includes(card.dataset.status) && !document.hidden) {
      timer = setTimeout(refresh, 1500);
    }
  }

  async function refresh() {
    const before = card.dataset.status;
    const status = await hub.status(owner, serverName);
    if (card.dataset.status !== before || stopForm.hasAttribute("aria-busy")) {
      return; // the answer is older than a click
    }
    if (before === "starting" && status === "stopped") {
      location.reload(); // only the page knows why a start failed
      return;
    }
    if (status && status !== before && !(before === "failed" && status === "stopped")) {
      setStatus(status);
    }
    follow();
  }

  function complain(text) {
    failure.textContent = text;
    hub.show(failure, true);
  }

  async function stop() {
    let answer;
    try {
      answer = await hub.api("DELETE", hub.serverPath(owner, serverName));
    } catch {
      complain("The hub cannot be reached. Check your connection and try again.");
      return;
    }
    if (answer.ok) {
      setStatus(answer.status === 202 ? "stopping" : "stopped");
      return;
    }
    const body = await answer.json().catch(() => ({}));
    complain(body.message || "Your server could not be stopped. Reload this page and try again.");
  }

  card.tabIndex = -1;
  stopForm.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (stopForm.hasAttribute("aria-busy")) {
      return;
    }
    clearTimeout(timer);
    stopForm.setAttribute("aria-busy", "true");
    hub.show(failure, false);
    await stop();
    stopForm.removeAttribute("aria-busy");
    follow();
  });

  // A tab that was away for an hour may show a server that has been stopped since.
  document.addEventListener("visibilitychange", () => (document.hidden ? follow() : refresh()));
  follow();
})();
