// Every page: window.jhdata, and small helpers for the other scripts in window.edgehub. All pages work without this.
"use strict";

window.jhdata = JSON.parse(document.getElementById("jhdata-json").textContent);

window.edgehub = Object.freeze({
  // api calls the hub's API as the signed-in user. It throws when the hub cannot be reached.
  api(method, path) {
    return fetch(window.jhdata.base_url + "api/" + path, {
      method,
      headers: { Accept: "application/json", "X-XSRFToken": window.jhdata.xsrf_token },
      credentials: "same-origin",
      cache: "no-store",
    });
  },

  // serverPath is a server's place in the API.
  serverPath(owner, name) {
    const user = "users/" + encodeURIComponent(owner);
    return name ? user + "/servers/" + encodeURIComponent(name) : user + "/server";
  },

  // status asks for a server's status: "stopped", "starting", "running", "stopping", or "" if the hub does not say.
  async status(owner, name) {
    try {
      const answer = await this.api("GET", "users/" + encodeURIComponent(owner));
      if (!answer.ok) {
        return "";
      }
      const servers = (await answer.json()).servers || {};
      const server = Object.hasOwn(servers, name) ? servers[name] : null;
      if (!server || server.stopped) {
        return "stopped";
      }
      return { spawn: "starting", stop: "stopping" }[server.pending] || (server.ready ? "running" : "starting");
    } catch {
      return "";
    }
  },

  // webURL is href as a URL that may be followed, or null: never javascript:, and another host only if the page's own
  // markup says so.
  webURL(href, anyHost) {
    try {
      const url = new URL(href, location.href);
      const web = url.protocol === "https:" || url.protocol === "http:";
      return web && (anyHost || url.origin === location.origin) ? url : null;
    } catch {
      return null;
    }
  },

  show(element, visible) {
    if (element) {
      element.hidden = !visible;
    }
  },
});

// A second click must not post a form again. The browser's Back brings the form back to life.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.hasAttribute("data-once")) {
    return;
  }
  if (form.hasAttribute("aria-busy")) {
    event.preventDefault();
    return;
  }
  form.setAttribute("aria-busy", "true");
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[aria-busy]")) {
    form.removeAttribute("aria-busy");
  }
});

// "5 minutes ago" in place of a time in UTC, which stays as the tooltip in the reader's own zone.
function relativeTimes() {
  const words = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "auto" });
  const units = [["day", 86400], ["hour", 3600], ["minute", 60]];
  for (const element of document.querySelectorAll("time[data-relative]")) {
    const then = new Date(element.dateTime);
    const seconds = Math.round((then - Date.now()) / 1000);
    const [unit, size] = units.find(([, length]) => Math.abs(seconds) >= length) || ["", 1];
    element.title = then.toLocaleString();
    element.textContent = unit ? words.format(Math.trunc(seconds / size), unit) : "just now";
  }
}
relativeTimes();
setInterval(relativeTimes, 30000);
