// The stop-pending page: ask until the server has stopped, then load this address again for what comes next.
"use strict";

(() => {
  const hub = window.edgehub;
  const page = document.getElementById("stopping");
  if (!page) {
    return;
  }
  let rounds = 0;

  async function check() {
    const status = await hub.status(page.dataset.owner, page.dataset.serverName);
    // Now and then reload in any case: whoever may see this page need not be allowed to ask the API.
    if ((status && status !== "stopping") || ++rounds >= 8) {
      location.reload();
      return;
    }
    setTimeout(check, 1500);
  }

  setTimeout(check, 1000);
})();
