/* report.html: the data lies in the page, the run is over. */
"use strict";

(() => {
  const page = Lab.page();
  const data = JSON.parse(document.getElementById("data").textContent);
  page.show(data);
  page.clock(data.duration);
})();
