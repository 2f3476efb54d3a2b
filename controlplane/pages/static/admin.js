// The administrators' pages: follow servers that start or stop, while somebody looks.
"use strict";

(() => {
  const hub = window.edgehub;
  const labels = { stopped: "Stopped", starting: "Starting", running: "Running", stopping: "Stopping" };

  function setStatus(server, status) {
    const failed = server.dataset.status === "starting" && status === "stopped";
    server.dataset.status = failed ? "failed" : status;
    server.querySelector(".label").textContent = failed ? "Failed" : labels[status];
    for (const control of server.querySelectorAll("[data-show]")) {
      hub.show(control, control.dataset.show.split(" ").includes(server.dataset.status));
    }
  }

  async function refresh() {
    for (const server of document.querySelectorAll('.server[data-status="starting"], .server[data-status="stopping"]')) {
      const before = server.dataset.status;
      const status = await hub.status(server.dataset.owner, server.dataset.serverName);
      if (status && status !== before) {
        setStatus(server, status);
      }
    }
  }

  async function follow() {
    if (!document.hidden) {
      await refresh();
    }
    setTimeout(follow, 1500);
  }
  follow();
})();
