/** The credential of the tab: an API key or a watch token, kept while the tab is open; empty if none is needed. */

const KEPT_AS = "hfgateway.credential";

/** Returns the token of the URL's fragment, which is not sent to a server, or else the credential that was entered. */
export function rememberedCredential(): string {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    // Remove the token from the address bar and the history.
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

/** Returns the id in an API key, which is `hfg_ID_SECRET`; empty for other credentials. The id is no secret. */
export function keyIdOf(credential: string): string {
  return /^hfg_([^_]+)_/.exec(credential)?.[1] ?? "";
}

/** Returns whether the credential allows more than reading; a watch token does not. */
export function mayAct(credential: string): boolean {
  return !credential.startsWith("hfw_");
}
