/* The library filters as one types and offers to compare; without this its forms work as well. */
"use strict";

(() => {
  Lab.page();
  const find = document.querySelector(".filter input[type=search]");
  const rows = [...document.querySelectorAll("tbody tr")];
  const status = document.querySelector("[role=status]");
  const all = status.textContent;
  find.addEventListener("input", () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
      count += !row.hidden;
    }
    status.textContent = words.length ? `${count} of ${rows.length} runs` : all;
  });
  document.querySelectorAll(".filter select").forEach((select) => {
    select.addEventListener("change", () => select.form.requestSubmit());
  });
})();
