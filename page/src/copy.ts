/** Copies texts. */

/** Copies a text to the clipboard. */
export async function copy(text: string): Promise<void> {
  // Pages that were loaded over plain HTTP from another machine have no clipboard API.
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = Object.assign(document.createElement("textarea"), { value: text, className: "unseen" });
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error("The browser does not allow copying.");
}
