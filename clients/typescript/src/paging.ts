/** Lists that come in pages. */

/** What is on page after page, each fetched as it is needed, with the token that the one before it came with. */
export async function* pages<Page extends { nextPageToken: string }, Item>(
  fetch: (pageToken: string) => Promise<Page>,
  itemsOf: (page: Page) => Iterable<Item>,
): AsyncGenerator<Item, void, undefined> {
  let pageToken = "";
  do {
    const page = await fetch(pageToken);
    yield* itemsOf(page);
    pageToken = page.nextPageToken;
  } while (pageToken);
}
