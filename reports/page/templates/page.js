"use strict";
// Sort a table by a column: a click on its heading, and another one the other way round.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => {
        const cell = row.cells[column];
        const text = cell.dataset.key;
        const number = text === undefined ? NaN : text === "inf" ? Infinity : text === "-inf" ? -Infinity : Number(text);
        return [Number.isNaN(number) ? null : number, cell.textContent];
      };
      const rows = [...body.rows].map((row) => [key(row), row]);
      rows.sort(([[a, one]], [[b, other]]) => {
        let order = one.localeCompare(other, "en");
        if (a !== null && b !== null) order = a === b ? 0 : a < b ? -1 : 1;
        else if (a !== null) order = -1;
        else if (b !== null) order = 1;
        return down ? -order : order;
      });
      body.append(...rows.map(([, row]) => row));
    });
  });
}
// Choose which columns of a wide table are shown.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  if (headings.length < 8) continue;
  const details = document.createElement("details");
  details.className = "columns";
  const summary = document.createElement("summary");
  summary.textContent = "Columns";
  details.append(summary);
  headings.forEach((heading, column) => {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", () => {
      for (const row of table.rows) row.cells[column].hidden = !box.checked;
    });
    label.append(box, " ", heading.textContent);
    details.append(label);
  });
  table.parentElement.before(details);
}
// Copy a command. The files in it are named from the root, so that it works in any folder.
const files = JSON.parse(document.getElementById("files").textContent);
const absolute = (path) => {
  const url = new URL(path.split("/").map(encodeURIComponent).join("/"), location);
  const plain = decodeURIComponent(url.pathname).replace(/^\/([A-Za-z]:)/, "$1");
  return /^[\w@%+=:,.\/-]+$/.test(plain) ? plain : `'${plain.replaceAll("'", `'"'"'`)}'`;
};
for (const code of document.querySelectorAll("td details code")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    let command = code.textContent;
    for (const [word, path] of Object.entries(files)) {
      if (location.protocol === "file:") command = command.replace(` ${word} `, ` ${absolute(path)} `);
    }
    try {
      await navigator.clipboard.writeText(command);
      button.textContent = "Copied";
    } catch {
      code.textContent = command;
      code.parentElement.open = true;
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    button.dataset.copied = command;
  });
  code.closest("details").after(button);
}
// Choose which scenario is shown.
const cases = [...document.querySelectorAll("section.case")];
if (cases.length > 1) {
  const label = document.createElement("label");
  label.append("Show ");
  const select = document.createElement("select");
  for (const name of ["everything", ...cases.map((section) => section.dataset.name)]) {
    select.add(new Option(name));
  }
  label.append(select);
  const choice = document.getElementById("choice");
  choice.append(label);
  choice.hidden = false;
  select.addEventListener("change", () => {
    cases.forEach((section, i) => {
      section.hidden = select.selectedIndex !== 0 && select.selectedIndex !== i + 1;
    });
    if (select.selectedIndex) cases[select.selectedIndex - 1].scrollIntoView();
  });
  for (const link of document.querySelectorAll('a[href^="#case-"]')) {
    link.addEventListener("click", () => {
      select.selectedIndex = 0;
      select.dispatchEvent(new Event("change"));
    });
  }
}
// What is folded up is printed too.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
