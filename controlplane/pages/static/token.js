// The token page: copy a new token, and do not make another one when the page is loaded again.
"use strict";

(() => {
  const result = document.getElementById("token-result");
  if (!result) {
    return;
  }
  history.replaceState(null, "", location.href);
  const button = document.getElementById("token-copy");
  const hint = document.getElementById("token-hint");

  function select() {
    const range = document.createRange();
    range.selectNodeContents(result);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  }

  // copy uses the clipboard as it is without TLS, too, where there is no navigator.clipboard.
  async function copy() {
    try {
      await navigator.clipboard.writeText(result.textContent);
      return true;
    } catch {
      select();
      return document.execCommand("copy");
    }
  }

  window.edgehub.show(button, true);
  button.addEventListener("click", async () => {
    hint.textContent = (await copy()) ? "Copied. It is not shown again." : "It is selected now: copy it with the keyboard.";
  });
  result.addEventListener("focus", select);
  document.getElementById("token-area").scrollIntoView({ block: "nearest" });
})();
