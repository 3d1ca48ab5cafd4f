/** Finds and creates elements. */

/** Returns the element of index.html with this id. */
export function part<Kind extends HTMLElement = HTMLElement>(id: string): Kind {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as Kind;
}

type Child = Node | string;

/** Creates an element with a class and children. */
export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  className = "",
  ...children: Child[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** Sets a text, unless the element has it already, so that nothing is laid out again. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/** Puts the elements into a list in this order, and moves only those that are in another place. */
export function place(list: HTMLElement, elements: readonly HTMLElement[]): void {
  const wanted = new Set(elements);
  for (const child of [...list.children]) if (!wanted.has(child as HTMLElement)) child.remove();
  elements.forEach((one, index) => {
    const there = list.children[index];
    if (there !== one) list.insertBefore(one, there ?? null);
  });
}

/** Returns a list of names and values. */
export function pairs(entries: Iterable<readonly [string, Child]>): HTMLDListElement {
  const list = element("dl", "pairs");
  for (const [name, value] of entries) list.append(element("dt", "", name), element("dd", "", value));
  return list;
}
