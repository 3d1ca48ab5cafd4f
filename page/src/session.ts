/** Who looks: an API key or a watch token, kept for as long as the tab is open, or nobody where the gateway asks nobody. */

const KEPT_AS = "hfgateway.credential";

/** What the page was opened with, or what it was told before. A token may come in the fragment, which no server sees. */
export function rememberedCredential(): string {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    // Out of the address bar, the history and whatever copies them.
    history.replaceState(null, "", location.pathname + location.search);
    remember(given);
  }
  return sessionStorage.getItem(KEPT_AS) ?? "";
}

export function remember(credential: string): void {
  sessionStorage.setItem(KEPT_AS, credential);
}

export function forget(): void {
  sessionStorage.removeItem(KEPT_AS);
}

/** A watch token can only look. */
export function mayAct(credential: string): boolean {
  return !credential.startsWith("hfw_");
}
