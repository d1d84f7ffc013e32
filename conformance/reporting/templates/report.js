// The page reads without any of this: copy buttons and the filter of the matrix are shown once the script runs.
document.documentElement.classList.add("js");

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // A file opened from disk may not be given the clipboard.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

const announce = document.querySelector("#announce");
for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", async () => {
    await copyText(button.parentElement.querySelector("pre").textContent);
    const label = button.textContent;
    button.textContent = "Copied";
    announce.textContent = "Copied";
    setTimeout(() => { button.textContent = label; announce.textContent = ""; }, 1500);
  });
}

const words = document.querySelector("#filter-operations");
if (words) {
  const failing = document.querySelector("#filter-failing");
  const shown = document.querySelector("#filter-shown");
  const rows = [...document.querySelectorAll(".matrix tbody tr")];
  const apply = () => {
    const wanted = words.value.trim().toLowerCase();
    let count = 0;
    for (const row of rows) {
      const hit = row.cells[0].textContent.includes(wanted) && (!failing.checked || row.querySelector(".f"));
      row.hidden = !hit;
      count += hit ? 1 : 0;
    }
    shown.textContent = `${count} of ${rows.length} shown`;
  };
  words.addEventListener("input", apply);
  failing.addEventListener("change", apply);
}
